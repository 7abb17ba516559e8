"""Celery tasks of the portal, and the tick that finds what is due."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from portal import follow
from portal.models import EndpointRequest

BATCH = 100


@shared_task
def work_out_plan(request_id: str) -> None:
    """Work out the plan of one request."""
    follow.work_out_plan(request_id, now=timezone.now())


@shared_task
def follow_request(request_id: str) -> None:
    """Follow the events of one request."""
    follow.follow(request_id, now=timezone.now())


def tick(now: datetime) -> None:
    """Tell the workers of every request to plan and every request with news."""
    for request_id in EndpointRequest.objects.to_plan(now).values_list("pk", flat=True)[:BATCH]:
        work_out_plan.delay(str(request_id))
    for request_id in EndpointRequest.objects.with_news().values_list("pk", flat=True)[:BATCH]:
        follow_request.delay(str(request_id))
