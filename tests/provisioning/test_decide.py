"""What the engine decides, by table and by property. No database, no clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.engine.decide import (
    FIRST_RETRY_SECONDS,
    GIVE_UP_AFTER_SECONDS,
    POLL_SECONDS,
    SETTLING_SECONDS,
    Direction,
    Do,
    Entry,
    EntryKind,
    Finish,
    Poll,
    Stuck,
    Undo,
    WaitUntil,
    current_step,
    decide,
    may_cancel,
    next_try,
    not_undone,
    past_pivot,
)
from provisioning.engine.outcome import Ready
from provisioning.engine.step import Step, StepSide
from provisioning.progress import step_progress

T0 = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
WAY: StepSide[None] = StepSide(lambda _: Ready(""), lambda _: Ready(""))
STEPS = tuple(
    Step(name, name, f"undo {name}", WAY, WAY, expected_seconds=10, patience_seconds=60)
    for name in ("a", "b", "c")
)
F, B = Direction.FORWARD, Direction.BACKWARD


def entry(
    step: str,
    kind: EntryKind,
    way: Direction = F,
    at: float = 0,
    since: float | None = None,
    **data: Any,
) -> Entry:
    moment = T0 + timedelta(seconds=at)
    times = int(data.pop("times", 1))
    return Entry(
        step, kind, way, moment, T0 + timedelta(seconds=at if since is None else since), times, data
    )


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


READY_A = entry("a", EntryKind.READY)
INTENT_B = entry("b", EntryKind.INTENT)
REFUSED_B = entry("b", EntryKind.REFUSED, reason="No.", code="X", fix="Do.")


@pytest.mark.parametrize(
    ("journal", "now", "expected"),
    [
        ([], 0, Do("a")),
        ([entry("a", EntryKind.INTENT)], 0, Do("a")),
        ([entry("a", EntryKind.INTENT), entry("a", EntryKind.ACTED)], 0, Do("a")),
        ([entry("a", EntryKind.MISSING)], 0, Do("a")),
        ([READY_A], 0, Do("b")),
        ([READY_A, entry("b", EntryKind.WORKING)], 0, WaitUntil(at(POLL_SECONDS), "b")),
        ([READY_A, entry("b", EntryKind.WORKING)], 1, Poll("b", F, overdue=False)),
        ([READY_A, entry("b", EntryKind.WORKING, at=5)], 1, Poll("b", F, overdue=False)),
        ([READY_A, entry("b", EntryKind.WORKING, at=61, since=0)], 62, Poll("b", F, overdue=True)),
        (
            [READY_A, entry("b", EntryKind.READY), entry("c", EntryKind.READY)],
            0,
            Finish(undone=False),
        ),
        ([READY_A, REFUSED_B], 0, Undo("b")),
        ([READY_A, INTENT_B, REFUSED_B], 29, WaitUntil(at(SETTLING_SECONDS), "b", B)),
        ([READY_A, INTENT_B, REFUSED_B], 30, Undo("b")),
        (
            [READY_A, INTENT_B, entry("", EntryKind.CANCEL, at=9)],
            38,
            WaitUntil(at(9 + SETTLING_SECONDS), "b", B),
        ),
        (
            [READY_A, entry("", EntryKind.CANCEL), entry("b", EntryKind.ACTED, at=9)],
            38,
            WaitUntil(at(39), "b", B),
        ),
        ([READY_A, REFUSED_B, entry("b", EntryKind.INTENT, B)], 0, Undo("b")),
        ([READY_A, REFUSED_B, entry("b", EntryKind.WORKING, B)], 1, Poll("b", B, overdue=False)),
        ([READY_A, REFUSED_B, entry("b", EntryKind.READY, B)], 0, Undo("a")),
        (
            [READY_A, REFUSED_B, entry("b", EntryKind.READY, B), entry("a", EntryKind.READY, B)],
            0,
            Finish(undone=True, reason="No.", code="X", fix="Do."),
        ),
        (
            [
                READY_A,
                REFUSED_B,
                entry("b", EntryKind.REFUSED, B, reason="Foreign.", code="Y", fix="Look."),
            ],
            0,
            Stuck("b", "Foreign.", "Y", "Look."),
        ),
        (
            [READY_A, REFUSED_B, entry("b", EntryKind.REFUSED, B), entry("b", EntryKind.AGAIN, B)],
            0,
            Undo("b"),
        ),
        (
            [READY_A, entry("", EntryKind.CANCEL, reason="Ana cancelled it.", code="cancelled")],
            0,
            Undo("b"),
        ),
        ([entry("", EntryKind.CANCEL, code="cancelled")], 0, Undo("a")),
        (
            [entry("", EntryKind.CANCEL, code="cancelled"), entry("a", EntryKind.READY, B)],
            0,
            Finish(True, "Cancelled.", "cancelled"),
        ),
    ],
)
def test_the_next_thing_follows_from_the_journal(
    journal: list[Entry], now: float, expected: object
) -> None:
    assert decide(STEPS, journal, at(now)) == expected


PIVOTED = (STEPS[0], replace(STEPS[1], pivot=True), STEPS[2])
READY_B = entry("b", EntryKind.READY)
CANCELLED = entry("", EntryKind.CANCEL, code="cancelled")


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        ([READY_A, READY_B], Do("c")),
        ([READY_A, READY_B, CANCELLED], Do("c")),
        ([READY_A, CANCELLED], Undo("b")),
        # The worker had seen that the pivot is ready, and recorded it after the cancellation.
        ([READY_A, CANCELLED, READY_B], Undo("b")),
        ([READY_A, CANCELLED, READY_B, entry("b", EntryKind.READY, B)], Undo("a")),
        (
            [READY_A, READY_B, entry("c", EntryKind.REFUSED, reason="No.", code="X", fix="Do.")],
            Stuck("c", "No.", "X", "Do.", F),
        ),
    ],
)
def test_nothing_after_the_pivot_is_undone(journal: list[Entry], expected: object) -> None:
    assert decide(PIVOTED, journal, at(60)) == expected
    assert "c" not in not_undone(PIVOTED, journal)


@pytest.mark.parametrize(
    ("state", "journal", "expected"),
    [
        ("running", [], True),
        ("waiting", [READY_A], True),
        ("running", [READY_A, READY_B], False),
        ("running", [READY_A, CANCELLED], False),
        ("waiting", [entry("a", EntryKind.REFUSED)], False),
        ("undoing", [READY_A], False),
        ("done", [], False),
        ("stuck", [], False),
    ],
)
def test_a_run_can_be_cancelled_until_its_pivot_or_its_end(
    state: str, journal: list[Entry], expected: bool
) -> None:
    assert may_cancel(state, PIVOTED, journal) is expected


def test_only_a_pivot_that_is_ready_is_past() -> None:
    everything = [entry(step.name, EntryKind.READY) for step in STEPS]
    assert past_pivot(PIVOTED, everything)
    assert not past_pivot(PIVOTED, [READY_A])
    assert not past_pivot(STEPS, everything)


def test_a_retry_is_due_at_its_moment_in_either_direction() -> None:
    for journal, due in (
        ([entry("a", EntryKind.RETRY)], Do("a")),
        ([CANCELLED, entry("a", EntryKind.RETRY, B)], Undo("a")),
    ):
        waits = decide(STEPS, journal, T0)
        assert isinstance(waits, WaitUntil)
        assert waits.direction is journal[-1].direction
        assert decide(STEPS, journal, waits.at - timedelta(microseconds=1)) == waits
        assert decide(STEPS, journal, waits.at) == due


def test_a_write_that_a_stalled_worker_sent_late_settles_from_its_end() -> None:
    sent_late = [
        entry("a", EntryKind.INTENT, at=0),
        replace(CANCELLED, at=at(1)),
        entry("a", EntryKind.RETRY, at=50),
    ]
    settled = 50 + SETTLING_SECONDS
    assert decide(STEPS, sent_late, at(settled - 1)) == WaitUntil(at(settled), "a", B)
    assert decide(STEPS, sent_late, at(settled)) == Undo("a")


def test_a_step_that_wrote_nothing_waits_for_no_other_steps_write() -> None:
    journal = [entry("a", EntryKind.INTENT), READY_A, entry("b", EntryKind.MISSING), CANCELLED]
    assert decide(STEPS, journal, T0) == Undo("b")


def test_retries_are_spread_over_a_tenth_of_their_wait() -> None:
    waits = []
    for microseconds in range(100):
        tried = T0 + timedelta(microseconds=microseconds)
        retry = replace(entry("a", EntryKind.RETRY), at=tried)
        waits.append((next_try(retry, 1.0) - tried).total_seconds() / FIRST_RETRY_SECONDS)
    assert min(waits) == pytest.approx(0.9)
    assert max(waits) == pytest.approx(1.098)


def test_a_step_is_overdue_after_its_patience_and_not_with_it() -> None:
    working = [entry("a", EntryKind.WORKING, at=7, since=0)]
    assert decide(STEPS, working, at(60)) == Poll("a", F, overdue=False)
    assert decide(STEPS, working, at(60.001)) == Poll("a", F, overdue=True)


def test_retries_wait_longer_each_time_and_no_longer_than_a_minute() -> None:
    waits = []
    for times in range(1, 9):
        decision = decide(STEPS, [entry("a", EntryKind.RETRY, times=times)], T0)
        assert isinstance(decision, WaitUntil)
        waits.append((decision.at - T0).total_seconds())
    assert waits == sorted(waits[:5]) + waits[5:]
    assert 1.8 <= waits[0] <= 2.2
    assert max(waits) <= 66
    assert decide(STEPS, [entry("a", EntryKind.RETRY)], at(3)) == Do("a")


def test_a_retry_waits_as_long_as_the_other_side_asked() -> None:
    decision = decide(STEPS, [entry("a", EntryKind.RETRY, after=30)], T0)
    assert isinstance(decision, WaitUntil)
    assert 27 <= (decision.at - T0).total_seconds() <= 33


def test_retries_that_never_succeed_end_in_undo_and_a_failing_undo_in_stuck() -> None:
    late = GIVE_UP_AFTER_SECONDS + 1
    gave_up = entry(
        "a", EntryKind.RETRY, at=late, since=0, times=33, reason="Throttled.", code="Throttling"
    )
    assert decide(STEPS, [gave_up], at(late + 99)) == Undo("a")
    still = entry("a", EntryKind.RETRY, at=late - 2, since=0, times=33)
    assert decide(STEPS, [still], at(late + 99)) == Do("a")
    away_meanwhile = entry("a", EntryKind.RETRY, at=late, since=0, times=2)
    assert decide(STEPS, [away_meanwhile], at(late + 99)) == Do("a")
    undo_failed = entry(
        "a",
        EntryKind.RETRY,
        B,
        at=2 * late,
        since=late,
        times=33,
        reason="Throttled.",
        code="Throttling",
    )
    assert decide(STEPS, [gave_up, undo_failed], at(2 * late)) == Stuck(
        "a", "Throttled.", "Throttling", ""
    )


@pytest.mark.parametrize(
    ("undo", "state"),
    [
        (entry("b", EntryKind.WORKING, B), "undoing"),
        (entry("b", EntryKind.RETRY, B, at=1800, since=0, times=7), "undoing"),
        (entry("b", EntryKind.RETRY, B, at=1800, since=0, times=8), "failed"),
        (entry("b", EntryKind.REFUSED, B), "failed"),
        (entry("b", EntryKind.AGAIN, B), "undoing"),
        (entry("b", EntryKind.READY, B), "undone"),
    ],
)
def test_the_rail_shows_where_an_undo_stopped(undo: Entry, state: str) -> None:
    rail = step_progress(STEPS, [READY_A, REFUSED_B, undo], at(1801), pace=1)
    assert [line.state for line in rail] == ["done", state, "todo"]


def test_pace_divides_every_interval() -> None:
    decision = decide(STEPS, [entry("a", EntryKind.WORKING)], T0, pace=10)
    assert decision == WaitUntil(at(POLL_SECONDS / 10), "a")
    assert decide(STEPS, [entry("a", EntryKind.WORKING, at=7, since=0)], at(8), pace=10) == Poll(
        "a", F, overdue=True
    )


def test_the_current_step_is_the_first_that_is_not_ready() -> None:
    assert current_step(STEPS, [READY_A]) == "b"
    assert current_step(STEPS, [entry(s.name, EntryKind.READY) for s in STEPS]) == ""


ENTRIES = st.builds(
    entry,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([k for k in EntryKind if k is not EntryKind.CANCEL]),
    st.sampled_from(Direction),
    st.floats(0, 5000),
)


@given(st.lists(ENTRIES, max_size=12), st.floats(0, 10000))
def test_any_journal_has_exactly_one_answer_and_it_never_waits_in_the_past(
    journal: list[Entry], now: float
) -> None:
    decision = decide(STEPS, journal, at(now))
    assert decision == decide(STEPS, journal, at(now))
    if isinstance(decision, WaitUntil):
        assert decision.at > at(now)
    if isinstance(decision, Finish) and not decision.undone:
        assert {e.step for e in journal if e.kind is EntryKind.READY and e.direction is F} == {
            "a",
            "b",
            "c",
        }


@given(st.lists(ENTRIES, max_size=12))
def test_undo_touches_only_what_was_begun_and_the_step_reached(journal: list[Entry]) -> None:
    decision = decide(STEPS, journal, at(10000))
    if isinstance(decision, Undo):
        assert decision.step in {e.step for e in journal if e.direction is F} | {
            current_step(STEPS, journal)
        }


def test_a_step_reached_without_a_word_is_undone_too() -> None:
    cancelled = [READY_A, entry("", EntryKind.CANCEL, at=1)]
    assert decide(STEPS, cancelled, at(2)) == Undo("b")
    assert not_undone(STEPS, cancelled) == ["a", "b"]
    undone = [*cancelled, entry("b", EntryKind.READY, B, at=3)]
    assert decide(STEPS, undone, at(4)) == Undo("a")
    assert not_undone(STEPS, undone) == ["a"]
