"""Target groups: what a load balancer leads to, how well it is, and who else leads there. It judges
nothing.

What is registered has several names: an instance its id and an address, a load balancer its ARN and
addresses. Comparing two routes needs all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import Aws
from provisioning.facts.load_balancer import RegisteredTarget, TargetGroup

_STICKY, _DEREGISTRATION = "stickiness.enabled", "deregistration_delay.timeout_seconds"
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.ASCII)
_BALANCER = re.compile(
    r"arn:aws:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:loadbalancer/((?:app|net)/.+)", re.ASCII
)
_DESCRIPTION = re.compile(r"ELB ((?:app|net)/.+)", re.ASCII)
_VALUES_OF_A_FILTER = 200


def groups_of(aws: Aws, region: str, balancer_arn: str) -> tuple[TargetGroup, ...]:
    """The target groups of a load balancer, with their targets and attributes: two calls each."""
    return tuple(
        _group(aws, region, found) for found in _groups(aws, region, LoadBalancerArn=balancer_arn)
    )


def internet_facing_load_balancers(aws: Aws, region: str, arn: str, vpc_id: str) -> tuple[str, ...]:
    """Names of the VPC's internet-facing application and network load balancers that lead to the
    target itself, or to something that it leads to.

    A target group belongs to one load balancer, so what the ways come to is compared, not groups.
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
    groups: dict[str, list[str]] = {}
    for group in _groups(aws, region):
        for balancer in group.get("LoadBalancerArns", ()):
            groups.setdefault(balancer, []).append(group["TargetGroupArn"])
    target = arn if _BALANCER.fullmatch(arn) else arn.rsplit("/", 1)[1]
    ways = _explore(
        aws, region, vpc_id, [target, *facing], lambda balancer: groups.get(balancer, ())
    )
    inside = ways.reach(target)
    return tuple(sorted(name for balancer, name in facing.items() if ways.reach(balancer) & inside))


def addresses_behind(
    aws: Aws, region: str, vpc_id: str, groups: Iterable[TargetGroup]
) -> tuple[str, ...]:
    """Public addresses of what is registered with the groups; behind a load balancer that is, of
    what that leads to.
    """

    def asked(balancer: str) -> list[str]:
        return [group["TargetGroupArn"] for group in _groups(aws, region, LoadBalancerArn=balancer)]

    registered = {one.id for group in groups for one in group.targets}
    return tuple(sorted(_explore(aws, region, vpc_id, registered, asked).public_addresses))


@dataclass(frozen=True)
class _Ways:
    """What leads where. `onward`: from each name (an instance's id, an ARN, a private address) to
    the names of what comes next; those of the same thing lead to each other. `public_addresses` are
    those of all interfaces on the way.
    """

    onward: Mapping[str, frozenset[str]]
    public_addresses: frozenset[str]

    def reach(self, start: str) -> frozenset[str]:
        """Every name that the ways from `start` come to, itself included."""
        reached: set[str] = set()
        new = {start}
        while new:
            reached |= new
            new = {name for one in new for name in self.onward.get(one, ())} - reached
        return frozenset(reached)


def _explore(
    aws: Aws,
    region: str,
    vpc_id: str,
    starts: Iterable[str],
    its_groups: Callable[[str], Iterable[str]],
) -> _Ways:
    """Follow all ways from `starts` (ids, ARNs, private addresses) to their ends, each name once.

    1. A load balancer leads to what is registered with its groups (`its_groups`: its ARN → theirs),
       and has interfaces.
    2. An instance is reached by its id at the primary address of its primary interface (ELB guide,
       request routing and IP addresses); its other addresses may be those of containers, which have
       nothing to do with each other.
    3. An address may be that of a load balancer, which leads on.
    """
    onward: dict[str, set[str]] = {}
    public: set[str] = set()
    known: set[str] = set()
    new = set(starts)
    while new:
        known |= new
        for balancer in sorted(filter(_BALANCER.fullmatch, new)):
            registered = (
                one.id
                for group_arn in its_groups(balancer)
                for one in _targets(aws, region, group_arn)
            )
            onward.setdefault(balancer, set()).update(registered)
        for interface in _interfaces(aws, region, vpc_id, new):
            public |= _public(interface)
            for owner, address in _same(interface, region):
                if owner in known or address in known:
                    onward.setdefault(owner, set()).add(address)
                    onward.setdefault(address, set()).add(owner)
                    # Of the address there is no more to learn; the owner may be new.
                    known.add(address)
        new = {name for names in onward.values() for name in names} - known
    return _Ways({name: frozenset(names) for name, names in onward.items()}, frozenset(public))


def _interfaces(
    aws: Aws, region: str, vpc_id: str, names: Iterable[str]
) -> Iterator[Mapping[str, Any]]:
    """The VPC's network interfaces that have one of these names; a load balancer's are known by
    their description.
    """
    listed = sorted(names)
    wanted = {
        "attachment.instance-id": [name for name in listed if name.startswith("i-")],
        "addresses.private-ip-address": [name for name in listed if _ADDRESS.fullmatch(name)],
        "description": [f"ELB {found[1]}" for found in map(_BALANCER.fullmatch, listed) if found],
    }
    pages = aws.ec2_read(region).get_paginator("describe_network_interfaces")
    for name, values in wanted.items():
        for start in range(0, len(values), _VALUES_OF_A_FILTER):
            part = {"Name": name, "Values": values[start : start + _VALUES_OF_A_FILTER]}
            with calling("DescribeNetworkInterfaces"):
                for page in pages.paginate(
                    Filters=cast("Any", [part, {"Name": "vpc-id", "Values": [vpc_id]}])
                ):
                    yield from cast("Any", page["NetworkInterfaces"])


def _same(interface: Mapping[str, Any], region: str) -> Iterator[tuple[str, str]]:
    """(owner, address): names of the same thing. Of other interfaces, a Classic Load Balancer's
    too, there are none.
    """
    addresses = list(interface.get("PrivateIpAddresses") or ())
    attachment = interface.get("Attachment") or {}
    if found := _DESCRIPTION.fullmatch(interface.get("Description", "")):
        owner = (
            f"arn:aws:elasticloadbalancing:{region}:{interface['OwnerId']}:loadbalancer/{found[1]}"
        )
    elif attachment.get("InstanceId") and attachment.get("DeviceIndex") == 0:
        owner = attachment["InstanceId"]
        addresses = [one for one in addresses if one.get("Primary")]
    else:
        return
    yield from ((owner, one["PrivateIpAddress"]) for one in addresses)
    yield from ((owner, one["Ipv6Address"]) for one in interface.get("Ipv6Addresses") or ())


def _public(interface: Mapping[str, Any]) -> set[str]:
    """Any of its private addresses may have one."""
    holders = [interface, *(interface.get("PrivateIpAddresses") or ())]
    return {
        address for one in holders if (address := (one.get("Association") or {}).get("PublicIp"))
    }


def _groups(aws: Aws, region: str, **which: Any) -> Iterator[Mapping[str, Any]]:
    groups: list[Mapping[str, Any]] = []
    pages = aws.elbv2_read(region).get_paginator("describe_target_groups")
    try:
        with calling("DescribeTargetGroups"):
            for page in pages.paginate(**which):
                groups += cast("Any", page["TargetGroups"])
    except AwsError as error:
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
        next(iter(found.get("Matcher", {}).values()), ""),
    )


def _targets(aws: Aws, region: str, group_arn: str) -> tuple[RegisteredTarget, ...]:
    with calling("DescribeTargetHealth"):
        found = aws.elbv2_read(region).describe_target_health(TargetGroupArn=group_arn)[
            "TargetHealthDescriptions"
        ]
    return tuple(
        RegisteredTarget(one["Target"]["Id"], health.get("State", ""), health.get("Reason", ""))
        for one in cast("Any", found)
        for health in (one.get("TargetHealth", {}),)
    )
