"""When AWS is asked again: seldom while it cannot be done, often around its usual end; simulated
against pollers with a fixed interval.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts.step_times import StepTime
from provisioning.facts.sweep_interval import (
    UNKNOWN_SPREAD,
    Wait,
    ends_per_second,
    next_sweep_seconds,
)

KNOWN = StepTime(300.0, 390.0, runs=50, basis="account")
"""A distribution's deployment: about five minutes, nine of ten within six and a half."""

UNKNOWN = StepTime(300.0)
SLOWEST, QUICKEST = 15.0, 2.0
WAITER_SECONDS = 60.0
"""botocore's waiter asks once a minute."""


def interval(*waits: Wait, calls: int = 1, pace: float = 1.0) -> float:
    return next_sweep_seconds(
        waits, calls=calls, pace=pace, quickest=QUICKEST / pace, slowest=SLOWEST / pace
    )


@pytest.mark.parametrize(
    ("elapsed", "low", "high"),
    [
        pytest.param(5, 15, 15, id="just begun"),
        pytest.param(150, 15, 15, id="half of the usual time"),
        pytest.param(300, 2, 4, id="the usual time"),
        pytest.param(380, 2, 3, id="nine of ten are over"),
        pytest.param(3000, 10, 15, id="later than ever"),
    ],
)
def test_the_interval_follows_how_long_the_wait_has_lasted(
    elapsed: float, low: float, high: float
) -> None:
    assert low <= interval(Wait(1, elapsed, KNOWN)) <= high


def test_more_waiters_make_it_quicker_and_dearer_sweeps_slower() -> None:
    early = 220.0
    one = interval(Wait(1, early, KNOWN))
    assert interval(Wait(4, early, KNOWN)) < one
    assert interval(Wait(2, early, KNOWN), Wait(2, early, KNOWN)) < one
    assert interval(Wait(4, early, KNOWN), calls=2) > interval(Wait(4, early, KNOWN))
    assert interval() == SLOWEST


def test_at_a_quicker_pace_everything_is_quicker_by_as_much() -> None:
    for elapsed in (5.0, 250.0, 300.0, 600.0):
        quick = StepTime(KNOWN.typical_seconds / 30, 390.0 / 30)
        scaled = interval(Wait(1, elapsed / 30, quick), pace=30)
        assert scaled * 30 == pytest.approx(interval(Wait(1, elapsed, KNOWN)))


@given(
    elapsed=st.floats(0, 1e6),
    typical=st.floats(0.001, 1e5),
    share=st.none() | st.floats(0.5, 100),
    waiters=st.integers(1, 5000),
)
def test_it_always_lies_between_the_quickest_and_the_slowest(
    elapsed: float, typical: float, share: float | None, waiters: int
) -> None:
    usual = StepTime(typical, share and typical * share)
    assert math.isfinite(ends_per_second(usual, elapsed))
    assert ends_per_second(usual, elapsed) >= 0
    assert QUICKEST <= interval(Wait(waiters, elapsed, usual)) <= SLOWEST


def simulated(
    ends: list[float], next_seconds: Callable[[float, int], float]
) -> tuple[float, float]:
    """Mean seconds until an end is noticed, and calls; all waits begin together, each on its own.
    One call asks about all.
    """
    at, calls, left, lags = 0.0, 0, sorted(ends), []
    while left:
        at += next_seconds(at, len(left))
        calls += 1
        lags += [at - end for end in left if end <= at]
        left = [end for end in left if end > at]
    return statistics.mean(lags), calls


def durations(number: int, seed: str, spread: float = 0.2) -> list[float]:
    chance = random.Random(seed)  # noqa: S311
    return [300.0 * math.exp(chance.gauss(0, spread)) for _ in range(number)]


def alone(next_seconds: Callable[[float, int], float], ends: list[float]) -> tuple[float, float]:
    found = [simulated([end], next_seconds) for end in ends]
    return statistics.mean(lag for lag, _ in found), statistics.mean(calls for _, calls in found)


@pytest.mark.parametrize(
    ("usual", "spread"),
    [pytest.param(KNOWN, 0.2, id="history"), pytest.param(UNKNOWN, UNKNOWN_SPREAD, id="none")],
)
def test_alone_it_notices_within_two_seconds_and_beats_a_fixed_interval_of_as_many_calls(
    usual: StepTime, spread: float
) -> None:
    ends = durations(300, "alone", spread)
    lag, calls = alone(lambda at, left: interval(Wait(left, at, usual)), ends)
    assert lag < 2.5
    fixed = statistics.mean(ends) / calls
    assert lag < alone(lambda at, left: fixed, ends)[0]


def test_a_hundred_at_once_are_noticed_twenty_times_sooner_than_by_waiters_of_as_many_calls() -> (
    None
):
    ends = durations(100, "together")
    lag, calls = simulated(ends, lambda at, left: interval(Wait(left, at, KNOWN)))
    waiter, each = alone(lambda at, left: WAITER_SECONDS, ends)
    assert calls < each * len(ends)
    assert lag < waiter / 20
