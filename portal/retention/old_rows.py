"""Deletes rows that are old by one column, the oldest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from django.db.models import Min, QuerySet

from portal.retention.kinds import ROWS_AT_ONCE, Batch
from portal.retention.models import RetentionTask


@dataclass(frozen=True)
class OldRows:
    """The rows of a table whose `column`, which has an index, is before what `limit` says now."""

    name: str
    rows: QuerySet[Any]
    column: str
    limit: Callable[[datetime], datetime | date]

    def delete_batch(self, task: RetentionTask, now: datetime) -> Batch:
        """Delete the oldest."""
        oldest = self._old(now).order_by(self.column).values_list("pk", flat=True)
        keys = list(oldest[:ROWS_AT_ONCE])
        if keys:
            self.rows.model._default_manager.filter(pk__in=keys).delete()
        return Batch(len(keys), more=len(keys) == ROWS_AT_ONCE)

    def days_behind(self, task: RetentionTask, now: datetime) -> int:
        """For how long the oldest row is to be deleted."""
        oldest = self._old(now).aggregate(at=Min(self.column))["at"]
        return 0 if oldest is None else (_as_time(self.limit(now)) - _as_time(oldest)).days

    def preview(self, task: RetentionTask, now: datetime) -> Batch:
        """How many rows."""
        return Batch(self._old(now).count())

    def _old(self, now: datetime) -> QuerySet[Any]:
        return self.rows.filter(**{f"{self.column}__lt": self.limit(now)})


def _as_time(at: datetime | date) -> datetime:
    return at if isinstance(at, datetime) else datetime.combine(at, time(), UTC)
