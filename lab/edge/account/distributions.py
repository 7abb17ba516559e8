"""CloudFront distributions, VPC origins and public keys, as in `/_lab/state` (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.edge.account.policies import RequestPolicy, forwarded_values, items

Json = Mapping[str, Any]

VPC_ORIGIN_DEPLOYED = "Deployed"
HTTP2_VERSIONS = frozenset({"http2", "http2and3"})
# Custom error responses, "Error caching minimum TTL": the default.
ERROR_CACHING_SECONDS = 10.0
# All versions of TLS since 1.0.
DEFAULT_SECURITY_POLICY = "TLSv1"


@dataclass(frozen=True, slots=True)
class Behavior:
    """One cache behavior. `path_pattern` is None for the default behavior.

    `caches_options`: OPTIONS is one of its cached methods. `signed_by` names the trusted key
    groups; it is None if the behavior requires no signature.
    """

    path_pattern: str | None
    target_origin_id: str
    viewer_protocol_policy: str
    allowed_methods: frozenset[str]
    cache_policy: RequestPolicy
    origin_request_policy: RequestPolicy
    response_headers_policy_id: str = ""
    signed_by: tuple[str, ...] | None = None
    caches_options: bool = False


@dataclass(frozen=True, slots=True)
class CustomOrigin:
    """Ports and protocol policy of an origin that CloudFront reaches over the internet."""

    http_port: int
    https_port: int
    protocol_policy: str
    ssl_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """One origin of a distribution. At most one of `vpc_origin_id` and `custom` is set; an S3
    origin has neither. Timeouts are in seconds.
    """

    id: str
    domain_name: str
    path: str
    custom_headers: tuple[tuple[str, str], ...]
    vpc_origin_id: str | None
    custom: CustomOrigin | None
    connection_attempts: int
    connection_timeout: int
    read_timeout: int
    completion_timeout: int | None = None


@dataclass(frozen=True, slots=True)
class OriginGroup:
    """Origins to try in order; any of `status_codes` leads to the next one."""

    members: tuple[str, ...]
    status_codes: frozenset[int]


@dataclass(frozen=True, slots=True)
class ErrorMapping:
    """A custom error response: the page and status that replace an error, and its minimum caching
    time. `page_path` is "" if only the time is set.
    """

    error_code: int
    page_path: str
    response_code: int
    caching_seconds: float


@dataclass(frozen=True, slots=True)
class GeoRestriction:
    """Countries to allow or block; `kind` is none, whitelist or blacklist."""

    kind: str = "none"
    countries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Distribution:
    """The configuration of one distribution that the edge serves now."""

    id: str
    domain: str
    enabled: bool
    aliases: frozenset[str]
    default_root_object: str
    behaviors: tuple[Behavior, ...]
    default_behavior: Behavior
    origins: Mapping[str, Origin]
    error_mappings: tuple[ErrorMapping, ...]
    account: str = ""
    http2: bool = True
    security_policy: str = DEFAULT_SECURITY_POLICY
    staging: bool = False
    tenant_only: bool = False
    continuous_deployment_policy_id: str = ""
    web_acl: str = ""
    geo: GeoRestriction = GeoRestriction()
    logs_cookies: bool = False
    origin_groups: Mapping[str, OriginGroup] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VpcOrigin:
    """A VPC origin. `endpoint_arn` is a load balancer or an instance."""

    id: str
    endpoint_arn: str
    http_port: int
    https_port: int
    protocol_policy: str
    status: str
    ssl_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of a key group: the id that signers use, and the key in PEM."""

    id: str
    pem: str


def parse_distribution(entry: Json, policies: Mapping[str, RequestPolicy]) -> Distribution:
    """One entry of `distributions`."""
    config: Json = entry["config"]
    certificate: Json = config.get("ViewerCertificate") or {}
    geo: Json = (config.get("Restrictions") or {}).get("GeoRestriction") or {}
    return Distribution(
        id=entry["id"],
        domain=entry["domain"].lower(),
        enabled=bool(config.get("Enabled", entry.get("enabled", True))),
        aliases=frozenset(alias.lower() for alias in items(config, "Aliases")),
        default_root_object=config.get("DefaultRootObject") or "",
        behaviors=tuple(_behavior(item, policies) for item in items(config, "CacheBehaviors")),
        default_behavior=_behavior(config["DefaultCacheBehavior"], policies),
        origins={item["Id"]: _origin(item) for item in items(config, "Origins")},
        error_mappings=tuple(
            _error_mapping(item) for item in items(config, "CustomErrorResponses")
        ),
        account=entry.get("account") or "",
        http2=config.get("HttpVersion", "http2") in HTTP2_VERSIONS,
        # CloudFront's own certificate allows TLSv1, whatever MinimumProtocolVersion says.
        security_policy=DEFAULT_SECURITY_POLICY
        if certificate.get("CloudFrontDefaultCertificate")
        else certificate.get("MinimumProtocolVersion") or DEFAULT_SECURITY_POLICY,
        staging=bool(entry.get("staging")),
        tenant_only=config.get("ConnectionMode") == "tenant-only",
        continuous_deployment_policy_id=entry.get("continuous_deployment_policy_id") or "",
        web_acl=config.get("WebACLId") or "",
        geo=GeoRestriction(geo.get("RestrictionType") or "none", frozenset(geo.get("Items") or ())),
        logs_cookies=bool((config.get("Logging") or {}).get("IncludeCookies")),
        origin_groups={
            item["Id"]: OriginGroup(
                tuple(member["OriginId"] for member in items(item, "Members")),
                frozenset(map(int, items(item.get("FailoverCriteria") or {}, "StatusCodes"))),
            )
            for item in items(config, "OriginGroups")
        },
    )


def _error_mapping(item: Json) -> ErrorMapping:
    seconds = item.get("ErrorCachingMinTTL")
    return ErrorMapping(
        error_code=int(item["ErrorCode"]),
        page_path=item.get("ResponsePagePath") or "",
        response_code=int(item.get("ResponseCode") or item["ErrorCode"]),
        caching_seconds=ERROR_CACHING_SECONDS if seconds is None else float(seconds),
    )


def _behavior(item: Json, policies: Mapping[str, RequestPolicy]) -> Behavior:
    cache_policy_id = item.get("CachePolicyId")
    # TrustedSigners, the legacy form, restrict too; this lab has none of their keys.
    restricted = any(
        (item.get(kind) or {}).get("Enabled") for kind in ("TrustedKeyGroups", "TrustedSigners")
    )
    return Behavior(
        path_pattern=item.get("PathPattern"),
        target_origin_id=item["TargetOriginId"],
        viewer_protocol_policy=item.get("ViewerProtocolPolicy", "allow-all"),
        allowed_methods=frozenset(items(item, "AllowedMethods") or ("GET", "HEAD")),
        cache_policy=forwarded_values(item)
        if item.get("ForwardedValues") and not cache_policy_id
        else policies.get(cache_policy_id or "", RequestPolicy()),
        origin_request_policy=policies.get(
            item.get("OriginRequestPolicyId") or "", RequestPolicy()
        ),
        response_headers_policy_id=item.get("ResponseHeadersPolicyId") or "",
        signed_by=tuple(items(item, "TrustedKeyGroups")) if restricted else None,
        caches_options="OPTIONS" in items(item.get("AllowedMethods") or {}, "CachedMethods"),
    )


def _origin(item: Json) -> Origin:
    vpc: Json = item.get("VpcOriginConfig") or {}
    custom: Json = item.get("CustomOriginConfig") or {}
    return Origin(
        id=item["Id"],
        domain_name=item["DomainName"].lower(),
        path=(item.get("OriginPath") or "").rstrip("/"),
        custom_headers=tuple(
            (h["HeaderName"], h["HeaderValue"]) for h in items(item, "CustomHeaders")
        ),
        vpc_origin_id=vpc.get("VpcOriginId"),
        custom=CustomOrigin(
            http_port=int(custom["HTTPPort"]),
            https_port=int(custom["HTTPSPort"]),
            protocol_policy=custom["OriginProtocolPolicy"],
            ssl_protocols=tuple(items(custom, "OriginSslProtocols")),
        )
        if custom
        else None,
        connection_attempts=int(item.get("ConnectionAttempts") or 3),
        connection_timeout=int(item.get("ConnectionTimeout") or 10),
        read_timeout=int((vpc or custom).get("OriginReadTimeout") or 30),
        completion_timeout=int(item["ResponseCompletionTimeout"])
        if item.get("ResponseCompletionTimeout")
        else None,
    )


def parse_vpc_origin(entry: Json) -> VpcOrigin:
    """One entry of `vpc_origins`."""
    return VpcOrigin(
        id=entry["id"],
        endpoint_arn=entry["endpoint_arn"],
        http_port=int(entry["http_port"]),
        https_port=int(entry["https_port"]),
        protocol_policy=entry["protocol_policy"],
        status=entry["status"],
        ssl_protocols=tuple(entry.get("ssl_protocols") or ()),
    )
