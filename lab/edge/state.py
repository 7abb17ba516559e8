"""What the edge knows of the account: the AWS process's `/_lab/state`, parsed once into frozen values (PURE).

It decides how the wire form is read, and gives every later decision typed facts. It must never do I/O or fill in a fact
that AWS would not: what is missing in the JSON stays absent here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

VPC_ORIGIN_DEPLOYED = "Deployed"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which names of one kind (headers, cookies or query strings) a policy lets through."""

    behavior: str = "none"
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """A cache policy or an origin request policy: the three selections are all that the data plane needs."""

    headers: Selection = Selection()
    cookies: Selection = Selection()
    query_strings: Selection = Selection()


@dataclass(frozen=True, slots=True)
class Behavior:
    """One cache behavior. `path_pattern` is None for the default behavior."""

    path_pattern: str | None
    target_origin_id: str
    viewer_protocol_policy: str
    allowed_methods: frozenset[str]
    cache_policy: Policy
    origin_request_policy: Policy


@dataclass(frozen=True, slots=True)
class CustomOrigin:
    """Ports and protocol of an origin that CloudFront reaches over the internet."""

    http_port: int
    https_port: int
    protocol_policy: str


@dataclass(frozen=True, slots=True)
class Origin:
    """One origin of a distribution. Exactly one of `vpc_origin_id` and `custom` is set, or neither (an S3 origin)."""

    id: str
    domain_name: str
    path: str
    custom_headers: tuple[tuple[str, str], ...]
    vpc_origin_id: str | None
    custom: CustomOrigin | None
    connection_attempts: int
    connection_timeout: int
    read_timeout: int


@dataclass(frozen=True, slots=True)
class ErrorMapping:
    """A custom error response: which page and status replace an error."""

    error_code: int
    page_path: str
    response_code: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """The configuration that the edge serves now for one distribution."""

    id: str
    domain: str
    enabled: bool
    aliases: frozenset[str]
    default_root_object: str
    behaviors: tuple[Behavior, ...]
    default_behavior: Behavior
    origins: Mapping[str, Origin]
    error_mappings: tuple[ErrorMapping, ...]


@dataclass(frozen=True, slots=True)
class VpcOrigin:
    """A VPC origin as the control plane reports it."""

    id: str
    endpoint_arn: str
    http_port: int
    https_port: int
    protocol_policy: str
    status: str


@dataclass(frozen=True, slots=True)
class Action:
    """What a listener does with a request: forward to a target group, redirect, or answer by itself."""

    type: str
    target_group_arns: tuple[str, ...] = ()
    status_code: int = 0
    content_type: str = ""
    message_body: str = ""
    redirect_protocol: str = "#{protocol}"
    redirect_port: str = "#{port}"
    redirect_host: str = "#{host}"
    redirect_path: str = "/#{path}"
    redirect_query: str = "#{query}"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a listener rule; any of `values` satisfies it."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One listener rule; all conditions must hold."""

    priority: int
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a load balancer. `rules` are in order of priority."""

    arn: str
    port: int
    protocol: str
    default_actions: tuple[Action, ...]
    rules: tuple[Rule, ...]
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A load balancer with its listeners."""

    arn: str
    name: str
    dns_name: str
    type: str
    scheme: str
    state: str
    vpc_id: str
    security_groups: tuple[str, ...]
    attributes: Mapping[str, str]
    listeners: tuple[Listener, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """One registered target: an address (or instance id), a port and its health."""

    id: str
    port: int
    health: str


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group and its registered targets."""

    arn: str
    protocol: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class IngressRule:
    """One inbound permission of a security group; ports are None when every port is meant."""

    protocol: str
    from_port: int | None
    to_port: int | None
    cidrs: tuple[str, ...]
    groups: tuple[str, ...]
    prefix_lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Everything the edge knows at one version; `scale` is how many times as fast as real time the lab runs."""

    version: int
    scale: float
    distributions: tuple[Distribution, ...] = ()
    vpc_origins: Mapping[str, VpcOrigin] = field(default_factory=dict)
    load_balancers: tuple[LoadBalancer, ...] = ()
    target_groups: Mapping[str, TargetGroup] = field(default_factory=dict)
    security_groups: Mapping[str, tuple[IngressRule, ...]] = field(default_factory=dict)
    prefix_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    service_groups: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)

    @property
    def socket_scale(self) -> float:
        """How much faster than AWS idle clocks run: the lab's scale, but at most 6.

        A person who types needs some seconds, so the shortest of AWS's idle clocks (60 s) never falls under 10 s, and
        the three of them (60, 350, 600 s) keep their order and proportion.
        """
        return max(1.0, min(self.scale, 6.0))


def parse_state(body: Json) -> State:
    """Read the JSON of `/_lab/state`. Raises KeyError, TypeError or ValueError when it is not one."""
    policies = {
        **{id: _policy(p) for id, p in body.get("cache_policies", {}).items()},
        **{id: _policy(p) for id, p in body.get("origin_request_policies", {}).items()},
    }
    return State(
        version=int(body["version"]),
        scale=float(body.get("clock", {}).get("scale", 1.0)),
        distributions=tuple(
            _distribution(entry, policies) for entry in body.get("distributions", []) if entry.get("config")
        ),
        vpc_origins={
            entry["id"]: VpcOrigin(
                id=entry["id"],
                endpoint_arn=entry["endpoint_arn"],
                http_port=int(entry["http_port"]),
                https_port=int(entry["https_port"]),
                protocol_policy=entry["protocol_policy"],
                status=entry["status"],
            )
            for entry in body.get("vpc_origins", [])
        },
        load_balancers=tuple(_load_balancer(entry) for entry in body.get("load_balancers", [])),
        target_groups={entry["arn"]: _target_group(entry) for entry in body.get("target_groups", [])},
        security_groups={
            id: tuple(_ingress_rule(rule) for rule in group.get("ingress", []))
            for id, group in body.get("security_groups", {}).items()
        },
        prefix_lists={id: tuple(entry.get("cidrs", [])) for id, entry in body.get("prefix_lists", {}).items()},
        service_groups=dict(body.get("service_groups", {})),
        hosts=dict(body.get("hosts", {})),
    )


def _policy(entry: Json) -> Policy:
    return Policy(
        headers=Selection(entry.get("headers", "none"), frozenset(n.lower() for n in entry.get("header_names", []))),
        cookies=Selection(entry.get("cookies", "none"), frozenset(entry.get("cookie_names", []))),
        query_strings=Selection(entry.get("query_strings", "none"), frozenset(entry.get("query_string_names", []))),
    )


def _distribution(entry: Json, policies: Mapping[str, Policy]) -> Distribution:
    config: Json = entry["config"]
    return Distribution(
        id=entry["id"],
        domain=entry["domain"].lower(),
        enabled=bool(config.get("Enabled", entry.get("enabled", True))),
        aliases=frozenset(alias.lower() for alias in _items(config, "Aliases")),
        default_root_object=config.get("DefaultRootObject") or "",
        behaviors=tuple(_behavior(item, policies) for item in _items(config, "CacheBehaviors")),
        default_behavior=_behavior(config["DefaultCacheBehavior"], policies),
        origins={item["Id"]: _origin(item) for item in _items(config, "Origins")},
        error_mappings=tuple(
            ErrorMapping(
                error_code=int(item["ErrorCode"]),
                page_path=item["ResponsePagePath"],
                response_code=int(item.get("ResponseCode") or item["ErrorCode"]),
            )
            for item in _items(config, "CustomErrorResponses")
            if item.get("ResponsePagePath")
        ),
    )


def _behavior(item: Json, policies: Mapping[str, Policy]) -> Behavior:
    cache_policy_id = item.get("CachePolicyId")
    legacy = item.get("ForwardedValues")
    return Behavior(
        path_pattern=item.get("PathPattern"),
        target_origin_id=item["TargetOriginId"],
        viewer_protocol_policy=item.get("ViewerProtocolPolicy", "allow-all"),
        allowed_methods=frozenset(_items(item, "AllowedMethods") or ("GET", "HEAD")),
        cache_policy=_forwarded_values(legacy)
        if legacy and not cache_policy_id
        else policies.get(cache_policy_id or "", Policy()),
        origin_request_policy=policies.get(item.get("OriginRequestPolicyId") or "", Policy()),
    )


def _forwarded_values(legacy: Json) -> Policy:
    """Legacy cache settings, said in the words of a policy."""
    headers = frozenset(name.lower() for name in _items(legacy, "Headers"))
    cookies: Json = legacy.get("Cookies") or {}
    return Policy(
        headers=Selection("allViewer") if "*" in headers else Selection("whitelist", headers),
        cookies=Selection(cookies.get("Forward", "none"), frozenset(_items(cookies, "WhitelistedNames"))),
        query_strings=Selection("all" if legacy.get("QueryString") else "none"),
    )


def _origin(item: Json) -> Origin:
    vpc: Json = item.get("VpcOriginConfig") or {}
    custom: Json = item.get("CustomOriginConfig") or {}
    return Origin(
        id=item["Id"],
        domain_name=item["DomainName"].lower(),
        path=(item.get("OriginPath") or "").rstrip("/"),
        custom_headers=tuple((h["HeaderName"], h["HeaderValue"]) for h in _items(item, "CustomHeaders")),
        vpc_origin_id=vpc.get("VpcOriginId"),
        custom=CustomOrigin(
            http_port=int(custom["HTTPPort"]),
            https_port=int(custom["HTTPSPort"]),
            protocol_policy=custom["OriginProtocolPolicy"],
        )
        if custom
        else None,
        connection_attempts=int(item.get("ConnectionAttempts") or 3),
        connection_timeout=int(item.get("ConnectionTimeout") or 10),
        read_timeout=int((vpc or custom).get("OriginReadTimeout") or 30),
    )


def _load_balancer(entry: Json) -> LoadBalancer:
    return LoadBalancer(
        arn=entry["arn"],
        name=entry["name"],
        dns_name=entry["dns_name"].lower(),
        type=entry["type"],
        scheme=entry["scheme"],
        state=entry["state"],
        vpc_id=entry["vpc_id"],
        security_groups=tuple(entry.get("security_groups") or ()),
        attributes=dict(entry.get("attributes") or {}),
        listeners=tuple(
            Listener(
                arn=item["arn"],
                port=int(item["port"]),
                protocol=item["protocol"],
                default_actions=_actions(item.get("default_actions") or []),
                rules=tuple(
                    sorted(
                        (_rule(rule) for rule in item.get("rules") or []),
                        key=lambda rule: rule.priority,
                    )
                ),
                attributes=dict(item.get("attributes") or {}),
            )
            for item in entry.get("listeners") or []
            # A Gateway Load Balancer's listener has no port; nothing can connect to it.
            if item.get("port")
        ),
    )


def _rule(entry: Json) -> Rule:
    return Rule(
        priority=int(entry["priority"]),
        conditions=tuple(
            Condition(field=item.get("field") or "", values=tuple(item.get("values") or ()))
            for item in entry.get("conditions") or []
        ),
        actions=_actions(entry.get("actions") or []),
    )


def _actions(entries: Iterable[Json]) -> tuple[Action, ...]:
    return tuple(_action(entry) for entry in entries)


def _action(entry: Json) -> Action:
    kind = str(entry["type"])
    if kind == "forward":
        weighted = [group["target_group_arn"] for group in entry.get("target_groups") or [] if group.get("weight", 1)]
        return Action(kind, target_group_arns=tuple(filter(None, weighted or [entry.get("target_group_arn")])))
    if kind == "redirect":
        return Action(
            kind,
            status_code=301 if "301" in str(entry.get("status_code")) else 302,
            redirect_protocol=entry.get("protocol") or "#{protocol}",
            redirect_port=entry.get("port") or "#{port}",
            redirect_host=entry.get("host") or "#{host}",
            redirect_path=entry.get("path") or "/#{path}",
            redirect_query=entry.get("query") or "#{query}",
        )
    if kind == "fixed-response":
        return Action(
            kind,
            status_code=int(entry.get("status_code") or 200),
            content_type=entry.get("content_type") or "text/plain",
            message_body=entry.get("message_body") or "",
        )
    return Action(kind)


def _target_group(entry: Json) -> TargetGroup:
    return TargetGroup(
        arn=entry["arn"],
        protocol=entry.get("protocol") or "",
        targets=tuple(
            Target(
                id=item["id"],
                port=int(item.get("port") or entry.get("port") or 0),
                health=item.get("health", "healthy"),
            )
            for item in entry.get("targets") or []
        ),
    )


def _ingress_rule(entry: Json) -> IngressRule:
    from_port, to_port = entry.get("from_port"), entry.get("to_port")
    return IngressRule(
        protocol=str(entry.get("protocol", "-1")),
        from_port=None if from_port is None else int(from_port),
        to_port=None if to_port is None else int(to_port),
        cidrs=tuple(entry.get("cidrs") or ()),
        groups=tuple(entry.get("groups") or ()),
        prefix_lists=tuple(entry.get("prefix_lists") or ()),
    )


def _items(container: Json, name: str) -> list[Any]:
    """CloudFront's `{"Quantity": n, "Items": [...]}`, of which either half may be missing."""
    return list((container.get(name) or {}).get("Items") or [])
