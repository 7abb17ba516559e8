"""Health of targets, which moto cannot check. The edge does, and reports it here.

A report is not stored over a restart, since the edge repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.elbv2 import models as elbv2_models

DRAINING = "draining"
HEALTHY = "healthy"
# ELBv2 API reference, TargetHealth.State and Reason, with the console's descriptions.
UNAVAILABLE = "unavailable"
_NOT_CHECKED = ("Target.HealthCheckDisabled", "Health checks are disabled for this target group")
_DRAINING = ("Target.DeregistrationInProgress", "Target deregistration is in progress")
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Reported:
    """One target as the edge sees it, in DescribeTargetHealth's terms."""

    state: str
    reason: str
    description: str


_reported: dict[Key, Reported] = {}


def report_target_health(targets: Iterable[Mapping[str, Any]]) -> bool:
    """Replace all reports by a list of {group, id, port, state, reason, description}; whether they
    have changed.

    :raises KeyError, TypeError, ValueError: an entry is malformed; then nothing is replaced.
    """
    found = {
        (str(entry["group"]), str(entry["id"]), int(entry["port"])): Reported(
            str(entry["state"]), str(entry.get("reason") or ""), str(entry.get("description") or "")
        )
        for entry in targets
    }
    if found == _reported:
        return False
    _reported.clear()
    _reported.update(found)
    return True


def patch_target_health() -> None:
    """moto shows every registered target as healthy, and drops a deregistered one immediately."""
    health_for = elbv2_models.FakeTargetGroup.health_for
    describe = elbv2_models.ELBv2Backend.describe_target_health

    def health(self: Any, target: dict[str, Any], ec2_backend: Any) -> Any:
        status = health_for(self, target, ec2_backend)
        reported = _reported.get(_key(self.arn, status))
        if (
            reported is not None
            and status.status == HEALTHY
            and reported.state not in (HEALTHY, DRAINING)
        ):
            status.status, status.reason, status.description = (
                reported.state,
                reported.reason,
                reported.description,
            )
        if status.status == HEALTHY and not self.health_check_enabled:
            # Health checks can be disabled for Lambda functions only, and are by default.
            status.status, (status.reason, status.description) = UNAVAILABLE, _NOT_CHECKED
        return status

    def describe_target_health(
        self: Any, target_group_arn: str, targets: list[dict[str, Any]]
    ) -> Any:
        found = describe(self, target_group_arn, targets)
        if targets:
            return found
        shown = {_key(target_group_arn, status) for status in found}
        for (group, id, port), reported in _reported.items():
            if (
                group == target_group_arn
                and reported.state == DRAINING
                and (group, id, port) not in shown
            ):
                found.append(
                    elbv2_models.FakeHealthStatus(id, str(port), str(port), DRAINING, *_DRAINING)
                )
        return found

    elbv2_models.FakeTargetGroup.health_for = health  # type: ignore[method-assign]
    elbv2_models.ELBv2Backend.describe_target_health = describe_target_health  # type: ignore[method-assign]


def _key(group: str, status: Any) -> Key:
    return group, str(status.instance_id), int(status.port or 0)
