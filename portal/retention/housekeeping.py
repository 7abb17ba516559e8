"""Deletes what is old: all kinds in turn, in small batches.

A batch is one transaction that also records how far it came, so that a worker can end at any time,
and the next one goes on. It locks the record of its kind, which no page waits for, and skips a kind
that another worker is at.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, transaction

from checks.models import DeletedChecks, Probe
from portal.endpoints.usual_samples import first_day_counted
from portal.requests.idempotency import KEPT
from portal.requests.models import IdempotencyKey
from portal.retention.kinds import Batch, Kind
from portal.retention.models import RetentionTask
from portal.retention.old_checks import OldChecks
from portal.retention.old_rows import OldRows
from portal.retention.policy import Policy
from portal.retention.removed_endpoints import RemovedEndpoints

LOOK_EVERY = timedelta(hours=1)
"""How often each kind is looked at while there is nothing to delete."""
LONGEST_WAIT_FOR_LOCK = "2s"


def policy() -> Policy:
    """The operator's."""
    return Policy(
        transcripts=settings.RETAIN_TRANSCRIPTS_DAYS,
        checks=settings.RETAIN_CHECKS_DAYS,
        hourly=settings.RETAIN_HOURLY_CHECKS_DAYS,
        daily=settings.RETAIN_DAILY_CHECKS_DAYS,
        failures=settings.RETAIN_FAILURES_DAYS,
        changes=settings.RETAIN_CHANGES_DAYS,
    )


def kinds() -> list[Kind]:
    """Every kind of row that the settings do not keep for ever."""
    found: list[Kind] = [OldChecks(policy())]
    if settings.RETAIN_PROBES_DAYS:
        kept = timedelta(days=settings.RETAIN_PROBES_DAYS)
        probes = Probe.objects.finished()
        found.append(OldRows("probes", probes, "requested_at", lambda now: now - kept))
    if settings.RETAIN_REMOVED_DAYS:
        found.append(RemovedEndpoints(settings.RETAIN_REMOVED_DAYS))
    return [
        *found,
        OldRows("uptime", DeletedChecks.objects.all(), "day", first_day_counted),
        OldRows(
            "idempotency_keys", IdempotencyKey.objects.all(), "created_at", lambda now: now - KEPT
        ),
        OldRows("sessions", Session.objects.all(), "expire_date", lambda now: now),
    ]


def is_due(now: datetime) -> bool:
    """Whether there is, or may be, something to delete."""
    waiting = dict(RetentionTask.objects.values_list("name", "next_at"))
    return any(waiting.get(kind.name, now) <= now for kind in kinds())


def look_now(now: datetime) -> None:
    """Look at every kind now, rather than within the hour."""
    RetentionTask.objects.filter(next_at__gt=now).update(next_at=now)


def delete_due(now: datetime, *, seconds: float) -> dict[str, Batch]:
    """Delete for about so many seconds, at least one batch of each kind that is due. Returns what
    was deleted, by kind.
    """
    end, total = time.monotonic() + seconds, dict[str, Batch]()
    due = kinds()
    while due:
        again = []
        for kind in due:
            made = delete_batch(kind, now)
            if made is not None:
                total[kind.name] = total.get(kind.name, Batch()) + made
                if made.more:
                    again.append(kind)
        due = again if time.monotonic() < end else []
    return total


def delete_batch(kind: Kind, now: datetime) -> Batch | None:
    """One batch; None if the kind is not due, or another worker is at it."""
    if not RetentionTask.objects.filter(pk=kind.name).exists():
        # Only then: an INSERT would wait for a worker that changes the record.
        RetentionTask.objects.bulk_create(
            [RetentionTask(name=kind.name, next_at=now)], ignore_conflicts=True
        )
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LONGEST_WAIT_FOR_LOCK}'")
        tasks = RetentionTask.objects.select_for_update(skip_locked=True)
        task = tasks.filter(pk=kind.name, next_at__lte=now).first()
        if task is None:
            return None
        made = kind.delete_batch(task, now)
        task.next_at = now if made.more else now + LOOK_EVERY
        if made.deleted or made.emptied:
            task.deleted += made.deleted
            task.emptied += made.emptied
            task.last_at, task.last_deleted, task.last_emptied = now, made.deleted, made.emptied
        task.save()
    return made


def preview(now: datetime) -> dict[str, Batch]:
    """What would be deleted now, by kind. Deletes nothing, and reads all of it."""
    return {kind.name: kind.preview(task, now) for kind, task in recorded(kinds(), now)}


def days_behind(now: datetime) -> dict[str, int]:
    """By kind, for how many days there is something to delete that was not."""
    return {kind.name: kind.days_behind(task, now) for kind, task in recorded(kinds(), now)}


def recorded(chosen: Sequence[Kind], now: datetime) -> Iterator[tuple[Kind, RetentionTask]]:
    """Each kind with its record, which is empty before the first batch."""
    known = RetentionTask.objects.in_bulk([kind.name for kind in chosen])
    for kind in chosen:
        yield kind, known.get(kind.name) or RetentionTask(name=kind.name, next_at=now)
