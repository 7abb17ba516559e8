"""How soon to ask AWS again about what runs wait for (PURE).

Two costs are weighed against each other: the seconds that runs lose by waiting for the next sweep,
and the calls that sweeps take. If `n` runs wait and AWS gets done with each at a rate of `h` per
second, sweeps of `c` calls every `i` seconds lose `n·h·i/2` run seconds and cost `c/i` calls per
second. So it asks seldom while AWS cannot be done yet, often around the
usual end, and seldom again when AWS is late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from provisioning.facts.step_times import StepTime

SECONDS_WORTH_A_CALL = 0.03
"""Mean seconds of one run's delay that one call may save. One run alone costs about a call every
three seconds around its usual end, and every 15 s before.
"""

UNKNOWN_SPREAD = 0.6
NARROWEST_SPREAD = 0.1
"""Standard deviations of the logarithm of a duration: where there is no history, and at least."""

SHARE_OF_TEN = 1.2816
"""Nine of ten of a normal distribution are below so many standard deviations."""

NEVER = 1e-9


@dataclass(frozen=True)
class Wait:
    """Runs that wait for one resource, and for how many seconds AWS has been at work on it."""

    waiters: int
    elapsed_seconds: float
    usual: StepTime


def next_sweep_seconds(
    waits: Sequence[Wait], *, calls: int, pace: float, quickest: float, slowest: float
) -> float:
    """Seconds until the next sweep, which costs so many calls: between `quickest` and `slowest`."""
    rate = sum(wait.waiters * ends_per_second(wait.usual, wait.elapsed_seconds) for wait in waits)
    worth = SECONDS_WORTH_A_CALL / pace
    best = math.sqrt(2 * worth * max(1, calls) / max(rate, NEVER))
    return min(max(best, quickest), slowest)


def ends_per_second(usual: StepTime, elapsed_seconds: float) -> float:
    """The rate at which waits that have lasted so long end: a lognormal distribution's, through the
    median and the nine of ten that are known.
    """
    spread = UNKNOWN_SPREAD
    if usual.late_seconds is not None:
        narrow = math.log(max(usual.late_seconds / usual.typical_seconds, 1.0)) / SHARE_OF_TEN
        spread = max(NARROWEST_SPREAD, narrow)
    elapsed = max(elapsed_seconds, 0.001)
    z = math.log(elapsed / usual.typical_seconds) / spread
    longer = math.erfc(z / math.sqrt(2)) / 2
    if longer < NEVER:  # AWS is later than ever: the longer it has taken, the less is known
        return 1 / elapsed
    density = math.exp(-z * z / 2) / (elapsed * spread * math.sqrt(2 * math.pi))
    return density / longer
