"""Head starts: the VPC origin of a request is created while the request awaits approval, and
deleted if the request is not built.

Creating a VPC origin is what AWS takes longest for, and opens nothing: no behavior leads to it, and
no security group rule is added. A head start holds the VPC origin like an endpoint does. So the run
finds it in place, and whichever of the two lets go last deletes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from provisioning import events
from provisioning.due_work import Work, announce
from provisioning.engine.decide import SETTLING_SECONDS
from provisioning.engine.outcome import Missing, Outcome, Ready, Refused, Retry
from provisioning.models import AwsAccount, HeadStart, VpcOrigin
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.steps import vpc_origin
from provisioning.steps.context import AwsContext
from provisioning.steps.stored_rows import StoredVpcOriginRows

POLL_SECONDS = 75.0
CLAIM_SECONDS = 60.0
RETRY_SECONDS = 15.0
REFUSED_AGAIN_SECONDS = 1800.0


class ClaimLost(Exception):
    """The head start was released or claimed again. Nothing was written."""


@dataclass(frozen=True)
class HeadStartRows(StoredVpcOriginRows):
    """The rows of one head start, claimed for work."""

    head_start: HeadStart

    @property
    def account(self) -> AwsAccount:
        """The account that the VPC origin is created in."""
        return self.head_start.account

    def hold(self, row: VpcOrigin) -> None:
        """Record that the head start needs it."""
        HeadStart.objects.filter(pk=self.head_start.pk).update(vpc_origin=row)

    def let_go(self, row: VpcOrigin) -> None:
        """Record that the head start does not need it any more."""
        HeadStart.objects.filter(pk=self.head_start.pk).update(vpc_origin=None)


@dataclass(frozen=True)
class HeadStartContext(AwsContext):
    """One head start, claimed for work."""

    head_start: HeadStart

    @property
    def account(self) -> AwsAccount:
        """The account that the VPC origin is created in."""
        return self.head_start.account


def begin(account_id: str, spec: EndpointSpec, *, stream: str, now: datetime) -> None:
    """Begin creating the VPC origin of a request. A second call changes nothing."""
    with transaction.atomic():
        _, begun = HeadStart.objects.get_or_create(
            stream=stream,
            released_at=None,
            defaults={
                "account_id": account_id,
                "spec_data": spec.to_dict(),
                "created_at": now,
                "due_at": now,
            },
        )
        if begun:
            announce(Work.RUNS)
            text = "Head start: creating the VPC origin while the request waits for approval."
            events.append(stream, "head_start.begun", text, at=now)


def release(head_start: HeadStart, *, reason: str, now: datetime) -> None:
    """The request needs it no longer; `reason` says why, "" where the request was built. Nothing is
    deleted while a write may be in flight.
    """
    due = now + timedelta(seconds=SETTLING_SECONDS / settings.PROVISIONING_PACE)
    with transaction.atomic():
        held = HeadStart.objects.filter(pk=head_start.pk, released_at=None)
        if held.update(released_at=now, due_at=due) and reason:
            text = f"Head start ended: {reason} The VPC origin is deleted unless it is in use."
            events.append(head_start.stream, "head_start.released", text, at=now)


def work(head_start_id: int, *, clock: Callable[[], datetime]) -> None:
    """Advance one head start by one observation and at most one write.

    1. Claim it: no other worker takes it for a minute.
    2. Create the VPC origin or, once released, delete it unless something else needs it.
    3. Store when to look again; delete the row when nothing is left to do.
    """
    now = clock()
    until = now + timedelta(seconds=CLAIM_SECONDS)
    if HeadStart.objects.filter(pk=head_start_id, due_at__lte=now).update(due_at=until) != 1:
        return
    row = HeadStart.objects.select_related("account").get(pk=head_start_id)

    def renew_claim() -> None:
        held = HeadStart.objects.filter(pk=row.pk, due_at=until, released_at=row.released_at)
        if not held.exists():
            raise ClaimLost(str(row))

    owner, pace = settings.PROVISIONING_OWNER, settings.PROVISIONING_PACE
    rows = HeadStartRows(clock, renew_claim, row)
    context = HeadStartContext(row.spec, owner, pace, clock, renew_claim, rows, row)
    if row.released_at is None:
        observe, act = vpc_origin.observe, vpc_origin.create
    else:
        observe, act = vpc_origin.observe_absence, vpc_origin.delete
    try:
        outcome = observe(context)
        if isinstance(outcome, Missing):
            outcome = act(context)
            if isinstance(outcome, Ready):
                outcome = observe(context)
    except (ClaimLost, HeadStart.DoesNotExist):
        return
    _store(row, outcome, clock(), pace)


def _store(row: HeadStart, outcome: Outcome, now: datetime, pace: float) -> None:
    """Record what was observed. A failure is reported once, and again if it changes."""
    mine = HeadStart.objects.filter(pk=row.pk, released_at=row.released_at)
    with transaction.atomic():
        match outcome:
            case Ready() if row.released_at is not None:
                mine.delete()
            case Ready():
                if mine.filter(ready_at=None).update(ready_at=now, due_at=None, failure=""):
                    text = f"Head start: {outcome.seen} Approval to live now skips this wait."
                    events.append(row.stream, "head_start.ready", text, at=now, level="good")
            case Refused():
                again = now + timedelta(seconds=REFUSED_AGAIN_SECONDS / pace)
                if mine.update(due_at=again, failure=outcome.code) and row.failure != outcome.code:
                    doing = "delete" if row.released_at else "create"
                    text = (
                        f"Head start: could not {doing} the VPC origin: {outcome.reason} "
                        f"{outcome.fix}".strip()
                    )
                    events.append(row.stream, "head_start.failed", text, at=now, level="warning")
            case Retry():
                wait = outcome.after or RETRY_SECONDS
                mine.update(due_at=now + timedelta(seconds=wait / pace))
            case _:
                mine.update(due_at=now + timedelta(seconds=POLL_SECONDS / pace))
