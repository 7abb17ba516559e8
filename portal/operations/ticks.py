"""Records when each package's tick last ran: how every process knows that the ticker is up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from portal.operations.models import TickRecord

RECORD_EVERY = timedelta(seconds=5)


class TickLog:
    """What one ticker has recorded; a success at most every five seconds, a change at once."""

    def __init__(self, names: Iterable[str]) -> None:
        TickRecord.objects.exclude(name__in=names).delete()
        self._recorded: dict[str, tuple[datetime, str]] = {}

    def record(self, name: str, now: datetime, error: str = "") -> None:
        """The tick of a package ran at `now`; `error` says why it failed."""
        before = self._recorded.get(name)
        if before and before[1] == error and now - before[0] < RECORD_EVERY:
            return
        row, made = TickRecord.objects.get_or_create(name=name, defaults={"at": now})
        failing_since = (row.failing_since or now) if error else None
        if not made or error:
            TickRecord.objects.filter(pk=name).update(
                at=now, error=error[:120], failing_since=failing_since
            )
        self._recorded[name] = (now, error)
