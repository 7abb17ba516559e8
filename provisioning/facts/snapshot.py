"""What AWS says about a target, a distribution and an account: the basis of plan and preflight.

A fact that could not be read (no permission, an API error) is a Gap, never an empty value, so that
"unknown" cannot pass for "fine".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from provisioning.facts.forwarding import Forwarding
from provisioning.facts.names import Arn, DistributionId, SecurityGroupId, VpcOriginId
from provisioning.facts.path_patterns import same_paths
from provisioning.facts.permissions import Permission

# Amazon VPC User Guide, AWS-managed prefix lists: what CloudFront's counts for among a security
# group's rules.
CLOUDFRONT_LIST_WEIGHT = 55


def everybody(ranges: Iterable[str]) -> bool:
    """Whether these IPv4 ranges (CIDR) together hold every address. What cannot be read holds
    none.
    """
    networks = []
    for text in ranges:
        try:
            networks.append(ipaddress.IPv4Network(text, strict=False))
        except ValueError:
            continue
    return any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(networks))


@dataclass(frozen=True)
class Gap:
    """Something that AWS did not say, and why. `turn_in_seconds`: if the portal did not ask because
    its call budget was used up, when its turn is.
    """

    what: str
    reason: str
    turn_in_seconds: float | None = None


@dataclass(frozen=True)
class Certificate:
    """A certificate of ACM. `kind` is AWS's Type (AMAZON_ISSUED, IMPORTED, PRIVATE), `status` AWS's
    too, `expires` a date (ISO 8601). One that ACM does not keep (an IAM server certificate) has no
    names and the status "".
    """

    arn: str
    names: tuple[str, ...] = ()
    status: str = ""
    kind: str = ""
    expires: str = ""

    @property
    def in_force(self) -> bool:
        """Whether CloudFront may take it: issued, and not by a private CA. Who signed an imported
        one is not known.
        """
        return self.status == "ISSUED" and self.kind != "PRIVATE"

    def covers(self, host: str) -> bool:
        """Whether one of its names is `host`, or `host` with a star for the first label (RFC 6125,
        6.4.3).
        """
        host = host.lower().rstrip(".")
        star = f"*.{host.partition('.')[2]}"
        return any(name.lower() in (host, star) for name in self.names)


@dataclass(frozen=True)
class ListenerRule:
    """A rule of a listener, in the order in which they are asked. Empty `hosts` and `paths` mean
    any.

    `narrow`: it has conditions besides, which not every handshake meets. `action` is the type of
    what comes first, `target_groups` are the ARNs of those that it forwards to, without those of
    weight 0.
    """

    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    narrow: bool
    action: str
    target_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listener:
    """A listener of a load balancer. `default_action` is AWS's Type: forward, redirect,
    fixed-response, …

    `certificates` and `rules` are None if they were not read. `target_groups` are those of
    the default action.
    """

    port: int
    protocol: str
    default_action: str
    redirect_protocol: str = ""
    idle_timeout_seconds: int | None = None
    arn: str = ""
    certificates: tuple[Certificate, ...] | None = None
    rules: tuple[ListenerRule, ...] | None = None
    target_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegisteredTarget:
    """A target of a target group; `state` and `reason` are AWS's words."""

    id: str
    state: str
    reason: str = ""

    @property
    def well(self) -> bool:
        """Healthy, or not asked: the health check of a Lambda function may be switched off."""
        return self.state == "healthy" or self.reason == "Target.HealthCheckDisabled"


@dataclass(frozen=True)
class TargetGroup:
    """A target group of a load balancer. `protocol_version` is "" where there is none (TCP);
    seconds.
    """

    arn: str
    name: str
    protocol: str
    protocol_version: str
    target_type: str
    health_check_path: str
    targets: tuple[RegisteredTarget, ...] = ()
    sticky: bool | None = None
    deregistration_seconds: int | None = None


@dataclass(frozen=True)
class SecurityGroupRule:
    """An inbound rule of a security group. `source_kind` is cidr, prefix-list or group; ports are
    inclusive, -1 means all; `owner` is the portal's mark, "" on rules of others.
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
        return self.protocol == "tcp" and (
            self.from_port == -1 or self.from_port <= port <= self.to_port
        )


@dataclass(frozen=True)
class AclEntry:
    """An entry of a network ACL. `protocol` is AWS's number, -1 for all; ports are inclusive."""

    number: int
    allow: bool
    protocol: str
    cidr: str
    from_port: int = 0
    to_port: int = 65535


@dataclass(frozen=True)
class Subnet:
    """A subnet of the target. `public` means that its route table leads somewhere by an internet
    gateway.

    `maps_public` means that whatever starts in it gets a public address. `acl_egress` are the
    outbound entries of its network ACL, in their order; None if they were not read.
    """

    id: str
    availability_zone_id: str
    free_addresses: int
    public: bool
    maps_public: bool = False
    ipv6_only: bool = False
    acl_id: str = ""
    acl_egress: tuple[AclEntry, ...] | None = None


@dataclass(frozen=True)
class TargetFacts:
    """A load balancer or instance. `kind` is application, network, gateway or instance; seconds,
    counts.

    `origin_facing_prefix_list` and `origin_facing_ipv6_list` are AWS's lists of CloudFront's
    addresses. `list_weights` say how many rules the prefix lists of its groups besides the first
    count for, None where AWS does not tell; `own_lists` are those of them that are not AWS's.
    `attributes` are the load balancer's, as AWS names them. `public_addresses` are those of its
    network interfaces, `addresses_behind` those of what it forwards to in the end, through
    further load balancers too. `internet_facing_load_balancers` are application and network load
    balancers of the VPC that forward to the same, `api_gateway_links` the APIs and VPC links of
    API Gateway that lead to it. None: not read.
    """

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
    ingress: tuple[SecurityGroupRule, ...] = ()
    ip_address_type: str = "ipv4"
    idle_timeout_seconds: int | None = None
    healthy_targets: int | None = None
    registered_targets: int | None = None
    internet_gateway: bool | None = None
    block_public_access: str = ""
    exclusions_allowed: bool = True
    attributes: tuple[tuple[str, str], ...] | None = None
    groups: tuple[TargetGroup, ...] | None = None
    public_addresses: tuple[str, ...] | None = None
    addresses_behind: tuple[str, ...] = ()
    internet_facing_load_balancers: tuple[str, ...] | None = None
    api_gateway_links: tuple[str, ...] = ()
    origin_facing_prefix_list: str = ""
    origin_facing_ipv6_list: str = ""
    list_weights: tuple[tuple[str, int | None], ...] = ()
    own_lists: tuple[str, ...] = ()
    service_group_id: str = ""

    @property
    def cloudfront_lists(self) -> frozenset[str]:
        """Both of AWS's lists of CloudFront's addresses, as far as AWS has them there."""
        return frozenset({self.origin_facing_prefix_list, self.origin_facing_ipv6_list}) - {""}

    def attribute(self, key: str) -> str | None:
        """One attribute of the load balancer, None where AWS names none or was not asked."""
        return dict(self.attributes or ()).get(key)

    def listener_on(self, port: int) -> Listener | None:
        """The listener on a port, if there is one."""
        return next((listener for listener in self.listeners if listener.port == port), None)

    def listener_protocols(self) -> dict[int, str]:
        """Port → protocol."""
        return {listener.port: listener.protocol for listener in self.listeners}

    def certificate_names(self) -> dict[int, tuple[str, ...]]:
        """Port → the names, without those with a star, in the certificates in force that it shows
        there. A port whose certificates were not read is left out.
        """
        found: dict[int, tuple[str, ...]] = {}
        for listener in self.listeners:
            if listener.certificates is not None:
                names = (
                    name.lower()
                    for one in listener.certificates
                    if one.in_force
                    for name in one.names
                )
                found[listener.port] = tuple(
                    dict.fromkeys(name for name in names if "*" not in name)
                )
        return found

    @property
    def group_to_open(self) -> SecurityGroupId | None:
        """The group that the portal adds its rule to: the first by its id, since AWS lists them in
        no order.
        """
        return min(self.security_groups, default=None)

    def rules_used(self, group_id: str) -> int | None:
        """How many of a group's IPv4 rules are used; IPv6 is counted apart. None where a list's
        weight is not known.
        """
        weights = {
            self.origin_facing_prefix_list: CLOUDFRONT_LIST_WEIGHT,
            **dict(self.list_weights),
        }
        rules = [
            rule for rule in self.ingress if rule.group_id == group_id and ":" not in rule.source
        ]
        counted = [
            weights.get(rule.source) if rule.source_kind == "prefix-list" else 1 for rule in rules
        ]
        known = [one for one in counted if one is not None]
        return sum(known) if len(known) == len(counted) else None

    def admits_cloudfront(self, port: int) -> SecurityGroupRule | None:
        """The rule that admits CloudFront's VPC-origin traffic to `port`: prefix list, service
        group, or everybody.

        Everybody may also be let in by several ranges together; the first of them is then given.
        AWS lists rules in no order. Those that no portal made come first: they do not come and go
        with other endpoints.
        """
        rules = sorted(
            (rule for rule in self.ingress if rule.covers(port)),
            key=lambda one: (one.owner, one.rule_id),
        )
        for rule in rules:
            named = rule.source_kind == "prefix-list" and bool(rule.source)
            service = rule.source_kind == "group" and bool(rule.source)
            if named and rule.source == self.origin_facing_prefix_list:
                return rule
            if service and rule.source == self.service_group_id:
                return rule
        ranges = [rule for rule in rules if rule.source_kind == "cidr" and ":" not in rule.source]
        return ranges[0] if everybody(rule.source for rule in ranges) else None


@dataclass(frozen=True)
class EdgeFunction:
    """A function that a behavior runs. `event` is AWS's EventType: viewer-request, viewer-response,
    origin-request or origin-response. `include_body` is None for a CloudFront Function, which never
    sees the body, and AWS's IncludeBody for Lambda@Edge.
    """

    event: str
    arn: Arn
    include_body: bool | None = None

    @property
    def name(self) -> str:
        """The function's name; for Lambda@Edge with its version, as in `sign-in:3`."""
        if self.include_body is None:
            return self.arn.rpartition("/")[2]
        return self.arn.partition(":function:")[2] or self.arn


@dataclass(frozen=True)
class Behavior:
    """A cache behavior, in the order of the distribution; the default behavior has the pattern
    `*`.

    `key_groups` and `trusted_signers` (account IDs) say who may sign URLs and cookies; with either,
    CloudFront refuses requests that are not signed. The last three are AWS's identifiers, "" where
    nothing is attached.
    """

    path_pattern: str
    target_origin_id: str
    viewer_protocol_policy: str
    cache_policy_id: str
    origin_request_policy_id: str
    allowed_methods: str
    functions: tuple[EdgeFunction, ...] = ()
    key_groups: tuple[str, ...] = ()
    trusted_signers: tuple[str, ...] = ()
    response_headers_policy_id: str = ""
    realtime_log_config_arn: str = ""
    field_level_encryption_id: str = ""


@dataclass(frozen=True)
class Origin:
    """An origin of a distribution; `vpc_origin_id` is empty for custom and S3 origins,
    `protocol_policy` for all but custom ones. `path` is put before every path that CloudFront asks
    for. `owner_account` is the account that shares its VPC origin, "" for the distribution's own.
    `access_control` is its origin access control or identity. Of the headers that CloudFront adds
    for it, only the names are read: a value may be a secret.
    """

    id: str
    domain_name: str
    vpc_origin_id: str
    path: str = ""
    protocol_policy: str = ""
    owner_account: str = ""
    access_control: str = ""
    header_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class DistributionFacts:
    """A distribution as it is configured (not necessarily what every edge already serves).

    `staging`: viewers come to it by its primary distribution only. `connection_mode` is AWS's:
    `direct`, or `tenant-only` for a multi-tenant distribution, which serves nothing by itself.
    `continuous_deployment_policy_id` is what joins a primary distribution with a staging one, ""
    without.
    """

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
    certificate_arn: str = ""
    staging: bool = False
    continuous_deployment_policy_id: str = ""
    connection_mode: str = "direct"
    web_acl_id: str = ""

    def origin(self, origin_id: str) -> Origin | None:
        """The origin with this id, if there is one."""
        return next((origin for origin in self.origins if origin.id == origin_id), None)

    def behavior(self, path_pattern: str) -> Behavior | None:
        """The behavior with exactly this path pattern, if there is one."""
        return next(
            (behavior for behavior in self.behaviors if behavior.path_pattern == path_pattern), None
        )

    def behavior_for(self, path_pattern: str) -> Behavior | None:
        """The first behavior for exactly the paths of this pattern, however its own is written."""
        return next(
            (one for one in self.behaviors if same_paths(one.path_pattern, path_pattern)), None
        )


@dataclass(frozen=True)
class DomainConflict:
    """A name of another distribution; its id and account as far as AWS shows them (`*` hides the
    rest).
    """

    domain: str
    resource: str
    account: str


@dataclass(frozen=True)
class VpcOriginFacts:
    """A VPC origin of the account. `ours` means that its owner tag carries this portal's name;
    `distributions` is how many use it, None where that was not asked.
    """

    id: VpcOriginId
    name: str
    target_arn: Arn
    status: str
    ours: bool | None = None
    distributions: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything that one plan or preflight is based on, read together. Quotas are AWS's defaults,
    unless those would not suffice and AWS said what applies.

    `viewer_certificate` is what the distribution shows to viewers under its own names;
    `service_role` says whether the account has CloudFront's role for VPC origins; `permissions` is
    what the portal's own role may do; `domain_conflicts` what overlaps with those of the
    distribution's names that have a star. None if it was not read. `request_policies` are
    the custom origin request policies that the distribution's behaviors have, by id, as far as AWS
    showed them.
    """

    target: TargetFacts | None
    distribution: DistributionFacts | None
    vpc_origins: tuple[VpcOriginFacts, ...] = ()
    vpc_origin_quota: int = 25
    behavior_quota: int = 75
    origin_quota: int = 100
    rules_per_group: int = 60
    viewer_certificate: Certificate | None = None
    service_role: bool | None = None
    permissions: tuple[Permission, ...] | None = None
    domain_conflicts: tuple[DomainConflict, ...] | None = None
    request_policies: tuple[tuple[str, Forwarding], ...] = ()
    gaps: tuple[Gap, ...] = field(default=())

    def gap(self, what: str) -> Gap | None:
        """The gap about `what`, if it could not be read."""
        return next((gap for gap in self.gaps if gap.what == what), None)

    @property
    def held_back(self) -> Gap | None:
        """The gap with the longest wait, if the call budget did not suffice: try again then."""
        held = [gap for gap in self.gaps if gap.turn_in_seconds is not None]
        return max(held, key=lambda gap: gap.turn_in_seconds or 0.0, default=None)
