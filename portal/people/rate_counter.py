"""How often somebody did something lately, counted in Redis for all web processes together.

It only counts; who may do how much is decided by whoever asks. It must never refuse anybody, or let
them wait, because Redis is away: then nothing counts as having happened, and the log says so once
in a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import redis
from django.conf import settings

ANSWERS_WITHIN_SECONDS = 0.5
LEFT_ALONE_SECONDS = 5.0
"""How long Redis is not asked again after it did not answer."""

PREFIX = "portal:count:"
log = logging.getLogger(__name__)
T = TypeVar("T")


class Counts:
    """Counts that end by themselves. `clock` gives seconds."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        timeout = ANSWERS_WITHIN_SECONDS
        self._redis = redis.Redis.from_url(
            url, socket_connect_timeout=timeout, socket_timeout=timeout
        )
        self._clock = clock
        self._asked_again_at = 0.0

    def add(self, key: str, seconds: int) -> tuple[int, int]:
        """Count once more. Gives (how often by now, seconds until the count ends, `seconds` after
        its first).
        """

        def added() -> tuple[int, int]:
            with self._redis.pipeline() as pipeline:
                pipeline.set(PREFIX + key, 0, ex=seconds, nx=True)
                pipeline.incr(PREFIX + key)
                pipeline.ttl(PREFIX + key)
                _, count, left = pipeline.execute()
            return int(count), max(1, int(left))

        return self._unless_away(added, (0, seconds))

    def seen(self, keys: Sequence[str]) -> list[int]:
        """How often each of these was counted."""

        def found() -> list[int]:
            values: Any = self._redis.mget([PREFIX + key for key in keys])
            return [int(value or 0) for value in values]

        return self._unless_away(found, [0] * len(keys))

    def forget(self, key: str) -> None:
        """It starts from nothing again."""
        self._unless_away(lambda: self._redis.delete(PREFIX + key), None)

    def _unless_away(self, ask: Callable[[], T], otherwise: T) -> T:
        if self._clock() < self._asked_again_at:
            return otherwise
        try:
            return ask()
        except redis.RedisError as error:
            self._asked_again_at = self._clock() + LEFT_ALONE_SECONDS
            log.warning("Redis is away: attempts and calls are not counted meanwhile: %s", error)
            return otherwise


@cache
def counts() -> Counts:
    """Those of this portal."""
    return Counts(settings.REDIS_URL)
