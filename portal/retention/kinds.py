"""What each kind of row that is deleted has in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from uuid import UUID

from portal.retention.models import RetentionTask
from provisioning.models import Endpoint

ROWS_AT_ONCE = 500
ENDPOINTS_AT_ONCE = 100
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Batch:
    """What was deleted, or would be: rows, and transcripts alone (`emptied`). `more`: the next
    batch may find something at once.
    """

    deleted: int = 0
    emptied: int = 0
    more: bool = False

    @property
    def rows(self) -> int:
        """How many rows were written."""
        return self.deleted + self.emptied

    def __add__(self, other: Batch) -> Batch:
        return Batch(self.deleted + other.deleted, self.emptied + other.emptied, other.more)


class Kind(Protocol):
    """One kind of row."""

    @property
    def name(self) -> str:
        """What its task, its metrics and its line of the command are called."""

    def delete_batch(self, task: RetentionTask, now: datetime) -> Batch:
        """Delete about ROWS_AT_ONCE rows, and note in `task` how far that came."""

    def days_behind(self, task: RetentionTask, now: datetime) -> int:
        """For how many days there is something to delete that was not."""

    def preview(self, task: RetentionTask, now: datetime) -> Batch:
        """What would be deleted now."""


def utc_day(now: datetime) -> date:
    """The UTC day of a time."""
    return now.astimezone(UTC).date()


def walk_endpoints(
    task: RetentionTask, wanted: Callable[[list[UUID]], set[UUID]], work: Callable[[UUID], Batch]
) -> tuple[Batch, int]:
    """Work on the next endpoints, in the order of their IDs; returns how many were looked at.

    1. Look at ENDPOINTS_AT_ONCE, however many of them are `wanted`.
    2. Stop after ROWS_AT_ONCE rows, or where `work` says that an endpoint has more.
    3. Note in `task.after` how far it came. `more`: there are others.
    """
    endpoints = Endpoint.objects.order_by("pk")
    if task.after is not None:
        endpoints = endpoints.filter(pk__gt=task.after)
    keys = list(endpoints.values_list("pk", flat=True)[:ENDPOINTS_AT_ONCE])
    found, total = wanted(keys), Batch()
    for number, pk in enumerate(keys, 1):
        if pk in found:
            total += work(pk)
            if total.more:
                return total, number
        task.after = pk
        if total.rows >= ROWS_AT_ONCE:
            return replace(total, more=True), number
    return replace(total, more=len(keys) == ENDPOINTS_AT_ONCE), len(keys)
