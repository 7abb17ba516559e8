"""Celery tasks of checks, on the queue `checks`, and the tick that sends them."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.utils import timezone

from checks import actions, probe_actions
from checks.models import Check, PrivacyAudit, Probe
from checks.privacy import actions as privacy_actions
from checks.probe import interruptible
from checks.stored_secrets.actions import delete_expired_options
from provisioning.dispatch import Dispatch

BATCH = 100
PROBES_AT_ONCE = 24
"""Per worker process. Probes can hold a thread for minutes; its other threads are for checks."""

_dispatch = Dispatch()
_room_for_probes = threading.BoundedSemaphore(PROBES_AT_ONCE)


@shared_task
def make_check(check_id: str) -> None:
    """Make one check."""
    actions.make_check(check_id, clock=timezone.now)


@shared_task
def make_probe(probe_id: str) -> None:
    """Make one further probe. While too many are under way it stays due, and is sent again."""
    if _room_for_probes.acquire(blocking=False):
        try:
            probe_actions.make_probe(probe_id, clock=timezone.now)
        finally:
            _room_for_probes.release()


@shared_task
def make_audit(audit_id: str) -> None:
    """Make one privacy audit."""
    privacy_actions.make_audit(audit_id, clock=timezone.now)


@worker_shutting_down.connect
def release_probes(**_: Any) -> None:
    """Interrupt what waits on sockets: it is released, and another worker makes it."""
    interruptible.probes.interrupt()


def tick(now: datetime) -> None:
    """Request the saved checks that are due, and send every due check, probe and audit to the
    workers (the same one not every second).
    """
    actions.request_due_checks(now)
    delete_expired_options(now)
    for rows, task in (
        (Check.objects.due(now), make_check),
        (Probe.objects.due(now), make_probe),
        (PrivacyAudit.objects.due(now), make_audit),
    ):
        due = rows.order_by("due_at").values_list("pk", "due_at")[:BATCH]
        for row_id, _ in _dispatch.due(due, now):
            task.delay(str(row_id))
