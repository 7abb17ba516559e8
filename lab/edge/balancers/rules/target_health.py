"""When a target counts as healthy (PURE).

ELB guides, "Health checks for your target groups".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.edge.account.load_balancers import HEALTHY, HealthCheck

UNHEALTHY = "unhealthy"
# Lower bounds in real seconds: apps answer in real time, however fast the lab's clock runs.
MIN_INTERVAL = 1.0
MIN_TIMEOUT = 2.0
MAX_CHECKS_PER_SECOND = 20.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check. `reason` is AWS's reason code, "" if the check succeeded."""

    reason: str = ""
    description: str = ""


GOOD = CheckResult()
TIMED_OUT = CheckResult("Target.Timeout", "Request timed out")
FAILED = CheckResult("Target.FailedHealthChecks", "Health checks failed")


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """A target's state, and how many checks in a row contradicted it. A new target counts as
    healthy until checks say otherwise.
    """

    state: str = HEALTHY
    reason: str = ""
    description: str = ""
    contradictions: int = 0


def apply_check(health: TargetHealth, result: CheckResult, check: HealthCheck) -> TargetHealth:
    """The health after one more check.

    1. A check that confirms the state resets the count; an unhealthy target shows its latest
       reason.
    2. One that contradicts it counts; at the threshold the state changes.
    """
    good = not result.reason
    if good == (health.state == HEALTHY):
        return replace(
            health, reason=result.reason, description=result.description, contradictions=0
        )
    threshold = check.healthy_threshold if good else check.unhealthy_threshold
    if health.contradictions + 1 < threshold:
        return replace(health, contradictions=health.contradictions + 1)
    return TargetHealth(HEALTHY if good else UNHEALTHY, result.reason, result.description)


def judge_status(status: int, codes: str) -> CheckResult:
    """Judge an HTTP status by the matcher: `200`, `200,302` or `200-399`."""
    for part in codes.split(","):
        first, _, last = part.strip().partition("-")
        last = last or first
        if first.isdecimal() and last.isdecimal() and int(first) <= status <= int(last):
            return GOOD
    return CheckResult(
        "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"
    )


def check_interval(check: HealthCheck, scale: float, targets: int) -> float:
    """Real seconds between two checks of one target, if `targets` are checked in total."""
    return max(check.interval / (scale or 1.0), MIN_INTERVAL, targets / MAX_CHECKS_PER_SECOND)


def check_timeout(check: HealthCheck, scale: float) -> float:
    """Real seconds that a check may take."""
    return max(check.timeout / (scale or 1.0), MIN_TIMEOUT)
