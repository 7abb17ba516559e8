"""Which due work to dispatch to the workers, and when to dispatch it again.

A tick finds the same due work every second until a worker claims it. If workers are behind, more
messages would only queue up, so this remembers in one ticker what was dispatched and when. Work
that becomes due again must not be held back: its key changes with it (a request's ID and its last
event, a check's ID and its due time).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

AGAIN_AFTER = timedelta(seconds=5)
"""A lost message costs this much time."""


class Dispatch:
    """What one ticker has dispatched recently."""

    def __init__(self) -> None:
        self._sent: dict[Hashable, datetime] = {}

    def due(self, work: Iterable[Key], now: datetime) -> list[Key]:
        """The keys to dispatch now, in order. They count as dispatched."""
        self._sent = {key: at for key, at in self._sent.items() if now - AGAIN_AFTER < at}
        fresh = [key for key in dict.fromkeys(work) if key not in self._sent]
        self._sent.update((key, now) for key in fresh)
        return fresh
