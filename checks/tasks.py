"""Celery tasks of checks, and the tick that finds the due ones."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from checks import actions
from checks.models import Check
from provisioning.mentions import Mentions

_mentions = Mentions()


@shared_task
def make_check(check_id: str) -> None:
    """Make one check."""
    actions.make_check(check_id, clock=timezone.now)


def tick(now: datetime) -> None:
    """Ask for the saved checks whose turn it is, and tell the workers of every due check (of one not each second)."""
    actions.request_due_checks(now)
    due = Check.objects.due(now).order_by("due_at").values_list("pk", "due_at")
    for check_id, _ in _mentions.due(due[:100], now):
        make_check.delay(str(check_id))
