"""Whether a packet may travel: security groups, network ACLs and VPC Block Public Access (PURE).

It decides from rules, addresses and ports. CloudFront's packets carry an address of its public
origin-facing ranges also on the way to a VPC origin (the X-Forwarded-For of a real deployment shows
130.176.x.x as the load balancer's peer), so a rule for the VPC's own CIDR does not admit them. It
must never open a socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from lab.edge.account.load_balancers import LoadBalancer
from lab.edge.account.vpcs import AclEntry, IngressRule, Network, Subnet

TCP_PROTOCOLS = frozenset({"tcp", "6", "-1", "all"})
# The ports from which CloudFront and clients may call, so the ones replies go to (VPC origins,
# "Prerequisites").
FIRST_EPHEMERAL, LAST_EPHEMERAL = 1024, 65535
ALLOW_BIDIRECTIONAL = "allow-bidirectional"


@dataclass(frozen=True, slots=True)
class PacketSource:
    """Who knocks: a source address, and the security groups it belongs to, if any."""

    address: str
    groups: frozenset[str] = frozenset()


def cloudfront_source(
    network: Network, vpc_id: str, address: str, through_vpc_origin: bool
) -> PacketSource:
    """CloudFront at `address`; through a VPC origin it is also a member of the VPC's service
    group.
    """
    service = network.service_groups.get(vpc_id) if through_vpc_origin else None
    return PacketSource(address, frozenset({service} if service else ()))


def groups_admit(network: Network, groups: Sequence[str], port: int, caller: PacketSource) -> bool:
    """Whether any rule of any attached group lets `caller` reach `port`. No group attached: nothing
    filters.
    """
    if not groups:
        return True
    return any(
        _covers(rule, port) and _names(rule, caller, network)
        for group in groups
        for rule in network.security_groups.get(group, ())
    )


def acl_allows_replies(subnet: Subnet, address: str) -> bool:
    """Whether the subnet's network ACL lets replies out to every ephemeral port of `address`.

    CloudFront and clients call from any of them; a rule that covers only some would fail now and
    then, which the lab makes always. A subnet of which no ACL is known filters nothing.
    """
    return all(acl_allows(subnet.acl, True, address, port) for port in _edges_of(subnet.acl))


def acl_allows_requests(subnet: Subnet, address: str, port: int) -> bool:
    """Whether the subnet's network ACL lets a request from `address` in."""
    return acl_allows(subnet.acl, False, address, port)


def acl_allows(entries: Sequence[AclEntry], egress: bool, address: str, port: int) -> bool:
    """The first rule by number that fits decides; none fits: denied. Without any rule known,
    allowed.
    """
    if not entries:
        return True
    for entry in entries:
        if entry.egress == egress and _fits(entry, port) and _contains([entry.cidr], address):
            return entry.allow
    return False


def public_access_blocked(
    network: Network, account: str, region: str, vpc_id: str, subnets: Sequence[str]
) -> bool:
    """Both blocking modes stop what comes in; CloudFront VPC origins are among it (VPC user guide,
    "BPA basics").

    An exclusion `allow-bidirectional` for the VPC, or for every subnet concerned, lets it in again;
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
    """Whether a load balancer's packets reach one of its targets and the replies come back.

    1. The target's own security groups, if an interface with its address is known: the caller is a
       member of the balancer's groups and has the address of the balancer's node, or, where the
       client's address is preserved, that.
    2. Between two subnets both network ACLs are asked, in both directions.
    """
    target_subnet = next(
        (s for s in network.subnets.values() if s.vpc_id == vpc_id and _inside(address, s)), None
    )
    nodes = [network.subnets[id] for id in balancer.subnets if id in network.subnets]
    node = next(
        (s for s in nodes if target_subnet is not None and s.id == target_subnet.id),
        nodes[0] if nodes else None,
    )
    node_at = node_address(node) if node else None
    groups = network.interfaces.get((vpc_id, address), ())
    if groups:
        caller_at = preserved.address if preserved else node_at
        caller = PacketSource(caller_at or "0.0.0.0", frozenset(balancer.security_groups))  # noqa: S104 - an unknown address
        if not groups_admit(network, groups, port, caller):
            return False
    if node is None or node_at is None or target_subnet is None or node.id == target_subnet.id:
        return True
    there = acl_allows(node.acl, True, address, port) and acl_allows_requests(
        target_subnet, node_at, port
    )
    back = acl_allows_replies(target_subnet, node_at) and all(
        acl_allows(node.acl, False, address, port) for port in _edges_of(node.acl)
    )
    return there and back


def node_address(subnet: Subnet) -> str:
    """The private address of a load balancer's node in a subnet: the lab gives every node the 97th,
    or the last.
    """
    network = _network(subnet.cidr)
    return str(network[min(96, network.num_addresses - 2)])


def _covers(rule: IngressRule, port: int) -> bool:
    if rule.protocol.lower() not in TCP_PROTOCOLS:
        return False
    if rule.protocol in ("-1", "all") or rule.from_port is None or rule.to_port is None:
        return True
    return rule.from_port <= port <= rule.to_port


def _names(rule: IngressRule, caller: PacketSource, network: Network) -> bool:
    if not caller.groups.isdisjoint(rule.groups):
        return True
    listed = (
        cidr
        for prefix_list in rule.prefix_lists
        for cidr in network.prefix_lists.get(prefix_list, ())
    )
    return _contains(rule.cidrs, caller.address) or _contains(listed, caller.address)


def _fits(entry: AclEntry, port: int) -> bool:
    if entry.protocol.lower() not in TCP_PROTOCOLS:
        return False
    if entry.protocol in ("-1", "all") or entry.from_port is None or entry.to_port is None:
        return True
    return entry.from_port <= port <= entry.to_port


def _edges_of(entries: Iterable[AclEntry]) -> set[int]:
    """The ephemeral ports at which an answer can change: if all of these pass, all between them
    do.
    """
    edges = {FIRST_EPHEMERAL, LAST_EPHEMERAL}
    for entry in entries:
        if entry.from_port is not None and entry.to_port is not None:
            edges |= {entry.from_port - 1, entry.from_port, entry.to_port, entry.to_port + 1}
    return {port for port in edges if FIRST_EPHEMERAL <= port <= LAST_EPHEMERAL}


def _inside(address: str, subnet: Subnet) -> bool:
    return _contains([subnet.cidr], address)


def _contains(cidrs: Iterable[str], address: str) -> bool:
    ip = ip_address(address)
    return any(ip in _network(cidr) for cidr in cidrs)


@lru_cache(maxsize=4096)
def _network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr, strict=False)
