"""Celery tasks of checks, and the tick that finds the due ones."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from checks import actions
from checks.models import Check


@shared_task
def make_check(check_id: str) -> None:
    """Make one check."""
    actions.make_check(check_id, clock=timezone.now)


def tick(now: datetime) -> None:
    """Ask for the saved checks whose turn it is, and tell the workers of every due check."""
    actions.request_due_checks(now)
    for check_id in Check.objects.due(now).order_by("due_at").values_list("pk", flat=True)[:100]:
        make_check.delay(str(check_id))
