"""Waiting: for a condition, with a deadline that says what did not happen. Stories never sleep for
a fixed time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.1


def until(
    condition: Callable[[], T | None], what: str, seconds: float = 120.0, *, pause: float = PAUSE
) -> T:
    """What `condition` gives as soon as that is true; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(
                f"after {seconds:.0f} s still not: {what} (last answer: {found!r})"
            )
        time.sleep(pause)
