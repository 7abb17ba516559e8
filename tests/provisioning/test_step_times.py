"""How long steps take, from finished runs; and who is told when one takes longer than most."""

from __future__ import annotations

from datetime import timedelta

import pytest

from provisioning.facts.step_times import (
    ENOUGH,
    StepSample,
    StepTime,
    acts,
    time_of_run,
    time_of_step,
)
from provisioning.models import Event, JournalEntry, Run
from provisioning.progress import plan_time, progress
from tests.provisioning.machine import Machine

HERE, THERE = ("1", "us-east-1"), ("2", "us-east-1")
ABROAD = ("1", "eu-west-1")


def samples(where: tuple[str, str], *seconds: float, acted: bool = True) -> list[StepSample]:
    return [StepSample("create-endpoint", "vpc-origin", *where, acted, one) for one in seconds]


@pytest.mark.parametrize(
    ("known", "acted", "expected"),
    [
        ([], True, StepTime(540)),
        ([], False, StepTime(1)),
        (samples(HERE, *range(1, ENOUGH)), True, StepTime(540)),
        (samples(HERE, *range(1, 11)), True, StepTime(5, 9, 10, "account")),
        (samples(HERE, *range(1, 11)), False, StepTime(1)),
        (samples(HERE, *range(1, 11)), None, StepTime(5, 9, 10, "account")),
        (samples(HERE, *[100] * 19, 900), True, StepTime(100, 100, 20, "account")),
        (samples(THERE, *range(1, 11)), True, StepTime(5, 9, 10, "region")),
        (samples(HERE, 7) + samples(THERE, *[7] * 9), True, StepTime(7, 7, 10, "region")),
        (samples(ABROAD, *[9] * 10), True, StepTime(9, 9, 10, "installation")),
        (samples(HERE, *[0] * 10, acted=False), True, StepTime(540)),
    ],
)
def test_the_closest_runs_of_which_there_are_enough_tell(
    known: list[StepSample], acted: bool | None, expected: StepTime
) -> None:
    found = time_of_step(
        known,
        "create-endpoint",
        "vpc-origin",
        acted=acted,
        account_id=HERE[0],
        region=HERE[1],
        documented_seconds=540,
    )
    assert found == expected
    other = time_of_step(
        known,
        "remove-endpoint",
        "vpc-origin",
        acted=True,
        account_id=HERE[0],
        region=HERE[1],
        documented_seconds=300,
    )
    assert other == StepTime(300), "another saga's step is another step"


@pytest.mark.parametrize(
    ("step", "items", "expected"),
    [
        ("vpc-origin", [("vpc-origin", "create")], True),
        ("vpc-origin", [("vpc-origin", "reuse")], False),
        ("ingress", [("ingress-rule", "keep"), ("ingress-rule", "create")], True),
        ("behaviors", [("origin", "keep"), ("behavior", "keep")], False),
        ("ingress", [("behavior", "create")], None),
        ("approved-plan", [("behavior", "create")], None),
    ],
)
def test_a_plan_says_what_a_step_will_do(
    step: str, items: list[tuple[str, str]], expected: bool | None
) -> None:
    assert acts(step, [{"resource": of, "action": action} for of, action in items]) is expected


def test_a_run_is_as_certain_as_its_least_certain_long_step() -> None:
    known, vague, short = StepTime(500, 900, 20, "account"), StepTime(300), StepTime(0.5)
    whole = time_of_run([short, known])
    assert (whole.typical_seconds, whole.late_seconds, whole.basis) == (500.5, 900, "account")
    assert whole.words == "From the last 20 runs in this account and Region."
    part = time_of_run([short, known, vague])
    assert (part.typical_seconds, part.late_seconds, part.basis) == (800.5, None, "documented")
    assert part.words.startswith("Estimated from AWS's usual times")


@pytest.mark.parametrize("usual", [60, 5000])
def test_a_step_that_takes_longer_than_nine_of_ten_is_told_once_before_patience_ends(
    machine: Machine, usual: int
) -> None:
    site = machine.site()
    run = site.start()
    assert plan_time(run.plan_data).basis == "documented"
    for _ in range(ENOUGH):
        done = Run.objects.create(
            endpoint=run.endpoint,
            saga=run.saga,
            stream="request:old",
            plan_data=run.plan_data,
            state=Run.State.DONE,
            due_at=machine.now,
            created_at=machine.now,
        )
        for seq, (kind, seconds) in enumerate((("intent", 0), ("ready", usual)), start=1):
            at = machine.now - timedelta(days=1) + timedelta(seconds=seconds)
            JournalEntry.objects.create(
                run=done,
                seq=seq,
                step="vpc-origin",
                kind=kind,
                direction="forward",
                at=at,
                since=at,
            )
    machine.until(run, "vpc-origin", "working")
    assert progress(run, machine.now).late_step is None
    for _ in range(3):
        machine.step(90)
        Run.objects.filter(pk=run.pk).update(due_at=machine.now)
        machine.turn()
    run.refresh_from_db()
    late = progress(run, machine.now).late_step
    told = Event.objects.filter(stream=run.stream, kind="step.late")
    if usual > 1000:
        assert late is None
        assert not told.exists()
        return
    assert late is not None
    assert (late.name, late.expected_seconds) == ("vpc-origin", usual)
    (event,) = told
    assert "Slower than nine of ten runs" in event.text
    assert "usually 60 s" in event.text
    assert not Event.objects.filter(kind="step.slow").exists()
