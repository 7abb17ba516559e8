"""Forget an endpoint whose AWS account can no longer be reached: its row is closed, and nothing is
deleted. Where the account can be reached, a removal leaves nothing behind.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.people.models import Person
from portal.requests.actions import move, record, stream_of
from portal.requests.lifecycle import CHECKED, UNDER_WAY, Denied, State, Verb
from portal.requests.models import EndpointRequest
from provisioning import actions as provisioning
from provisioning import events
from provisioning.aws import distributions
from provisioning.aws.errors import INVALID_REQUEST, NO_CREDENTIALS, OVER_BUDGET, AwsError
from provisioning.models import Endpoint
from provisioning.redaction.masking import mask_prose
from provisioning.redaction.printable import on_one_line

LONGEST_REASON = 400
OF_THE_PORTAL = frozenset({INVALID_REQUEST, NO_CREDENTIALS, OVER_BUDGET})
"""Failures that say nothing about the account."""
NOT_BEGUN = frozenset({State.PLANNING, State.BLOCKED, State.AWAITING_APPROVAL})
"""A change or a removal in these states has done nothing, and is cancelled with the endpoint."""


def may_forget(person: Person, endpoint: Endpoint) -> Denied | None:
    """Why this person cannot forget the endpoint now, or None; without asking AWS."""
    if not (person.is_active and person.role == Person.Role.PLATFORM_ADMIN):
        return Denied("not_platform_admin", "Only a platform admin can forget an endpoint.")
    if endpoint.state != Endpoint.State.DEPLOYED:
        return Denied("wrong_state", "Only a deployed endpoint can be forgotten.")
    begun = sorted(UNDER_WAY - NOT_BEGUN - {State.VERIFYING})
    if EndpointRequest.objects.filter(endpoint=endpoint, state__in=begun).exists():
        return Denied(
            "request_under_way",
            "A request for it is being carried out, or is stuck. Wait for it, or give it up first.",
        )
    return None


def forget_endpoint(
    person: Person, endpoint: Endpoint, *, name: str, reason: str, now: datetime
) -> list[str] | Denied:
    """Count the endpoint as absent, and say what it may leave in AWS. `name` confirms which one is
    meant. Asks AWS first: as long as it answers, nothing is forgotten.
    """
    reason = mask_prose(on_one_line(reason), LONGEST_REASON).strip()
    if refusal := may_forget(person, endpoint):
        return refusal
    if name != endpoint.name:
        return Denied("not_confirmed", f"Type the endpoint’s name, {endpoint.name}, to confirm.")
    if not reason:
        return Denied("reason_required", "Say why its account cannot be reached any more.")
    if refusal := _refuse_if_reachable(endpoint):
        return refusal
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        person.refresh_from_db(fields=["is_active", "role"])
        if refusal := may_forget(person, locked):
            return refusal
        stream = stream_of(locked)
        left = provisioning.forget(locked)
        if left is None:
            return Denied("wrong_state", "A run of it is not over. Try again when it is.")
        _end_requests(locked, now)
        text = f"{person} forgot {locked.name}: {reason.rstrip('.')}. May be left in AWS: "
        data = {"by": person.username, "endpoint": str(locked.pk), "left": left}
        said = f"{text}{'; '.join(left)}."
        events.append(stream, "endpoint.forgotten", said, at=now, level="warning", data=data)
    return left


def _refuse_if_reachable(endpoint: Endpoint) -> Denied | None:
    """Asks for the distribution, as a removal would do first."""
    try:
        distributions.read(endpoint.account.client(), endpoint.spec.distribution_id)
    except AwsError as error:
        if error.transient or error.code in OF_THE_PORTAL:
            return Denied("aws_failed", f"AWS did not answer; try again. {error}")
        return None
    return Denied(
        "account_reachable",
        f"The portal can still read account {endpoint.account_id}. Request the removal, which "
        "leaves nothing in AWS.",
    )


def _end_requests(endpoint: Endpoint, now: datetime) -> None:
    """Those that had not begun are cancelled, those that built it are closed."""
    of_endpoint = EndpointRequest.objects.select_for_update().filter(endpoint=endpoint)
    ended = CHECKED | {State.VERIFYING}
    for one in of_endpoint.filter(state__in=sorted(NOT_BEGUN | ended)).order_by("pk"):
        if one.state in NOT_BEGUN:
            move(one, Verb.CANCEL, now, reason="The endpoint was forgotten.")
            record(one, "request.cancelled", "Cancelled: the endpoint was forgotten.", now)
        else:
            move(one, Verb.WAS_FORGOTTEN, now, reason="")
            record(one, "request.closed", "Closed: the endpoint was forgotten.", now)
