"""PURE. A token bucket: whether one more call is allowed now."""

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
    per second are added.
    """
    if bucket is None:
        bucket = Bucket(burst, now)
    filled = min(burst, bucket.tokens + max(0.0, now - bucket.moment) * rate)
    return Bucket(filled - 1.0, now) if filled >= 1.0 else None


def is_read(operation: str) -> bool:
    """True if the operation changes nothing, by its name."""
    return operation.startswith(_READING)
