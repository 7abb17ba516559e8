"""Reads the facts that readiness is judged by."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Min, QuerySet

from checks.models import Check
from portal.operations.models import TickRecord
from portal.operations.readiness import Facts
from portal.requests.models import EndpointRequest
from portal.retention import housekeeping
from provisioning.models import AwsAccount, Run

REDIS_TIMEOUT_SECONDS = 1.0


def observe(now: datetime) -> Facts:
    """The facts at `now`. A store that does not answer is a fact, not an error."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        known = _from_database(now)
    except DatabaseError as error:
        connection.close()
        known = Facts(database_error=_in_words("PostgreSQL", error))
    return Facts(**{**vars(known), "redis_error": _redis_error()})


def longest_due(now: datetime) -> dict[str, float]:
    """For how many seconds the oldest due work of each kind has waited; 0 where none is due."""
    waiting: dict[str, QuerySet[Any]] = {
        "run": Run.objects.due(now),
        "plan": EndpointRequest.objects.to_plan(now),
        "check": Check.objects.filter(finished_at=None, due_at__lte=now),
    }
    oldest = {kind: rows.aggregate(at=Min("due_at"))["at"] for kind, rows in waiting.items()}
    return {kind: (now - at).total_seconds() if at else 0.0 for kind, at in oldest.items()}


def _from_database(now: datetime) -> Facts:
    ticks = list(TickRecord.objects.all())
    sweeps = AwsAccount.objects.due_for_sweep(now).aggregate(at=Min("next_sweep_at"))["at"]
    return Facts(
        tick_ages={one.name: _seconds(now - one.at) for one in ticks},
        failing_ticks={one.name: one.error for one in ticks if one.failing_since},
        longest_due_seconds=max(longest_due(now).values()),
        sweep_late_seconds=_seconds(now - sweeps) if sweeps else 0.0,
        retention_days_behind=housekeeping.days_behind(now),
    )


def _seconds(lasted: timedelta) -> float:
    return max(0.0, lasted.total_seconds())


def _redis_error() -> str:
    timeout = REDIS_TIMEOUT_SECONDS
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=timeout, socket_timeout=timeout
    )
    try:
        client.ping()
    except redis.RedisError as error:
        return _in_words("Redis", error)
    finally:
        client.close()
    return ""


def _in_words(store: str, error: Exception) -> str:
    return f"{store} does not answer ({type(error).__name__})."
