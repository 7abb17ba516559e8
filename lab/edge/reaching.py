"""Where an origin leads, and why it may lead nowhere (PURE).

It decides, for one origin and one viewer, which load balancer and listener CloudFront would connect to, or which
error it would give after how much time. It must never open a socket or wait: the delay is
part of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.edge.acceptance import Refusal
from lab.edge.admission import admits, cloudfront_caller
from lab.edge.distribution_facts import VPC_ORIGIN_DEPLOYED, Origin
from lab.edge.network_facts import Listener, LoadBalancer
from lab.edge.state import State

# A person in a rehearsal should see the timeout, not suffer it.
LONGEST_CONNECT_WAIT = 2.5
SERVED_LISTENERS = frozenset({"HTTP", "TCP"})


@dataclass(frozen=True, slots=True)
class Reached:
    """CloudFront connects to this listener."""

    load_balancer: LoadBalancer
    listener: Listener


@dataclass(frozen=True, slots=True)
class Unreachable:
    """CloudFront gives up: this answer, after `wait` real seconds."""

    refusal: Refusal
    wait: float = 0.0


def reach(state: State, origin: Origin, viewer_scheme: str, source_address: str) -> Reached | Unreachable:
    """Follow one origin to a listener.

    1. A VPC origin is found by its id and must be Deployed; its endpoint must be a load balancer that exists.
    2. A custom origin is found by its domain name. The name of an internal load balancer resolves to private addresses,
       which CloudFront does not reach without a VPC origin: a name error, as in the 2025 seed.
    3. The security group is asked before the listener: dropped packets time out (504), a closed port answers (502).
    4. The listener must speak what CloudFront will speak.
    """
    if origin.vpc_origin_id is not None:
        vpc_origin = state.vpc_origins.get(origin.vpc_origin_id)
        if vpc_origin is None:
            return Unreachable(_error(502, "OriginConnectError", "The VPC origin does not exist."))
        if vpc_origin.status != VPC_ORIGIN_DEPLOYED:
            return Unreachable(_error(502, "OriginConnectError", f"The VPC origin is {vpc_origin.status}."))
        balancer = next((lb for lb in state.load_balancers if lb.arn == vpc_origin.endpoint_arn), None)
        if balancer is None:
            return Unreachable(_error(502, "OriginConnectError", "The VPC origin's endpoint does not exist any more."))
        ports = (vpc_origin.http_port, vpc_origin.https_port, vpc_origin.protocol_policy)
    elif origin.custom is not None:
        balancer = next((lb for lb in state.load_balancers if lb.dns_name == origin.domain_name), None)
        if balancer is None:
            return Unreachable(_error(502, "OriginDnsError", "The origin's domain name could not be resolved."))
        if balancer.scheme != "internet-facing":
            return Unreachable(
                _error(502, "OriginDnsError", "The origin's domain name leads to private addresses only.")
            )
        ports = (origin.custom.http_port, origin.custom.https_port, origin.custom.protocol_policy)
    else:
        return Unreachable(_error(502, "OriginDnsError", "The origin's domain name could not be resolved."))
    http_port, https_port, policy = ports
    scheme = {"http-only": "http", "https-only": "https"}.get(policy, viewer_scheme)
    port = https_port if scheme == "https" else http_port
    caller = cloudfront_caller(state, balancer, source_address, through_vpc_origin=origin.vpc_origin_id is not None)
    if balancer.state not in ("active", "active_impaired") or not admits(state, balancer, port, caller):
        wait = origin.connection_attempts * origin.connection_timeout / (state.scale or 1.0)
        return Unreachable(
            _error(504, "OriginCommError", "Connecting to the origin timed out."), min(wait, LONGEST_CONNECT_WAIT)
        )
    listener = next((item for item in balancer.listeners if item.port == port), None)
    if listener is None:
        return Unreachable(_error(502, "OriginConnectError", f"The origin refused the connection on port {port}."))
    if scheme == "https" or listener.protocol not in SERVED_LISTENERS:
        # Plain HTTP to a TLS listener, or TLS to a plain one, never ends in a handshake.
        return Unreachable(_error(502, "OriginConnectError", f"No TLS connection to the origin on port {port}."))
    return Reached(balancer, listener)


def _error(status: int, detail: str, why: str) -> Refusal:
    return Refusal(status, detail, why)
