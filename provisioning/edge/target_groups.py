"""Target groups: what a load balancer leads to, how well it is, and who else leads there. It judges nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from provisioning.edge.errors import EdgeError, calling
from provisioning.edge.session import Aws
from provisioning.facts import RegisteredTarget, TargetGroup

_STICKY, _DEREGISTRATION = "stickiness.enabled", "deregistration_delay.timeout_seconds"


def groups_of(aws: Aws, region: str, balancer_arn: str) -> tuple[TargetGroup, ...]:
    """The target groups of a load balancer, with their targets and attributes: two calls each."""
    return tuple(_group(aws, region, found) for found in _groups(aws, region, LoadBalancerArn=balancer_arn))


def other_doors(aws: Aws, region: str, arn: str, vpc_id: str) -> tuple[str, ...]:
    """Names of the VPC's internet-facing load balancers that lead to the target itself or to one of its targets.

    A target group belongs to one load balancer, so targets are compared, not groups.
    """
    facing = {}
    with calling("DescribeLoadBalancers"):
        for page in aws.elbv2_read(region).get_paginator("describe_load_balancers").paginate():
            for found in cast("Any", page["LoadBalancers"]):
                elsewhere = found["LoadBalancerArn"] != arn and found.get("VpcId") == vpc_id
                if elsewhere and found.get("Scheme") == "internet-facing":
                    facing[found["LoadBalancerArn"]] = found["LoadBalancerName"]
    if not facing:
        return ()
    inside = {arn, arn.rsplit("/", 1)[1]}
    outside: dict[str, set[str]] = {}
    for group in _groups(aws, region):
        for balancer in group.get("LoadBalancerArns", ()):
            if balancer == arn:
                inside |= {one.id for one in _targets(aws, region, group["TargetGroupArn"])}
            elif balancer in facing:
                outside.setdefault(balancer, set()).update(
                    one.id for one in _targets(aws, region, group["TargetGroupArn"])
                )
    return tuple(sorted(facing[balancer] for balancer, targets in outside.items() if targets & inside))


def _groups(aws: Aws, region: str, **which: Any) -> Iterator[Mapping[str, Any]]:
    groups: list[Mapping[str, Any]] = []
    pages = aws.elbv2_read(region).get_paginator("describe_target_groups")
    try:
        with calling("DescribeTargetGroups"):
            for page in pages.paginate(**which):
                groups += cast("Any", page["TargetGroups"])
    except EdgeError as error:
        # One way of saying that the load balancer has none.
        if error.code != "TargetGroupNotFound":
            raise
    yield from groups


def _group(aws: Aws, region: str, found: Mapping[str, Any]) -> TargetGroup:
    arn = found["TargetGroupArn"]
    with calling("DescribeTargetGroupAttributes"):
        answer = aws.elbv2_read(region).describe_target_group_attributes(TargetGroupArn=arn)
    attributes = {one["Key"]: one["Value"] for one in cast("Any", answer["Attributes"])}
    delay = attributes.get(_DEREGISTRATION, "")
    return TargetGroup(
        arn,
        found.get("TargetGroupName", ""),
        found.get("Protocol", ""),
        found.get("ProtocolVersion", ""),
        found.get("TargetType", ""),
        found.get("HealthCheckPath", ""),
        _targets(aws, region, arn),
        attributes[_STICKY] == "true" if _STICKY in attributes else None,
        int(delay) if delay.isdecimal() else None,
    )


def _targets(aws: Aws, region: str, group_arn: str) -> tuple[RegisteredTarget, ...]:
    with calling("DescribeTargetHealth"):
        found = aws.elbv2_read(region).describe_target_health(TargetGroupArn=group_arn)["TargetHealthDescriptions"]
    return tuple(
        RegisteredTarget(one["Target"]["Id"], health.get("State", ""), health.get("Reason", ""))
        for one in cast("Any", found)
        for health in (one.get("TargetHealth", {}),)
    )
