"""Celery tasks of checks, and the tick that finds the due ones."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from checks import actions, privacy_actions, probing
from checks.models import Check, PrivacyAudit, Probe
from provisioning.mentions import Mentions

_mentions = Mentions()


@shared_task
def make_check(check_id: str) -> None:
    """Make one check."""
    actions.make_check(check_id, clock=timezone.now)


@shared_task
def make_probe(probe_id: str) -> None:
    """Make one further probe."""
    probing.make_probe(probe_id, clock=timezone.now)


@shared_task
def make_audit(audit_id: str) -> None:
    """Make one privacy audit."""
    privacy_actions.make_audit(audit_id, clock=timezone.now)


def tick(now: datetime) -> None:
    """Ask for the saved checks whose turn it is, and tell the workers of every due check, further probe and audit (of
    one not each second).
    """
    actions.request_due_checks(now)
    due = Check.objects.due(now).order_by("due_at").values_list("pk", "due_at")
    for check_id, _ in _mentions.due(due[:100], now):
        make_check.delay(str(check_id))
    probes = Probe.objects.due(now).order_by("asked_at").values_list("pk", "asked_at")
    for probe_id, _ in _mentions.due(probes[:100], now):
        make_probe.delay(str(probe_id))
    audits = PrivacyAudit.objects.due(now).order_by("due_at").values_list("pk", "due_at")
    for audit_id, _ in _mentions.due(audits[:100], now):
        make_audit.delay(str(audit_id))
