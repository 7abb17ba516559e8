"""The lab's clock: lab time runs `scale` times as fast as real time and can be stepped forward.

It decides what time it is in the lab. It must never run backwards, not even over a restart: whoever
creates it hands in the anchor that an earlier process saved, so lab time also passes while the lab is down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class ClockAnchor:
    """At real second `real` (Unix time) the lab's clock showed `lab` (Unix time) and ran at `scale`."""

    lab: float
    real: float
    scale: float
    offset: float = 0.0

    def lab_time(self, real: float) -> float:
        """Lab time at real second `real`, both Unix time. A real clock that was set back does not set the lab back."""
        return self.lab + max(0.0, real - self.real) * self.scale


class LabClock:
    """Reads and steps lab time; safe to use from several threads."""

    def __init__(
        self, scale: float, saved: ClockAnchor | None = None, read_real: Callable[[], float] = time.time
    ) -> None:
        self._read_real = read_real
        self._lock = threading.Lock()
        real = read_real()
        if saved is None:
            self._anchor = ClockAnchor(lab=real, real=real, scale=scale)
        else:
            self._anchor = ClockAnchor(lab=saved.lab_time(real), real=real, scale=scale, offset=saved.offset)

    @property
    def anchor(self) -> ClockAnchor:
        """What to save, so that a later process continues here."""
        return self._anchor

    def now(self) -> float:
        """Lab time in seconds since 1970."""
        return self._anchor.lab_time(self._read_real())

    def advance(self, seconds: float) -> None:
        """Step lab time forward by `seconds` lab seconds.

        :raises ValueError: negative; lab time never runs backwards.
        """
        if not seconds >= 0:
            raise ValueError("the lab's clock only goes forward")
        with self._lock:
            real = self._read_real()
            old = self._anchor
            self._anchor = ClockAnchor(
                lab=old.lab_time(real) + seconds, real=real, scale=old.scale, offset=old.offset + seconds
            )

    def reading(self) -> dict[str, str | float]:
        """The clock as `/_lab/clock` shows it: lab time `now` belongs to real second `real`."""
        anchor = self._anchor
        real = self._read_real()
        now = datetime.fromtimestamp(anchor.lab_time(real), UTC)
        return {
            "scale": anchor.scale,
            "now": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "real": real,
            "offset_seconds": anchor.offset,
        }
