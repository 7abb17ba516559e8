"""The lab's clock: lab time runs `scale` times as fast as real time, and can be advanced.

It never runs backwards, even over a restart: a new process continues from the stored anchor, so lab
time also passes while the lab is down.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

FASTEST = 1_000_000.0
LONGEST_STEP = 1e9
_STEP = re.compile(r"\+?(\d{1,9}(?:\.\d{1,3})?)([smhd]?)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def read_step(text: str) -> float:
    """`+15m` → 900.0: a number with s, m, h or d; seconds if there is no unit.

    :raises ValueError: anything else; the message says what is valid.
    """
    found = _STEP.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text[:40]!r} is not a step such as +90s, +15m, +2h or +1d. Time only goes forward."
        )
    seconds = float(found.group(1)) * _UNITS[found.group(2)]
    if seconds >= LONGEST_STEP:
        raise ValueError(f"{text[:40]!r} is more than {LONGEST_STEP:.0f} seconds.")
    return seconds


@dataclass(frozen=True)
class ClockAnchor:
    """At real time `real` the lab's clock showed `lab` (both Unix time) and ran at `scale`."""

    lab: float
    real: float
    scale: float
    offset: float = 0.0

    def lab_time(self, real: float) -> float:
        """Lab time at real time `real`. A real clock that is set back does not set the lab back."""
        return self.lab + max(0.0, real - self.real) * self.scale


class LabClock:
    """Reads and advances lab time; safe to use from several threads."""

    def __init__(
        self,
        scale: float,
        saved: ClockAnchor | None = None,
        read_real: Callable[[], float] = time.time,
    ) -> None:
        self._read_real = read_real
        self._lock = threading.Lock()
        real = read_real()
        if saved is None:
            self._anchor = ClockAnchor(lab=real, real=real, scale=scale)
        else:
            self._anchor = ClockAnchor(
                lab=saved.lab_time(real), real=real, scale=scale, offset=saved.offset
            )

    @property
    def anchor(self) -> ClockAnchor:
        """What to store, so that a later process can continue."""
        return self._anchor

    def now(self) -> float:
        """Lab time in seconds since 1970."""
        return self._anchor.lab_time(self._read_real())

    def advance(self, seconds: float) -> None:
        """Advance lab time by `seconds` lab seconds.

        :raises ValueError: negative; lab time never runs backwards.
        """
        if not seconds >= 0:
            raise ValueError("the lab's clock only goes forward")
        with self._lock:
            real = self._read_real()
            old = self._anchor
            self._anchor = ClockAnchor(
                lab=old.lab_time(real) + seconds,
                real=real,
                scale=old.scale,
                offset=old.offset + seconds,
            )

    def run_at(self, scale: float) -> None:
        """Change the speed of lab time; 0 stops it, so that it only moves by `advance`.

        :raises ValueError: negative, or not a number.
        """
        if not 0 <= scale <= FASTEST:
            raise ValueError(f"the scale must be between 0 and {FASTEST:g}")
        with self._lock:
            real = self._read_real()
            old = self._anchor
            self._anchor = ClockAnchor(
                lab=old.lab_time(real), real=real, scale=scale, offset=old.offset
            )

    def reading(self) -> dict[str, str | float]:
        """The clock as `/_lab/clock` shows it: lab time `now` at real time `real`."""
        anchor = self._anchor
        real = self._read_real()
        now = datetime.fromtimestamp(anchor.lab_time(real), UTC)
        return {
            "scale": anchor.scale,
            "now": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "real": real,
            "offset_seconds": anchor.offset,
        }
