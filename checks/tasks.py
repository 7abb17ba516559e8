"""Celery tasks of checks, and the tick that finds the due ones.

A task that waits on sockets hands its work over and ends, so that checks never take a thread from
provisioning.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.utils import timezone

from checks import actions, probe_actions
from checks.executors import Loop, Threads
from checks.models import Check, PrivacyAudit, Probe
from checks.privacy import actions as privacy_actions
from provisioning.dispatch import Dispatch

CHECKS_AT_ONCE = 4
"""In one worker process. A check of an origin that answers takes milliseconds, of a dead one
minutes.
"""
BATCH = 100
PROBES_AT_ONCE = 24
"""In one worker process; each is a few sockets on one event loop."""

_dispatch = Dispatch()
_checks = Threads(CHECKS_AT_ONCE, "checks")
_probes = Loop(PROBES_AT_ONCE, "probes")


@shared_task
def make_check(check_id: str) -> None:
    """Have one check made."""
    _checks.take(check_id, lambda key: actions.make_check(key, clock=timezone.now))


@shared_task
def make_probe(probe_id: str) -> None:
    """Have one further probe made; where there is no room for it, it is mentioned again."""
    _probes.take(lambda: probe_actions.begin_probe(probe_id, clock=timezone.now))


@shared_task
def make_audit(audit_id: str) -> None:
    """Make one privacy audit."""
    privacy_actions.make_audit(audit_id, clock=timezone.now)


@worker_shutting_down.connect
def leave_to_others(**_: Any) -> None:
    """A worker that ends leaves the checks in its line and the probes under way to others."""
    _checks.stop()
    _probes.stop()


def tick(now: datetime) -> None:
    """Ask for the saved checks whose turn it is, and tell the workers of every due check, further
    probe and audit (of one not each second).
    """
    actions.request_due_checks(now)
    for rows, task in (
        (Check.objects.due(now), make_check),
        (Probe.objects.due(now), make_probe),
        (PrivacyAudit.objects.due(now), make_audit),
    ):
        due = rows.order_by("due_at").values_list("pk", "due_at")[:BATCH]
        for row_id, _ in _dispatch.due(due, now):
            task.delay(str(row_id))
