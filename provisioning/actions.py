"""What the portal can ask of provisioning: start a run, cancel it, retry it or give it up where it
is stuck.

One transaction each; the tick does the rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from provisioning.due_work import Work, announce
from provisioning.engine.decide import (
    Direction,
    Entry,
    cancelled,
    may_cancel,
    reason_to_unwind,
    tried_again,
)
from provisioning.models import AwsAccount, Endpoint, JournalEntry, Run
from provisioning.plan.path_ownership import Contest, contested_claims
from provisioning.plan.plan import ACCEPT, CHANGE
from provisioning.sagas import (
    SAGA_OF,
    accept_drift,
    change_endpoint,
    remove_endpoint,
    steps_of,
)
from provisioning.sagas.left_behind import everything_of, left_behind
from provisioning.spec.endpoint_spec import EndpointSpec


def name_taken(account_id: str, name: str, *, besides: Endpoint | None = None) -> bool:
    """Whether an endpoint in the account has this name, other than `besides`."""
    others = Endpoint.objects.filter(account_id=account_id, name=name).exclude(
        state=Endpoint.State.ABSENT
    )
    return (others.exclude(pk=besides.pk) if besides else others).exists()


def held_by(spec: EndpointSpec, endpoint_id: uuid.UUID) -> str:
    """The name of another endpoint that has the origin, and so the behaviors, of an adoption; ""
    without.
    """
    others = Endpoint.objects.filter(
        account_id=spec.account_id, spec_data__distribution_id=spec.distribution_id
    ).exclude(state=Endpoint.State.ABSENT)
    found = others.exclude(pk=endpoint_id).order_by("created_at")
    return next((one.name for one in found if one.origin_id == spec.origin_id), "")


def contested_paths(spec: EndpointSpec, endpoint_id: uuid.UUID, owner: str) -> tuple[Contest, ...]:
    """What other teams' endpoints and assignments claim of the paths of an endpoint. `owner` is its
    team.
    """
    account = AwsAccount.objects.get(pk=spec.account_id)
    rights = account.path_rights(spec.distribution_id, owner)
    own = spec.own_origin_id(settings.PROVISIONING_OWNER, endpoint_id.hex[:12])
    return tuple(contested_claims(spec.path_patterns, rights, origin_id=own))


def start_create(
    *,
    endpoint: Endpoint | None,
    endpoint_id: uuid.UUID,
    owner: str,
    plan_data: Mapping[str, Any],
    stream: str,
    now: datetime,
) -> Run:
    """Start the run that builds or adopts an endpoint by exactly this plan. `endpoint` is the one
    of an earlier, voided attempt, if any.
    """
    spec = plan_data["spec"]
    with transaction.atomic():
        if endpoint is None:
            endpoint = Endpoint.objects.create(
                id=endpoint_id,
                account=AwsAccount.objects.get(pk=spec["account_id"]),
                owner=owner,
                name=spec["name"],
                spec_data=spec,
                domain_name=plan_data["relies_on"]["distribution_domain"],
                created_at=now,
            )
        else:
            Endpoint.objects.filter(pk=endpoint.pk).update(
                spec_data=spec,
                name=spec["name"],
                account_id=spec["account_id"],
                state=Endpoint.State.WANTED,
                domain_name=plan_data["relies_on"]["distribution_domain"],
            )
            endpoint.refresh_from_db()
        return _start(endpoint, SAGA_OF[plan_data["action"]].name, plan_data, stream, now)


def start_change(
    endpoint: Endpoint, plan_data: Mapping[str, Any], *, stream: str, now: datetime
) -> Run | None:
    """Start the run that changes the endpoint. None if it is not deployed, or has another run."""
    return _start_on_deployed(endpoint, change_endpoint.SAGA.name, plan_data, stream, now)


def start_acceptance(
    endpoint: Endpoint, plan_data: Mapping[str, Any], *, stream: str, now: datetime
) -> Run | None:
    """Start the run that accepts what AWS has. None if the endpoint is not deployed, or has another
    run.
    """
    return _start_on_deployed(endpoint, accept_drift.SAGA.name, plan_data, stream, now)


def start_removal(
    endpoint: Endpoint, plan_data: Mapping[str, Any], *, stream: str, now: datetime
) -> Run | None:
    """Start the run that removes the endpoint. None if it is not deployed, or has another run."""
    with transaction.atomic():
        run = _start_on_deployed(endpoint, remove_endpoint.SAGA.name, plan_data, stream, now)
        if run is not None:
            Endpoint.objects.filter(pk=endpoint.pk).update(state=Endpoint.State.RETIRED)
    return run


def _start_on_deployed(
    endpoint: Endpoint, saga: str, plan_data: Mapping[str, Any], stream: str, now: datetime
) -> Run | None:
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        busy = locked.runs.filter(state__in=Run.ACTIVE).exists()
        if locked.state != Endpoint.State.DEPLOYED or busy:
            return None
        held = sorted(locked.ingress_rules.values_list("pk", flat=True))
        return _start(locked, saga, dict(plan_data) | {"held_rules": held}, stream, now)


def _start(
    endpoint: Endpoint, saga: str, plan_data: Mapping[str, Any], stream: str, now: datetime
) -> Run:
    # From now on its events go to this run's stream, also if it has changed hands.
    Endpoint.objects.filter(pk=endpoint.pk).exclude(event_stream="").update(event_stream="")
    announce(Work.RUNS)
    return Run.objects.create(
        endpoint=endpoint,
        saga=saga,
        stream=stream,
        plan_data=dict(plan_data),
        plan_digest=plan_data["digest"],
        due_at=now,
        created_at=now,
    )


def cancel_run(run: Run, *, reason: str, now: datetime) -> bool:
    """Cancel a run: it undoes what it did. False if it is over, past its pivot, or is unwinding
    already, since the cancellation is then not the reason.
    """
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        steps, pace = steps_of(locked.saga), settings.PROVISIONING_PACE
        if not may_cancel(locked.state, steps, locked.journal(), pace):
            return False
        _append(locked, cancelled(reason, now))
        Run.objects.filter(pk=locked.pk).update(due_at=now, lost_leases=0)
        announce(Work.RUNS)
    return True


def is_unwinding(run: Run) -> bool:
    """Whether the run undoes what it did, or is about to."""
    steps, journal = steps_of(run.saga), run.journal()
    return reason_to_unwind(steps, journal, settings.PROVISIONING_PACE) is not None


def retry_stuck(run: Run, *, reason: str, now: datetime) -> bool:
    """Retry a stuck or quarantined run from the step at which it stopped. False if it is
    neither.
    """
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        if locked.state not in (Run.State.STUCK, Run.State.QUARANTINED):
            return False
        again = tried_again(locked.failure, reason, now)
        forward = again.direction is Direction.FORWARD
        _append(locked, again)
        Run.objects.filter(pk=locked.pk).update(
            state=Run.State.RUNNING if forward else Run.State.UNDOING,
            due_at=now,
            finished_at=None,
            failure={},
            lost_leases=0,
        )
        announce(Work.RUNS)
    return True


def give_up(run: Run) -> list[str] | None:
    """Give up a stuck or quarantined run. Returns what it may have left in AWS, in words, or None
    if it is neither.

    The endpoint of a creation or a removal counts as absent; one that was being changed stays as it
    is. The run keeps its state, because it did fail. The endpoint stays a user of what it shares,
    so that no other undo deletes what the remaining resources may need.
    """
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        if locked.state not in (Run.State.STUCK, Run.State.QUARANTINED):
            return None
        if locked.action not in (CHANGE, ACCEPT):
            Endpoint.objects.filter(pk=locked.endpoint_id).update(state=Endpoint.State.ABSENT)
        return left_behind(locked)


def forget(endpoint: Endpoint) -> list[str] | None:
    """Count a deployed endpoint as absent without touching AWS, where its account can no longer be
    reached. Returns what it may leave there, in words, or None if a run of it is not over.

    As after `give_up`, it stays a user of what it shares.
    """
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        busy = locked.runs.filter(state__in=Run.ACTIVE).exists()
        if locked.state != Endpoint.State.DEPLOYED or busy:
            return None
        Endpoint.objects.filter(pk=locked.pk).update(state=Endpoint.State.ABSENT)
        return everything_of(locked)


def _append(locked: Run, entry: Entry) -> None:
    """Record a person's decision in the journal of a run whose row is locked."""
    last = JournalEntry.objects.filter(run=locked).aggregate(last=Max("seq"))["last"] or 0
    JournalEntry.objects.create(
        run=locked,
        seq=last + 1,
        step=entry.step,
        kind=entry.kind,
        direction=entry.direction,
        at=entry.at,
        since=entry.since,
        data=dict(entry.data),
    )
