"""Accept what a privacy audit found, or take that back: for approvers of another team.

Approving a plan accepts what the plan lists; see portal.requests.accepted_exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from checks.models import PrivacyAudit, PrivacyException
from checks.privacy import exceptions
from portal.endpoints.privacy_audits import audit_again
from portal.people.models import Person
from portal.requests.accepted_exceptions import accept_exposures, end_of
from portal.requests.actions import stream_of
from portal.requests.lifecycle import Denied
from provisioning import events
from provisioning.models import Endpoint
from provisioning.redaction.printable import on_one_line


def acceptance_refusal(person: Person, endpoint: Endpoint) -> Denied | None:
    """Why this person cannot accept or withdraw exceptions of the endpoint, or None."""
    if not person.decides:
        return Denied("not_approver", "Only an approver can accept exceptions or withdraw them.")
    if person.belongs_to(endpoint.owner):
        return Denied("own_team", "It is your own team's endpoint. Another approver must decide.")
    return None


def open_exposures(endpoint: Endpoint) -> list[str]:
    """The ways past CloudFront in the latest audit that nobody had accepted."""
    latest = PrivacyAudit.objects.finished().filter(endpoint=endpoint).first()
    if latest is None:
        return []
    return sorted(
        {
            exposure
            for answer in latest.document["questions"]
            for exposure in answer.get("exposes", ())
            if exposure not in {one["exposure"] for one in answer["accepted"]}
        }
    )


def accept_found(
    person: Person,
    endpoint: Endpoint,
    exposures: Sequence[str],
    *,
    reason: str,
    until: str = "",
    now: datetime,
) -> Denied | None:
    """Accept ways past CloudFront that the latest audit found, through the day `until`, and audit
    again.
    """
    if refusal := acceptance_refusal(person, endpoint):
        return refusal
    reason, end = on_one_line(reason), end_of(until, now)
    if isinstance(end, Denied):
        return end
    if not reason.strip():
        return Denied("reason_required", "Say why this can be accepted. It is recorded.")
    found = open_exposures(endpoint)
    if not exposures or set(exposures) - set(found):
        return Denied("not_found", "The latest audit found something else. Audit again, and read.")
    with transaction.atomic():
        stream = stream_of(endpoint)
        accept_exposures(
            person, endpoint, exposures, reason=reason, until=end, stream=stream, now=now
        )
        audit_again(endpoint, by=str(person), now=now)
    return None


def withdraw_exception(
    person: Person, exception: PrivacyException, *, now: datetime
) -> Denied | None:
    """End an exception before its time, and audit again."""
    endpoint = exception.endpoint
    if refusal := acceptance_refusal(person, endpoint):
        return refusal
    with transaction.atomic():
        if not exceptions.withdraw(exception, by=str(person), now=now):
            return Denied("wrong_state", "This exception has already ended.")
        if stream := stream_of(endpoint):
            events.append(
                stream,
                "endpoint.exception_withdrawn",
                f"{person} no longer accepts: {exception.exposure}.",
                at=now,
                data={"by": person.username, "endpoint": str(endpoint.pk)},
            )
        audit_again(endpoint, by=str(person), now=now)
    return None
