"""DATA. AWS's managed policies with their real ids and contents (CloudFront Developer Guide)."""

from __future__ import annotations

from typing import Any

YEAR = 31_536_000

_CLOUDFRONT_HEADERS = (
    "CloudFront-Viewer-Country-Region-Name",
    "CloudFront-Viewer-Address",
    "CloudFront-Viewer-ASN",
    "CloudFront-Viewer-Metro-Code",
    "CloudFront-Viewer-Postal-Code",
    "CloudFront-Viewer-Time-Zone",
    "CloudFront-Viewer-Country",
    "CloudFront-Viewer-Country-Name",
    "CloudFront-Viewer-Country-Region",
    "CloudFront-Viewer-City",
    "CloudFront-Viewer-Latitude",
    "CloudFront-Viewer-Longitude",
    "CloudFront-Viewer-Http-Version",
    "CloudFront-Viewer-TLS",
    "CloudFront-Forwarded-Proto",
    "CloudFront-Is-Android-Viewer",
    "CloudFront-Is-Desktop-Viewer",
    "CloudFront-Is-IOS-Viewer",
    "CloudFront-Is-Mobile-Viewer",
    "CloudFront-Is-SmartTV-Viewer",
    "CloudFront-Is-Tablet-Viewer",
)
_CACHE_KEY_HEADERS = (
    "host",
    "origin",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
)


def _headers(behavior: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
    config: dict[str, Any] = {"HeaderBehavior": behavior}
    if names:
        config["Headers"] = {"Quantity": len(names), "Items": list(names)}
    return config


def _origin_request(
    name: str,
    comment: str,
    headers: dict[str, Any],
    cookies: str = "none",
    query_strings: str = "none",
) -> dict[str, Any]:
    return {
        "Name": name,
        "Comment": comment,
        "HeadersConfig": headers,
        "CookiesConfig": {"CookieBehavior": cookies},
        "QueryStringsConfig": {"QueryStringBehavior": query_strings},
    }


def _cache(
    name: str,
    comment: str,
    ttls: tuple[int, int, int],
    *,
    compressed: bool,
    headers: dict[str, Any] | None = None,
    cookies: str = "none",
    query_strings: str = "none",
) -> dict[str, Any]:
    smallest, default, largest = ttls
    return {
        "Name": name,
        "Comment": comment,
        "MinTTL": smallest,
        "DefaultTTL": default,
        "MaxTTL": largest,
        "ParametersInCacheKeyAndForwardedToOrigin": {
            "EnableAcceptEncodingGzip": compressed,
            "EnableAcceptEncodingBrotli": compressed,
            "HeadersConfig": headers or _headers("none"),
            "CookiesConfig": {"CookieBehavior": cookies},
            "QueryStringsConfig": {"QueryStringBehavior": query_strings},
        },
    }


CACHE_POLICIES: dict[str, dict[str, Any]] = {
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": _cache(
        "Managed-CachingDisabled", "Policy with caching disabled", (0, 0, 0), compressed=False
    ),
    "658327ea-f89d-4fab-a63d-7e88639e58f6": _cache(
        "Managed-CachingOptimized",
        "Policy with caching enabled. Supports Gzip and Brotli compression.",
        (1, 86_400, YEAR),
        compressed=True,
    ),
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": _cache(
        "Managed-CachingOptimizedForUncompressedObjects",
        "Default policy when compression is disabled",
        (1, 86_400, YEAR),
        compressed=False,
    ),
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": _cache(
        "UseOriginCacheControlHeaders",
        "Policy for origins that return Cache-Control headers. Query strings are not "
        "included in the cache key.",
        (0, 0, YEAR),
        compressed=True,
        headers=_headers("whitelist", _CACHE_KEY_HEADERS),
        cookies="all",
    ),
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": _cache(
        "UseOriginCacheControlHeaders-QueryStrings",
        "Policy for origins that return Cache-Control headers and serve different content "
        "based on query strings.",
        (0, 0, YEAR),
        compressed=True,
        headers=_headers("whitelist", _CACHE_KEY_HEADERS),
        cookies="all",
        query_strings="all",
    ),
}

ORIGIN_REQUEST_POLICIES: dict[str, dict[str, Any]] = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3": _origin_request(
        "Managed-AllViewer",
        "Policy to forward all parameters in viewer requests",
        _headers("allViewer"),
        "all",
        "all",
    ),
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": _origin_request(
        "Managed-AllViewerExceptHostHeader",
        "Policy to forward all parameters in viewer requests except for the Host header",
        _headers("allExcept", ("host",)),
        "all",
        "all",
    ),
    "33f36d7e-f396-46d9-90e0-52428a34d9dc": _origin_request(
        "Managed-AllViewerAndCloudFrontHeaders-2022-06",
        "Policy to forward all parameters in viewer requests and all CloudFront headers "
        "released through June 2022",
        _headers("allViewerAndWhitelistCloudFront", _CLOUDFRONT_HEADERS),
        "all",
        "all",
    ),
    "bf0718e1-ba1e-49d1-88b1-f726733018ae": _origin_request(
        "Managed-HostHeaderOnly",
        "Policy to forward only the Host header",
        _headers("whitelist", ("host",)),
    ),
    "59781a5b-3903-41f3-afcb-af62929ccde1": _origin_request(
        "Managed-CORS-CustomOrigin",
        "Policy for enabling CORS with custom origin",
        _headers("whitelist", ("origin",)),
    ),
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": _origin_request(
        "Managed-CORS-S3Origin",
        "Policy for enabling CORS with S3 origin",
        _headers(
            "whitelist",
            ("origin", "access-control-request-headers", "access-control-request-method"),
        ),
    ),
    "acba4595-bd28-49b8-b9fe-13317c0390fa": _origin_request(
        "Managed-UserAgentRefererHeaders",
        "Policy to forward user-agent and referer headers to origin",
        _headers("whitelist", ("user-agent", "referer")),
    ),
}


def _cors(methods: tuple[str, ...], exposed: tuple[str, ...] = ()) -> dict[str, Any]:
    config: dict[str, Any] = {
        "AccessControlAllowOrigins": {"Quantity": 1, "Items": ["*"]},
        "AccessControlAllowHeaders": {"Quantity": 1, "Items": ["*"]},
        "AccessControlAllowMethods": {"Quantity": len(methods), "Items": list(methods)},
        "AccessControlAllowCredentials": False,
        "OriginOverride": False,
    }
    if exposed:
        config["AccessControlExposeHeaders"] = {"Quantity": len(exposed), "Items": list(exposed)}
    return config


_SIMPLE_CORS = _cors(("GET", "HEAD"))
_PREFLIGHT_CORS = _cors(("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"), ("*",))
_SECURITY_HEADERS: dict[str, Any] = {
    "XSSProtection": {"Override": False, "Protection": True, "ModeBlock": True},
    "FrameOptions": {"Override": False, "FrameOption": "SAMEORIGIN"},
    "ReferrerPolicy": {"Override": False, "ReferrerPolicy": "strict-origin-when-cross-origin"},
    "ContentTypeOptions": {"Override": True},
    "StrictTransportSecurity": {"Override": False, "AccessControlMaxAgeSec": YEAR},
}

RESPONSE_HEADERS_POLICIES: dict[str, dict[str, Any]] = {
    "60669652-455b-4ae9-85a4-c4c02393f86c": {
        "Name": "Managed-SimpleCORS",
        "Comment": "Allows all origins for simple CORS requests",
        "CorsConfig": _SIMPLE_CORS,
    },
    "5cc3b908-e619-4b99-88e5-2cf7f45965bd": {
        "Name": "Managed-CORS-With-Preflight",
        "Comment": "Allows all origins for CORS requests, including preflight requests",
        "CorsConfig": _PREFLIGHT_CORS,
    },
    "67f7725c-6f97-4210-82d7-5512b31e9d03": {
        "Name": "Managed-SecurityHeadersPolicy",
        "Comment": "Adds a set of security headers to every response",
        "SecurityHeadersConfig": _SECURITY_HEADERS,
    },
    "e61eb60c-9c35-4d20-a928-2b84e02af89c": {
        "Name": "Managed-CORS-and-SecurityHeadersPolicy",
        "Comment": "Allows all origins for simple CORS requests and adds security headers",
        "CorsConfig": _SIMPLE_CORS,
        "SecurityHeadersConfig": _SECURITY_HEADERS,
    },
    "eaab4381-ed33-4a86-88ca-d9558dc6cd63": {
        "Name": "Managed-CORS-with-preflight-and-SecurityHeadersPolicy",
        "Comment": "Allows all origins for CORS requests, including preflight requests, and adds "
        "security headers",
        "CorsConfig": _PREFLIGHT_CORS,
        "SecurityHeadersConfig": _SECURITY_HEADERS,
    },
}
