"""PURE. A token bucket: may one more call be made now?

It decides from the bucket's last state and the time alone. It must never read a clock or know whose
bucket it is.
"""

from __future__ import annotations

from dataclasses import dataclass

_READING = ("Get", "List", "Describe")


@dataclass(frozen=True)
class Bucket:
    """`tokens` were left at `moment` (seconds)."""

    tokens: float
    moment: float


def take(bucket: Bucket | None, now: float, rate: float, burst: float) -> Bucket | None:
    """The bucket after one call, None if it holds no whole token. A new one is full; `rate` tokens
    a second come in.
    """
    if bucket is None:
        bucket = Bucket(burst, now)
    filled = min(burst, bucket.tokens + max(0.0, now - bucket.moment) * rate)
    return Bucket(filled - 1.0, now) if filled >= 1.0 else None


def is_read(operation: str) -> bool:
    """True for an operation that changes nothing, by its name."""
    return operation.startswith(_READING)
