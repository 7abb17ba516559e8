"""Privacy audits as the portal asks for them: every so many hours for each live endpoint, and when
somebody wants one.

It decides who may ask and when the next one is due. What is asked of AWS, and what follows, is
decided in checks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from checks.models import PrivacyAudit
from checks.privacy.actions import request_audit
from portal.endpoints.actions import check_refusal
from portal.people.models import Person
from portal.requests.lifecycle import Denied
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint

BY_SCHEDULE = "the schedule"
FIRST_AFTER = timedelta(minutes=10)
"""A new endpoint has just been judged by its preflight; the first audit waits until it has settled.
"""
AT_ONCE = 100


def audit_now(person: Person, endpoint: Endpoint, *, now: datetime) -> PrivacyAudit | Denied:
    """Audit now; the one under way is given if there is one. For those who may test the
    endpoint.
    """
    refusal = check_refusal(person, endpoint)
    if refusal:
        return refusal
    told = _with_stream(Endpoint.objects.filter(pk=endpoint.pk)).get()
    return request_audit(endpoint, by=str(person), stream=told.stream or "", now=now)


def request_due_audits(now: datetime) -> int:
    """Ask for the audit of every live endpoint whose last one is too old; how many were asked
    for.
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
    due = list(_with_stream(live.filter(~Exists(recent)))[:AT_ONCE])
    for endpoint in due:
        request_audit(endpoint, by=BY_SCHEDULE, stream=endpoint.stream or "", now=now)
    return len(due)


def _with_stream(endpoints: QuerySet[Endpoint]) -> Any:
    """Each with the `stream` of its newest request: there it is told what happens to it."""
    newest = (
        EndpointRequest.objects.filter(endpoint=OuterRef("pk"))
        .order_by("-created_at")
        .values("stream")[:1]
    )
    return endpoints.annotate(stream=Subquery(newest))
