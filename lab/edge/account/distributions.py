"""What the edge knows of CloudFront's configuration: typed facts of distributions and VPC origins
(PURE).

It decides how their wire form in `/_lab/state` is read. It must never do I/O or fill in a fact that
AWS would not.
"""

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

    `caches_options` says whether OPTIONS is one of its cached methods. `signed_by` names the key
    groups that may sign; it is None where no signature is asked for.
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
    """Ports and protocol of an origin that CloudFront reaches over the internet."""

    http_port: int
    https_port: int
    protocol_policy: str
    ssl_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """One origin of a distribution. Exactly one of `vpc_origin_id` and `custom` is set, or neither
    (an S3 origin).
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
    """Origins to try one after the other; `status_codes` are the answers after which the next one
    is tried.
    """

    members: tuple[str, ...]
    status_codes: frozenset[int]


@dataclass(frozen=True, slots=True)
class ErrorMapping:
    """A custom error response: which page and status replace an error, and how long the edge keeps
    it in mind.

    `page_path` is "" where only the time is set. `caching_seconds` are the shortest.
    """

    error_code: int
    page_path: str
    response_code: int
    caching_seconds: float


@dataclass(frozen=True, slots=True)
class GeoRestriction:
    """Which countries may come in: `kind` is none, whitelist or blacklist."""

    kind: str = "none"
    countries: frozenset[str] = frozenset()


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
    account: str = ""
    http2: bool = True
    security_policy: str = DEFAULT_SECURITY_POLICY
    staging: bool = False
    continuous_deployment_policy_id: str = ""
    web_acl: str = ""
    geo: GeoRestriction = GeoRestriction()
    logs_cookies: bool = False
    origin_groups: Mapping[str, OriginGroup] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VpcOrigin:
    """A VPC origin as the control plane reports it."""

    id: str
    endpoint_arn: str
    http_port: int
    https_port: int
    protocol_policy: str
    status: str
    ssl_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of a key group: the id that signers name, and the key in PEM."""

    id: str
    pem: str


def parse_distribution(entry: Json, policies: Mapping[str, RequestPolicy]) -> Distribution:
    """One entry of `distributions`."""
    config: Json = entry["config"]
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
        security_policy=_security_policy(config.get("ViewerCertificate") or {}),
        staging=bool(entry.get("staging")),
        continuous_deployment_policy_id=entry.get("continuous_deployment_policy_id") or "",
        web_acl=config.get("WebACLId") or "",
        geo=_geo((config.get("Restrictions") or {}).get("GeoRestriction") or {}),
        logs_cookies=bool((config.get("Logging") or {}).get("IncludeCookies")),
        origin_groups={item["Id"]: _origin_group(item) for item in items(config, "OriginGroups")},
    )


def _origin_group(item: Json) -> OriginGroup:
    return OriginGroup(
        members=tuple(member["OriginId"] for member in items(item, "Members")),
        status_codes=frozenset(
            int(code) for code in items(item.get("FailoverCriteria") or {}, "StatusCodes")
        ),
    )


def _error_mapping(item: Json) -> ErrorMapping:
    seconds = item.get("ErrorCachingMinTTL")
    return ErrorMapping(
        error_code=int(item["ErrorCode"]),
        page_path=item.get("ResponsePagePath") or "",
        response_code=int(item.get("ResponseCode") or item["ErrorCode"]),
        caching_seconds=ERROR_CACHING_SECONDS if seconds is None else float(seconds),
    )


def _security_policy(certificate: Json) -> str:
    """MinimumProtocolVersion; CloudFront's own certificate comes with TLSv1, whatever is asked for
    (its settings).
    """
    if certificate.get("CloudFrontDefaultCertificate"):
        return DEFAULT_SECURITY_POLICY
    return certificate.get("MinimumProtocolVersion") or DEFAULT_SECURITY_POLICY


def _geo(given: Json) -> GeoRestriction:
    return GeoRestriction(
        given.get("RestrictionType") or "none", frozenset(given.get("Items") or ())
    )


def _behavior(item: Json, policies: Mapping[str, RequestPolicy]) -> Behavior:
    cache_policy_id = item.get("CachePolicyId")
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
        signed_by=_signers(item),
        caches_options="OPTIONS" in items(item.get("AllowedMethods") or {}, "CachedMethods"),
    )


def _signers(item: Json) -> tuple[str, ...] | None:
    """The trusted key groups. Trusted signers, the accounts of old, restrict as well, but this lab
    has none of them.
    """
    groups: Json = item.get("TrustedKeyGroups") or {}
    accounts: Json = item.get("TrustedSigners") or {}
    if not groups.get("Enabled") and not accounts.get("Enabled"):
        return None
    return tuple(items(item, "TrustedKeyGroups"))


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
