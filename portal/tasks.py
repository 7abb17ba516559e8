"""Celery tasks of the portal, and the tick that finds what is due."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from celery import shared_task
from django.utils import timezone

from portal import follow, privacy
from portal.models import EndpointRequest
from provisioning.mentions import Mentions

BATCH = 100
_mentions = Mentions()


@shared_task
def work_out_plan(request_id: str) -> None:
    """Work out the plan of one request."""
    follow.work_out_plan(request_id, now=timezone.now())


@shared_task
def follow_request(request_id: str) -> None:
    """Follow the events of one request."""
    follow.follow(request_id, now=timezone.now())


def tick(now: datetime) -> None:
    """Tell the workers of every request to plan and every request with news; of the same thing not
    every second. Ask for the privacy audits whose turn it is.
    """
    planning = EndpointRequest.objects.to_plan(now).order_by("due_at").values_list("pk", "due_at")
    for request_id, _ in _mentions.due(planning[:BATCH], now):
        work_out_plan.delay(str(request_id))
    told: Any = EndpointRequest.objects.with_news(
        now
    )  # the type checker does not know what it annotates
    for request_id, _ in _mentions.due(told.values_list("pk", "newest")[:BATCH], now):
        follow_request.delay(str(request_id))
    privacy.request_due_audits(now)
