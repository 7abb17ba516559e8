"""One visit to a run: ask decide() what is next, do that one thing, record the outcome, repeat.

The rows behind it are a `HeldRun`: each of its writes is one transaction that fails if another
worker has the run by now. A worker may die anywhere between an intent and its result; the next one
observes before it acts. This module knows neither AWS nor the database.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, assert_never

from provisioning.engine.decide import (
    POLL_SECONDS,
    Direction,
    Do,
    Entry,
    EntryKind,
    Finish,
    Poll,
    Stuck,
    Undo,
    WaitUntil,
    decide,
    exhausted,
    next_try,
)
from provisioning.engine.outcome import Missing, Outcome, Ready, Refused, Retry, Working
from provisioning.engine.step import Step
from provisioning.facts.step_times import StepTime, in_words

MAX_DECISIONS_PER_CLAIM = 60
FAULT = "portal_fault"
log = logging.getLogger(__name__)
Context = TypeVar("Context")


class RunState(enum.StrEnum):
    """The states of a run. The last four are final, until a person retries or resumes it."""

    RUNNING = "running"
    WAITING = "waiting"
    UNDOING = "undoing"
    DONE = "done"
    UNDONE = "undone"
    STUCK = "stuck"
    QUARANTINED = "quarantined"


class RunCancelled(Exception):
    """The run was cancelled just before it ended. Nothing was written; decide again."""


class LeaseLost(Exception):
    """Another worker holds the run now, or it is over. Nothing was written."""


class HeldRun(Protocol):
    """A run that a worker holds. Every write raises LeaseLost, and writes nothing, if the run was
    claimed again. `unrecordable` are the errors after which nothing can be recorded.
    """

    unrecordable: tuple[type[Exception], ...]

    @property
    def state(self) -> str:
        """The run's state as last written."""

    @property
    def undone_text(self) -> str:
        """What is said when the run is undone."""

    def journal(self) -> list[Entry]:
        """The journal as it is now."""

    def write(
        self,
        now: datetime,
        *,
        entry: Entry | None = None,
        event: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Journal entry, event and changes of the run in one transaction; it renews the lease."""

    def release(
        self,
        now: datetime,
        until: datetime,
        *,
        state: str,
        entry: Entry | None = None,
        event: Mapping[str, Any] | None = None,
        waiting: Working | None = None,
    ) -> None:
        """The same, and release the lease until `until`, or until now if what the run waits for has
        changed since it was observed or the run was cancelled.
        """

    def end(
        self, now: datetime, *, event: Mapping[str, Any], changes: Mapping[str, Any], end: Finish
    ) -> None:
        """The run's last transaction. Raises RunCancelled, writing nothing, if it is not undone and
        was cancelled.
        """

    def has_emitted(self, kind: str, step: str, *, since: datetime | None) -> bool:
        """Whether an event of this kind was emitted for the step since then; None: since the run
        began.
        """

    def time_of(self, step: Step[Any]) -> StepTime:
        """How long this step usually takes."""


def advance(
    held: HeldRun,
    steps: Sequence[Step[Context]],
    context: Context,
    *,
    clock: Callable[[], datetime],
    pace: float,
) -> None:
    """Advance the run until it has to wait or is over, then release the lease.

    1. Read the journal and decide.
    2. Do what was decided, and record the outcome.
    3. Repeat.
    """
    by_name = {step.name: step for step in steps}
    for _ in range(MAX_DECISIONS_PER_CLAIM):
        now = clock()
        journal = held.journal()
        decision = decide(steps, journal, now, pace=pace)
        match decision:
            case Do(step=name) | Undo(step=name):
                direction = Direction.FORWARD if isinstance(decision, Do) else Direction.BACKWARD
                turn = StepTurn(held, by_name[name], direction, journal, clock, pace)
                continues = turn.observe_and_act(context)
            case Poll(step=name, direction=direction, overdue=overdue):
                turn = StepTurn(held, by_name[name], direction, journal, clock, pace)
                continues = turn.poll(context, overdue=overdue)
            case WaitUntil(at=at, direction=direction):
                forward = direction is Direction.FORWARD
                held.release(now, at, state=held.state if forward else RunState.UNDOING)
                return
            case Finish():
                try:
                    _finish(held, decision, now)
                except RunCancelled:
                    continue
                return
            case Stuck():
                _stuck(held, decision, by_name[decision.step], now)
                return
            case _:
                assert_never(decision)
        if not continues:
            return
    held.release(clock(), clock(), state=held.state)


@dataclass
class StepTurn(Generic[Context]):
    """One visit to one step in one direction. Its public methods return whether the run can
    continue immediately.
    """

    held: HeldRun
    step: Step[Context]
    direction: Direction
    journal: list[Entry]
    clock: Callable[[], datetime]
    pace: float

    def observe_and_act(self, context: Context) -> bool:
        """Observe; if it is missing, record the intent, act, and record that we did."""
        side = self.step.forward if self.direction is Direction.FORWARD else self.step.backward
        first = not any(
            entry.step == self.step.name and entry.direction is self.direction
            for entry in self.journal
        )
        if first:
            if self._forward:
                self._emit_once("step.started", self.step.title)
            else:
                self._emit_once("step.undoing", self.step.undo_title)
        outcome = self._call(side.observe, context)
        if isinstance(outcome, Missing) and self._has_just_acted():
            # AWS's reads lag behind its writes, and somebody may delete what we create. In both
            # cases, writing again immediately would be wrong.
            outcome = Retry(f"AWS does not show the change yet. {outcome.seen}", "not_seen_yet")
        if isinstance(outcome, Missing):
            known = any(
                e.step == self.step.name
                and e.direction is self.direction
                and e.data.get("seen") == outcome.seen
                for e in self.journal
                if e.kind is EntryKind.INTENT
            )
            event = None if known else self._event("step.acting", outcome.seen)
            self._record(EntryKind.INTENT, {"seen": outcome.seen}, event)
            outcome = self._call(side.act, context)
            if isinstance(outcome, Ready):
                self._record(
                    EntryKind.ACTED,
                    {"seen": outcome.seen} | dict(outcome.data),
                    self._event("step.acted", outcome.seen),
                )
                return True
        return self._handle(outcome)

    def poll(self, context: Context, *, overdue: bool) -> bool:
        """Observe only. If it takes longer than expected, warn once; a slow step is never given
        up.
        """
        side = self.step.forward if self.direction is Direction.FORWARD else self.step.backward
        outcome = self._marked_late(self._call(side.observe, context))
        late = overdue and not self._last_data().get("slow")
        if late and isinstance(outcome, Working) and outcome.until is None:
            minutes = round(self.step.patience_seconds / 60)
            text = (
                f"Still not finished after {minutes} minutes. AWS is slower than usual; the portal "
                "keeps waiting."
            )
            outcome = Working(
                outcome.seen, outcome.watch, outcome.status, dict(outcome.data) | {"slow": True}
            )
            self._emit_once("step.slow", text, level="warning")
        return self._handle(outcome)

    def _marked_late(self, outcome: Outcome) -> Outcome:
        """The outcome of a step that waits longer than nine of ten runs did, with a mark; told
        once.
        """
        told = self._last_data()
        if not self._forward or not isinstance(outcome, Working) or told.get("late"):
            return outcome
        if outcome.until is not None:
            return outcome
        began, time = self._began(), self.held.time_of(self.step)
        elapsed = (self.clock() - began).total_seconds() if began else 0.0
        if told.get("slow") or not time.late(elapsed):
            return outcome
        text = (
            f"Slower than nine of ten runs: {in_words(elapsed)} so far, usually "
            f"{in_words(time.typical_seconds)}. AWS is still working; the portal keeps waiting."
        )
        self._emit_once("step.late", text, level="warning")
        return replace(outcome, data=dict(outcome.data) | {"late": True})

    def _began(self) -> datetime | None:
        """When this step began, in this direction."""
        own = (
            entry.since
            for entry in self.journal
            if entry.step == self.step.name and entry.direction is self.direction
        )
        return min(own, default=None)

    def _call(self, part: Callable[[Context], Outcome], context: Context) -> Outcome:
        """An exception is a failure like any other: reported, retried for a while, then given up
        and rolled back. Only without its database can a worker record nothing; then the run is
        claimed again after its lease.
        """
        try:
            return part(context)
        except LeaseLost:
            raise
        except Exception as fault:
            if isinstance(fault, self.held.unrecordable):
                raise
            log.exception("%s, step %s: internal error", self.held, self.step.name)
            return Retry(
                f"Internal error in the portal ({type(fault).__name__}). Details are in its log.",
                FAULT,
            )

    def _has_just_acted(self) -> bool:
        """Whether the last entry of this step is that AWS answered its write."""
        for entry in reversed(self.journal):
            if entry.step == self.step.name and entry.direction is self.direction:
                return entry.kind is EntryKind.ACTED
        return False

    def _handle(self, outcome: Outcome) -> bool:
        """Record an outcome. Working and Retry release the lease."""
        match outcome:
            case Ready(seen=seen, data=data):
                kind = "step.ready" if self._forward else "step.undone"
                self._record(
                    EntryKind.READY,
                    {"seen": seen} | dict(data),
                    self._event(kind, seen, level="good"),
                    watch_id=None,
                )
                return True
            case Missing(seen=seen):
                self._record(EntryKind.MISSING, {"seen": seen}, None)
                return True
            case Refused(reason=reason, code=code, fix=fix, data=data):
                found = {"reason": reason, "code": code, "fix": fix} | dict(data)
                sentence = f"{reason} {fix}".strip()
                self._record(
                    EntryKind.REFUSED,
                    found,
                    self._event("step.failed", sentence, level="error", code=code),
                )
                return True
            case Working():
                self._wait(outcome)
                return False
            case Retry():
                self._retry_later(outcome)
                return False
            case _:
                assert_never(outcome)

    def _wait(self, outcome: Working) -> None:
        now = self.clock()
        data = {"seen": outcome.seen, "status": outcome.status} | dict(outcome.data)
        last = self._last(EntryKind.WORKING)
        if last is not None:
            data |= {mark: True for mark in ("slow", "late") if last.data.get(mark)}
        news = last is None or last.data.get("seen") != outcome.seen
        self.held.release(
            now,
            outcome.until or now + timedelta(seconds=POLL_SECONDS / self.pace),
            state=RunState.WAITING if self._forward else RunState.UNDOING,
            entry=self._entry(EntryKind.WORKING, now, data),
            event=self._event("step.waiting", outcome.seen) if news else None,
            waiting=outcome,
        )

    def _retry_later(self, outcome: Retry) -> None:
        now = self.clock()
        failing = _failing(self._last(EntryKind.RETRY))
        data: dict[str, Any] = {
            "reason": outcome.reason,
            "code": outcome.code,
            "after": outcome.after,
        }
        if outcome.quiet:
            data |= {"quiet": True, "failing": failing}
            entry = Entry(self.step.name, EntryKind.RETRY, self.direction, now, now, 1, data)
        else:
            since = datetime.fromisoformat(failing["since"]) if failing else now
            times = failing["times"] + 1 if failing else 1
            entry = Entry(self.step.name, EntryKind.RETRY, self.direction, now, since, times, data)
        until = now if exhausted(entry, self.pace) else next_try(entry, self.pace)
        news = not outcome.quiet and (failing is None or failing["reason"] != outcome.reason)
        self.held.release(
            now,
            until,
            state=self.held.state if self._forward else RunState.UNDOING,
            entry=entry,
            event=self._event(
                "step.retry", f"{outcome.reason} Retrying.", level="warning", code=outcome.code
            )
            if news
            else None,
        )

    @property
    def _forward(self) -> bool:
        return self.direction is Direction.FORWARD

    def _record(
        self,
        kind: EntryKind,
        data: Mapping[str, Any],
        event: Mapping[str, Any] | None,
        **changes: Any,
    ) -> None:
        now = self.clock()
        state = RunState.RUNNING if self._forward else RunState.UNDOING
        self.held.write(
            now, entry=self._entry(kind, now, data), event=event, changes={"state": state} | changes
        )

    def _emit_once(self, kind: str, text: str, *, level: str = "info") -> None:
        """Emit an event unless a worker did that died before it recorded more: since this spell of
        waiting began, or since the run did.
        """
        waiting = self._last(EntryKind.WORKING)
        since = waiting.since if waiting else None
        if not self.held.has_emitted(kind, self.step.name, since=since):
            self.held.write(self.clock(), event=self._event(kind, text, level=level))

    def _event(self, kind: str, text: str, *, level: str = "info", **data: Any) -> dict[str, Any]:
        return {"kind": kind, "text": text, "level": level, "step": self.step.name, "data": data}

    def _entry(self, kind: EntryKind, now: datetime, data: Mapping[str, Any]) -> Entry:
        """A spell of WORKING ends with any other entry. A spell of RETRY ends with success, or when
        a person retries, but not with our own next try.
        """
        before = self._last(kind)
        if before is None:
            return Entry(self.step.name, kind, self.direction, now, now, 1, data)
        return Entry(
            self.step.name, kind, self.direction, now, before.since, before.times + 1, data
        )

    def _last(self, kind: EntryKind) -> Entry | None:
        """The entry whose spell a new one of this kind continues, if any."""
        ends_it = {
            EntryKind.WORKING: set(EntryKind) - {EntryKind.WORKING},
            EntryKind.RETRY: {EntryKind.READY, EntryKind.WORKING, EntryKind.AGAIN},
        }.get(kind, set(EntryKind))
        for entry in reversed(self.journal):
            if entry.step != self.step.name or entry.direction is not self.direction:
                continue
            if entry.kind is kind and kind in (EntryKind.WORKING, EntryKind.RETRY):
                return entry
            if entry.kind in ends_it:
                return None
        return None

    def _last_data(self) -> Mapping[str, Any]:
        entry = self._last(EntryKind.WORKING)
        return entry.data if entry else {}


def _failing(last: Entry | None) -> Mapping[str, Any] | None:
    """The current spell of failures: since when (ISO 8601), how many, and the last reason. Waiting
    for a turn in between neither ends it nor counts as a try.
    """
    if last is None:
        return None
    if last.data.get("quiet"):
        failing: Mapping[str, Any] | None = last.data.get("failing")
        return failing
    return {"since": last.since.isoformat(), "times": last.times, "reason": last.data.get("reason")}


def _finish(held: HeldRun, decision: Finish, now: datetime) -> None:
    failure: dict[str, Any] = {}
    event: dict[str, Any] = {
        "kind": "run.done",
        "level": "good",
        "text": "Everything is done in AWS.",
        "data": failure,
    }
    if decision.undone:
        failure = {"reason": decision.reason, "code": decision.code, "fix": decision.fix}
        event = {
            "kind": "run.undone",
            "level": "warning",
            "text": held.undone_text,
            "data": failure,
        }
    state = RunState.UNDONE if decision.undone else RunState.DONE
    held.end(now, event=event, changes=_over(state, failure, now), end=decision)


def _stuck(held: HeldRun, decision: Stuck, step: Step[Any], now: datetime) -> None:
    if decision.direction is Direction.BACKWARD:
        title = f"Rollback step “{step.undo_title}”"
    else:
        title = f"Step “{step.title}”"
    failure = {
        "step": decision.step,
        "direction": decision.direction.value,
        "reason": decision.reason,
        "code": decision.code,
        "fix": decision.fix,
    }
    text = f"{title} failed: {decision.reason} {decision.fix}".strip()
    event = {"kind": "run.stuck", "level": "error", "text": text, "data": failure}
    held.write(now, event=event, changes=_over(RunState.STUCK, failure, now))


def _over(state: RunState, failure: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The changes of the row of a run that stops."""
    return {
        "state": state,
        "failure": failure,
        "finished_at": now,
        "lease_until": None,
        "lease_holder": "",
        "watch_id": None,
    }


def folds(last: tuple[str, str, str], entry: Entry) -> bool:
    """Whether an entry continues the spell of the last one, given as (step, kind, direction)."""
    same = last == (entry.step, entry.kind, entry.direction)
    return same and entry.kind in (EntryKind.WORKING, EntryKind.RETRY)
