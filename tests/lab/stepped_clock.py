"""A real clock that stands still until a test advances it."""

from __future__ import annotations


class SteppedClock:
    """Call it for the time in seconds; set `now` to change it."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
