"""The Celery task that deletes what is old, and the tick that sends it."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from portal.retention import housekeeping
from provisioning.dispatch import Dispatch

SECONDS_AT_ONCE = 1.0
"""Of a worker's thread, at most every few seconds: checks and pages come first."""

_dispatch = Dispatch()


@shared_task
def delete_old_rows() -> None:
    """Delete for about a second."""
    housekeeping.delete_due(timezone.now(), seconds=SECONDS_AT_ONCE)


def tick(now: datetime) -> None:
    """Send a worker to delete what is old, if anything may be, but not every second."""
    if housekeeping.is_due(now) and _dispatch.due(["delete_old_rows"], now):
        delete_old_rows.delay()
