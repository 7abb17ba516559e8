"""CloudFront's cache, origin request and response headers policies, as in `/_lab/state` (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

# The default MaxTTL of a behavior without a cache policy (API reference).
LEGACY_MAX_TTL = 31_536_000
_SECURITY_HEADERS = (
    ("XSSProtection", "X-XSS-Protection"),
    ("FrameOptions", "X-Frame-Options"),
    ("ReferrerPolicy", "Referrer-Policy"),
    ("ContentSecurityPolicy", "Content-Security-Policy"),
    ("ContentTypeOptions", "X-Content-Type-Options"),
    ("StrictTransportSecurity", "Strict-Transport-Security"),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which names of one kind (headers, cookies or query strings) a policy lets through."""

    behavior: str = "none"
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """A cache policy or an origin request policy. `caches` is false for CachingDisabled and for
    every origin request policy.
    """

    headers: Selection = Selection()
    cookies: Selection = Selection()
    query_strings: Selection = Selection()
    caches: bool = False


@dataclass(frozen=True, slots=True)
class AddedHeader:
    """A response header that a policy adds. Without `override` the origin's header wins."""

    name: str
    value: str
    override: bool


@dataclass(frozen=True, slots=True)
class Cors:
    """The CORS part of a response headers policy."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    credentials: bool
    max_age: int | None
    override: bool


@dataclass(frozen=True, slots=True)
class ResponseHeadersPolicy:
    """A response headers policy. The names in `removed` are in lower case."""

    added: tuple[AddedHeader, ...] = ()
    removed: frozenset[str] = frozenset()
    cors: Cors | None = None


def parse_policy(entry: Json) -> RequestPolicy:
    """A cache policy or an origin request policy of `/_lab/state`."""
    return RequestPolicy(
        headers=Selection(
            entry.get("headers", "none"),
            frozenset(n.lower() for n in entry.get("header_names", [])),
        ),
        cookies=Selection(entry.get("cookies", "none"), frozenset(entry.get("cookie_names", []))),
        query_strings=Selection(
            entry.get("query_strings", "none"), frozenset(entry.get("query_string_names", []))
        ),
        caches=int(entry.get("max_ttl") or 0) > 0,
    )


def forwarded_values(behavior: Json) -> RequestPolicy:
    """A behavior's legacy cache settings (ForwardedValues), as a policy."""
    legacy: Json = behavior["ForwardedValues"]
    headers = frozenset(name.lower() for name in items(legacy, "Headers"))
    cookies: Json = legacy.get("Cookies") or {}
    return RequestPolicy(
        headers=Selection("allViewer") if "*" in headers else Selection("whitelist", headers),
        cookies=Selection(
            cookies.get("Forward", "none"), frozenset(items(cookies, "WhitelistedNames"))
        ),
        query_strings=Selection("all" if legacy.get("QueryString") else "none"),
        caches=int(behavior.get("MaxTTL", LEGACY_MAX_TTL)) > 0,
    )


def parse_response_headers_policy(config: Json) -> ResponseHeadersPolicy:
    """A ResponseHeadersPolicyConfig of CloudFront's API."""
    security: Json = config.get("SecurityHeadersConfig") or {}
    added = [
        AddedHeader(
            header, _security_value(part, security[part]), bool(security[part].get("Override"))
        )
        for part, header in _SECURITY_HEADERS
        if security.get(part)
    ]
    added += [
        AddedHeader(item["Header"], item["Value"], bool(item.get("Override")))
        for item in items(config, "CustomHeadersConfig")
    ]
    return ResponseHeadersPolicy(
        added=tuple(added),
        removed=frozenset(item["Header"].lower() for item in items(config, "RemoveHeadersConfig")),
        cors=_cors(config["CorsConfig"]) if config.get("CorsConfig") else None,
    )


def items(container: Json, name: str) -> list[Any]:
    """CloudFront's `{"Quantity": n, "Items": [...]}`, either half optional."""
    return list((container.get(name) or {}).get("Items") or [])


def _security_value(part: str, given: Json) -> str:
    match part:
        case "XSSProtection":
            value = "1" if given.get("Protection") else "0"
            value += "; mode=block" if given.get("ModeBlock") else ""
            return value + (f"; report={given['ReportUri']}" if given.get("ReportUri") else "")
        case "FrameOptions":
            return str(given.get("FrameOption", ""))
        case "ReferrerPolicy":
            return str(given.get("ReferrerPolicy", ""))
        case "ContentSecurityPolicy":
            return str(given.get("ContentSecurityPolicy", ""))
        case "StrictTransportSecurity":
            value = f"max-age={int(given.get('AccessControlMaxAgeSec') or 0)}"
            value += "; includeSubDomains" if given.get("IncludeSubdomains") else ""
            return value + ("; preload" if given.get("Preload") else "")
        case _:
            return "nosniff"


def _cors(given: Json) -> Cors:
    max_age = given.get("AccessControlMaxAgeSec")
    return Cors(
        origins=tuple(items(given, "AccessControlAllowOrigins")),
        methods=tuple(items(given, "AccessControlAllowMethods")),
        headers=tuple(items(given, "AccessControlAllowHeaders")),
        exposed=tuple(items(given, "AccessControlExposeHeaders")),
        credentials=bool(given.get("AccessControlAllowCredentials")),
        max_age=None if max_age is None else int(max_age),
        override=bool(given.get("OriginOverride")),
    )
