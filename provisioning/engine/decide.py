"""What happens next in a run: a function of its steps, its journal and the time.

PURE: no database, no clock, no logging, no AWS. The journal is append-only, but for a spell of the
same look (working, working, working), which is one entry with a count. Each entry is one thing that
was seen, meant or done. Deleting every event a person can read changes no decision made here.

    entry          meaning                                      next
    -              nothing tried yet                            Do: look, and act if missing
    intent         we were about to write (perhaps we did)      Do: look first
    acted          the write was answered                       Do: look again
    missing        looked, not there                            Do
    working        the other side is busy                       Poll whenever attended to, then wait
    retry          a passing failure                            wait longer each time, then Do
    refused        it will never work                           unwind (backward: stuck)
    ready          as wanted                                    next step (backward: the one before)
    cancel         a person wants it undone                     unwind
    again          a person wants the undo tried again          Undo, with new patience
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from provisioning.engine.step import Step

POLL_SECONDS = 120.0  # a safety net: whoever waits is woken when what it waits for changes
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 60.0
GIVE_UP_AFTER_SECONDS = 1800.0
GIVE_UP_AFTER_TRIES = 8  # a portal that was away for an hour has not tried for an hour
SETTLING_SECONDS = 30.0
"""Longer than a write may be under way, and than reads of AWS usually lag behind it."""


class Kind(enum.StrEnum):
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
    """One journal entry. `since` is when the present unbroken spell of this kind began (working,
    retry).
    """

    step: str
    kind: Kind
    direction: Direction
    at: datetime
    since: datetime
    times: int = 1
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Do:
    """Look; if it is missing, note the intent, act, and look again."""

    step: str


@dataclass(frozen=True)
class Poll:
    """Look only: the other side is working. `overdue` when it takes longer than the step's
    patience.
    """

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
    """Look backward; if it is still there, note the intent, make it absent, and look again."""

    step: str


@dataclass(frozen=True)
class Finish:
    """Over: every step ready (`done`), or every trace gone (`undone`)."""

    clean: bool
    undone: bool
    reason: str = ""
    code: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Stuck:
    """An undo failed for good: a person is asked."""

    step: str
    reason: str
    code: str
    fix: str


Decision = Do | Poll | WaitUntil | Undo | Finish | Stuck


def decide(
    steps: Sequence[Step[Any]], journal: Sequence[Entry], now: datetime, *, pace: float = 1.0
) -> Decision:
    """1. Going forward unless a person cancelled or a step failed for good.
    2. Forward: the first step that is not ready decides; none left means done.
    3. Backward: the step reached first, then those before it; none left means undone. What may just
       have been written is not looked at for half a minute: not to be seen yet, it would pass for
       gone.
    `pace` divides every interval (1 on real AWS).
    """
    why = reason_to_unwind(journal, pace)
    if why is None:
        return _forward(steps, journal, now, pace)
    return _backward(steps, journal, now, pace, why)


@dataclass(frozen=True)
class Failure:
    """Why a run is unwinding, and since when: the step (empty when cancelled), the reason, its code
    and the fix.
    """

    at: datetime
    step: str
    reason: str
    code: str
    fix: str = ""


def reason_to_unwind(journal: Sequence[Entry], pace: float = 1.0) -> Failure | None:
    """The first cancellation, refusal or exhausted retry of the forward way, if there is one."""
    for entry in journal:
        if entry.direction is Direction.BACKWARD:
            continue
        if entry.kind is Kind.CANCEL:
            return Failure(entry.at, "", str(entry.data.get("reason", "Cancelled.")), "cancelled")
        if entry.kind is Kind.REFUSED:
            return _failure(entry)
        if entry.kind is Kind.RETRY and exhausted(entry, pace):
            return _failure(entry)
    return None


def current_step(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> str:
    """The first step that is not ready going forward, or "" when all are."""
    last = _last(journal, Direction.FORWARD)
    return next((step.name for step in steps if not _is(last.get(step.name), Kind.READY)), "")


def not_undone(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> list[str]:
    """The steps that began going forward and were not seen undone: what they made may be there
    still.
    """
    last = _last(journal, Direction.BACKWARD)
    return [name for name in _begun(steps, journal) if not _is(last.get(name), Kind.READY)]


def _begun(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> list[str]:
    """The steps that may have left something: those with an entry, and the one reached, which a
    worker that died may have claimed something for without a word.
    """
    begun = {entry.step for entry in journal if entry.direction is Direction.FORWARD} | {
        current_step(steps, journal)
    }
    return [step.name for step in steps if step.name in begun]


def _forward(
    steps: Sequence[Step[Any]], journal: Sequence[Entry], now: datetime, pace: float
) -> Decision:
    last = _last(journal, Direction.FORWARD)
    for step in steps:
        entry = last.get(step.name)
        if entry is None:
            return Do(step.name)
        match entry.kind:
            case Kind.READY:
                continue
            case Kind.WORKING:
                return _poll_or_wait(step, entry, now, pace)
            case Kind.RETRY:
                at = next_try(entry, pace)
                return Do(step.name) if at <= now else WaitUntil(at, step.name)
            case _:
                return Do(step.name)
    return Finish(clean=True, undone=False)


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
            case Kind.READY:
                continue
            case Kind.WORKING:
                return _poll_or_wait(step, entry, now, pace)
            case Kind.RETRY if exhausted(entry, pace):
                failure = _failure(entry)
                return Stuck(step.name, failure.reason, failure.code, failure.fix)
            case Kind.RETRY:
                at = next_try(entry, pace)
                return (
                    Undo(step.name) if at <= now else WaitUntil(at, step.name, Direction.BACKWARD)
                )
            case Kind.REFUSED:
                failure = _failure(entry)
                return Stuck(step.name, failure.reason, failure.code, failure.fix)
            case _:
                return Undo(step.name)
    return Finish(clean=True, undone=True, reason=why.reason, code=why.code, fix=why.fix)


def _settled_at(journal: Sequence[Entry], step: str, why: Failure, pace: float) -> datetime | None:
    """From when on a step that wrote, or was about to, can be looked at backward; None when it
    never came to that. Counted from the unwinding at the earliest: until then somebody else may
    have been writing for this run as well.
    """
    wrote = (Kind.INTENT, Kind.ACTED)
    writes = [
        e.at
        for e in journal
        if (e.step, e.direction) == (step, Direction.FORWARD) and e.kind in wrote
    ]
    return max(why.at, writes[-1]) + timedelta(seconds=SETTLING_SECONDS / pace) if writes else None


def _poll_or_wait(step: Step[Any], entry: Entry, now: datetime, pace: float) -> Decision:
    # Noted by a machine whose clock is ahead, it may lie in the future: whoever was woken looks all
    # the same.
    if entry.at == now:
        return WaitUntil(
            entry.at + timedelta(seconds=POLL_SECONDS / pace), step.name, entry.direction
        )
    overdue = now - entry.since > timedelta(seconds=step.patience_seconds / pace)
    return Poll(step.name, entry.direction, overdue)


def next_try(entry: Entry, pace: float) -> datetime:
    """When to try again: after 2, 4, 8, … 60 s or what the other side asked for, a tenth more or
    less.
    """
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
    """Whether a spell of retries has lasted so long that the step counts as failed. A turn is
    waited for without end: nothing has failed.
    """
    lasted = entry.at - entry.since >= timedelta(seconds=GIVE_UP_AFTER_SECONDS / pace)
    return lasted and entry.times >= GIVE_UP_AFTER_TRIES and not entry.data.get("quiet")


def _failure(entry: Entry) -> Failure:
    data = entry.data
    reason, code, fix = (str(data.get(name, "")) for name in ("reason", "code", "fix"))
    return Failure(entry.at, entry.step, reason, code, fix)


def _last(journal: Sequence[Entry], direction: Direction) -> dict[str, Entry]:
    return {entry.step: entry for entry in journal if entry.direction is direction and entry.step}


def _is(entry: Entry | None, kind: Kind) -> bool:
    return entry is not None and entry.kind is kind
