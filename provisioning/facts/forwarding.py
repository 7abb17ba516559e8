"""What a cache policy or an origin request policy passes on to the origin: header lines, cookies,
query strings.

PURE. It decides by AWS's own behavior words whether a name gets through. It knows AWS's managed
policies only; what a custom one says must be given. Sources: CloudFront API Reference
(OriginRequestPolicyConfig), Developer Guide (managed policies).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Selection:
    """One part of a policy: AWS's behavior word (none, whitelist, allExcept, all, allViewer, …),
    and names.
    """

    behavior: str = "none"
    names: frozenset[str] = frozenset()

    def takes(self, name: str) -> bool:
        """Whether this name gets through; upper and lower case count."""
        match self.behavior:
            case "all" | "allViewer":
                return True
            case "allViewerAndWhitelistCloudFront":
                return not name.startswith("cloudfront-") or name in self.names
            case "allExcept":
                return name not in self.names
            case "whitelist":
                return name in self.names
            case _:
                return False


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A whole policy. The names of `headers` are in lower case; those of cookies and query strings
    are as they are.
    """

    headers: Selection = field(default_factory=Selection)
    cookies: Selection = field(default_factory=Selection)
    query_strings: Selection = field(default_factory=Selection)

    def forwards(self, header: str) -> bool:
        """Whether a header line gets through; names compare without case."""
        return self.headers.takes(header.lower())


_ALL = Selection("all")
_ORIGIN_CONTROLS = Selection(
    "whitelist",
    frozenset({"host", "origin", "x-http-method", "x-http-method-override", "x-method-override"}),
)


def _headers(*names: str) -> Forwarding:
    """These headers, and neither cookies nor query strings."""
    return Forwarding(Selection("whitelist", frozenset(names)))


MANAGED_REQUEST_POLICIES: Mapping[str, Forwarding] = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3": Forwarding(Selection("allViewer"), _ALL, _ALL),
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": Forwarding(
        Selection("allExcept", frozenset({"host"})), _ALL, _ALL
    ),
    "33f36d7e-f396-46d9-90e0-52428a34d9dc": Forwarding(
        Selection("allViewerAndWhitelistCloudFront"), _ALL, _ALL
    ),
    "bf0718e1-ba1e-49d1-88b1-f726733018ae": _headers("host"),
    "59781a5b-3903-41f3-afcb-af62929ccde1": _headers("origin"),
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": _headers(
        "origin", "access-control-request-headers", "access-control-request-method"
    ),
    "acba4595-bd28-49b8-b9fe-13317c0390fa": _headers("user-agent", "referer"),
}
"""AllViewer, AllViewerExceptHostHeader, AllViewerAndCloudFrontHeaders-2022-06, HostHeaderOnly,
CORS-CustomOrigin, CORS-S3Origin and UserAgentRefererHeaders, by their ids, which are the same in
every account.
"""

MANAGED_CACHE_POLICIES: Mapping[str, Forwarding] = {
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": Forwarding(),
    "658327ea-f89d-4fab-a63d-7e88639e58f6": Forwarding(),
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": Forwarding(),
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": Forwarding(_ORIGIN_CONTROLS, _ALL),
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": Forwarding(_ORIGIN_CONTROLS, _ALL, _ALL),
}
"""CachingDisabled, CachingOptimized, CachingOptimizedForUncompressedObjects,
UseOriginCacheControlHeaders and UseOriginCacheControlHeaders-QueryStrings.
"""
