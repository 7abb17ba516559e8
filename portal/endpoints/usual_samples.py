"""The usual checks of an endpoint as uptime counts them, whether their rows are kept or not.

Each check is counted once: as its row or, from the transaction that deletes the row, in
`DeletedChecks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from checks.models import Check, DeletedChecks
from portal.endpoints.uptime import SPANS, Sample
from provisioning.models import Endpoint

LONGEST = max(span.length for span in SPANS)
MICROSECOND = timedelta(microseconds=1)


def usual_samples(endpoint: Endpoint, since: datetime, *, most: int) -> list[Sample]:
    """The newest `most` since then, newest first."""
    usual = Check.objects.finished().filter(endpoint=endpoint, options={}, requested_at__gt=since)
    rows = usual.order_by("-requested_at").values_list(
        "requested_at", "ok", "connect_ms", "verdict"
    )[:most]
    samples = {at: Sample(at, bool(ok), ms, verdict) for at, ok, ms, verdict in rows}
    # After the rows: one that is deleted between the two queries is found in both, not in none.
    deleted = DeletedChecks.objects.filter(endpoint=endpoint, day__gte=since.astimezone(UTC).date())
    for day, stored in deleted.values_list("day", "samples"):
        for sample in _read(day, stored):
            if sample.at > since:
                samples.setdefault(sample.at, sample)
    return sorted(samples.values(), key=lambda one: one.at, reverse=True)[:most]


def first_day_counted(now: datetime) -> date:
    """The earliest UTC day that any figure looks at."""
    return (now - LONGEST).astimezone(UTC).date()


def keep_samples(endpoint_id: UUID, day: date, samples: Iterable[Sample]) -> None:
    """Keep what uptime counts of checks of one UTC day, in the transaction that deletes them."""
    start = datetime.combine(day, time(), UTC)
    row, _ = DeletedChecks.objects.select_for_update().get_or_create(
        endpoint_id=endpoint_id, day=day
    )
    added = [
        [(one.at - start) // MICROSECOND, one.ok, one.connect_ms, one.verdict] for one in samples
    ]
    row.samples = sorted([*row.samples, *added], key=lambda stored: int(stored[0]))
    row.save(update_fields=["samples"])


def _read(day: date, stored: Iterable[Any]) -> Iterable[Sample]:
    start = datetime.combine(day, time(), UTC)
    for microseconds, ok, connect_ms, verdict in stored:
        yield Sample(start + microseconds * MICROSECOND, ok, connect_ms, verdict)
