"""The shell around the engine: claims a due run and keeps its rows.

Journal entry, event, state and due time are written in one transaction, under the run's fence, so a
worker that lost its lease writes nothing. What happens next, `provisioning.engine` decides. This
module knows no AWS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Case, F, When

from provisioning import events
from provisioning.due_work import Work, announce
from provisioning.engine import turn
from provisioning.engine.decide import Direction, Entry, EntryKind, Finish
from provisioning.engine.outcome import Working
from provisioning.engine.quarantine import PROGRESS, Quarantine, quarantine
from provisioning.engine.step import Step
from provisioning.engine.turn import FAULT, LeaseLost, RunCancelled
from provisioning.facts.step_times import StepTime
from provisioning.models import Endpoint, Event, JournalEntry, Run, Watch
from provisioning.plan.plan import ACCEPT, ADOPT, CHANGE, CREATE, REMOVE
from provisioning.step_times import step_times

FAULT_AGAIN_SECONDS = 60.0
QUARANTINED = "quarantined"
UNDONE = {
    CREATE: "Rolled back: everything this run created in AWS was removed.",
    CHANGE: "Rolled back: the endpoint has its previous settings.",
    REMOVE: "Rolled back: the endpoint is in the distribution, as it was.",
    ACCEPT: "Stopped: nothing was changed.",
    ADOPT: "Stopped: AWS is as it was, and the endpoint is not the portal's.",
}
"""What is said when a run is undone, by the plan's action."""
log = logging.getLogger(__name__)
Context = TypeVar("Context")


@dataclass(frozen=True)
class Saga(Generic[Context]):
    """The steps of one kind of run. `open` gets the run, the clock, and a function that renews the
    lease, which a step calls before each write to AWS. `endpoint_after` gives the changes of the
    endpoint's row with which the run ends, asked in its last transaction.
    """

    name: str
    steps: tuple[Step[Context], ...]
    open: Callable[[Run, Callable[[], datetime], Callable[[], None]], Context]
    endpoint_after: Callable[[Run, Finish, datetime], Mapping[str, Any]]


@dataclass
class Lease:
    """The right to work on a run until `seconds` after the last write: the engine's HeldRun.
    `saga` is what it is advanced by.
    """

    run: Run
    seconds: float
    saga: Saga[Any] | None = None
    unrecordable: tuple[type[Exception], ...] = (DatabaseError,)

    @property
    def state(self) -> str:
        """The run's state as last written."""
        return self.run.state

    def journal(self) -> list[Entry]:
        """The journal as it is now."""
        return self.run.journal()

    @property
    def undone_text(self) -> str:
        """What is said when the run is undone."""
        return UNDONE[self.run.action]

    def has_emitted(self, kind: str, step: str, *, since: datetime | None) -> bool:
        """Whether an event of this kind was emitted for the step since then; None: since the run
        began.
        """
        began = since or self.run.created_at
        emitted = Event.objects.filter(stream=self.run.stream, kind=kind, step=step)
        return emitted.filter(at__gte=began).exists()

    def time_of(self, step: Step[Any]) -> StepTime:
        """How long this step usually takes."""
        return step_times(self.run.saga, (step,), self.run.plan_data)[step.name]

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
        if changes and "state" in changes:
            self.run.state = changes["state"]

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
                    announce(Work.RUNS)
            self._write(changes, now, entry, event)
            if (
                state != Run.State.UNDOING
                and self.run.entries.filter(kind=EntryKind.CANCEL).exists()
            ):
                Run.objects.filter(pk=self.run.pk).update(due_at=now)
                announce(Work.RUNS)

    def end(
        self, now: datetime, *, event: Mapping[str, Any], changes: Mapping[str, Any], end: Finish
    ) -> None:
        """The run's last transaction, with the changes of its endpoint. Raises RunCancelled."""

        def change_endpoint() -> None:
            # The run's row is locked now: a cancellation is either in the journal already, or it
            # comes too late and is refused.
            if not end.undone and self.run.entries.filter(kind=EntryKind.CANCEL).exists():
                raise RunCancelled
            endpoints = Endpoint.objects.filter(pk=self.run.endpoint_id)
            self.run.endpoint.name = endpoints.select_for_update().get().name
            if self.saga and (endpoint := self.saga.endpoint_after(self.run, end, now)):
                endpoints.update(**endpoint)

        self.write(now, event=event, changes=changes, then=change_endpoint)

    def _write(
        self,
        changes: Mapping[str, Any],
        now: datetime,
        entry: Entry | None,
        event: Mapping[str, Any] | None,
    ) -> None:
        held = Run.objects.filter(pk=self.run.pk, fence=self.run.fence, state__in=Run.ACTIVE)
        progress = {"lost_leases": 0} if entry is not None and entry.kind in PROGRESS else {}
        if held.update(**changes, **progress) != 1:
            raise LeaseLost(f"run {self.run.pk}: fence {self.run.fence} is out of date")
        if entry is not None:
            _store(self.run, entry)
        if event is not None:
            events.append(self.run.stream, at=now, **event)


def claim(
    run_id: int, *, holder: str, now: datetime, seconds: float, fence: int | None = None
) -> Lease | None:
    """Claim a due run. None if it is not due, another worker holds it, or it was claimed since
    `fence` was read. A lease that the run still has was lost: its worker has not released it.
    """
    taken = Run.objects.due(now).filter(pk=run_id)
    if fence is not None:
        taken = taken.filter(fence=fence)
    if (
        taken.update(
            lease_until=now + timedelta(seconds=seconds),
            lease_holder=holder,
            fence=F("fence") + 1,
            lost_leases=Case(
                When(lease_until__isnull=True, then=F("lost_leases")), default=F("lost_leases") + 1
            ),
        )
        != 1
    ):
        return None
    return Lease(Run.objects.select_related("endpoint__account").get(pk=run_id), seconds)


def advance(
    lease: Lease, saga: Saga[Context], *, clock: Callable[[], datetime], pace: float
) -> None:
    """Advance the run until it has to wait or is over, then release the lease; or put it aside, if
    it has lost too many leases at this step.
    """
    lease.saga = saga
    if lease.run.lost_leases:
        aside = quarantine(
            saga.steps,
            lease.journal(),
            clock(),
            lost_leases=lease.run.lost_leases,
            limit=settings.QUARANTINE_AFTER_LOST_LEASES,
            pace=pace,
        )
        if aside is not None:
            _quarantine(lease, saga, aside, clock())
            return
    context = saga.open(lease.run, clock, lambda: lease.renew(clock()))
    turn.advance(lease, saga.steps, context, clock=clock, pace=pace)


def _store(run: Run, entry: Entry) -> None:
    """Append, or fold another entry of the same spell into the last one."""
    last = run.entries.order_by("-seq").first()
    values = {"at": entry.at, "since": entry.since, "times": entry.times, "data": dict(entry.data)}
    if last is not None and turn.folds((last.step, last.kind, last.direction), entry):
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


def _quarantine(lease: Lease, saga: Saga[Any], aside: Quarantine, now: datetime) -> None:
    """Nothing of the run is done until a person resumes it. No other run waits for it: it is not
    active, and its locks went with its workers.
    """
    step = next((one for one in saga.steps if one.name == aside.step), None)
    forward = aside.direction is Direction.FORWARD
    title = (step.title if forward else step.undo_title) if step else "Finish"
    times = f"{aside.lost_leases} workers in a row" if aside.lost_leases > 1 else "A worker"
    failure = {
        "step": aside.step,
        "direction": aside.direction.value,
        "reason": f"{times} stopped during “{title}” without saying why.",
        "code": QUARANTINED,
        "fix": "Look in the workers' logs, and for processes that the system killed, for example "
        "for want of memory. Fix the cause, then resume the run.",
        "lost_leases": aside.lost_leases,
    }
    log.error("run %s: quarantined: %s", lease.run.pk, failure["reason"])
    lease.write(
        now,
        event={
            "kind": "run.quarantined",
            "level": "error",
            "text": f"Quarantined: {failure['reason']} {failure['fix']}",
            "data": failure,
        },
        changes={
            "state": Run.State.QUARANTINED,
            "failure": failure,
            "finished_at": now,
            "lease_until": None,
            "lease_holder": "",
            "watch_id": None,
            "writes_distribution": "",
        },
    )
