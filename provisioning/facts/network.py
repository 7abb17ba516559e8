"""What EC2 says about the network of a target: security group rules, network ACLs, subnets."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioning.facts.names import SecurityGroupId

# Amazon VPC User Guide, AWS-managed prefix lists: what CloudFront's counts for among a security
# group's rules.
CLOUDFRONT_LIST_WEIGHT = 55


def everybody(ranges: Iterable[str]) -> bool:
    """Whether these IPv4 ranges (CIDR) together hold every address. What cannot be read holds
    none.
    """
    networks = []
    for text in ranges:
        try:
            networks.append(ipaddress.IPv4Network(text, strict=False))
        except ValueError:
            continue
    return any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(networks))


def is_public(cidr: str) -> bool:
    """Whether a range holds addresses of the internet; what cannot be read is taken as public."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return True
    return network.prefixlen == 0 or network.is_global


@dataclass(frozen=True)
class SecurityGroupRule:
    """An inbound rule of a security group. `source_kind` is cidr, prefix-list or group; ports are
    inclusive, -1 means all; `owner` is the portal's mark, "" on rules of others.
    """

    group_id: SecurityGroupId
    rule_id: str
    protocol: str
    from_port: int
    to_port: int
    source_kind: str
    source: str
    description: str = ""
    owner: str = ""

    def covers(self, port: int) -> bool:
        """Whether the rule admits TCP to `port` (from its source)."""
        if self.protocol == "-1":
            return True
        return self.protocol == "tcp" and (
            self.from_port == -1 or self.from_port <= port <= self.to_port
        )


def rules_used(
    rules: Iterable[SecurityGroupRule], group_id: str, weights: Mapping[str, int | None]
) -> int | None:
    """How many IPv4 rules a group uses of its quota; IPv6 is counted apart. A prefix list counts as
    many as `weights` say; None where one's weight is not known.
    """
    total = 0
    for rule in rules:
        if rule.group_id == group_id and ":" not in rule.source:
            weight = weights.get(rule.source) if rule.source_kind == "prefix-list" else 1
            if weight is None:
                return None
            total += weight
    return total


@dataclass(frozen=True)
class AclEntry:
    """An entry of a network ACL. `protocol` is AWS's number, -1 for all; ports are inclusive."""

    number: int
    allow: bool
    protocol: str
    cidr: str
    from_port: int = 0
    to_port: int = 65535


@dataclass(frozen=True)
class Subnet:
    """A subnet of the target. `public` means that its route table leads somewhere by an internet
    gateway.

    `maps_public` means that whatever starts in it gets a public address. `acl_egress` are the
    outbound entries of its network ACL, in their order; None if they were not read.
    """

    id: str
    availability_zone_id: str
    free_addresses: int
    public: bool
    maps_public: bool = False
    ipv6_only: bool = False
    acl_id: str = ""
    acl_egress: tuple[AclEntry, ...] | None = None
