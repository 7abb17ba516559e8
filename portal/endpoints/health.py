"""The health of endpoints as pages and API show it: the stored one, unless it is out of date.

Read with the endpoints in one query, whatever their number.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from checks.health import Health
from provisioning.models import Endpoint

INTERVALS_MISSED = 4
SHORTEST_PATIENCE = timedelta(hours=1)
WITHOUT_SCHEDULE = timedelta(hours=24)


def patience() -> timedelta:
    """How long the last check counts."""
    if not settings.CHECK_EVERY_MINUTES:
        return WITHOUT_SCHEDULE
    return max(
        SHORTEST_PATIENCE, INTERVALS_MISSED * timedelta(minutes=settings.CHECK_EVERY_MINUTES)
    )


def has_health(health: str) -> Q:
    """Which endpoints have the `health_status` that `with_health` gives them. In plain columns:
    PostgreSQL cannot tell how many rows a CASE leaves, nor find them by an index.
    """
    if health == Health.UNKNOWN:
        return Q(health_status=health)
    looked_at = "verified_at" if health == Health.LIVE else "checked_at"
    counts = {f"health__{looked_at}__gt": timezone.now() - patience()}
    return Q(state=Endpoint.State.DEPLOYED, health__health=health, **counts)


def with_health(endpoints: QuerySet[Endpoint], now: datetime) -> QuerySet[Any]:
    """Each endpoint with `health_status` and `health_since`, beside the columns of its health.

    Not known: where it is not deployed, where no check has finished, where the last one is too
    long ago, and where it is live but its distribution has not been read for as long.
    """
    looked_at = Case(
        When(health__health=Health.LIVE, then=F("health__verified_at")),
        default=F("health__checked_at"),
    )
    counts = Q(state=Endpoint.State.DEPLOYED, looked_at__gt=now - patience())
    out_of_date = Q(state=Endpoint.State.DEPLOYED, looked_at__isnull=False)
    return endpoints.annotate(looked_at=looked_at).annotate(
        health_status=Case(
            When(counts, then=Coalesce(F("health__health"), Value(Health.UNKNOWN.value))),
            default=Value(Health.UNKNOWN.value),
        ),
        health_since=Case(
            When(counts, then=F("health__since")),
            When(out_of_date, then=F("looked_at")),
            default=None,
        ),
    )
