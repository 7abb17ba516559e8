"""Celery tasks of endpoint requests, and the tick that finds what is due."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import shared_task
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from portal.requests import end_dates, follower, head_starts, planning, transfers
from portal.requests.models import EndpointRequest
from provisioning.dispatch import Dispatch

BATCH = 100
_mentions = Dispatch()


@shared_task
def plan_request(request_id: str) -> None:
    """Work out the plan of one request."""
    planning.plan_request(request_id, now=timezone.now())


@shared_task
def follow_request(request_id: str) -> None:
    """Follow the events of one request."""
    follower.follow(request_id, now=timezone.now())


def tick(now: datetime) -> None:
    """Tell the workers of every request to plan and every request with news; of the same thing not
    every second. Announce the ends of endpoints; end offers without an answer, and head starts
    that are not needed.
    """
    end_dates.announce_ends(now)
    transfers.end_offers(now)
    head_starts.end_unneeded(now)
    due = EndpointRequest.objects.to_plan(now).order_by("due_at").values_list("pk", "due_at")
    _send(plan_request, [request_id for request_id, _ in _mentions.due(due[:BATCH], now)])
    news = EndpointRequest.objects.news(now)
    _send(follow_request, [request_id for request_id, _ in _mentions.due(news.items(), now)])


def _send(task: Any, request_ids: Collection[UUID]) -> None:
    """A message for each, with the id that the log lines of who asked for it have."""
    if not request_ids:
        return
    requests = EndpointRequest.objects.filter(pk__in=request_ids)
    known = dict(requests.values_list("pk", "correlation_id"))
    for request_id in request_ids:
        with bound_contextvars(correlation_id=known.get(request_id, "")):
            task.delay(str(request_id))
