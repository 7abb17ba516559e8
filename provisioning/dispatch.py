"""Whether a worker is to be told of a piece of work again (PURE).

A tick finds the same due work every second until somebody takes it. Where workers are behind, more
words would only queue up. This remembers, in one ticker, what was said and when; it must never keep
back work that is due anew, so the key of a piece of work changes with it (a request's id and its
last event, a check's id and its due time).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

AGAIN_AFTER = timedelta(seconds=5)
"""A word may be lost; this is what that costs."""


class Dispatch:
    """What one ticker has said lately."""

    def __init__(self) -> None:
        self._said: dict[Hashable, datetime] = {}

    def due(self, work: Iterable[Key], now: datetime) -> list[Key]:
        """Which of these (keys, in order) are to be mentioned now; they count as mentioned."""
        self._said = {key: at for key, at in self._said.items() if now - AGAIN_AFTER < at}
        fresh = [key for key in dict.fromkeys(work) if key not in self._said]
        self._said.update((key, now) for key in fresh)
        return fresh
