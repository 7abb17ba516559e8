"""What bounds one probe: its limits, its clock, and the exception that ends it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from checks.protocol.handshake import MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HEAD_LINES
from checks.protocol.transcript import Failure, Phase, Reason


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one probe may cost, in seconds, bytes and counts. More is refused, not cut."""

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
    """Ends a probe with the failure that decides its verdict."""

    def __init__(self, phase: Phase, reason: Reason, detail: str = "") -> None:
        super().__init__(phase, reason, detail)
        self.failure = Failure(phase, reason, detail)


class Clock:
    """The time of one probe: seconds of perf_counter inside, milliseconds since the start
    outside.
    """

    def __init__(self, total_s: float) -> None:
        self.began = time.perf_counter()
        self.until = self.began + total_s
        self._total_s = total_s

    def begin(self, phase: Phase, seconds: float) -> float:
        """The deadline of a phase that begins now. Raises Stop if the whole probe is out of
        time.
        """
        now = time.perf_counter()
        if now >= self.until:
            raise Stop(phase, Reason.TOTAL_TIMEOUT, self.over)
        return min(now + seconds, self.until)

    @property
    def over(self) -> str:
        """The failure's detail when the whole probe is out of time."""
        return f"the whole check took longer than {self._total_s:g} s"

    def left(self, seconds: float) -> float:
        """`seconds`, or what the whole probe has left if that is less."""
        return max(0.0, min(seconds, self.until - time.perf_counter()))

    def at(self, moment: float) -> float:
        """A time of perf_counter as milliseconds since the start."""
        return milliseconds(self.began, moment)


def milliseconds(earlier: float, later: float | None = None) -> float:
    """Milliseconds from one time of perf_counter to another, or to now."""
    return round(((time.perf_counter() if later is None else later) - earlier) * 1000, 3)
