"""What AWS says about a target, a distribution and an account: frozen values that plan and preflight judge.

PURE. Nothing here decides anything. A fact that could not be had (no permission, an API error) is a Gap,
never an empty value, so that "unknown" cannot look like "fine".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioning.names import Arn, DistributionId, SecurityGroupId, VpcOriginId


@dataclass(frozen=True)
class Gap:
    """Something AWS did not tell: what was asked, and the reason in words. `turn_in_seconds`, where the portal itself
    did not ask because its budget of calls was spent: when it may.
    """

    what: str
    reason: str
    turn_in_seconds: float | None = None


@dataclass(frozen=True)
class Listener:
    """A listener of a load balancer. `default_action` is AWS's Type: forward, redirect, fixed-response, …"""

    port: int
    protocol: str
    default_action: str
    redirect_protocol: str = ""
    certificate_names: tuple[str, ...] = ()
    idle_timeout_seconds: int | None = None


@dataclass(frozen=True)
class IngressRule:
    """One ingress rule. `source_kind` is cidr, prefix-list or group; ports are inclusive, -1 means all; `owner` is
    the portal's mark, "" on rules of others.
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
        return self.protocol == "tcp" and (self.from_port == -1 or self.from_port <= port <= self.to_port)


@dataclass(frozen=True)
class Subnet:
    """A subnet of the target. `public` means that its route table leads 0.0.0.0/0 or ::/0 to an internet gateway."""

    id: str
    availability_zone_id: str
    free_addresses: int
    public: bool


@dataclass(frozen=True)
class TargetFacts:
    """A load balancer or instance. `kind` is application, network, gateway or instance; seconds, counts."""

    arn: Arn
    kind: str
    name: str
    dns_name: str
    scheme: str
    state: str
    vpc_id: str
    security_groups: tuple[SecurityGroupId, ...]
    listeners: tuple[Listener, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    ingress: tuple[IngressRule, ...] = ()
    ip_address_type: str = "ipv4"
    idle_timeout_seconds: int | None = None
    healthy_targets: int | None = None
    registered_targets: int | None = None
    internet_gateway: bool | None = None
    block_public_access: str = ""
    origin_facing_prefix_list: str = ""
    service_group_id: str = ""

    def listener_on(self, port: int) -> Listener | None:
        """The listener on a port, if there is one."""
        return next((listener for listener in self.listeners if listener.port == port), None)

    def listener_protocols(self) -> dict[int, str]:
        """Port → protocol."""
        return {listener.port: listener.protocol for listener in self.listeners}

    def admits_cloudfront(self, port: int) -> IngressRule | None:
        """The rule that admits CloudFront's VPC-origin traffic to `port`: prefix list, service group, or everybody."""
        for rule in self.ingress:
            named = rule.source_kind == "prefix-list" and rule.source == self.origin_facing_prefix_list
            service = rule.source_kind == "group" and bool(rule.source) and rule.source == self.service_group_id
            everybody = rule.source_kind == "cidr" and rule.source in ("0.0.0.0/0",)
            if (named or service or everybody) and rule.covers(port):
                return rule
        return None


@dataclass(frozen=True)
class Behavior:
    """A cache behavior, in the order of the distribution; the default behavior has the pattern `*`."""

    path_pattern: str
    target_origin_id: str
    viewer_protocol_policy: str
    cache_policy_id: str
    origin_request_policy_id: str
    allowed_methods: str


@dataclass(frozen=True)
class Origin:
    """An origin of a distribution; `vpc_origin_id` is empty for custom and S3 origins."""

    id: str
    domain_name: str
    vpc_origin_id: str


@dataclass(frozen=True)
class DistributionFacts:
    """A distribution as it is configured (not necessarily what every edge already serves)."""

    id: DistributionId
    domain_name: str
    enabled: bool
    status: str
    comment: str
    aliases: tuple[str, ...]
    behaviors: tuple[Behavior, ...]
    default_behavior: Behavior
    origins: tuple[Origin, ...]
    unknown_elements: tuple[str, ...] = ()

    def origin(self, origin_id: str) -> Origin | None:
        """The origin with this id, if there is one."""
        return next((origin for origin in self.origins if origin.id == origin_id), None)

    def behavior(self, path_pattern: str) -> Behavior | None:
        """The behavior with exactly this path pattern, if there is one."""
        return next((behavior for behavior in self.behaviors if behavior.path_pattern == path_pattern), None)


@dataclass(frozen=True)
class VpcOriginFacts:
    """A VPC origin of the account. `ours` means that its owner tag carries this portal's name."""

    id: VpcOriginId
    name: str
    target_arn: Arn
    status: str
    ours: bool | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything one judgement is based on, looked at together."""

    target: TargetFacts | None
    distribution: DistributionFacts | None
    vpc_origins: tuple[VpcOriginFacts, ...] = ()
    vpc_origin_quota: int = 25
    behavior_quota: int = 75
    gaps: tuple[Gap, ...] = field(default=())

    def gap(self, what: str) -> Gap | None:
        """The gap about `what`, if it could not be looked at."""
        return next((gap for gap in self.gaps if gap.what == what), None)

    @property
    def held_back(self) -> Gap | None:
        """The gap to be waited for longest, if the budget of calls did not suffice: look again then."""
        held = [gap for gap in self.gaps if gap.turn_in_seconds is not None]
        return max(held, key=lambda gap: gap.turn_in_seconds or 0.0, default=None)
