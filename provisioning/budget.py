"""A budget of CloudFront calls for each account, shared by all processes.

Each call is either allowed, or told when its turn is. Nothing waits here: a run that is refused
becomes due again at its turn. Without Redis every call is allowed; AWS's own throttling, and our
backing off from it, remain. The reasons are in docs/decisions/0003-call-budget.md.
"""

from __future__ import annotations

import functools
import logging
import time
from dataclasses import dataclass, field

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.metrics import OVER_BUDGET_CALLS

BURST_CALLS = 20
"""Calls that may follow each other without a pause after a quiet time: a snapshot, or a sweep of a
large account.
"""

CALLS_OF_A_TURN = 4
"""The calls that a run probably needs at its turn; turns are this far apart."""

LONGEST_WAIT_SECONDS = 60.0
AWAY_SECONDS = 5.0
TIMEOUT_SECONDS = 0.5
FORGET_SECONDS = 3600

log = logging.getLogger(__name__)

# `spent`: when all calls so far would have been sent at the steady rate. `promised`: the last turn
# that was given out.
_TAKE = """
local now, every, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local turn, longest = tonumber(ARGV[4]), tonumber(ARGV[5])
local spent = math.max(tonumber(redis.call('HGET', KEYS[1], 'spent') or '0'), now)
local room = spent + every - burst
if room <= now then
  redis.call('HSET', KEYS[1], 'spent', string.format('%.6f', spent + every))
  redis.call('EXPIRE', KEYS[1], ARGV[6])
  return '0'
end
local promised = tonumber(redis.call('HGET', KEYS[1], 'promised') or '0')
promised = math.min(math.max(promised + turn, room), now + longest)
redis.call('HSET', KEYS[1], 'promised', string.format('%.6f', promised))
return string.format('%.6f', promised - now)
"""


@dataclass
class Budget:
    """The budget of each account, over all processes that use the same Redis."""

    client: redis.Redis
    _away_until: float = field(default=0.0, init=False)

    def take(self, account_id: str, *, per_second: float, now: float) -> float:
        """Spend one call. 0 if it may be sent, else the seconds until the caller's turn. `now` is
        Unix time.
        """
        if now < self._away_until:
            return 0.0
        every = 1 / per_second
        arguments = (
            now,
            every,
            BURST_CALLS * every,
            CALLS_OF_A_TURN * every,
            LONGEST_WAIT_SECONDS,
            FORGET_SECONDS,
        )
        try:
            key = f"edge-portal:cloudfront-calls:{account_id}"
            answer = self.client.eval(_TAKE, 1, key, *map(repr, arguments))
        except redis.RedisError as error:
            # Do not ask again for a while, so that a Redis that hangs does not slow every call.
            self._away_until = now + AWAY_SECONDS
            log.info("Redis is unavailable; CloudFront calls are not counted: %s", error)
            return 0.0
        return float(answer)


def before_call(account_id: str, operation: str) -> None:
    """Let one call to CloudFront pass, or raise AwsError (OVER_BUDGET) with the turn, in seconds of
    AWS's time.
    """
    pace = float(settings.PROVISIONING_PACE)
    per_second = float(settings.CLOUDFRONT_CALLS_PER_SECOND) * pace
    if per_second <= 0:
        return
    seconds = _shared().take(account_id, per_second=per_second, now=time.time())
    if seconds > 0:
        OVER_BUDGET_CALLS.labels(account_id).inc()
        raise AwsError(
            operation,
            OVER_BUDGET,
            "The portal has used up its call budget for this account for now",
            transient=True,
            retry_after=seconds * pace,
        )


@functools.cache
def _shared() -> Budget:
    return Budget(connect(settings.REDIS_URL))


def connect(url: str) -> redis.Redis:
    """A client that tries once, with a short timeout."""
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=once
    )
