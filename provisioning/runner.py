"""The shell around decide(): claims a due run, asks what is next, does it, and records the outcome.

Journal entry, event, state and due time are written in one transaction, under the run's fence, so a
worker that lost its lease writes nothing. A worker may die anywhere between an intent and its
result; the next one to claim the run observes before it acts. This module knows no AWS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, assert_never

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import F

from provisioning import events
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
from provisioning.facts.step_times import in_words
from provisioning.models import JournalEntry, Run, Watch
from provisioning.plan.plan import ACCEPT, CHANGE, CREATE, REMOVE
from provisioning.step_times import step_times

MAX_DECISIONS_PER_CLAIM = 60
FAULT = "portal_fault"
FAULT_AGAIN_SECONDS = 60.0
UNDONE = {
    CREATE: "Rolled back: everything this run created in AWS was removed.",
    CHANGE: "Rolled back: the endpoint has its previous settings.",
    REMOVE: "Rolled back: the endpoint is in the distribution, as it was.",
    ACCEPT: "Stopped: nothing was changed.",
}
"""What is said when a run is undone, by the plan's action."""
log = logging.getLogger(__name__)
Context = TypeVar("Context")


@dataclass(frozen=True)
class Saga(Generic[Context]):
    """The steps of one kind of run. `open` gets the run, the clock, and a function that renews the
    lease, which a step calls before each write to AWS. `finished` records the end in the endpoint,
    in the run's last transaction.
    """

    name: str
    steps: tuple[Step[Context], ...]
    open: Callable[[Run, Callable[[], datetime], Callable[[], None]], Context]
    finished: Callable[[Run, Finish, datetime], None]


class RunCancelled(Exception):
    """The run was cancelled just before it ended. Nothing was written; decide again."""


class LeaseLost(Exception):
    """Another worker holds the run now, or it is over. Nothing was written."""


@dataclass
class Lease:
    """The right to work on a run until `seconds` after the last write."""

    run: Run
    seconds: float

    def write(
        self,
        now: datetime,
        *,
        entry: Entry | None = None,
        event: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """One fenced transaction, which also renews the lease. Raises LeaseLost, writing nothing,
        if the run has been claimed again.
        """
        with transaction.atomic():
            self._write(
                {"lease_until": now + timedelta(seconds=self.seconds)} | dict(changes or {}),
                now,
                entry,
                event,
            )
            if then is not None:
                then()

    def renew(self, now: datetime) -> None:
        """Renew the lease just before a write to AWS, where no fence applies. Raises LeaseLost: a
        worker that was suspended must not create what another has meanwhile undone.
        """
        self._write({"lease_until": now + timedelta(seconds=self.seconds)}, now, None, None)

    def record_fault(self, fault: Exception, now: datetime) -> None:
        """An error that stops the run as a whole rather than one of its steps (for example a row
        that this version cannot parse): one event, and a retry every minute. Releases the lease.
        """
        name = type(fault).__name__
        failure = {"code": FAULT, "reason": name}
        known = self.run.failure == failure
        text = (
            f"Internal error in the portal ({name}). It retries every minute; if this continues, "
            "tell its operators."
        )
        if not known:
            log.error("run %s: internal error", self.run.pk, exc_info=fault)
        until = now + timedelta(seconds=FAULT_AGAIN_SECONDS)
        event = {"kind": "run.portal_fault", "level": "error", "text": text, "data": failure}
        with transaction.atomic():
            changes = {"lease_until": None, "lease_holder": "", "due_at": until, "failure": failure}
            self._write(changes, now, None, None if known else event)

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
        """The same, but release the lease until `until`, or until now if what the run waits for has
        changed since it was observed or the run was cancelled. Locks the watch before the run, in
        the same order as a sweep.
        """
        with transaction.atomic():
            changes: dict[str, Any] = {
                "lease_until": None,
                "lease_holder": "",
                "state": state,
                "due_at": until,
            }
            if waiting is not None and waiting.watch is not None:
                watch = Watch.objects.select_for_update().filter(pk=waiting.watch).first()
                changes["watch_id"] = watch.pk if watch else None
                if watch is None or watch.status != waiting.status:
                    changes["due_at"] = now
            self._write(changes, now, entry, event)
            if (
                state != Run.State.UNDOING
                and self.run.entries.filter(kind=EntryKind.CANCEL).exists()
            ):
                Run.objects.filter(pk=self.run.pk).update(due_at=now)

    def _write(
        self,
        changes: Mapping[str, Any],
        now: datetime,
        entry: Entry | None,
        event: Mapping[str, Any] | None,
    ) -> None:
        held = Run.objects.filter(pk=self.run.pk, fence=self.run.fence, state__in=Run.ACTIVE)
        if held.update(**changes) != 1:
            raise LeaseLost(f"run {self.run.pk}: fence {self.run.fence} is out of date")
        if entry is not None:
            _store(self.run, entry)
        if event is not None:
            events.append(self.run.stream, at=now, **event)


def claim(
    run_id: int, *, holder: str, now: datetime, seconds: float, fence: int | None = None
) -> Lease | None:
    """Claim a due run. None if it is not due, another worker holds it, or it was claimed since
    `fence` was read.
    """
    taken = Run.objects.due(now).filter(pk=run_id)
    if fence is not None:
        taken = taken.filter(fence=fence)
    if (
        taken.update(
            lease_until=now + timedelta(seconds=seconds), lease_holder=holder, fence=F("fence") + 1
        )
        != 1
    ):
        return None
    return Lease(Run.objects.select_related("endpoint__account").get(pk=run_id), seconds)


def advance(
    lease: Lease, saga: Saga[Context], *, clock: Callable[[], datetime], pace: float
) -> None:
    """Advance the run until it has to wait or is over, then release the lease.

    1. Read the journal and decide.
    2. Do what was decided, and record the outcome.
    3. Repeat.
    """
    run = lease.run
    context = saga.open(run, clock, lambda: lease.renew(clock()))
    steps = {step.name: step for step in saga.steps}
    for _ in range(MAX_DECISIONS_PER_CLAIM):
        now = clock()
        journal = run.journal()
        decision = decide(saga.steps, journal, now, pace=pace)
        match decision:
            case Do(step=name) | Undo(step=name):
                direction = Direction.FORWARD if isinstance(decision, Do) else Direction.BACKWARD
                turn = StepTurn(lease, steps[name], direction, journal, clock, pace)
                continues = turn.observe_and_act(context)
            case Poll(step=name, direction=direction, overdue=overdue):
                continues = StepTurn(lease, steps[name], direction, journal, clock, pace).poll(
                    context, overdue=overdue
                )
            case WaitUntil(at=at, direction=direction):
                lease.release(
                    now,
                    at,
                    state=run.state if direction is Direction.FORWARD else Run.State.UNDOING,
                )
                return
            case Finish():
                try:
                    _finish(lease, saga, decision, now)
                except RunCancelled:
                    continue
                return
            case Stuck():
                _stuck(lease, decision, steps[decision.step], now)
                return
            case _:
                assert_never(decision)
        if not continues:
            return
    lease.release(clock(), clock(), state=run.state)


@dataclass
class StepTurn(Generic[Context]):
    """One visit to one step in one direction. Its public methods return whether the run can
    continue immediately.
    """

    lease: Lease
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
                self._emit("step.started", self.step.title)
            else:
                self._emit("step.undoing", self.step.undo_title)
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
            self._emit("step.slow", text, level="warning")
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
        run, began = self.lease.run, self._began()
        time = step_times(run.saga, (self.step,), run.plan_data)[self.step.name]
        elapsed = (self.clock() - began).total_seconds() if began else 0.0
        if told.get("slow") or not time.late(elapsed):
            return outcome
        text = (
            f"Slower than nine of ten runs: {in_words(elapsed)} so far, usually "
            f"{in_words(time.typical_seconds)}. AWS is still working; the portal keeps waiting."
        )
        self._emit("step.late", text, level="warning")
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
        except (DatabaseError, LeaseLost):
            raise
        except Exception as fault:
            log.exception("run %s, step %s: internal error", self.lease.run.pk, self.step.name)
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
        self.lease.release(
            now,
            outcome.until or now + timedelta(seconds=POLL_SECONDS / self.pace),
            state=Run.State.WAITING if self._forward else Run.State.UNDOING,
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
        self.lease.release(
            now,
            until,
            state=self.lease.run.state if self._forward else Run.State.UNDOING,
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
        state = Run.State.RUNNING if self._forward else Run.State.UNDOING
        self.lease.write(
            now, entry=self._entry(kind, now, data), event=event, changes={"state": state} | changes
        )
        self.lease.run.state = state

    def _emit(self, kind: str, text: str, *, level: str = "info") -> None:
        self.lease.write(self.clock(), event=self._event(kind, text, level=level))

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


def _store(run: Run, entry: Entry) -> None:
    """Append, or fold another entry of the same spell into the last one."""
    last = run.entries.order_by("-seq").first()
    values = {"at": entry.at, "since": entry.since, "times": entry.times, "data": dict(entry.data)}
    same = last is not None and (last.step, last.kind, last.direction) == (
        entry.step,
        entry.kind,
        entry.direction,
    )
    if last is not None and same and entry.kind in (EntryKind.WORKING, EntryKind.RETRY):
        JournalEntry.objects.filter(pk=last.pk).update(**values)
        return
    JournalEntry.objects.create(
        run=run,
        seq=last.seq + 1 if last else 1,
        step=entry.step,
        kind=entry.kind,
        direction=entry.direction,
        **values,
    )


def _finish(lease: Lease, saga: Saga[Any], decision: Finish, now: datetime) -> None:
    run = lease.run
    failure = (
        {"reason": decision.reason, "code": decision.code, "fix": decision.fix}
        if decision.undone
        else {}
    )
    state = Run.State.UNDONE if decision.undone else Run.State.DONE
    if decision.undone:
        event = {
            "kind": "run.undone",
            "level": "warning",
            "text": UNDONE[run.action],
            "data": failure,
        }
    else:
        event = {
            "kind": "run.done",
            "level": "good",
            "text": "Everything is done in AWS.",
            "data": {},
        }
    over = {
        "state": state,
        "failure": failure,
        "finished_at": now,
        "lease_until": None,
        "lease_holder": "",
        "watch_id": None,
    }

    def end() -> None:
        # The run's row is locked now: a cancellation is either in the journal already, or it comes
        # too late and is refused.
        if not decision.undone and run.entries.filter(kind=EntryKind.CANCEL).exists():
            raise RunCancelled
        saga.finished(run, decision, now)

    lease.write(now, event=event, changes=over, then=end)


def _stuck(lease: Lease, decision: Stuck, step: Step[Any], now: datetime) -> None:
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
    over = {
        "state": Run.State.STUCK,
        "failure": failure,
        "finished_at": now,
        "lease_until": None,
        "lease_holder": "",
        "watch_id": None,
    }
    lease.write(
        now,
        event={"kind": "run.stuck", "level": "error", "text": text, "data": failure},
        changes=over,
    )
