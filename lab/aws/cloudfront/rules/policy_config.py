"""PURE. Rules for cache, origin request and response headers policies, and a cache policy's default
TTLs.

Reports the first broken rule. The XML's form has been checked before (protocol/rest_xml.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.aws.cloudfront.entities.lifecycle import Config
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid

DAY = 86_400
YEAR = 31_536_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_PRINTABLE = re.compile(r"[\t\x20-\x7e]*")
_LISTING_BEHAVIORS = ("whitelist", "allExcept", "allViewerAndWhitelistCloudFront")
_PARTS = (
    ("HeadersConfig", "HeaderBehavior", "Headers"),
    ("CookiesConfig", "CookieBehavior", "Cookies"),
    ("QueryStringsConfig", "QueryStringBehavior", "QueryStrings"),
)
# Quotas page: length of a header value that a policy adds, and of a Content-Security-Policy.
_LONGEST_VALUE = 1783
# Quotas page: total length of the names of headers, cookies and query strings in a policy.
_LONGEST_NAMES = 1024
# Developer Guide, "Add CloudFront request headers": for origin request policies only.
_NEVER_IN_CACHE_KEY = (
    "cloudfront-viewer-address",
    "cloudfront-viewer-asn",
    "cloudfront-viewer-ja3-fingerprint",
    "cloudfront-viewer-ja4-fingerprint",
    "cloudfront-viewer-tls",
)
# Developer Guide, "Understand response headers policies".
_SECURITY_HEADERS = frozenset(
    {
        "content-security-policy",
        "referrer-policy",
        "strict-transport-security",
        "x-content-type-options",
        "x-frame-options",
        "x-xss-protection",
    }
)
_NOT_REMOVABLE = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "warning",
        "x-forwarded-proto",
        "x-real-ip",
    }
)
_NOT_REMOVABLE_PREFIXES = ("x-accel-", "x-amz-cf-", "x-amzn-", "x-edge-")


def completed_cache_policy(config: Config) -> Config:
    """With default TTLs (API reference, CachePolicyConfig)."""
    smallest = config["MinTTL"]
    default = config.get("DefaultTTL", max(DAY, smallest))
    return {**config, "DefaultTTL": default, "MaxTTL": config.get("MaxTTL", max(YEAR, default))}


def check_cache_policy(config: Config, quotas: Mapping[str, int]) -> None:
    """Refuse a cache policy; the configuration is completed.

    :raises CloudFrontError: InvalidArgument, TooMany…InCachePolicy.
    """
    _check_name(config)
    smallest, default, largest = config["MinTTL"], config["DefaultTTL"], config["MaxTTL"]
    if not 0 <= smallest <= default <= largest <= YEAR * 100:
        raise invalid(
            "The parameters MinTTL, DefaultTTL and MaxTTL must be in this order, and not negative."
        )
    key = config.get("ParametersInCacheKeyAndForwardedToOrigin")
    if key is None:
        return
    if largest == 0:
        for part, behavior, _ in _PARTS:
            if key[part][behavior] != "none":
                raise invalid(
                    f"The parameter {behavior} is invalid for policy with caching disabled."
                )
        for encoding in ("EnableAcceptEncodingGzip", "EnableAcceptEncodingBrotli"):
            if key.get(encoding):
                raise invalid(
                    f"The parameter {encoding} is invalid for policy with caching disabled."
                )
    for name in _names(key["HeadersConfig"], "Headers"):
        if name.lower().startswith(_NEVER_IN_CACHE_KEY):
            raise invalid(
                f"The parameter Headers contains {name} that is not allowed in a cache policy."
            )
    _check_parts(key, quotas, "cache_policy", "CachePolicy")


def check_origin_request_policy(config: Config, quotas: Mapping[str, int]) -> None:
    """Refuse an origin request policy.

    :raises CloudFrontError: InvalidArgument, TooMany…InOriginRequestPolicy.
    """
    _check_name(config)
    _check_parts(config, quotas, "origin_request_policy", "OriginRequestPolicy")
    headers = config["HeadersConfig"]
    if headers["HeaderBehavior"] != "allExcept":
        for name in _names(headers, "Headers"):
            if name.lower() == "accept-encoding":
                raise invalid(f"The parameter Headers contains {name} that is not allowed.")


def check_response_headers_policy(config: Config, quotas: Mapping[str, int]) -> None:
    """Refuse a response headers policy.

    :raises CloudFrontError: InvalidArgument, TooManyCustomHeaders…, TooManyRemoveHeaders…,
    TooLongCSP….
    """
    _check_name(config)
    security = config.get("SecurityHeadersConfig") or {}
    policy = (security.get("ContentSecurityPolicy") or {}).get("ContentSecurityPolicy", "")
    if len(policy) > _LONGEST_VALUE:
        raise CloudFrontError(
            "TooLongCSPInResponseHeadersPolicy",
            f"The Content-Security-Policy header has more than {_LONGEST_VALUE} characters.",
        )
    xss = security.get("XSSProtection") or {}
    if xss.get("ModeBlock") and xss.get("ReportUri"):
        raise invalid("The parameter ReportUri cannot be given when ModeBlock is true.")
    if (xss.get("ModeBlock") or xss.get("ReportUri")) and not xss["Protection"]:
        raise invalid("The parameters ModeBlock and ReportUri need Protection.")
    _check_server_timing(config.get("ServerTimingHeadersConfig"))
    added = (config.get("CustomHeadersConfig") or {}).get("Items") or []
    limit = quotas["headers_per_response_headers_policy"]
    if len(added) > limit:
        raise CloudFrontError(
            "TooManyCustomHeadersInResponseHeadersPolicy",
            f"A policy can add at most {limit} custom headers.",
        )
    _check_custom_headers(added)
    removed = [
        item["Header"] for item in (config.get("RemoveHeadersConfig") or {}).get("Items") or []
    ]
    if len(removed) > limit:
        raise CloudFrontError(
            "TooManyRemoveHeadersInResponseHeadersPolicy",
            f"A policy can remove at most {limit} headers.",
        )
    _check_header_names(removed)
    for name in removed:
        if name.lower() in _NOT_REMOVABLE or name.lower().startswith(_NOT_REMOVABLE_PREFIXES):
            raise invalid(f"The header {name} cannot be removed.")


def _check_name(config: Config) -> None:
    if not _NAME.fullmatch(config["Name"]):
        raise invalid(
            "The name of a policy may have letters, digits, hyphens and underscores, at most 128."
        )
    if len(config.get("Comment", "")) > 128:
        raise invalid("The parameter Comment is too long.")


def _check_parts(parts: Config, quotas: Mapping[str, int], quota: str, kind: str) -> None:
    """Names must be given exactly if the behavior needs them, each once, and within the quota."""
    for part, behavior, names in _PARTS:
        listed = _names(parts[part], names)
        if (parts[part][behavior] in _LISTING_BEHAVIORS) != bool(listed):
            raise invalid(f"{names} must be given exactly when {behavior} names some.")
        limit = quotas[f"headers_per_{quota}" if names == "Headers" else "names_per_policy"]
        # The quota applies to custom policies; managed policies have more CloudFront headers.
        if len(listed) > limit:
            raise CloudFrontError(
                f"TooMany{names}In{kind}", f"The policy can name at most {limit} {names}."
            )
        if names == "Headers":
            _check_header_names(listed)
    if (
        sum(len(name) for part, _, names in _PARTS for name in _names(parts[part], names))
        > _LONGEST_NAMES
    ):
        raise invalid(
            f"The names in a policy can have at most {_LONGEST_NAMES} characters together."
        )


def _names(part: Config, name: str) -> list[str]:
    return list((part.get(name) or {}).get("Items") or [])


def _check_header_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not _HEADER_NAME.fullmatch(name):
            raise invalid(f"{name!r} is not the name of a header.")
        if name.lower() in seen:
            raise invalid(f"The header {name} is given twice.")
        seen.add(name.lower())


def _check_custom_headers(added: list[Config]) -> None:
    _check_header_names([item["Header"] for item in added])
    for item in added:
        if item["Header"].lower() in _SECURITY_HEADERS:
            raise invalid(
                f"The parameter CustomHeaders contains {item['Header']} that is a security "
                "header and cannot be set "
                "as custom header."
            )
        if len(item["Value"]) > _LONGEST_VALUE or not _PRINTABLE.fullmatch(item["Value"]):
            raise invalid(f"The value of the header {item['Header']} is not valid.")


def _check_server_timing(timing: Config | None) -> None:
    if timing is None:
        return
    rate = timing.get("SamplingRate")
    if rate is not None and not 0 <= rate <= 100:
        raise invalid("The parameter SamplingRate must be 0 to 100.")
