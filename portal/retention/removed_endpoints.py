"""Deletes the event logs and run journals of endpoints that were removed long ago.

The last event of each log stays: it says how it ended, and the next one would continue its
numbers. Requests, approvals and runs stay, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import F, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from portal.requests.models import EndpointRequest
from portal.retention.kinds import ROWS_AT_ONCE, Batch, utc_day, walk_endpoints
from portal.retention.models import RetentionTask
from provisioning.models import Endpoint, Event, EventStream, JournalEntry, Run

ROUND = "round"


@dataclass(frozen=True)
class RemovedEndpoints:
    """Endpoints that were removed more than `days` ago; once a day each is looked at."""

    days: int
    name: str = "removed_endpoints"

    def delete_batch(self, task: RetentionTask, now: datetime) -> Batch:
        """Delete of the next endpoints of today's round."""
        today = utc_day(now)
        if task.done.get(ROUND) == today.isoformat():
            return Batch()
        made, _ = walk_endpoints(task, lambda keys: self._long_gone(keys, now), _delete_logs)
        if not made.more:
            task.done, task.after = {ROUND: today.isoformat()}, None
        return made

    def days_behind(self, task: RetentionTask, now: datetime) -> int:
        """For how many days no round was finished."""
        last = task.done.get(ROUND)
        return max(0, (utc_day(now) - date.fromisoformat(last)).days) if last else 0

    def preview(self, task: RetentionTask, now: datetime) -> Batch:
        """How many events and entries."""
        absent = Endpoint.objects.filter(state=Endpoint.State.ABSENT).values_list("pk", flat=True)
        number = 0
        for endpoint in self._long_gone(list(absent), now):
            logs = _logs(endpoint)
            number += sum(events.count() for events in logs) + _journals(endpoint).count()
        return Batch(number)

    def _long_gone(self, endpoints: list[UUID], now: datetime) -> set[UUID]:
        last_change = (
            EndpointRequest.objects.filter(endpoint=OuterRef("pk"))
            .order_by()
            .values("endpoint")
            .annotate(at=Max("updated_at"))
            .values("at")
        )
        absent = Endpoint.objects.filter(pk__in=endpoints, state=Endpoint.State.ABSENT)
        ended = absent.annotate(ended_at=Coalesce(Subquery(last_change), F("created_at")))
        gone = ended.filter(ended_at__lt=now - timedelta(days=self.days))
        return set(gone.values_list("pk", flat=True))


def _delete_logs(endpoint: UUID) -> Batch:
    """Delete up to ROWS_AT_ONCE of its events and journal entries."""
    deleted = 0
    for rows in (*_logs(endpoint), _journals(endpoint)):
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[: ROWS_AT_ONCE - deleted])
        if keys:
            rows.model._default_manager.filter(pk__in=keys).delete()
        deleted += len(keys)
        if deleted == ROWS_AT_ONCE:
            return Batch(deleted, more=True)
    return Batch(deleted)


def _logs(endpoint: UUID) -> list[QuerySet[Event]]:
    """The events of each of its logs but the last one; none of a log that is still followed."""
    names = set(EndpointRequest.objects.filter(endpoint=endpoint).values_list("stream", flat=True))
    names |= set(Endpoint.objects.filter(pk=endpoint).values_list("event_stream", flat=True))
    streams = EventStream.objects.filter(name__in=names, followed=False).order_by("name")
    return [Event.objects.filter(stream=one, seq__lt=one.last_seq) for one in streams]


def _journals(endpoint: UUID) -> QuerySet[JournalEntry]:
    over = (Run.State.DONE, Run.State.UNDONE)
    return JournalEntry.objects.filter(run__endpoint=endpoint, run__state__in=over)
