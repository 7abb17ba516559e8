"""The thin shell around decide(): claims a due run, asks what is next, performs one thing, writes
it down.

Each thing that happened is written in one transaction: journal entry, event, state and due time,
under the run's fence. A worker that lost its lease writes nothing. Between an intent and its result
a worker may die anywhere; whoever claims the run next looks before it acts. This module knows no
AWS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    Finish,
    Kind,
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
from provisioning.models import JournalEntry, Run, Watch

MOST_DECISIONS_PER_CLAIM = 60
FAULT = "portal_fault"
FAULT_AGAIN_SECONDS = 60.0
log = logging.getLogger(__name__)
Context = TypeVar("Context")


@dataclass(frozen=True)
class Saga(Generic[Context]):
    """What we build, step by step. `open` is given the run, the clock, and `hold`, which a step
    calls before each write to the outside. `finished` records the end in the endpoint, inside the
    run's last transaction.
    """

    name: str
    steps: tuple[Step[Context], ...]
    open: Callable[[Run, Callable[[], datetime], Callable[[], None]], Context]
    finished: Callable[[Run, Finish, datetime], None]


class CancelledMeanwhile(Exception):
    """Somebody cancelled between the last look and the end. Nothing was written; decide again."""


class LeaseLost(Exception):
    """Somebody else holds the run now, or it is over. Nothing was written."""


@dataclass
class Lease:
    """The right to work on a run until `seconds` after the last thing written."""

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
        """One fenced transaction; the lease is renewed. Raises LeaseLost, writing nothing, when the
        fence moved on.
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

    def hold(self, now: datetime) -> None:
        """Renew the lease just before something is sent to the outside, where no fence can follow.
        Raises LeaseLost: a worker that was stopped and woken again must not make what somebody else
        has meanwhile undone.
        """
        self._write({"lease_until": now + timedelta(seconds=self.seconds)}, now, None, None)

    def note_fault(self, fault: Exception, now: datetime) -> None:
        """What keeps the run as a whole from going on, not one of its steps (a row that this
        version cannot read): told once in its events, and tried again every minute. The lease is
        given back.
        """
        name = type(fault).__name__
        failure = {"code": FAULT, "reason": name}
        told = self.run.failure == failure
        text = (
            f"The portal itself failed ({name}) and cannot go on. It tries again every minute; "
            "tell its operators."
        )
        if not told:
            log.error("run %s: a fault of the portal", self.run.pk, exc_info=fault)
        until = now + timedelta(seconds=FAULT_AGAIN_SECONDS)
        event = {"kind": "run.portal_fault", "level": "error", "text": text, "data": failure}
        with transaction.atomic():
            changes = {"lease_until": None, "lease_holder": "", "due_at": until, "failure": failure}
            self._write(changes, now, None, None if told else event)

    def rest(
        self,
        now: datetime,
        until: datetime,
        *,
        state: str,
        entry: Entry | None = None,
        event: Mapping[str, Any] | None = None,
        waiting: Working | None = None,
    ) -> None:
        """The same, and the lease is given back until `until`; at once if what is waited for has
        changed since it was looked at, or if somebody cancelled meanwhile. The watch is locked
        before the run, as a sweep does it.
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
            if state != Run.State.UNDOING and self.run.entries.filter(kind=Kind.CANCEL).exists():
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
            raise LeaseLost(f"run {self.run.pk}: fence {self.run.fence} has passed")
        if entry is not None:
            _store(self.run, entry)
        if event is not None:
            events.append(self.run.stream, at=now, **event)


def claim(
    run_id: int, *, holder: str, now: datetime, seconds: float, fence: int | None = None
) -> Lease | None:
    """Take a due run that nobody holds; None when somebody else was quicker, also since `fence` was
    read, or it is not due.
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
    """Bring the run as far as it gets without waiting, then give the lease back.

    1. Read the journal and decide.
    2. Perform the one thing decided, and write what came of it.
    3. Again, until something has to be waited for or it is over.
    """
    run = lease.run
    context = saga.open(run, clock, lambda: lease.hold(clock()))
    steps = {step.name: step for step in saga.steps}
    for _ in range(MOST_DECISIONS_PER_CLAIM):
        now = clock()
        journal = run.journal()
        decision = decide(saga.steps, journal, now, pace=pace)
        match decision:
            case Do(step=name) | Undo(step=name):
                direction = Direction.FORWARD if isinstance(decision, Do) else Direction.BACKWARD
                turn = Turn(lease, steps[name], direction, journal, clock, pace)
                goes_on = turn.look_and_act(context)
            case Poll(step=name, direction=direction, overdue=overdue):
                goes_on = Turn(lease, steps[name], direction, journal, clock, pace).poll(
                    context, overdue=overdue
                )
            case WaitUntil(at=at, direction=direction):
                lease.rest(
                    now,
                    at,
                    state=run.state if direction is Direction.FORWARD else Run.State.UNDOING,
                )
                return
            case Finish():
                try:
                    _finish(lease, saga, decision, now)
                except CancelledMeanwhile:
                    continue
                return
            case Stuck():
                _stuck(lease, decision, steps[decision.step].title, now)
                return
            case _:
                assert_never(decision)
        if not goes_on:
            return
    lease.rest(clock(), clock(), state=run.state)


@dataclass
class Turn(Generic[Context]):
    """One step in one direction, attended to once. Its methods answer whether the run can go on at
    once.
    """

    lease: Lease
    step: Step[Context]
    direction: Direction
    journal: list[Entry]
    clock: Callable[[], datetime]
    pace: float

    def look_and_act(self, context: Context) -> bool:
        """Look; when it is missing, note the intent, act, and note that we did."""
        way = self.step.forward if self.direction is Direction.FORWARD else self.step.backward
        first = not any(
            entry.step == self.step.name and entry.direction is self.direction
            for entry in self.journal
        )
        if first:
            self._say("step.started" if self._forward else "step.undoing", self.step.title)
        outcome = self._attempt(way.look, context)
        if isinstance(outcome, Missing) and self._has_just_acted():
            # Reads of AWS lag behind its writes, and others may take away what we make. Either way:
            # not at once again.
            outcome = Retry(f"Done, and not to be seen yet. {outcome.seen}", "not_seen_yet")
        if isinstance(outcome, Missing):
            said = any(
                e.step == self.step.name
                and e.direction is self.direction
                and e.data.get("seen") == outcome.seen
                for e in self.journal
                if e.kind is Kind.INTENT
            )
            event = None if said else self._event("step.acting", outcome.seen)
            self._note(Kind.INTENT, {"seen": outcome.seen}, event)
            outcome = self._attempt(way.act, context)
            if isinstance(outcome, Ready):
                self._note(
                    Kind.ACTED,
                    {"seen": outcome.seen} | dict(outcome.data),
                    self._event("step.acted", outcome.seen),
                )
                return True
        return self._take(outcome)

    def poll(self, context: Context, *, overdue: bool) -> bool:
        """Look only. When it takes longer than it should, say so once; nothing is given up for
        being slow.
        """
        way = self.step.forward if self.direction is Direction.FORWARD else self.step.backward
        outcome = self._attempt(way.look, context)
        if overdue and isinstance(outcome, Working) and not self._last_data().get("slow"):
            minutes = round(self.step.patience_seconds / 60)
            text = (
                f"This takes longer than {minutes} minutes of AWS's time. The portal keeps "
                "waiting and looking."
            )
            outcome = Working(
                outcome.seen, outcome.watch, outcome.status, dict(outcome.data) | {"slow": True}
            )
            self._say("step.slow", text, level="warning")
        return self._take(outcome)

    def _attempt(self, part: Callable[[Context], Outcome], context: Context) -> Outcome:
        """A fault of our own is a failure like any other: told, tried again for a while, then given
        up and undone. Without its database a worker can note nothing; the run is found again when
        its lease has passed.
        """
        try:
            return part(context)
        except (DatabaseError, LeaseLost):
            raise
        except Exception as fault:
            log.exception(
                "run %s, step %s: a fault of the portal", self.lease.run.pk, self.step.name
            )
            return Retry(
                f"The portal itself failed ({type(fault).__name__}). Its operators find it "
                "in the log.",
                FAULT,
            )

    def _has_just_acted(self) -> bool:
        """Whether the last thing noted of this step is that its write was answered."""
        for entry in reversed(self.journal):
            if entry.step == self.step.name and entry.direction is self.direction:
                return entry.kind is Kind.ACTED
        return False

    def _take(self, outcome: Outcome) -> bool:
        """Write an outcome down. Working and Retry give the lease back."""
        match outcome:
            case Ready(seen=seen, data=data):
                kind = "step.ready" if self._forward else "step.undone"
                self._note(
                    Kind.READY,
                    {"seen": seen} | dict(data),
                    self._event(kind, seen, level="good"),
                    watch_id=None,
                )
                return True
            case Missing(seen=seen):
                self._note(Kind.MISSING, {"seen": seen}, None)
                return True
            case Refused(reason=reason, code=code, fix=fix, data=data):
                found = {"reason": reason, "code": code, "fix": fix} | dict(data)
                sentence = f"{reason} {fix}".strip()
                self._note(
                    Kind.REFUSED,
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
        said = self._last(Kind.WORKING)
        if said is not None and said.data.get("slow"):
            data["slow"] = True
        news = said is None or said.data.get("seen") != outcome.seen
        self.lease.rest(
            now,
            now + timedelta(seconds=POLL_SECONDS / self.pace),
            state=Run.State.WAITING if self._forward else Run.State.UNDOING,
            entry=self._entry(Kind.WORKING, now, data),
            event=self._event("step.waiting", outcome.seen) if news else None,
            waiting=outcome,
        )

    def _retry_later(self, outcome: Retry) -> None:
        now = self.clock()
        failing = _failing(self._last(Kind.RETRY))
        data: dict[str, Any] = {
            "reason": outcome.reason,
            "code": outcome.code,
            "after": outcome.after,
        }
        if outcome.quiet:
            data |= {"quiet": True, "failing": failing}
            entry = Entry(self.step.name, Kind.RETRY, self.direction, now, now, 1, data)
        else:
            since = datetime.fromisoformat(failing["since"]) if failing else now
            times = failing["times"] + 1 if failing else 1
            entry = Entry(self.step.name, Kind.RETRY, self.direction, now, since, times, data)
        until = now if exhausted(entry, self.pace) else next_try(entry, self.pace)
        news = not outcome.quiet and (failing is None or failing["reason"] != outcome.reason)
        self.lease.rest(
            now,
            until,
            state=self.lease.run.state if self._forward else Run.State.UNDOING,
            entry=entry,
            event=self._event(
                "step.retry", f"{outcome.reason} Trying again.", level="warning", code=outcome.code
            )
            if news
            else None,
        )

    @property
    def _forward(self) -> bool:
        return self.direction is Direction.FORWARD

    def _note(
        self, kind: Kind, data: Mapping[str, Any], event: Mapping[str, Any] | None, **changes: Any
    ) -> None:
        now = self.clock()
        state = Run.State.RUNNING if self._forward else Run.State.UNDOING
        self.lease.write(
            now, entry=self._entry(kind, now, data), event=event, changes={"state": state} | changes
        )
        self.lease.run.state = state

    def _say(self, kind: str, text: str, *, level: str = "info") -> None:
        self.lease.write(self.clock(), event=self._event(kind, text, level=level))

    def _event(self, kind: str, text: str, *, level: str = "info", **data: Any) -> dict[str, Any]:
        return {"kind": kind, "text": text, "level": level, "step": self.step.name, "data": data}

    def _entry(self, kind: Kind, now: datetime, data: Mapping[str, Any]) -> Entry:
        """A spell of working ends with anything else; one of retries with success only, not with
        another try of ours; a person's gives it new patience.
        """
        before = self._last(kind)
        if before is None:
            return Entry(self.step.name, kind, self.direction, now, now, 1, data)
        return Entry(
            self.step.name, kind, self.direction, now, before.since, before.times + 1, data
        )

    def _last(self, kind: Kind) -> Entry | None:
        """The entry that this spell continues, if it does."""
        ends_it = {
            Kind.WORKING: set(Kind) - {Kind.WORKING},
            Kind.RETRY: {Kind.READY, Kind.WORKING, Kind.AGAIN},
        }.get(kind, set(Kind))
        for entry in reversed(self.journal):
            if entry.step != self.step.name or entry.direction is not self.direction:
                continue
            if entry.kind is kind and kind in (Kind.WORKING, Kind.RETRY):
                return entry
            if entry.kind in ends_it:
                return None
        return None

    def _last_data(self) -> Mapping[str, Any]:
        entry = self._last(Kind.WORKING)
        return entry.data if entry else {}


def _failing(said: Entry | None) -> Mapping[str, Any] | None:
    """The spell of failures that goes on: since when (ISO 8601), how many, and the last reason.
    Waiting for one's turn in between neither ends it nor counts as a try.
    """
    if said is None:
        return None
    if said.data.get("quiet"):
        failing: Mapping[str, Any] | None = said.data.get("failing")
        return failing
    return {"since": said.since.isoformat(), "times": said.times, "reason": said.data.get("reason")}


def _store(run: Run, entry: Entry) -> None:
    """Append, or fold a further look of the same spell into the last entry of the journal."""
    last = run.entries.order_by("-seq").first()
    values = {"at": entry.at, "since": entry.since, "times": entry.times, "data": dict(entry.data)}
    same = last is not None and (last.step, last.kind, last.direction) == (
        entry.step,
        entry.kind,
        entry.direction,
    )
    if last is not None and same and entry.kind in (Kind.WORKING, Kind.RETRY):
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
            "text": "Everything this run had made is gone again.",
            "data": failure,
        }
    else:
        event = {
            "kind": "run.done",
            "level": "good",
            "text": "AWS has deployed everything.",
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
        # The run's row is locked now, so a cancellation is either here already or comes too late
        # and is told so.
        if not decision.undone and run.entries.filter(kind=Kind.CANCEL).exists():
            raise CancelledMeanwhile
        saga.finished(run, decision, now)

    lease.write(now, event=event, changes=over, then=end)


def _stuck(lease: Lease, decision: Stuck, title: str, now: datetime) -> None:
    failure = {
        "step": decision.step,
        "reason": decision.reason,
        "code": decision.code,
        "fix": decision.fix,
    }
    text = f"Undoing “{title}” failed: {decision.reason} {decision.fix}".strip()
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
