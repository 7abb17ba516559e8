"""What the page shows of the accounts, as plain values (PURE).

It decides what belongs into the picture: each way from a distribution's behavior to its targets,
with who is let in, what is connected and which faults it has. It must never write HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.edge.account.distributions import Behavior, Distribution
from lab.edge.account.load_balancers import Listener, LoadBalancer
from lab.edge.account.state import State
from lab.edge.account.vpcs import IngressRule
from lab.edge.cdn.routing import find_behavior
from lab.faults.set_fault import SetFault
from lab.faults.targeting import FaultRefused, FaultTarget, find_target

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One target: where it is in the VPC, and on this machine ("" if nothing is there)."""

    address: str
    health: str
    real: str


@dataclass(frozen=True, slots=True)
class Balancer:
    """A load balancer in its VPC; `admits` are lines such as `TCP 80 from CloudFront's prefix
    list`.
    """

    name: str
    kind: str
    scheme: str
    state: str
    vpc: str
    subnets: tuple[str, ...]
    groups: tuple[str, ...]
    admits: tuple[str, ...]
    listeners: tuple[str, ...]
    targets: tuple[Target, ...]
    sockets: int


@dataclass(frozen=True, slots=True)
class Way:
    """One behavior and all that is behind it; `path` is one that it matches, `trouble` says what is
    missing.
    """

    pattern: str
    path: str
    rules: tuple[str, ...]
    origin: str
    origin_kind: str
    origin_status: str
    balancer: Balancer | None
    trouble: str
    sockets: int
    faults: tuple[SetFault, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A distribution with its ways."""

    id: str
    domain: str
    aliases: tuple[str, ...]
    account: str
    status: str
    enabled: bool
    staging: bool
    ways: tuple[Way, ...]
    faults: tuple[SetFault, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything, by account; `loose` are load balancers to which no distribution leads."""

    distributions: tuple[Shown, ...]
    loose: tuple[tuple[str, Balancer], ...]
    sockets: int


def draw(
    state: State, document: Json, faults: Sequence[SetFault], sockets: Sequence[Json]
) -> Picture:
    """The picture of what the edge knows; `document` is the state's JSON, `sockets` the edge's
    list.
    """
    names = {
        id: str(group.get("name") or id)
        for id, group in document.get("security_groups", {}).items()
    }
    status = {entry["id"]: str(entry.get("status")) for entry in document.get("distributions", ())}
    artist = _Artist(state, names, _policies(document), faults, sockets)
    # Those with the most to see first.
    ordered = sorted(state.distributions, key=lambda item: (-len(item.behaviors), item.id))
    shown = tuple(artist.distribution(item, status.get(item.id, "")) for item in ordered)
    loose = tuple(
        (balancer.account, artist.balancer(balancer, balancer.listeners, None))
        for balancer in state.load_balancers
        if balancer.arn not in artist.reached
    )
    return Picture(shown, loose, sum(1 for socket in sockets if _is_viewer(socket)))


class _Artist:
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
        self.reached: set[str] = set()

    def distribution(self, item: Distribution, status: str) -> Shown:
        ways = [self._way(item, behavior) for behavior in (*item.behaviors, item.default_behavior)]
        on_ways = {fault.id for way in ways for fault in way.faults}
        return Shown(
            id=item.id,
            domain=item.domain,
            aliases=tuple(sorted(item.aliases)),
            account=item.account,
            status=status,
            enabled=item.enabled,
            staging=item.staging,
            ways=tuple(ways),
            faults=tuple(
                fault
                for fault in self._faults
                if fault.hit.get("distribution") == item.id and fault.id not in on_ways
            ),
        )

    def balancer(
        self, found: LoadBalancer, listeners: Iterable[Listener], aimed: FaultTarget | None
    ) -> Balancer:
        """A load balancer with the listeners that matter."""
        network = self._state.network
        targets = tuple(self._targets(aimed)) if aimed else ()
        places = {target.address for target in targets}
        rules = [
            rule
            for group in found.security_groups
            for rule in network.security_groups.get(group, ())
        ]
        return Balancer(
            name=found.name,
            kind={"application": "ALB", "network": "NLB"}.get(found.type, found.type),
            scheme=found.scheme,
            state=found.state,
            vpc=found.vpc_id,
            subnets=tuple(
                network.subnets[id].cidr for id in found.subnets if id in network.subnets
            ),
            groups=tuple(self._names.get(group, group) for group in found.security_groups),
            admits=tuple(dict.fromkeys(line for rule in rules for line in self._admits(rule))),
            listeners=tuple(f"{listener.protocol} {listener.port}" for listener in listeners),
            targets=targets,
            sockets=sum(
                1
                for socket in self._sockets
                if socket.get("hop") == found.label and socket["to"] in places
            ),
        )

    def _way(self, item: Distribution, behavior: Behavior) -> Way:
        path = _sample(item, behavior)
        here = tuple(
            fault
            for fault in self._faults
            if fault.hit.get("distribution") == item.id
            and "path" in fault.given
            and find_behavior(item, str(fault.hit["path"])) == behavior
        )
        origin = item.origins.get(behavior.target_origin_id)
        balancer, trouble, aimed = None, "", None
        try:
            aimed = find_target(self._state, item.id, path)
        except FaultRefused as refused:
            trouble = refused.why
        if aimed is not None and aimed.balancer is not None:
            self.reached.add(aimed.balancer.arn)
            listeners = (aimed.listener,) if aimed.listener else ()
            balancer = self.balancer(aimed.balancer, listeners, aimed)
            trouble = trouble or ("" if aimed.listener else "nothing listens on the origin's port")
        vpc_origin = self._state.vpc_origins.get(origin.vpc_origin_id or "") if origin else None
        is_vpc_origin = origin is not None and origin.vpc_origin_id is not None
        return Way(
            pattern=behavior.path_pattern or "everything else",
            path=path,
            rules=_rules(behavior, self._policies.get((item.id, behavior.path_pattern), "")),
            origin=(origin.vpc_origin_id or origin.domain_name)
            if origin
            else behavior.target_origin_id,
            origin_kind="VPC origin" if is_vpc_origin else "custom origin",
            origin_status=(vpc_origin.status if vpc_origin else "missing") if is_vpc_origin else "",
            balancer=balancer,
            trouble=trouble,
            sockets=sum(1 for socket in self._sockets if self._goes_here(socket, item, behavior)),
            faults=here,
        )

    def _admits(self, rule: IngressRule) -> Iterable[str]:
        ports = "" if rule.from_port is None else f" {rule.from_port}"
        if rule.to_port is not None and rule.to_port != rule.from_port:
            ports += f"-{rule.to_port}"
        what = ("everything" if rule.protocol == "-1" else rule.protocol.upper()) + ports
        for cidr in rule.cidrs:
            yield f"{what} from {cidr}"
        for group in rule.groups:
            yield f"{what} from {self._names.get(group, group)}"
        for prefix_list in rule.prefix_lists:
            known = prefix_list in self._state.network.prefix_lists
            yield f"{what} from {'CloudFront' if known else 'prefix list'} {prefix_list}"

    def _targets(self, aimed: FaultTarget) -> Iterable[Target]:
        for group in aimed.groups:
            for target in group.targets:
                address = f"{target.id}:{target.port}"
                yield Target(address, target.health, self._state.hosts.get(address, ""))

    def _goes_here(self, socket: Json, item: Distribution, behavior: Behavior) -> bool:
        domain, slash, rest = str(socket.get("to", "")).partition("/")
        return (
            _is_viewer(socket)
            and domain == item.domain
            and find_behavior(item, slash + rest) == behavior
        )


def _is_viewer(socket: Json) -> bool:
    """Whether a tunnel is a viewer's: those of load balancers carry the same bytes once more."""
    return ".cloudfront.net/" in str(socket.get("to", ""))


def _sample(item: Distribution, behavior: Behavior) -> str:
    """A path that the behavior answers, if there is one."""
    if behavior.path_pattern is None:
        return "/" if find_behavior(item, "/") == behavior else "/nothing-else-matches"
    path = behavior.path_pattern.replace("*", "chat").replace("?", "x")
    return path if path.startswith("/") else f"/{path}"


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
