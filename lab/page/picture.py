"""The accounts as the page shows them, as plain values (PURE).

Each route leads from a distribution's behavior to its targets, with what is allowed in, what is
connected, and which faults it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.edge.account.distributions import Behavior, Distribution
from lab.edge.account.load_balancers import Listener, LoadBalancer, TargetGroup
from lab.edge.account.state import State
from lab.edge.account.vpcs import IngressRule
from lab.edge.cdn.routing import find_behavior
from lab.faults.set_fault import SetFault
from lab.faults.targeting import FaultRefused, find_target

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target: its address in the VPC, and the real one ("" if nothing listens there)."""

    address: str
    health: str
    real: str


@dataclass(frozen=True, slots=True)
class BalancerView:
    """A load balancer in its VPC. `allows` are lines such as `TCP 80 from CloudFront pl-...`."""

    name: str
    kind: str
    scheme: str
    state: str
    vpc: str
    subnets: tuple[str, ...]
    groups: tuple[str, ...]
    allows: tuple[str, ...]
    listeners: tuple[str, ...]
    targets: tuple[TargetView, ...]
    sockets: int


@dataclass(frozen=True, slots=True)
class Route:
    """One behavior and everything behind it. `path` is an example that it matches; `problem` says
    what is missing.
    """

    pattern: str
    path: str
    rules: tuple[str, ...]
    origin: str
    origin_kind: str
    origin_status: str
    balancer: BalancerView | None
    problem: str
    sockets: int
    faults: tuple[SetFault, ...]


@dataclass(frozen=True, slots=True)
class DistributionView:
    """A distribution with its routes."""

    id: str
    domain: str
    aliases: tuple[str, ...]
    account: str
    status: str
    enabled: bool
    staging: bool
    routes: tuple[Route, ...]
    faults: tuple[SetFault, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """All accounts. `unrouted` are (account, load balancer without a distribution)."""

    distributions: tuple[DistributionView, ...]
    unrouted: tuple[tuple[str, BalancerView], ...]
    sockets: int


def build_picture(
    state: State, document: Json, faults: Sequence[SetFault], sockets: Sequence[Json]
) -> Picture:
    """Build the picture from the edge's state, its JSON `document`, and the open sockets."""
    names = {
        id: str(group.get("name") or id)
        for id, group in document.get("security_groups", {}).items()
    }
    status = {entry["id"]: str(entry.get("status")) for entry in document.get("distributions", ())}
    builder = _PictureBuilder(state, names, _policies(document), faults, sockets)
    # Largest first.
    ordered = sorted(state.distributions, key=lambda item: (-len(item.behaviors), item.id))
    shown = tuple(builder.distribution(item, status.get(item.id, "")) for item in ordered)
    unrouted = tuple(
        (
            balancer.account,
            builder.balancer(balancer, balancer.listeners, builder.groups_behind(balancer)),
        )
        for balancer in state.load_balancers
        if balancer.arn not in builder.routed
    )
    return Picture(shown, unrouted, sum(1 for socket in sockets if _is_viewer(socket)))


class _PictureBuilder:
    def __init__(
        self,
        state: State,
        names: Mapping[str, str],
        policies: Mapping[tuple[str, str | None], str],
        faults: Sequence[SetFault],
        sockets: Sequence[Json],
    ) -> None:
        self._state = state
        self._names = names
        self._policies = policies
        self._faults = faults
        self._sockets = sockets
        self.routed: set[str] = set()

    def distribution(self, item: Distribution, status: str) -> DistributionView:
        routes = [
            self._route(item, behavior) for behavior in (*item.behaviors, item.default_behavior)
        ]
        on_routes = {fault.id for route in routes for fault in route.faults}
        return DistributionView(
            id=item.id,
            domain=item.domain,
            aliases=tuple(sorted(item.aliases)),
            account=item.account,
            status=status,
            enabled=item.enabled,
            staging=item.staging,
            routes=tuple(routes),
            faults=tuple(
                fault
                for fault in self._faults
                if fault.hit.get("distribution") == item.id and fault.id not in on_routes
            ),
        )

    def balancer(
        self, found: LoadBalancer, listeners: Iterable[Listener], groups: Iterable[TargetGroup]
    ) -> BalancerView:
        """A load balancer with these listeners, and the targets of these groups."""
        network = self._state.network
        targets = tuple(self._targets(groups))
        places = {target.address for target in targets}
        rules = [
            rule
            for group in found.security_groups
            for rule in network.security_groups.get(group, ())
        ]
        return BalancerView(
            name=found.name,
            kind={"application": "ALB", "network": "NLB"}.get(found.type, found.type),
            scheme=found.scheme,
            state=found.state,
            vpc=found.vpc_id,
            subnets=tuple(
                network.subnets[id].cidr for id in found.subnets if id in network.subnets
            ),
            groups=tuple(self._names.get(group, group) for group in found.security_groups),
            allows=tuple(dict.fromkeys(line for rule in rules for line in self._allows(rule))),
            listeners=tuple(f"{listener.protocol} {listener.port}" for listener in listeners),
            targets=targets,
            sockets=sum(
                1
                for socket in self._sockets
                if socket.get("hop") == found.label and socket["to"] in places
            ),
        )

    def groups_behind(self, balancer: LoadBalancer) -> tuple[TargetGroup, ...]:
        """The target groups that a load balancer's listeners forward to."""
        actions = (
            action
            for listener in balancer.listeners
            for each in (listener.default_actions, *(rule.actions for rule in listener.rules))
            for action in each
        )
        arns = dict.fromkeys(arn for action in actions for arn in action.target_group_arns)
        known = self._state.target_groups
        return tuple(known[arn] for arn in arns if arn in known)

    def _route(self, item: Distribution, behavior: Behavior) -> Route:
        if behavior.path_pattern is not None:
            path = "/" + behavior.path_pattern.replace("*", "chat").replace("?", "x").lstrip("/")
        else:
            path = "/" if find_behavior(item, "/") == behavior else "/nothing-else-matches"
        here = tuple(
            fault
            for fault in self._faults
            if fault.hit.get("distribution") == item.id
            and "path" in fault.given
            and find_behavior(item, str(fault.hit["path"])) == behavior
        )
        origin = item.origins.get(behavior.target_origin_id)
        balancer, problem, fault_target = None, "", None
        try:
            fault_target = find_target(self._state, item.id, path)
        except FaultRefused as refused:
            problem = refused.why
        if fault_target is not None and fault_target.balancer is not None:
            self.routed.add(fault_target.balancer.arn)
            listeners = (fault_target.listener,) if fault_target.listener else ()
            balancer = self.balancer(fault_target.balancer, listeners, fault_target.groups)
            problem = problem or (
                "" if fault_target.listener else "No listener on the origin's port"
            )
        sockets = 0
        for socket in filter(_is_viewer, self._sockets):
            domain, slash, rest = str(socket["to"]).partition("/")
            sockets += domain == item.domain and find_behavior(item, slash + rest) == behavior
        vpc_origin = self._state.vpc_origins.get(origin.vpc_origin_id or "") if origin else None
        is_vpc_origin = origin is not None and origin.vpc_origin_id is not None
        return Route(
            pattern=behavior.path_pattern or "default (*)",
            path=path,
            rules=_rules(behavior, self._policies.get((item.id, behavior.path_pattern), "")),
            origin=(origin.vpc_origin_id or origin.domain_name)
            if origin
            else behavior.target_origin_id,
            origin_kind="VPC origin" if is_vpc_origin else "custom origin",
            origin_status=(vpc_origin.status if vpc_origin else "missing") if is_vpc_origin else "",
            balancer=balancer,
            problem=problem,
            sockets=sockets,
            faults=here,
        )

    def _allows(self, rule: IngressRule) -> Iterable[str]:
        ports = "" if rule.from_port is None else f" {rule.from_port}"
        if rule.to_port is not None and rule.to_port != rule.from_port:
            ports += f"-{rule.to_port}"
        what = ("all traffic" if rule.protocol == "-1" else rule.protocol.upper()) + ports
        for cidr in rule.cidrs:
            yield f"{what} from {cidr}"
        for group in rule.groups:
            yield f"{what} from {self._names.get(group, group)}"
        for prefix_list in rule.prefix_lists:
            known = prefix_list in self._state.network.prefix_lists
            yield f"{what} from {'CloudFront' if known else 'prefix list'} {prefix_list}"

    def _targets(self, groups: Iterable[TargetGroup]) -> Iterable[TargetView]:
        for group in groups:
            for target in group.targets:
                address = f"{target.id}:{target.port}"
                yield TargetView(address, target.health, self._state.hosts.get(address, ""))


def _is_viewer(socket: Json) -> bool:
    """Whether a socket is a viewer's. Load balancers hold further ones for the same bytes."""
    return ".cloudfront.net/" in str(socket.get("to", ""))


def _rules(behavior: Behavior, policy: str) -> tuple[str, ...]:
    signed = ("signed requests only",) if behavior.signed_by is not None else ()
    forwards = f"forwards {policy}" if policy else "no origin request policy"
    return (
        behavior.viewer_protocol_policy,
        forwards,
        f"{len(behavior.allowed_methods)} methods",
        *signed,
    )


def _policies(document: Json) -> dict[tuple[str, str | None], str]:
    """The name of each behavior's origin request policy, by distribution and path pattern."""
    policies = document.get("origin_request_policies", {})
    names = {
        id: str(policy.get("name") or id).removeprefix("Managed-")
        for id, policy in policies.items()
    }
    found = {}
    for entry in document.get("distributions", ()):
        config = entry.get("config") or {}
        behaviors = (config.get("CacheBehaviors") or {}).get("Items") or []
        for behavior in (*behaviors, config.get("DefaultCacheBehavior") or {}):
            policy = behavior.get("OriginRequestPolicyId")
            if policy:
                found[entry["id"], behavior.get("PathPattern")] = names.get(policy, policy)
    return found
