"""Counting for all web processes together; and how it goes on while Redis is away."""

from __future__ import annotations

import logging

import pytest

from portal.people.rate_counter import RETRY_AFTER_SECONDS, RateCounter
from tests.ports import free_ports


def test_two_processes_count_together_until_the_count_ends(counted: str) -> None:
    one, other = RateCounter(counted), RateCounter(counted)
    assert [one.add("a", 60)[0], other.add("a", 60)[0], one.add("b", 60)[0]] == [1, 2, 1]
    count, left = other.add("b", 60)
    assert (count, 0 < left <= 60) == (2, True)
    assert one.seen(["a", "b", "never"]) == [2, 2, 0]
    other.forget("a")
    assert one.seen(["a", "b"]) == [0, 2]


def test_while_redis_is_away_nothing_counts_and_nobody_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [1000.0]
    counts = RateCounter(f"redis://127.0.0.1:{free_ports().redis}/0", clock=lambda: now[0])
    with caplog.at_level(logging.WARNING, logger="portal.people.rate_counter"):
        assert counts.add("a", 60) == (0, 60)
        assert counts.seen(["a", "b"]) == [0, 0]
        counts.forget("a")
        assert len(caplog.records) == 1, "asked once, then left alone"
        now[0] += RETRY_AFTER_SECONDS
        assert counts.seen(["a"]) == [0]
    assert len(caplog.records) == 2
