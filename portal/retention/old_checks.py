"""Deletes old checks as the policy says, a day of an endpoint at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from checks.models import Check, Probe
from portal.endpoints.uptime import Sample
from portal.endpoints.usual_samples import first_day_counted, keep_samples
from portal.retention.kinds import (
    ENDPOINTS_AT_ONCE,
    ONE_DAY,
    ROWS_AT_ONCE,
    Batch,
    utc_day,
    walk_endpoints,
)
from portal.retention.models import RetentionTask
from portal.retention.policy import CheckRow, Fate, Policy, fates
from provisioning.models import Endpoint


@dataclass(frozen=True)
class OldChecks:
    """Checks that have outlived a period of the policy. Each day is looked at when a period has
    passed, the oldest day first, and then for all periods that have passed.
    """

    policy: Policy
    name: str = "checks"

    def delete_batch(self, task: RetentionTask, now: datetime) -> Batch:
        """Delete of the next endpoints of the next days."""
        total, looked_at = Batch(), 0
        while looked_at < ENDPOINTS_AT_ONCE and total.rows < ROWS_AT_ONCE:
            day = task.day or self._begin_day(task, now)
            if day is None:
                return replace(total, more=False)
            made, number = self._walk(task, day, now)
            total, looked_at = total + made, looked_at + number
            if not made.more:
                self._end_day(task, day, now)
        return replace(total, more=True)

    def days_behind(self, task: RetentionTask, now: datetime) -> int:
        """For how many days the slowest period has to be applied."""
        pending = self._pending(task, now).values()
        return max(((last - first).days + 1 for first, last in pending), default=0)

    def preview(self, task: RetentionTask, now: datetime) -> Batch:
        """What would be deleted."""
        days = {
            first + number * ONE_DAY
            for first, last in self._pending(task, now).values()
            for number in range((last - first).days + 1)
        }
        endpoints = list(Endpoint.objects.values_list("pk", flat=True))
        total = Batch()
        for day in sorted(days):
            for endpoint in with_checks(endpoints, day):
                total += _counted(_fates(endpoint, day, self.policy, now))
        return total

    def _walk(self, task: RetentionTask, day: date, now: datetime) -> tuple[Batch, int]:
        return walk_endpoints(
            task,
            lambda endpoints: with_checks(endpoints, day),
            lambda endpoint: delete_of_day(endpoint, day, self.policy, now),
        )

    def _begin_day(self, task: RetentionTask, now: datetime) -> date | None:
        pending = self._pending(task, now)
        day = min((first for first, _ in pending.values()), default=None)
        task.day = day
        task.periods = [name for name, (first, _) in pending.items() if first == day]
        return day

    def _end_day(self, task: RetentionTask, day: date, now: datetime) -> None:
        # Not for a period that has passed, or was shortened, since the day began.
        pending = self._pending(task, now)
        ended = {name: day.isoformat() for name in task.periods if name in pending}
        task.done, task.day, task.periods, task.after = task.done | ended, None, [], None

    def _pending(self, task: RetentionTask, now: datetime) -> dict[str, tuple[date, date]]:
        """By period, the first and the last day that it is to be applied to."""
        found, first_of_all = {}, _first_day()
        for name, days in self.policy.periods.items():
            last = utc_day(now) - (days + 1) * ONE_DAY
            done = task.done.get(name)
            first = date.fromisoformat(done) + ONE_DAY if done else first_of_all
            if first is not None and first <= last:
                found[name] = (first, last)
        return found


def _first_day() -> date | None:
    """No check is older than the oldest endpoint. None while there is no endpoint."""
    oldest = Endpoint.objects.order_by("created_at", "pk").values_list("created_at", flat=True)
    first = oldest.first()
    return first.astimezone(UTC).date() if first else None


def with_checks(endpoints: list[UUID], day: date) -> set[UUID]:
    """Which of the endpoints have finished checks of that day."""
    made = _of_day(day).filter(endpoint=OuterRef("pk"))
    return set(Endpoint.objects.filter(Exists(made), pk__in=endpoints).values_list("pk", flat=True))


def delete_of_day(endpoint: UUID, day: date, policy: Policy, now: datetime) -> Batch:
    """Delete checks and transcripts of one endpoint and day, and keep what uptime counts of them.
    Needs a transaction.
    """
    found = _fates(endpoint, day, policy, now)
    emptied = [pk for pk, fate in found.items() if fate is Fate.DROP_TRANSCRIPT]
    deleted = Check.objects.filter(pk__in=[pk for pk, fate in found.items() if fate is Fate.DELETE])
    if emptied:
        Check.objects.filter(pk__in=emptied).update(transcript_data=None, probes=[])
    counted = _counted(found)
    if counted.deleted:
        if day >= first_day_counted(now):
            usual = deleted.filter(options={}).order_by("requested_at")
            values = usual.values_list("requested_at", "ok", "connect_ms", "verdict")
            keep_samples(
                endpoint, day, [Sample(at, bool(ok), ms, code) for at, ok, ms, code in values]
            )
        # Not `delete`, which would read every column of what it deletes. Nothing refers to these.
        deleted._raw_delete(deleted.db)
    return counted


def _counted(found: dict[UUID, Fate]) -> Batch:
    number = Counter(found.values())
    return Batch(number[Fate.DELETE], number[Fate.DROP_TRANSCRIPT])


def _fates(endpoint: UUID, day: date, policy: Policy, now: datetime) -> dict[UUID, Fate]:
    made = _of_day(day).filter(endpoint=endpoint)
    values: Iterable[Any] = made.annotate(
        has_transcript=Q(transcript_data__isnull=False),
        weighed=Exists(Probe.objects.filter(of_check=OuterRef("pk"))),
    ).values_list(
        "pk",
        "requested_at",
        "saved",
        "options",
        "ok",
        "verdict",
        "has_transcript",
        "kept",
        "weighed",
    )
    rows, questions = [], dict[str, Q]()
    for pk, at, saved, options, ok, verdict, has_transcript, kept, weighed in values:
        question = json.dumps([saved, None if saved else options], sort_keys=True)
        same = Q(endpoint=endpoint, saved=saved)
        questions[question] = same if saved else same & Q(options=options)
        rows.append(CheckRow(pk, at, question, bool(ok), verdict, has_transcript, kept or weighed))
    start, end = _bounds(day)
    before, with_newer = dict[str, str](), set[str]()
    for question, same in questions.items():
        asked = Check.objects.finished().filter(same)
        earlier = asked.filter(requested_at__lt=start).order_by("-requested_at")
        verdict = earlier.values_list("verdict", flat=True).first()
        if verdict is not None:
            before[question] = verdict
        if asked.filter(requested_at__gte=end).exists():
            with_newer.add(question)
    return fates(rows, policy, today=utc_day(now), before=before, with_newer=with_newer)


def _of_day(day: date) -> QuerySet[Check]:
    start, end = _bounds(day)
    found: QuerySet[Check] = Check.objects.finished().filter(
        requested_at__gte=start, requested_at__lt=end
    )
    return found


def _bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(), UTC)
    return start, start + ONE_DAY
