"""What bounds one probe: its limits, its clock, and how it is ended.

Decides when there is no time left. It must never know what is being asked or said.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from checks.protocol.handshake import MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HEAD_LINES
from checks.protocol.transcript import Failure, Phase, Reason


@dataclass(frozen=True, slots=True)
class Limits:
    """The most one probe may cost. Seconds, bytes and counts; what is over is refused, not
    trimmed.
    """

    total_s: float = 15.0
    dns_s: float = 5.0
    connect_s: float = 5.0
    tls_s: float = 5.0
    body_s: float = 1.0
    close_s: float = 2.0
    head_bytes: int = MAX_HEAD_BYTES
    head_lines: int = MAX_HEAD_LINES
    body_bytes: int = MAX_BODY_BYTES
    bytes_in: int = 64 * 1024
    frames_in: int = 64


class Stop(Exception):
    """Ends the probe with the failure that decides."""

    def __init__(self, phase: Phase, reason: Reason, detail: str = "") -> None:
        super().__init__(phase, reason, detail)
        self.failure = Failure(phase, reason, detail)


class Clock:
    """The time of one probe. Moments are seconds of perf_counter; what is shown is milliseconds
    since the start.
    """

    def __init__(self, total_s: float) -> None:
        self.began = time.perf_counter()
        self.until = self.began + total_s
        self._total_s = total_s

    def begin(self, phase: Phase, seconds: float) -> float:
        """When a phase that begins at this moment has to end. Raises Stop when the time for all is
        over.
        """
        now = time.perf_counter()
        if now >= self.until:
            raise Stop(phase, Reason.TOTAL_TIMEOUT, self.over)
        return min(now + seconds, self.until)

    @property
    def over(self) -> str:
        """What to say when the time for all is over."""
        return f"the {self._total_s:g} s for the whole check were over"

    def left(self, seconds: float) -> float:
        """`seconds`, or what is left of the whole time when that is less."""
        return max(0.0, min(seconds, self.until - time.perf_counter()))

    def at(self, moment: float) -> float:
        """A moment as milliseconds since the start."""
        return milliseconds(self.began, moment)


def milliseconds(earlier: float, later: float | None = None) -> float:
    """From one moment to another, or to this one."""
    return round(((time.perf_counter() if later is None else later) - earlier) * 1000, 3)
