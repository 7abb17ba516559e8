"""What the edge knows of CloudFront's configuration: typed facts of distributions, policies and VPC origins (PURE).

It decides how their wire form in `/_lab/state` is read. It must never do I/O or fill in a fact that AWS would not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


def parse_policy(entry: Json) -> Policy:
    """A cache policy or an origin request policy of `/_lab/state`."""
    return Policy(
        headers=Selection(entry.get("headers", "none"), frozenset(n.lower() for n in entry.get("header_names", []))),
        cookies=Selection(entry.get("cookies", "none"), frozenset(entry.get("cookie_names", []))),
        query_strings=Selection(entry.get("query_strings", "none"), frozenset(entry.get("query_string_names", []))),
    )


def parse_distribution(entry: Json, policies: Mapping[str, Policy]) -> Distribution:
    """One entry of `distributions`."""
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


def _items(container: Json, name: str) -> list[Any]:
    """CloudFront's `{"Quantity": n, "Items": [...]}`, of which either half may be missing."""
    return list((container.get(name) or {}).get("Items") or [])


def parse_vpc_origin(entry: Json) -> VpcOrigin:
    """One entry of `vpc_origins`."""
    return VpcOrigin(
        id=entry["id"],
        endpoint_arn=entry["endpoint_arn"],
        http_port=int(entry["http_port"]),
        https_port=int(entry["https_port"]),
        protocol_policy=entry["protocol_policy"],
        status=entry["status"],
    )
