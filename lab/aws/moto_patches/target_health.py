"""What moto cannot know of targets: whether they answer. The edge checks them and reports it here.

It decides how the report shows in DescribeTargetHealth. It must never keep a report over a restart:
the edge repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.elbv2 import models as elbv2_models

DRAINING = "draining"
HEALTHY = "healthy"
# elbv2 API reference, TargetHealth.State and Reason, with what the console says.
UNAVAILABLE = "unavailable"
_NOT_CHECKED = ("Target.HealthCheckDisabled", "Health checks are disabled for this target group")
_DRAINING = ("Target.DeregistrationInProgress", "Target deregistration is in progress")
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Reported:
    """One target as the edge sees it, in the words of DescribeTargetHealth."""

    state: str
    reason: str
    description: str


_reported: dict[Key, Reported] = {}


def report_target_health(targets: Iterable[Mapping[str, Any]]) -> bool:
    """Replace what was known by a list of {group, id, port, state, reason, description}; whether
    that is news.

    :raises KeyError, TypeError, ValueError: an entry cannot be read; nothing is replaced then.
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
    """moto calls every registered target healthy, although nobody asked it, and forgets a
    deregistered one at once.
    """
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
            # Only a Lambda function's checks may be off, and are unless somebody turns them on.
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
