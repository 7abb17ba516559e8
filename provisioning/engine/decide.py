"""What happens next in a run: a function of its steps, its journal and the time.

The journal is append-only, except that a spell of the same observation (working, working, working)
is one entry with a count. Events are not consulted: without them every decision is the same.

    entry          meaning                                      next
    -              nothing tried yet                            Do: observe, and act if missing
    intent         we were about to write (perhaps we did)      Do: observe first
    acted          AWS answered the write                       Do: observe again
    missing        observed, not there                          Do
    working        AWS is busy                                  Poll on each visit, then wait
    retry          a transient failure                          wait longer each time, then Do
    refused        a permanent failure                          unwind (backward: stuck)
    ready          as it should be                              next step (backward: previous step)
    cancel         a person cancelled                           unwind
    again          a person retries what got stuck              Do or Undo, with new patience

After the pivot of a run nothing unwinds: what would, is stuck instead.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from provisioning.engine.step import Step

POLL_SECONDS = 120.0  # a safety net: a change of the watch wakes the run earlier
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 60.0
GIVE_UP_AFTER_SECONDS = 1800.0
GIVE_UP_AFTER_TRIES = 8  # an hour in which the portal was down is not an hour of trying
SETTLING_SECONDS = 30.0
"""Longer than a write can be in flight, and than AWS's reads usually lag behind it."""


class EntryKind(enum.StrEnum):
    """Kinds of journal entry."""

    INTENT = "intent"
    ACTED = "acted"
    READY = "ready"
    WORKING = "working"
    MISSING = "missing"
    RETRY = "retry"
    REFUSED = "refused"
    CANCEL = "cancel"
    AGAIN = "again"


class Direction(enum.StrEnum):
    """Which way a run is going."""

    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True)
class Entry:
    """One journal entry. `since` is when the current spell of this kind began (working, retry)."""

    step: str
    kind: EntryKind
    direction: Direction
    at: datetime
    since: datetime
    times: int = 1
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Do:
    """Observe; if it is missing, record the intent, act, and observe again."""

    step: str


@dataclass(frozen=True)
class Poll:
    """Observe only: AWS is working. `overdue` if it takes longer than the step's patience."""

    step: str
    direction: Direction
    overdue: bool


@dataclass(frozen=True)
class WaitUntil:
    """Nothing to do before `at`."""

    at: datetime
    step: str
    direction: Direction = Direction.FORWARD


@dataclass(frozen=True)
class Undo:
    """Observe backward; if it is still there, record the intent, delete it, and observe again."""

    step: str


@dataclass(frozen=True)
class Finish:
    """Over: every step is ready, or, if `undone`, everything is deleted again."""

    undone: bool
    reason: str = ""
    code: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Stuck:
    """An undo, or a step after the pivot, failed permanently: a person has to act."""

    step: str
    reason: str
    code: str
    fix: str
    direction: Direction = Direction.BACKWARD


Decision = Do | Poll | WaitUntil | Undo | Finish | Stuck


def decide(
    steps: Sequence[Step[Any]], journal: Sequence[Entry], now: datetime, *, pace: float = 1.0
) -> Decision:
    """1. Go forward unless, before the pivot, a person cancelled or a step failed permanently.
    2. Forward: the first step that is not ready decides; none left means done.
    3. Backward: the last step that began, then those before it; none left means undone. A step that
       may just have written is not observed for half a minute: a resource that AWS does not list
       yet would count as deleted.
    `pace` divides every interval (1 on real AWS).
    """
    why = reason_to_unwind(steps, journal, pace)
    if why is None:
        return _forward(steps, journal, now, pace)
    return _backward(steps, journal, now, pace, why)


@dataclass(frozen=True)
class Failure:
    """Why a run unwinds and since when. `step` is empty if it was cancelled."""

    at: datetime
    step: str
    reason: str
    code: str
    fix: str = ""


def reason_to_unwind(
    steps: Sequence[Step[Any]], journal: Sequence[Entry], pace: float = 1.0
) -> Failure | None:
    """The first cancellation, refusal or exhausted retry going forward before the pivot, if any."""
    pivots = {step.name for step in steps if step.pivot}
    for entry in journal:
        if entry.direction is Direction.BACKWARD:
            continue
        if entry.step in pivots and entry.kind is EntryKind.READY:
            return None
        if entry.kind is EntryKind.CANCEL:
            return Failure(entry.at, "", str(entry.data.get("reason", "Cancelled.")), "cancelled")
        if entry.kind is EntryKind.REFUSED:
            return _failure(entry)
        if entry.kind is EntryKind.RETRY and exhausted(entry, pace):
            return _failure(entry)
    return None


def may_cancel(
    state: str, steps: Sequence[Step[Any]], journal: Sequence[Entry], pace: float = 1.0
) -> bool:
    """Whether a cancellation would be the reason for what happens next: not if the run is over, in
    whatever state, past its pivot, or unwinding already.
    """
    if state not in ("running", "waiting") or past_pivot(steps, journal):
        return False
    return reason_to_unwind(steps, journal, pace) is None


def cancelled(reason: str, now: datetime) -> Entry:
    """The entry of a person who cancels."""
    data = {"reason": reason, "code": "cancelled"}
    return Entry("", EntryKind.CANCEL, Direction.FORWARD, now, now, data=data)


def tried_again(failure: Mapping[str, Any], reason: str, now: datetime) -> Entry:
    """The entry of a person who retries a stuck run; `failure` is the run's."""
    direction = Direction(failure["direction"])
    return Entry(failure["step"], EntryKind.AGAIN, direction, now, now, data={"reason": reason})


def past_pivot(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> bool:
    """Whether the run can only go forward from here."""
    last = _last(journal, Direction.FORWARD)
    return any(step.pivot and _is(last.get(step.name), EntryKind.READY) for step in steps)


def current_step(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> str:
    """The first step that is not ready going forward, or "" when all are."""
    return next(iter(not_done(steps, journal)), "")


def not_done(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> list[str]:
    """The steps that are not ready going forward."""
    last = _last(journal, Direction.FORWARD)
    return [step.name for step in steps if not _is(last.get(step.name), EntryKind.READY)]


def not_undone(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> list[str]:
    """The steps that began going forward and were not observed as undone: what they created may
    still exist.
    """
    last = _last(journal, Direction.BACKWARD)
    return [name for name in _begun(steps, journal) if not _is(last.get(name), EntryKind.READY)]


def _begun(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> list[str]:
    """The steps that may have left something: those with an entry, and the current one, for which a
    worker may have claimed something before it died. None after the pivot: a run that unwinds never
    got there, although the pivot may be recorded as ready just after a cancellation.
    """
    pivot = next((place for place, step in enumerate(steps) if step.pivot), len(steps))
    begun = {entry.step for entry in journal if entry.direction is Direction.FORWARD} | {
        current_step(steps, journal)
    }
    return [step.name for step in steps[: pivot + 1] if step.name in begun]


def _forward(
    steps: Sequence[Step[Any]], journal: Sequence[Entry], now: datetime, pace: float
) -> Decision:
    last = _last(journal, Direction.FORWARD)
    for step in steps:
        entry = last.get(step.name)
        if entry is None:
            return Do(step.name)
        match entry.kind:
            case EntryKind.READY:
                continue
            case EntryKind.WORKING:
                return _poll_or_wait(step, entry, now, pace)
            case EntryKind.RETRY if not exhausted(entry, pace):
                at = next_try(entry, pace)
                return Do(step.name) if at <= now else WaitUntil(at, step.name)
            case EntryKind.REFUSED | EntryKind.RETRY:
                # Only after the pivot: before it, the run would unwind.
                return _stuck(entry)
            case _:
                return Do(step.name)
    return Finish(undone=False)


def _backward(
    steps: Sequence[Step[Any]], journal: Sequence[Entry], now: datetime, pace: float, why: Failure
) -> Decision:
    begun = _begun(steps, journal)
    last = _last(journal, Direction.BACKWARD)
    for step in reversed([step for step in steps if step.name in begun]):
        entry = last.get(step.name)
        if entry is None:
            at = _settled_at(journal, step.name, why, pace)
            return (
                Undo(step.name)
                if at is None or at <= now
                else WaitUntil(at, step.name, Direction.BACKWARD)
            )
        match entry.kind:
            case EntryKind.READY:
                continue
            case EntryKind.WORKING:
                return _poll_or_wait(step, entry, now, pace)
            case EntryKind.RETRY if not exhausted(entry, pace):
                at = next_try(entry, pace)
                return (
                    Undo(step.name) if at <= now else WaitUntil(at, step.name, Direction.BACKWARD)
                )
            case EntryKind.REFUSED | EntryKind.RETRY:
                return _stuck(entry)
            case _:
                return Undo(step.name)
    return Finish(undone=True, reason=why.reason, code=why.code, fix=why.fix)


def _settled_at(journal: Sequence[Entry], step: str, why: Failure, pace: float) -> datetime | None:
    """When a step that wrote, or was about to, can be observed backward; None if it never came to
    that. At the earliest after the unwinding began: until then another run may have been writing
    for this one. A write may be sent long after its intent was dated, by a worker that stalled; how
    it ended was dated after it.
    """
    wrote = (EntryKind.INTENT, EntryKind.ACTED)
    own = [e for e in journal if (e.step, e.direction) == (step, Direction.FORWARD)]
    if not any(e.kind in wrote for e in own):
        return None
    return max(why.at, own[-1].at) + timedelta(seconds=SETTLING_SECONDS / pace)


def _poll_or_wait(step: Step[Any], entry: Entry, now: datetime, pace: float) -> Decision:
    # An entry by a machine whose clock is ahead may lie in the future: poll all the same.
    if entry.at == now:
        return WaitUntil(
            entry.at + timedelta(seconds=POLL_SECONDS / pace), step.name, entry.direction
        )
    overdue = now - entry.since > timedelta(seconds=step.patience_seconds / pace)
    return Poll(step.name, entry.direction, overdue)


def next_try(entry: Entry, pace: float) -> datetime:
    """When to try again: after 2, 4, 8, … 60 s, or what AWS asked for, with 10 % of jitter."""
    asked = entry.data.get("after")
    seconds = (
        float(asked)
        if asked
        else min(FIRST_RETRY_SECONDS * 2 ** (entry.times - 1), LONGEST_RETRY_SECONDS)
    )
    jitter = (
        0.9
        + 0.2
        * ((sum(entry.step.encode()) * 31 + entry.times * 17 + entry.at.microsecond) % 100)
        / 100
    )
    return entry.at + timedelta(seconds=seconds * jitter / pace)


def exhausted(entry: Entry, pace: float) -> bool:
    """Whether a spell of retries has lasted so long that the step counts as failed. Waiting for a
    turn never does.
    """
    lasted = entry.at - entry.since >= timedelta(seconds=GIVE_UP_AFTER_SECONDS / pace)
    return lasted and entry.times >= GIVE_UP_AFTER_TRIES and not entry.data.get("quiet")


def _stuck(entry: Entry) -> Stuck:
    failure = _failure(entry)
    return Stuck(entry.step, failure.reason, failure.code, failure.fix, entry.direction)


def _failure(entry: Entry) -> Failure:
    data = entry.data
    reason, code, fix = (str(data.get(name, "")) for name in ("reason", "code", "fix"))
    return Failure(entry.at, entry.step, reason, code, fix)


def _last(journal: Sequence[Entry], direction: Direction) -> dict[str, Entry]:
    return {entry.step: entry for entry in journal if entry.direction is direction and entry.step}


def _is(entry: Entry | None, kind: EntryKind) -> bool:
    return entry is not None and entry.kind is kind
