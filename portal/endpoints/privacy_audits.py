"""Requests privacy audits: on a schedule for each live endpoint, and on demand.

Who may request one and when the next is due is decided here; what an audit asks and concludes, in
`checks.privacy`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from checks.models import EndpointHealth, PrivacyAudit
from checks.privacy.actions import request_audit, schedule_audit
from portal.endpoints.actions import check_refusal
from portal.people.models import Person
from portal.requests.actions import stream_of
from portal.requests.lifecycle import Denied
from provisioning.models import Endpoint

BY_SCHEDULE = "the schedule"
LOOK_AGAIN_AFTER = timedelta(hours=1)
AT_ONCE = 100


def audit_now(person: Person, endpoint: Endpoint, *, now: datetime) -> PrivacyAudit | Denied:
    """Request an audit, or return the one that is running. For people who can check the
    endpoint.
    """
    refusal = check_refusal(person, endpoint)
    if refusal:
        return refusal
    return audit_again(endpoint, by=str(person), now=now)


def audit_again(endpoint: Endpoint, *, by: str, now: datetime) -> PrivacyAudit:
    """Request an audit, or return the one that is running."""
    return request_audit(endpoint, by=by, stream=stream_of(endpoint), now=now)


def request_due_audits(now: datetime) -> int:
    """Request the audits that are due; return how many. An endpoint that is not deployed is looked
    at again later, unless it is removed.
    """
    if not settings.PRIVACY_AUDIT_HOURS:
        return 0
    due = EndpointHealth.objects.filter(next_audit_at__lte=now).select_related("endpoint")
    requested = 0
    for row in due.order_by("next_audit_at")[:AT_ONCE]:
        if row.endpoint.state == Endpoint.State.DEPLOYED:
            audit_again(row.endpoint, by=BY_SCHEDULE, now=now)
            requested += 1
        else:
            removed = row.endpoint.state == Endpoint.State.ABSENT
            schedule_audit(row.endpoint, None if removed else now + LOOK_AGAIN_AFTER)
    return requested
