"""How long a run that could write something shared waits for others that are about to.

A write that another one follows soon costs everyone: AWS starts its deployment again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

GATHER_SECONDS = 30.0
"""The longest wait of a run; a tenth of a deployment."""

ARRIVING_SECONDS = 10.0
"""How soon another run must be due to be worth waiting for."""


def seconds_to_wait(
    ready_at: datetime, others_due: Iterable[datetime], now: datetime, pace: float
) -> float | None:
    """Seconds (of AWS's time) until a run that could write since `ready_at` should wait no longer;
    None if it should write now. `others_due` says when each other run that has yet to ask for its
    write continues.
    """
    left = timedelta(seconds=GATHER_SECONDS / pace) - (now - ready_at)
    soon = now + timedelta(seconds=ARRIVING_SECONDS / pace)
    if left <= timedelta() or not any(due <= soon for due in others_due):
        return None
    return left.total_seconds() * pace
