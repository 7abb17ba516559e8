"""When a target counts as healthy (PURE).

It decides what one health check says, and how many of them change a target's state, as the ELB
guides have it under "Health checks for your target groups". It must never make a check or read a
clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.edge.account.load_balancers import HEALTHY, HealthCheck

UNHEALTHY = "unhealthy"
# However fast the lab's clock runs, apps answer in real time and this process has other things to
# do.
MIN_INTERVAL = 1.0
MIN_TIMEOUT = 2.0
MAX_CHECKS_PER_SECOND = 20.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found: `reason` is "" for a good one, else AWS's reason code, with a
    description.
    """

    reason: str = ""
    description: str = ""


GOOD = CheckResult()
TIMED_OUT = CheckResult("Target.Timeout", "Request timed out")
FAILED = CheckResult("Target.FailedHealthChecks", "Health checks failed")


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """A target's state, and how many checks in a row spoke against it. A new target is healthy
    until proven otherwise: so is a target that AWS calls `initial`, once it has answered.
    """

    state: str = HEALTHY
    reason: str = ""
    description: str = ""
    against: int = 0


def apply_check(health: TargetHealth, found: CheckResult, check: HealthCheck) -> TargetHealth:
    """The health after one more check.

    1. A check that agrees with the state resets the count; the reason of an unhealthy target is the
       newest one.
    2. One that disagrees counts; at the threshold the state changes.
    """
    good = not found.reason
    if good == (health.state == HEALTHY):
        return replace(health, reason=found.reason, description=found.description, against=0)
    threshold = check.healthy_threshold if good else check.unhealthy_threshold
    if health.against + 1 < threshold:
        return replace(health, against=health.against + 1)
    return TargetHealth(HEALTHY if good else UNHEALTHY, found.reason, found.description)


def judge_status(status: int, codes: str) -> CheckResult:
    """What an HTTP status says, by the matcher: `200`, `200,302` or `200-399`."""
    if any(_within(status, part.strip()) for part in codes.split(",")):
        return GOOD
    return CheckResult(
        "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"
    )


def check_interval(check: HealthCheck, scale: float, targets: int) -> float:
    """Real seconds between two checks of one target, when so many targets are checked."""
    return max(check.interval / (scale or 1.0), MIN_INTERVAL, targets / MAX_CHECKS_PER_SECOND)


def check_timeout(check: HealthCheck, scale: float) -> float:
    """Real seconds that a check may take."""
    return max(check.timeout / (scale or 1.0), MIN_TIMEOUT)


def _within(status: int, part: str) -> bool:
    first, _, last = part.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        return False
    return int(first) <= status <= int(last or first)
