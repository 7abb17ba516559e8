"""What besides CloudFront can reach a target (PURE).

An approval covers what is listed here, and nothing that comes later. So each line is worded by what
stays the same: an address that changes with every new instance is not part of it.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from provisioning.facts.network import SecurityGroupRule, is_public
from provisioning.facts.target import TargetFacts


class ExposureKind(enum.StrEnum):
    """How something gets in."""

    SCHEME = "scheme"
    SUBNET = "subnets"
    PUBLIC_RULE = "public_rules"
    OTHER_RULE = "other_rules"
    ADDRESS = "addresses"
    ROUTE = "other_routes"
    IPV6 = "ipv6"


GAPS: dict[ExposureKind, tuple[str, ...]] = {
    ExposureKind.SCHEME: (),
    ExposureKind.SUBNET: ("subnets",),
    ExposureKind.PUBLIC_RULE: ("ingress",),
    ExposureKind.OTHER_RULE: ("ingress", "prefix_list", "service_group"),
    ExposureKind.ADDRESS: ("addresses", "addresses_behind", "target_health"),
    ExposureKind.ROUTE: ("internet_facing_load_balancers", "api_gateway"),
    ExposureKind.IPV6: ("attributes",),
}
"""What has to be read to list a kind completely."""

DENIES_IPV6 = "ipv6.deny_all_igw_traffic"


@dataclass(frozen=True)
class Exposure:
    """One way past CloudFront: `what` as people read it, and as it is recognized again."""

    kind: ExposureKind
    what: str


def exposures(target: TargetFacts, ports: Sequence[int]) -> tuple[Exposure, ...]:
    """Every way that the facts show; `ports` are the endpoint's on the target."""
    return tuple(dict.fromkeys(_exposures(target, ports)))


def sources_besides_cloudfront(
    target: TargetFacts, ports: Sequence[int]
) -> tuple[SecurityGroupRule, ...]:
    """The rules that let anything but CloudFront reach one of the ports."""

    def is_cloudfront(rule: SecurityGroupRule) -> bool:
        if rule.source_kind == "prefix-list":
            return rule.source in target.cloudfront_lists
        from_group = rule.source_kind == "group" and bool(rule.source)
        return from_group and rule.source == target.service_group_id

    return tuple(
        rule
        for rule in target.ingress
        if any(rule.covers(port) for port in ports) and not is_cloudfront(rule)
    )


def without_rules(target: TargetFacts, allowed: Collection[str]) -> TargetFacts:
    """The target as it would be without the rules that these exposures (their `what`) are about."""
    kept = tuple(rule for rule in target.ingress if _allows(rule) not in allowed)
    return replace(target, ingress=kept)


def _exposures(target: TargetFacts, ports: Sequence[int]) -> Iterator[Exposure]:
    kinds = ExposureKind
    if target.kind == "instance" and target.scheme != "internal":
        yield Exposure(kinds.SCHEME, f"{target.name} has a public address")
    for subnet in target.subnets:
        if subnet.public:
            yield Exposure(kinds.SUBNET, f"{subnet.id} has a route to an internet gateway")
    for rule in target.ingress:
        if rule.source_kind == "cidr" and is_public(rule.source):
            yield Exposure(kinds.PUBLIC_RULE, _allows(rule))
    for rule in sources_besides_cloudfront(target, ports):
        yield Exposure(kinds.OTHER_RULE, _allows(rule))
    if target.public_addresses:
        yield Exposure(kinds.ADDRESS, f"{target.name} has a public address")
    if target.addresses_behind:
        yield Exposure(kinds.ADDRESS, f"targets behind {target.name} have public addresses")
    for subnet in target.subnets:
        if subnet.maps_public and target.kind == "instance":
            yield Exposure(kinds.ADDRESS, f"{subnet.id} gives new instances a public address")
    for balancer in target.internet_facing_load_balancers or ():
        yield Exposure(kinds.ROUTE, f"{balancer}, open to the internet, has the same targets")
    for link in target.api_gateway_links:
        yield Exposure(kinds.ROUTE, f"{link} of API Gateway forwards to {target.name}")
    if (
        target.kind != "instance"
        and target.ip_address_type != "ipv4"
        and target.attribute(DENIES_IPV6) == "false"
    ):
        yield Exposure(kinds.IPV6, f"{target.name} accepts IPv6 traffic from internet gateways")


def _allows(rule: SecurityGroupRule) -> str:
    if rule.protocol == "-1":
        what = "everything"
    elif rule.from_port == -1:
        what = f"all {rule.protocol}"
    else:
        ports = str(rule.from_port)
        if rule.to_port != rule.from_port:
            ports += f"-{rule.to_port}"
        what = f"{rule.protocol} {ports}"
    return f"{rule.group_id} allows {what} from {rule.source}"
