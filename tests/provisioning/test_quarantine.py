"""A run that kills its workers is put aside and holds up no other; one that is unlucky is not."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest
from django.db import connections

from provisioning import actions, runner
from provisioning.aws import vpc_origins
from provisioning.engine.decide import Direction, Entry, EntryKind
from provisioning.engine.quarantine import PROGRESS, Quarantine, quarantine
from provisioning.models import Event, Run
from provisioning.sagas import SAGAS, steps_of
from tests.provisioning.machine import LEASE_SECONDS, Machine

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
STEPS = steps_of("create-endpoint")
LIMIT = 3


def entry(step: str, kind: EntryKind, direction: Direction = Direction.FORWARD) -> Entry:
    return Entry(step, kind, direction, NOW, NOW)


PLANNED = entry("approved-plan", EntryKind.READY)
INTENT = entry("vpc-origin", EntryKind.INTENT)
REFUSED = entry("vpc-origin", EntryKind.REFUSED)
ALL_READY = [entry(step.name, EntryKind.READY) for step in STEPS]
FORWARD, BACKWARD = Direction.FORWARD, Direction.BACKWARD


@pytest.mark.parametrize(
    ("journal", "lost", "limit", "aside"),
    [
        ([], 0, 3, None),
        ([], 2, 3, None),
        ([], 3, 3, ("approved-plan", FORWARD)),
        ([], 4, 3, ("approved-plan", FORWARD)),
        ([], 99, 0, None),
        ([PLANNED], 1, 1, ("vpc-origin", FORWARD)),
        ([PLANNED, INTENT, INTENT], 3, 3, ("vpc-origin", FORWARD)),
        ([PLANNED, REFUSED], 3, 3, ("vpc-origin", BACKWARD)),
        (ALL_READY, 3, 3, ("", FORWARD)),
        (ALL_READY, 2, 3, None),
    ],
)
def test_so_many_lost_leases_put_a_run_aside_at_the_step_where_it_stands(
    journal: list[Entry], lost: int, limit: int, aside: tuple[str, Direction] | None
) -> None:
    found = quarantine(STEPS, journal, NOW, lost_leases=lost, limit=limit)
    assert found == (Quarantine(*aside, lost) if aside else None)


def test_only_what_was_achieved_or_decided_is_progress() -> None:
    tried = {EntryKind.INTENT, EntryKind.ACTED, EntryKind.MISSING, EntryKind.RETRY}
    assert set(EntryKind) - PROGRESS == tried


def lose(machine: Machine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker process of its own claims the run, and is killed with 9 while it creates the VPC
    origin.
    """
    connections.close_all()  # the child and this process each open their own
    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(vpc_origins, "create", die)
            lease = runner.claim(run.pk, holder="child", now=machine.now, seconds=LEASE_SECONDS)
            assert lease is not None
            runner.advance(lease, SAGAS[run.saga], clock=machine.clock, pace=1)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    machine.step(LEASE_SECONDS + 1)


def die(*given: Any, **more: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


@pytest.mark.django_db(transaction=True)
def test_a_run_that_kills_worker_after_worker_stands_aside_and_others_go_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.QUARANTINE_AFTER_LOST_LEASES = LIMIT
    site = machine.site(open_to_cloudfront=True)
    poison, other = site.start(path_patterns=["/ws/one"]), site.start(path_patterns=["/ws/two"])
    for lost in range(LIMIT):
        poison.refresh_from_db()
        assert (poison.state, poison.lost_leases) == (Run.State.RUNNING, max(0, lost - 1))
        lose(machine, poison, monkeypatch)
    # The same target and the same distribution: the other run needs what the first was creating.
    machine.finish(other)
    assert other.state == Run.State.DONE

    poison.refresh_from_db()
    assert (poison.state, poison.lost_leases) == (Run.State.QUARANTINED, LIMIT)
    told = Event.objects.get(stream_id=poison.stream, kind="run.quarantined")
    assert (told.level, told.data["step"], told.data["lost_leases"]) == ("error", "vpc-origin", 3)
    assert not Run.objects.due(machine.now + timedelta(days=1)).filter(pk=poison.pk).exists()

    # Resumed with the cause gone, it counts from 0 and ends as if nothing had been.
    assert actions.retry_stuck(poison, reason="More memory", now=machine.now)
    assert not actions.retry_stuck(poison, reason="Twice", now=machine.now)
    poison.refresh_from_db()
    assert (poison.state, poison.lost_leases) == (Run.State.RUNNING, 0)
    machine.finish(poison)
    assert poison.state == Run.State.DONE
    assert len(site.account.cloudfront.list_vpc_origins()["VpcOriginList"]["Items"]) == 1


@pytest.mark.django_db(transaction=True)
def test_bad_luck_with_progress_in_between_puts_nothing_aside(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.QUARANTINE_AFTER_LOST_LEASES = LIMIT
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    for _ in range(LIMIT - 1):
        lose(machine, run, monkeypatch)
    machine.until(run, "vpc-origin", "working")
    run.refresh_from_db()
    assert run.lost_leases == 0
    # A worker that dies while it only waits is one of many again.
    for _ in range(LIMIT - 1):
        Run.objects.filter(pk=run.pk).update(due_at=machine.now)
        lease = runner.claim(run.pk, holder="gone", now=machine.now, seconds=LEASE_SECONDS)
        assert lease is not None
        machine.step(LEASE_SECONDS + 1)
    machine.finish(run)
    assert run.state == Run.State.DONE


@pytest.mark.django_db(transaction=True)
def test_what_a_given_up_quarantine_may_leave_is_what_had_begun(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.QUARANTINE_AFTER_LOST_LEASES = 1
    run = machine.site(open_to_cloudfront=True).start()
    assert actions.give_up(run) is None
    lose(machine, run, monkeypatch)
    machine.turn()
    left = actions.give_up(run)
    assert left is not None
    assert [one.split(" ")[0:2] for one in left] == [["VPC", "origin"]]
    run.refresh_from_db()
    assert (run.state, run.endpoint.state) == (Run.State.QUARANTINED, "absent")
