"""Counts how often something happened lately, in Redis, for all web processes together.

It only counts; callers decide the limits. While Redis is unavailable every count is 0, so that
nobody is refused or kept waiting, and the log says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import redis
from django.conf import settings

REDIS_TIMEOUT_SECONDS = 0.5
RETRY_AFTER_SECONDS = 5.0
"""How long Redis is not asked again after it failed to answer."""

PREFIX = "portal:count:"
log = logging.getLogger(__name__)
T = TypeVar("T")


class RateCounter:
    """Counts that expire. `clock` gives seconds."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        timeout = REDIS_TIMEOUT_SECONDS
        self._redis = redis.Redis.from_url(
            url, socket_connect_timeout=timeout, socket_timeout=timeout
        )
        self._clock = clock
        self._retry_at = 0.0

    def add(self, key: str, seconds: int) -> tuple[int, int]:
        """Count once more. Returns the count, and the seconds until it expires, which is `seconds`
        after the first.
        """

        def added() -> tuple[int, int]:
            with self._redis.pipeline() as pipeline:
                pipeline.set(PREFIX + key, 0, ex=seconds, nx=True)
                pipeline.incr(PREFIX + key)
                pipeline.ttl(PREFIX + key)
                _, count, left = pipeline.execute()
            return int(count), max(1, int(left))

        return self._or_default(added, (0, seconds))

    def seen(self, keys: Sequence[str]) -> list[int]:
        """The count of each key."""

        def found() -> list[int]:
            values: Any = self._redis.mget([PREFIX + key for key in keys])
            return [int(value or 0) for value in values]

        return self._or_default(found, [0] * len(keys))

    def forget(self, key: str) -> None:
        """Reset a count."""
        self._or_default(lambda: self._redis.delete(PREFIX + key), None)

    def _or_default(self, ask: Callable[[], T], otherwise: T) -> T:
        if self._clock() < self._retry_at:
            return otherwise
        try:
            return ask()
        except redis.RedisError as error:
            self._retry_at = self._clock() + RETRY_AFTER_SECONDS
            log.warning("Redis is unavailable; attempts and calls are not counted: %s", error)
            return otherwise


@cache
def rate_counter() -> RateCounter:
    """The portal's counter."""
    return RateCounter(settings.REDIS_URL)
