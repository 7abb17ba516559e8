"""Security groups, network ACLs and VPC Block Public Access: may a packet pass? (PURE)

CloudFront's packets have a public, origin-facing source address even through a VPC origin: in a
real deployment X-Forwarded-For shows 130.176.x.x as the load balancer's peer. So a rule for the
VPC's own CIDR does not admit them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from lab.edge.account.load_balancers import LoadBalancer
from lab.edge.account.vpcs import AclEntry, IngressRule, Network, Subnet

TCP_PROTOCOLS = frozenset({"tcp", "6", "-1", "all"})
# CloudFront and clients connect from these ports, so replies go to them (Developer Guide, VPC
# origins, "Prerequisites").
FIRST_EPHEMERAL, LAST_EPHEMERAL = 1024, 65535
ALLOW_BIDIRECTIONAL = "allow-bidirectional"


@dataclass(frozen=True, slots=True)
class PacketSource:
    """Where a packet comes from: a source address, and the security groups it belongs to."""

    address: str
    groups: frozenset[str] = frozenset()


def cloudfront_source(
    network: Network, vpc_id: str, address: str, through_vpc_origin: bool
) -> PacketSource:
    """CloudFront at `address`; through a VPC origin it also belongs to the VPC's service-managed
    group.
    """
    service = network.service_groups.get(vpc_id) if through_vpc_origin else None
    return PacketSource(address, frozenset({service} if service else ()))


def groups_admit(network: Network, groups: Sequence[str], port: int, source: PacketSource) -> bool:
    """Whether a rule of any attached group lets `source` reach `port`. Without groups, everything
    passes.
    """
    if not groups:
        return True
    return any(
        _covers_port(rule, port) and _covers_source(rule, source, network)
        for group in groups
        for rule in network.security_groups.get(group, ())
    )


def acl_allows_replies(subnet: Subnet, address: str) -> bool:
    """Whether the subnet's network ACL lets replies out to every ephemeral port of `address`.

    CloudFront and clients connect from any of them. On AWS, a rule that covers only some of them
    fails intermittently; in the lab it always fails. A subnet without a known ACL filters nothing.
    """
    return all(acl_allows(subnet.acl, True, address, port) for port in _port_samples(subnet.acl))


def acl_allows_requests(subnet: Subnet, address: str, port: int) -> bool:
    """Whether the subnet's network ACL lets a request from `address` in."""
    return acl_allows(subnet.acl, False, address, port)


def acl_allows(entries: Sequence[AclEntry], egress: bool, address: str, port: int) -> bool:
    """The first matching rule, by number, decides. Denied if none matches; allowed if the ACL is
    unknown.
    """
    if not entries:
        return True
    for entry in entries:
        if (
            entry.egress == egress
            and _covers_port(entry, port)
            and _contains([entry.cidr], address)
        ):
            return entry.allow
    return False


def public_access_blocked(
    network: Network, account: str, region: str, vpc_id: str, subnets: Sequence[str]
) -> bool:
    """Whether Block Public Access drops inbound traffic. Both of its modes do, also for CloudFront
    VPC origins (VPC User Guide, "BPA basics").

    An `allow-bidirectional` exclusion for the VPC, or for all of these subnets, lifts the block;
    `allow-egress` does not.
    """
    options = network.block_public_access.get((account, region))
    if options is None or options.mode == "off":
        return False
    excluded = {
        resource for resource, mode in options.exclusions.items() if mode == ALLOW_BIDIRECTIONAL
    }
    return vpc_id not in excluded and not (subnets and excluded.issuperset(subnets))


def target_admits(
    network: Network,
    balancer: LoadBalancer,
    vpc_id: str,
    address: str,
    port: int,
    preserved: PacketSource | None,
) -> bool:
    """Whether a load balancer's packets reach one of its targets, and the replies come back.

    1. The target's security groups, if an interface with its address is known. The source is a
       member of the balancer's groups and has its node's address, or the client's address if that
       is preserved.
    2. If node and target are in different subnets: both network ACLs, in both directions.
    """
    target_subnet = next(
        (
            s
            for s in network.subnets.values()
            if s.vpc_id == vpc_id and _contains([s.cidr], address)
        ),
        None,
    )
    nodes = [network.subnets[id] for id in balancer.subnets if id in network.subnets]
    node = next(
        (s for s in nodes if target_subnet is not None and s.id == target_subnet.id),
        nodes[0] if nodes else None,
    )
    node_at = node_address(node) if node else None
    groups = network.interfaces.get((vpc_id, address), ())
    if groups:
        source_address = preserved.address if preserved else node_at
        source = PacketSource(source_address or "0.0.0.0", frozenset(balancer.security_groups))  # noqa: S104 - an unknown address
        if not groups_admit(network, groups, port, source):
            return False
    if node is None or node_at is None or target_subnet is None or node.id == target_subnet.id:
        return True
    there = acl_allows(node.acl, True, address, port) and acl_allows_requests(
        target_subnet, node_at, port
    )
    back = acl_allows_replies(target_subnet, node_at) and all(
        acl_allows(node.acl, False, address, port) for port in _port_samples(node.acl)
    )
    return there and back


def node_address(subnet: Subnet) -> str:
    """The private address of a load balancer's node in a subnet: in the lab the 97th address, or
    the last.
    """
    network = _network(subnet.cidr)
    return str(network[min(96, network.num_addresses - 2)])


def _covers_port(rule: IngressRule | AclEntry, port: int) -> bool:
    if rule.protocol.lower() not in TCP_PROTOCOLS:
        return False
    if rule.protocol in ("-1", "all") or rule.from_port is None or rule.to_port is None:
        return True
    return rule.from_port <= port <= rule.to_port


def _covers_source(rule: IngressRule, source: PacketSource, network: Network) -> bool:
    if not source.groups.isdisjoint(rule.groups):
        return True
    listed = (
        cidr
        for prefix_list in rule.prefix_lists
        for cidr in network.prefix_lists.get(prefix_list, ())
    )
    return _contains(rule.cidrs, source.address) or _contains(listed, source.address)


def _port_samples(entries: Iterable[AclEntry]) -> set[int]:
    """The ephemeral ports at which the verdict can change: if all of these pass, so does every port
    between them.
    """
    edges = {FIRST_EPHEMERAL, LAST_EPHEMERAL}
    for entry in entries:
        if entry.from_port is not None and entry.to_port is not None:
            edges |= {entry.from_port - 1, entry.from_port, entry.to_port, entry.to_port + 1}
    return {port for port in edges if FIRST_EPHEMERAL <= port <= LAST_EPHEMERAL}


def _contains(cidrs: Iterable[str], address: str) -> bool:
    ip = ip_address(address)
    return any(ip in _network(cidr) for cidr in cidrs)


@lru_cache(maxsize=4096)
def _network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr, strict=False)
