"""What a fault for an endpoint hits, found from a distribution and a path (PURE).

Uses the edge's own functions: behavior, origin, VPC origin, load balancer, listener, target group,
targets. What cannot be found is refused with a sentence that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.edge.account.distributions import Behavior, Distribution, Origin, VpcOrigin
from lab.edge.account.load_balancers import (
    Listener,
    ListenerRule,
    LoadBalancer,
    TargetGroup,
)
from lab.edge.account.state import State
from lab.edge.balancers.rules.listener_rules import BalancerRequest, deciding_rule
from lab.edge.cdn.routing import find_behavior, find_distribution, matches

_ARN_PLACE = re.compile(r"arn:aws[\w-]*:\w+:([a-z0-9-]+):(\d{12}):")


class FaultRefused(Exception):
    """A fault cannot be set or cleared; the message says why and what to do. `status` is the HTTP
    status.
    """

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


@dataclass(frozen=True, slots=True)
class FaultTarget:
    """Everything on the way from a viewer to an endpoint's targets; None for what does not exist.

    `patterns` are those of all behaviors that match the path, except the default one; `rule` is the
    listener rule that matches it, None if the default action applies.
    """

    distribution: Distribution
    path: str
    behavior: Behavior
    patterns: tuple[str, ...]
    origin: Origin
    vpc_origin: VpcOrigin | None
    balancer: LoadBalancer | None
    listener: Listener | None
    rule: ListenerRule | None
    groups: tuple[TargetGroup, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """host:port of every target, as the host map names them."""
        return tuple(
            f"{target.id}:{target.port}" for group in self.groups for target in group.targets
        )

    def require_balancer(self) -> LoadBalancer:
        """The load balancer.

        :raises FaultRefused: there is none.
        """
        if self.balancer is None:
            raise FaultRefused(
                f"{self._name} does not lead to a load balancer. Choose a path that does.", 409
            )
        return self.balancer

    def require_listener(self) -> Listener:
        """The listener on the origin's port.

        :raises FaultRefused: there is none.
        """
        balancer = self.require_balancer()
        if self.listener is None:
            raise FaultRefused(
                f"{balancer.name} has no listener on the port of {self._name}. Add one first.", 409
            )
        return self.listener

    def require_vpc_origin(self) -> VpcOrigin:
        """The VPC origin.

        :raises FaultRefused: the origin is another kind of origin, or the VPC origin does not
        exist.
        """
        if self.vpc_origin is None:
            raise FaultRefused(
                f"{self._name} does not lead to an existing VPC origin. Choose a path that does.",
                409,
            )
        return self.vpc_origin

    def require_targets(self) -> tuple[str, ...]:
        """host:port of the targets.

        :raises FaultRefused: there is none.
        """
        if not self.targets:
            raise FaultRefused(
                f"No target is registered behind {self._name}. Register one first.", 409
            )
        return self.targets

    def require_patterns(self) -> tuple[str, ...]:
        """The patterns that match the path.

        :raises FaultRefused: only the default behavior does.
        """
        if not self.patterns:
            known = (
                ", ".join(str(behavior.path_pattern) for behavior in self.distribution.behaviors)
                or "none"
            )
            raise FaultRefused(
                f"Only the default behavior matches {self._name}. Path patterns here: {known}.", 409
            )
        return self.patterns

    @property
    def _name(self) -> str:
        return f"{self.path} of {self.distribution.id}"


def find_target(state: State, distribution: str, path: str) -> FaultTarget:
    """Follow a path of a distribution (id, domain name or alias) to its targets.

    :raises FaultRefused: no such distribution, or it has not been deployed yet.
    """
    found = find_deployed(state, distribution)
    if not path.startswith("/"):
        raise FaultRefused(f"The path must start with /, but it is {path!r}.")
    behavior = find_behavior(found, path)
    origin = found.origins.get(behavior.target_origin_id)
    if origin is None:
        raise FaultRefused(
            f"{found.id} has no origin {behavior.target_origin_id}. Correct its behavior first.",
            409,
        )
    vpc_origin = state.vpc_origins.get(origin.vpc_origin_id or "")
    balancer, ports = _balancer(state, origin, vpc_origin)
    listeners = balancer.listeners if balancer else ()
    # With match-viewer the port depends on the viewer; most use HTTPS.
    listener = next((item for port in ports for item in listeners if item.port == port), None)
    request = BalancerRequest("GET", path, (("Host", found.domain),), "130.176.0.1")
    rule = deciding_rule(listener, request) if listener else None
    actions = (rule.actions if rule else listener.default_actions) if listener else ()
    arns = dict.fromkeys(arn for action in actions for arn in action.target_group_arns)
    return FaultTarget(
        distribution=found,
        path=path,
        behavior=behavior,
        patterns=tuple(
            other.path_pattern
            for other in found.behaviors
            if other.path_pattern and matches(other.path_pattern, path)
        ),
        origin=origin,
        vpc_origin=vpc_origin,
        balancer=balancer,
        listener=listener,
        rule=rule,
        groups=tuple(state.target_groups[arn] for arn in arns if arn in state.target_groups),
    )


def find_deployed(state: State, distribution: str) -> Distribution:
    """The distribution of that id, domain name or alias.

    :raises FaultRefused: the edge knows none.
    """
    by_id = next((item for item in state.distributions if item.id == distribution), None)
    found = by_id or find_distribution(state.distributions, distribution)
    if found is None:
        known = ", ".join(item.id for item in state.distributions[:20]) or "none"
        raise FaultRefused(
            f"No distribution {distribution!r} has been deployed. If it is new, advance the clock. "
            f"Deployed are: {known}.",
            404,
        )
    return found


def account_and_region(arn: str) -> tuple[str, str]:
    """Account and Region of a load balancer's, listener's or instance's ARN.

    :raises FaultRefused: it is another kind of ARN.
    """
    found = _ARN_PLACE.match(arn)
    if found is None:
        raise FaultRefused(f"{arn} has no account and Region.", 409)
    return found.group(2), found.group(1)


def _balancer(
    state: State, origin: Origin, vpc_origin: VpcOrigin | None
) -> tuple[LoadBalancer | None, Sequence[int]]:
    """The load balancer, and the ports that CloudFront may connect to, the likelier one first."""
    if vpc_origin is not None:
        found = next(
            (item for item in state.load_balancers if item.arn == vpc_origin.endpoint_arn), None
        )
        return found, _ports(
            vpc_origin.http_port, vpc_origin.https_port, vpc_origin.protocol_policy
        )
    if origin.custom is not None:
        found = next(
            (item for item in state.load_balancers if item.dns_name == origin.domain_name), None
        )
        return found, _ports(
            origin.custom.http_port, origin.custom.https_port, origin.custom.protocol_policy
        )
    return None, ()


def _ports(http: int, https: int, policy: str) -> Sequence[int]:
    return {"http-only": (http,), "https-only": (https,)}.get(policy, (https, http))
