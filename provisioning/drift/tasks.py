"""Celery task of drift reports, and the tick that requests and sends them.

On the queue of checks: a report takes many calls to AWS, and provisioning must not wait for it.
"""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from provisioning.dispatch import Dispatch
from provisioning.drift import reports

_dispatch = Dispatch()


@shared_task
def make_drift_report(report_id: int) -> None:
    """Make one report."""
    reports.make_report(report_id, clock=timezone.now)


def tick(now: datetime) -> None:
    """Request the reports that are due, and send every due one to the workers."""
    reports.request_due_reports(now)
    for report_id, _ in _dispatch.due(reports.due_reports(now), now):
        make_drift_report.delay(report_id)
