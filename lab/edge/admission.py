"""Whether a load balancer's security groups admit CloudFront (PURE).

It decides from the inbound rules, the port and who is asking. CloudFront's packets carry an address of its public
origin-facing ranges also on the way to a VPC origin (the X-Forwarded-For of a real deployment shows 130.176.x.x as the
load balancer's peer), so a rule for the VPC's own CIDR does not admit them. It must never open a socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from lab.edge.network_facts import IngressRule, LoadBalancer
from lab.edge.state import State

TCP_PROTOCOLS = frozenset({"tcp", "6", "-1", "all"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who knocks: a source address, and the security group it belongs to, if any."""

    address: str
    group: str | None = None


def cloudfront_caller(state: State, load_balancer: LoadBalancer, address: str, through_vpc_origin: bool) -> Caller:
    """CloudFront at `address`; through a VPC origin it is also a member of the VPC's service group."""
    return Caller(address, state.service_groups.get(load_balancer.vpc_id) if through_vpc_origin else None)


def admits(state: State, load_balancer: LoadBalancer, port: int, caller: Caller) -> bool:
    """Whether any rule of any attached group lets `caller` reach `port`. No group attached: nothing filters."""
    if not load_balancer.security_groups:
        return True
    return any(
        _covers(rule, port) and _names(rule, caller, state)
        for group in load_balancer.security_groups
        for rule in state.security_groups.get(group, ())
    )


def _covers(rule: IngressRule, port: int) -> bool:
    if rule.protocol.lower() not in TCP_PROTOCOLS:
        return False
    if rule.protocol in ("-1", "all") or rule.from_port is None or rule.to_port is None:
        return True
    return rule.from_port <= port <= rule.to_port


def _names(rule: IngressRule, caller: Caller, state: State) -> bool:
    if caller.group is not None and caller.group in rule.groups:
        return True
    listed = (cidr for prefix_list in rule.prefix_lists for cidr in state.prefix_lists.get(prefix_list, ()))
    return _contains(rule.cidrs, caller.address) or _contains(listed, caller.address)


def _contains(cidrs: Iterable[str], address: str) -> bool:
    ip = ip_address(address)
    return any(ip in ip_network(cidr, strict=False) for cidr in cidrs)
