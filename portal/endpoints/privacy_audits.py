"""Requests privacy audits: on a schedule for each live endpoint, and on demand.

Who may request one and when the next is due is decided here; what an audit asks and concludes, in
`checks.privacy`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from checks.models import PrivacyAudit, PrivacyException
from checks.privacy.actions import request_audit
from portal.endpoints.actions import check_refusal
from portal.people.models import Person
from portal.requests.lifecycle import Denied
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint

BY_SCHEDULE = "the schedule"
FIRST_AFTER = timedelta(minutes=10)
"""The preflight has just judged a new endpoint; the first audit waits until it has settled."""
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
    told = _with_stream(Endpoint.objects.filter(pk=endpoint.pk)).get()
    return request_audit(endpoint, by=by, stream=told.stream or "", now=now)


def request_due_audits(now: datetime) -> int:
    """Request an audit of every live endpoint whose last one is too old, or older than the end of
    an accepted exception; return how many.
    """
    if not settings.PRIVACY_AUDIT_HOURS:
        return 0
    recent = PrivacyAudit.objects.filter(endpoint=OuterRef("pk")).filter(
        Q(finished_at__isnull=True)
        | Q(requested_at__gt=now - timedelta(hours=settings.PRIVACY_AUDIT_HOURS))
    )
    live = Endpoint.objects.filter(
        state=Endpoint.State.DEPLOYED, deployed_at__lte=now - FIRST_AFTER
    )
    ended = PrivacyException.objects.filter(
        endpoint=OuterRef("pk"), withdrawn_at__isnull=True, until__lte=now
    )
    since = PrivacyAudit.objects.filter(
        Q(finished_at__isnull=True) | Q(requested_at__gte=OuterRef("until")),
        endpoint=OuterRef("endpoint"),
    )
    due = list(
        _with_stream(live.filter(~Exists(recent) | Exists(ended.filter(~Exists(since)))))[:AT_ONCE]
    )
    for endpoint in due:
        request_audit(endpoint, by=BY_SCHEDULE, stream=endpoint.stream or "", now=now)
    return len(due)


def _with_stream(endpoints: QuerySet[Endpoint]) -> Any:
    """Each with the `stream` of its newest request, which its events go to."""
    newest = (
        EndpointRequest.objects.filter(endpoint=OuterRef("pk"))
        .order_by("-created_at")
        .values("stream")[:1]
    )
    return endpoints.annotate(stream=Subquery(newest))
