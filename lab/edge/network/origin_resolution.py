"""Where an origin leads: a listener, an address, or an error (PURE).

The result says where CloudFront would connect and with which TLS versions, or which error it
returns after how long. Waiting is the caller's job.
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

# Enough to see the timeout in a demo without suffering it.
MAX_CONNECT_WAIT = 2.5
TCP_LISTENERS = frozenset({"HTTP", "HTTPS", "TCP", "TLS", "TCP_UDP"})
# Alias records followed before giving up, which ends alias loops.
MAX_ALIASES = 8
ACTIVE_STATES = ("active", "active_impaired")
# What an origin without OriginSslProtocols speaks.
DEFAULT_SSL_PROTOCOLS = ("TLSv1.2",)
# A fault: before May 2026 a WebSocket handshake through a VPC origin failed with a DNS error.
ERA_2025 = "era-2025"


@dataclass(frozen=True, slots=True)
class ResolvedListener:
    """CloudFront connects to this listener, over TLS unless `ssl_protocols` is None."""

    load_balancer: LoadBalancer
    listener: Listener
    ssl_protocols: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        return f"{self.load_balancer.label}:{self.listener.port}"


@dataclass(frozen=True, slots=True)
class ResolvedAddress:
    """CloudFront connects to this host:port: an instance, or a server outside the accounts. Over
    TLS unless `ssl_protocols` is None.
    """

    address: str
    ssl_protocols: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class Unreachable:
    """CloudFront gives up with this answer after `wait` real seconds."""

    refusal: Refusal
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class _ConnectAttempt:
    """How CloudFront, or a client on the internet, tries to connect."""

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

    1. A VPC origin is found by its id, and must be Deployed. Its endpoint is a load balancer or an
       instance.
    2. A custom origin is found by its domain name, through alias records: a load balancer, an
       instance, or an address in the host map. An internal load balancer's name resolves to
       private addresses, which CloudFront reaches only through a VPC origin: it reports a DNS
       error, as the 2025 article shows.
    3. Packet filters come first: dropped packets give 504 after the timeout. Only then does a
       closed port give an immediate 502.
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
        attempt = _ConnectAttempt(
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
            return _resolve_balancer(state, balancer, attempt)
        instance = state.network.instances.get(vpc_origin.endpoint_arn.rpartition("/")[2])
        if instance is not None:
            return _resolve_instance(state, instance, attempt)
        return _refused(502, "OriginConnectError", "The VPC origin's endpoint no longer exists.")
    if origin.custom is None:
        return _unresolved()
    secure = _speaks_tls(origin.custom.protocol_policy, viewer_scheme)
    attempt = _ConnectAttempt(
        origin.custom.https_port if secure else origin.custom.http_port,
        (origin.custom.ssl_protocols or DEFAULT_SSL_PROTOCOLS) if secure else None,
        source_address,
        False,
        wait,
    )
    name = origin.domain_name
    for _ in range(MAX_ALIASES):
        name = state.names.get(name, name)
    return _resolve_name(state, name, attempt)


def internet_reaches(
    state: State, balancer: LoadBalancer, listener: Listener, address: str
) -> bool:
    """Whether a client on the internet at `address` can connect to a listener."""
    attempt = _ConnectAttempt(listener.port, None, address, False, 0.0)
    return balancer.internet_facing and isinstance(
        _resolve_balancer(state, balancer, attempt), ResolvedListener
    )


def _resolve_name(
    state: State, name: str, attempt: _ConnectAttempt
) -> ResolvedListener | ResolvedAddress | Unreachable:
    balancer = next((lb for lb in state.load_balancers if lb.dns_name == name), None)
    if balancer is not None:
        if not balancer.internet_facing:
            return _refused(
                502, "OriginDnsError", "The origin's domain name leads to private addresses only."
            )
        return _resolve_balancer(state, balancer, attempt)
    for instance in state.network.instances.values():
        if name == instance.public_dns:
            return _resolve_instance(state, instance, attempt)
        if name == instance.private_dns:
            return _refused(
                502, "OriginDnsError", "The origin's domain name leads to private addresses only."
            )
    if f"{name}:{attempt.port}" in state.hosts:
        return ResolvedAddress(f"{name}:{attempt.port}", attempt.ssl_protocols)
    if any(known.rpartition(":")[0] == name for known in state.hosts):
        return _refused(
            502, "OriginConnectError", f"The origin refused the connection on port {attempt.port}."
        )
    return _unresolved()


def _resolve_balancer(
    state: State, balancer: LoadBalancer, attempt: _ConnectAttempt
) -> ResolvedListener | Unreachable:
    source = cloudfront_source(
        state.network, balancer.vpc_id, attempt.source, attempt.through_vpc_origin
    )
    blocked = public_access_blocked(
        state.network, balancer.account, balancer.region, balancer.vpc_id, balancer.subnets
    )
    if (
        balancer.state not in ACTIVE_STATES
        or blocked
        or not groups_admit(state.network, balancer.security_groups, attempt.port, source)
        or not _acls_allow(state, balancer.subnets, source, attempt)
    ):
        return _timed_out(attempt)
    listener = next((one for one in balancer.listeners if one.port == attempt.port), None)
    if listener is None or listener.protocol not in TCP_LISTENERS:
        return _refused(
            502, "OriginConnectError", f"The origin refused the connection on port {attempt.port}."
        )
    return ResolvedListener(balancer, listener, attempt.ssl_protocols)


def _resolve_instance(
    state: State, instance: Instance, attempt: _ConnectAttempt
) -> ResolvedAddress | Unreachable:
    source = cloudfront_source(
        state.network, instance.vpc_id, attempt.source, attempt.through_vpc_origin
    )
    subnets = (instance.subnet_id,)
    if (
        instance.state != "running"
        or public_access_blocked(
            state.network, instance.account, instance.region, instance.vpc_id, subnets
        )
        or not groups_admit(state.network, instance.security_groups, attempt.port, source)
        or not _acls_allow(state, subnets, source, attempt)
    ):
        return _timed_out(attempt)
    address = f"{instance.private_ip}:{attempt.port}"
    if address not in state.hosts:
        return _refused(
            502, "OriginConnectError", f"The origin refused the connection on port {attempt.port}."
        )
    return ResolvedAddress(address, attempt.ssl_protocols)


def _acls_allow(
    state: State, subnets: Sequence[str], source: PacketSource, attempt: _ConnectAttempt
) -> bool:
    """Whether the network ACLs of all subnets let the packets pass.

    On AWS a single subnet that does not causes intermittent failures. Requests through a VPC origin
    are not evaluated, their replies are (VPC origins, "Prerequisites").
    """
    known = [state.network.subnets[id] for id in subnets if id in state.network.subnets]
    return all(
        acl_allows_replies(subnet, source.address)
        and (
            attempt.through_vpc_origin or acl_allows_requests(subnet, source.address, attempt.port)
        )
        for subnet in known
    )


def _speaks_tls(policy: str, viewer_scheme: str) -> bool:
    return {"http-only": False, "https-only": True}.get(policy, viewer_scheme == "https")


def _timed_out(attempt: _ConnectAttempt) -> Unreachable:
    return Unreachable(
        Refusal(504, "OriginCommError", "Connecting to the origin timed out."), attempt.wait
    )


def _unresolved() -> Unreachable:
    return _refused(502, "OriginDnsError", "The origin's domain name could not be resolved.")


def _refused(status: int, detail: str, why: str) -> Unreachable:
    return Unreachable(Refusal(status, detail, why))
