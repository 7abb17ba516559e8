"""Accepted exceptions: what an approver lets stand, with who, why and until when.

Who may accept is the portal's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import transaction

from checks.models import PrivacyException
from checks.privacy.rules import Acceptance
from provisioning.models import Endpoint


def acceptances(endpoint: Endpoint, now: datetime) -> tuple[Acceptance, ...]:
    """What counts for the endpoint now."""
    rows = PrivacyException.objects.in_force(now).filter(endpoint=endpoint)
    return tuple(
        Acceptance(
            row.exposure,
            row.accepted_by,
            row.reason,
            iso_utc(row.accepted_at),
            iso_utc(row.until),
        )
        for row in rows
    )


def iso_utc(at: datetime) -> str:
    """A moment as documents show it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def accept(
    endpoint: Endpoint,
    exposures: Iterable[str],
    *,
    by: str,
    reason: str,
    until: datetime,
    now: datetime,
    plan_digest: str = "",
) -> list[PrivacyException]:
    """Accept each of these ways past CloudFront. One that was accepted before is accepted again."""
    wanted = sorted(set(exposures))
    with transaction.atomic():
        # Simultaneous acceptances queue for this lock; the second one ends the rows of the first.
        Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        earlier = PrivacyException.objects.filter(
            endpoint=endpoint, exposure__in=wanted, withdrawn_at__isnull=True
        )
        earlier.update(withdrawn_at=now, withdrawn_by=by[:150])
        return PrivacyException.objects.bulk_create(
            PrivacyException(
                endpoint=endpoint,
                exposure=exposure,
                reason=reason,
                accepted_by=by,
                accepted_at=now,
                until=until,
                plan_digest=plan_digest,
            )
            for exposure in wanted
        )


def withdraw(exception: PrivacyException, *, by: str, now: datetime) -> bool:
    """End an exception; False if it had ended."""
    rows = PrivacyException.objects.filter(pk=exception.pk, withdrawn_at__isnull=True)
    return rows.update(withdrawn_at=now, withdrawn_by=by[:150]) == 1
