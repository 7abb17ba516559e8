"""Where an origin leads, and why it may lead nowhere (PURE).

It decides, for one origin and one viewer, to which listener or address CloudFront would connect and
whether with TLS, or which error it would give after how much time. It must never open a socket or
wait: the delay is part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.edge.account.distributions import VPC_ORIGIN_DEPLOYED, Origin
from lab.edge.account.lab_settings import find_fault
from lab.edge.account.load_balancers import Listener, LoadBalancer
from lab.edge.account.state import State
from lab.edge.account.vpcs import Instance
from lab.edge.http.messages import Refusal
from lab.edge.network.packet_filter import (
    PacketSource,
    acl_allows_replies,
    acl_allows_requests,
    cloudfront_source,
    groups_admit,
    public_access_blocked,
)

# A person in a rehearsal should see the timeout, not suffer it.
MAX_CONNECT_WAIT = 2.5
TCP_LISTENERS = frozenset({"HTTP", "HTTPS", "TCP", "TLS", "TCP_UDP"})
ACTIVE_STATES = ("active", "active_impaired")
# What a VPC origin speaks when nobody said so.
DEFAULT_SSL_PROTOCOLS = ("TLSv1.2",)
# Before May 2026 a WebSocket handshake through a VPC origin ended so; a fault brings that time
# back.
ERA_2025 = "era-2025"


@dataclass(frozen=True, slots=True)
class ResolvedListener:
    """CloudFront connects to this listener; with TLS if `ssl_protocols` is not None."""

    load_balancer: LoadBalancer
    listener: Listener
    ssl_protocols: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        return f"{self.load_balancer.label}:{self.listener.port}"


@dataclass(frozen=True, slots=True)
class ResolvedAddress:
    """CloudFront connects to this host and port itself: an instance, or a server outside the
    accounts.
    """

    address: str
    ssl_protocols: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class Unreachable:
    """CloudFront gives up: this answer, after `wait` real seconds."""

    refusal: Refusal
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class _ConnectAttempt:
    """What CloudFront wants of the place it found."""

    port: int
    ssl_protocols: tuple[str, ...] | None
    source: str
    through_vpc_origin: bool
    wait: float


def resolve_origin(
    state: State,
    origin: Origin,
    viewer_scheme: str,
    source_address: str,
    *,
    websocket: bool = False,
    distribution_id: str = "",
) -> ResolvedListener | ResolvedAddress | Unreachable:
    """Follow one origin to a listener or an address.

    1. A VPC origin is found by its id and must be Deployed; its endpoint is a load balancer or an
       instance.
    2. A custom origin is found by its domain name, after following aliases: a load balancer, an
       instance or an address that the host map knows. The name of an internal load balancer
       resolves to private addresses, which CloudFront does not reach without a VPC origin: a name
       error, as in the 2025 article.
    3. What drops packets is asked before the listener (504 after the timeout), a closed port
       answers at once (502).
    """
    wait = min(
        origin.connection_attempts * origin.connection_timeout / (state.scale or 1.0),
        MAX_CONNECT_WAIT,
    )
    if origin.vpc_origin_id is not None:
        vpc_origin = state.vpc_origins.get(origin.vpc_origin_id)
        if vpc_origin is None:
            return _refused(502, "OriginConnectError", "The VPC origin does not exist.")
        if vpc_origin.status != VPC_ORIGIN_DEPLOYED:
            return _refused(502, "OriginConnectError", f"The VPC origin is {vpc_origin.status}.")
        if websocket and find_fault(state.faults, ERA_2025, distribution_id) is not None:
            return _refused(
                502, "OriginDnsError", "The origin's domain name could not be resolved."
            )
        secure = _speaks_tls(vpc_origin.protocol_policy, viewer_scheme)
        asked = _ConnectAttempt(
            vpc_origin.https_port if secure else vpc_origin.http_port,
            (vpc_origin.ssl_protocols or DEFAULT_SSL_PROTOCOLS) if secure else None,
            source_address,
            True,
            wait,
        )
        balancer = next(
            (lb for lb in state.load_balancers if lb.arn == vpc_origin.endpoint_arn), None
        )
        if balancer is not None:
            return _resolve_balancer(state, balancer, asked)
        instance = state.network.instances.get(vpc_origin.endpoint_arn.rpartition("/")[2])
        if instance is not None:
            return _resolve_instance(state, instance, asked)
        return _refused(
            502, "OriginConnectError", "The VPC origin's endpoint does not exist any more."
        )
    if origin.custom is None:
        return _unresolved()
    secure = _speaks_tls(origin.custom.protocol_policy, viewer_scheme)
    asked = _ConnectAttempt(
        origin.custom.https_port if secure else origin.custom.http_port,
        (origin.custom.ssl_protocols or DEFAULT_SSL_PROTOCOLS) if secure else None,
        source_address,
        False,
        wait,
    )
    return _resolve_name(state, follow_names(state, origin.domain_name), asked)


def follow_names(state: State, name: str) -> str:
    """The name at the end of a chain of alias records, which may be the given one."""
    for _ in range(8):
        following = state.names.get(name)
        if following is None:
            break
        name = following
    return name


def internet_reaches(
    state: State, balancer: LoadBalancer, listener: Listener, address: str
) -> bool:
    """Whether a client on the internet at `address` gets through to a listener."""
    asked = _ConnectAttempt(listener.port, None, address, False, 0.0)
    return balancer.internet_facing and isinstance(
        _resolve_balancer(state, balancer, asked), ResolvedListener
    )


def _resolve_name(
    state: State, name: str, asked: _ConnectAttempt
) -> ResolvedListener | ResolvedAddress | Unreachable:
    balancer = next((lb for lb in state.load_balancers if lb.dns_name == name), None)
    if balancer is not None:
        if not balancer.internet_facing:
            return _refused(
                502, "OriginDnsError", "The origin's domain name leads to private addresses only."
            )
        return _resolve_balancer(state, balancer, asked)
    for instance in state.network.instances.values():
        if name == instance.public_dns:
            return _resolve_instance(state, instance, asked)
        if name == instance.private_dns:
            return _refused(
                502, "OriginDnsError", "The origin's domain name leads to private addresses only."
            )
    if f"{name}:{asked.port}" in state.hosts:
        return ResolvedAddress(f"{name}:{asked.port}", asked.ssl_protocols)
    if any(known.rpartition(":")[0] == name for known in state.hosts):
        return _refused(
            502, "OriginConnectError", f"The origin refused the connection on port {asked.port}."
        )
    return _unresolved()


def _resolve_balancer(
    state: State, balancer: LoadBalancer, asked: _ConnectAttempt
) -> ResolvedListener | Unreachable:
    caller = cloudfront_source(
        state.network, balancer.vpc_id, asked.source, asked.through_vpc_origin
    )
    blocked = public_access_blocked(
        state.network, balancer.account, balancer.region, balancer.vpc_id, balancer.subnets
    )
    if (
        balancer.state not in ACTIVE_STATES
        or blocked
        or not groups_admit(state.network, balancer.security_groups, asked.port, caller)
        or not _acls_pass(state, balancer.subnets, caller, asked)
    ):
        return _timed_out(asked)
    listener = next((one for one in balancer.listeners if one.port == asked.port), None)
    if listener is None or listener.protocol not in TCP_LISTENERS:
        return _refused(
            502, "OriginConnectError", f"The origin refused the connection on port {asked.port}."
        )
    return ResolvedListener(balancer, listener, asked.ssl_protocols)


def _resolve_instance(
    state: State, instance: Instance, asked: _ConnectAttempt
) -> ResolvedAddress | Unreachable:
    caller = cloudfront_source(
        state.network, instance.vpc_id, asked.source, asked.through_vpc_origin
    )
    subnets = (instance.subnet_id,)
    if (
        instance.state != "running"
        or public_access_blocked(
            state.network, instance.account, instance.region, instance.vpc_id, subnets
        )
        or not groups_admit(state.network, instance.security_groups, asked.port, caller)
        or not _acls_pass(state, subnets, caller, asked)
    ):
        return _timed_out(asked)
    address = f"{instance.private_ip}:{asked.port}"
    if address not in state.hosts:
        return _refused(
            502, "OriginConnectError", f"The origin refused the connection on port {asked.port}."
        )
    return ResolvedAddress(address, asked.ssl_protocols)


def _acls_pass(
    state: State, subnets: Sequence[str], caller: PacketSource, asked: _ConnectAttempt
) -> bool:
    """Every subnet of the endpoint must let the packets pass; one that does not makes AWS fail now
    and then.

    What comes in through a VPC origin is not evaluated, the replies are (VPC origins,
    "Prerequisites").
    """
    known = [state.network.subnets[id] for id in subnets if id in state.network.subnets]
    return all(
        acl_allows_replies(subnet, caller.address)
        and (asked.through_vpc_origin or acl_allows_requests(subnet, caller.address, asked.port))
        for subnet in known
    )


def _speaks_tls(policy: str, viewer_scheme: str) -> bool:
    return {"http-only": False, "https-only": True}.get(policy, viewer_scheme == "https")


def _timed_out(asked: _ConnectAttempt) -> Unreachable:
    return Unreachable(
        Refusal(504, "OriginCommError", "Connecting to the origin timed out."), asked.wait
    )


def _unresolved() -> Unreachable:
    return _refused(502, "OriginDnsError", "The origin's domain name could not be resolved.")


def _refused(status: int, detail: str, why: str) -> Unreachable:
    return Unreachable(Refusal(status, detail, why))
