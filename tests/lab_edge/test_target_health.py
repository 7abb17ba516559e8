"""When a target counts as healthy, and how often it is checked."""

from __future__ import annotations

import pytest

from lab.edge.account.load_balancers import HealthCheck
from lab.edge.balancers.rules.target_health import (
    GOOD,
    CheckResult,
    TargetHealth,
    apply_check,
    check_interval,
    check_timeout,
    judge_status,
)


class TestTargetHealth:
    CHECK = HealthCheck(
        "HTTP", "/", 0, 30, 5, healthy_threshold=3, unhealthy_threshold=2, codes="200"
    )
    BAD = CheckResult("Target.Timeout", "Request timed out")

    @pytest.mark.rule("balancer/health-checks")
    def test_thresholds_decide(self) -> None:
        health, states = TargetHealth(), []
        for found in (self.BAD, GOOD, self.BAD, self.BAD, GOOD, GOOD, self.BAD, GOOD, GOOD, GOOD):
            health = apply_check(health, found, self.CHECK)
            states.append(health.state)
        assert states == ["healthy"] * 3 + ["unhealthy"] * 6 + ["healthy"]
        assert health.reason == ""

    def test_the_reason_is_the_newest_one_and_a_healthy_target_has_none(self) -> None:
        once = apply_check(TargetHealth(), self.BAD, self.CHECK)
        assert (once.state, once.reason) == ("healthy", "")
        twice = apply_check(once, self.BAD, self.CHECK)
        assert (twice.state, twice.reason) == ("unhealthy", "Target.Timeout")
        other = apply_check(twice, judge_status(500, "200"), self.CHECK)
        assert (other.state, other.reason) == ("unhealthy", "Target.ResponseCodeMismatch")

    @pytest.mark.parametrize(
        ("status", "codes", "good"),
        [
            (200, "200", True),
            (204, "200", False),
            (204, "200-399", True),
            (302, "200, 302", True),
            (200, "x", False),
        ],
    )
    def test_matchers(self, status: int, codes: str, good: bool) -> None:
        assert (judge_status(status, codes) == GOOD) is good

    def test_however_fast_the_clock_few_checks_are_made(self) -> None:
        assert check_interval(self.CHECK, 1, 5) == 30
        assert check_interval(self.CHECK, 1000, 5) == 1
        assert check_interval(self.CHECK, 1000, 400) == 20
        assert (
            check_timeout(self.CHECK, 1),
            check_timeout(self.CHECK, 1000),
            check_interval(self.CHECK, 0, 1),
        ) == (
            5,
            2,
            30,
        )
