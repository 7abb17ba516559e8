"""What a distribution's configuration does with one handshake: which behavior, which headers, which obstacles (PURE).

Decides by CloudFront's own rules which behavior answers a path and which header lines it passes on. It must never fetch
anything, and never call a header forwarded or dropped when it does not know the policy: that is None. Sources:
CloudFront Developer Guide (path pattern, origin request policies, managed policies).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning import patterns

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """The headers part of an origin request policy: AWS's behavior word and the header names, in lower case."""

    behavior: str
    names: frozenset[str] = frozenset()

    def forwards(self, header: str) -> bool:
        """Does this rule let the header through? Names compare without case."""
        listed = header.lower() in self.names
        match self.behavior:
            case "allViewer":
                return True
            case "allViewerAndWhitelistCloudFront":
                return not header.lower().startswith("cloudfront-") or listed
            case "allExcept":
                return not listed
            case "whitelist":
                return listed
            case _:
                return False


MANAGED_REQUEST_POLICIES: Mapping[str, HeaderRule] = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3": HeaderRule("allViewer"),
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": HeaderRule("allExcept", frozenset({"host"})),
    "33f36d7e-f396-46d9-90e0-52428a34d9dc": HeaderRule("allViewerAndWhitelistCloudFront"),
    "bf0718e1-ba1e-49d1-88b1-f726733018ae": HeaderRule("whitelist", frozenset({"host"})),
    "59781a5b-3903-41f3-afcb-af62929ccde1": HeaderRule("whitelist", frozenset({"origin"})),
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": HeaderRule(
        "whitelist", frozenset({"origin", "access-control-request-headers", "access-control-request-method"})
    ),
    "acba4595-bd28-49b8-b9fe-13317c0390fa": HeaderRule("whitelist", frozenset({"user-agent", "referer"})),
}
"""AllViewer, AllViewerExceptHostHeader, AllViewerAndCloudFrontHeaders-2022-06, HostHeaderOnly, CORS-CustomOrigin,
CORS-S3Origin and UserAgentRefererHeaders, by their ids, which are the same in every account.
"""

MANAGED_CACHE_POLICIES: Mapping[str, HeaderRule] = {
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": HeaderRule("none"),
    "658327ea-f89d-4fab-a63d-7e88639e58f6": HeaderRule("none"),
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": HeaderRule("none"),
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": HeaderRule("whitelist", frozenset({"host", "origin"})),
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": HeaderRule("whitelist", frozenset({"host", "origin"})),
}

HANDSHAKE_HEADERS = (
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)


@dataclass(frozen=True, slots=True)
class Passage:
    """What becomes of one header line on its way to the app; `passes` is None where a policy is not known."""

    header: str
    passes: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Serving:
    """How a distribution serves one path. `error_pages` are (status, replacing status, page).

    `meant` is False when another behavior than one of the endpoint's own patterns gets the path.
    """

    enabled: bool
    status: str
    knows_host: bool
    path_pattern: str
    meant: bool
    origin_domain: str
    vpc_origin_id: str
    viewer_protocol_policy: str
    passages: tuple[Passage, ...] = ()
    error_pages: tuple[tuple[int, int, str], ...] = ()
    geo_restricted: bool = False
    signed: bool = False
    web_acl: str = ""
    functions: bool = False
    continuous_deployment: bool = False

    def passes(self, header: str) -> bool | None:
        """Whether a header line reaches the app; None when that is not known."""
        found = next((passage for passage in self.passages if passage.header.lower() == header.lower()), None)
        return found.passes if found else None


def serving(
    config: Config,
    *,
    domain_name: str,
    status: str,
    host: str,
    path: str,
    own_patterns: Sequence[str] = (),
    headers: Sequence[str] = (),
    request_policies: Mapping[str, HeaderRule] = MANAGED_REQUEST_POLICIES,
    cache_policies: Mapping[str, HeaderRule] = MANAGED_CACHE_POLICIES,
) -> Serving:
    """What a DistributionConfig does with a handshake for `host` and `path` that carries `headers`.

    1. The first behavior whose pattern matches the path answers, else the default one.
    2. A header reaches the app when the cache policy or the origin request policy names it; Upgrade and Connection
       always do for a WebSocket.
    """
    behavior = next(
        (item for item in _items(config, "CacheBehaviors") if patterns.matches(item["PathPattern"], path)),
        config["DefaultCacheBehavior"],
    )
    pattern = str(behavior.get("PathPattern", "*"))
    origin: Config = next((item for item in _items(config, "Origins") if item["Id"] == behavior["TargetOriginId"]), {})
    rules = _rules(behavior, request_policies, cache_policies)
    named = dict.fromkeys((*HANDSHAKE_HEADERS, "Host", "Origin", *headers))
    return Serving(
        enabled=bool(config["Enabled"]),
        status=status,
        knows_host=host in (domain_name, *_items(config, "Aliases")) or _wildcard(host, _items(config, "Aliases")),
        path_pattern=pattern,
        meant=not own_patterns or pattern in own_patterns,
        origin_domain=str(origin.get("DomainName", "")),
        vpc_origin_id=str((origin.get("VpcOriginConfig") or {}).get("VpcOriginId", "")),
        viewer_protocol_policy=str(behavior.get("ViewerProtocolPolicy", "")),
        passages=tuple(_passage(header, rules) for header in named),
        error_pages=tuple(
            (int(item["ErrorCode"]), int(item.get("ResponseCode") or item["ErrorCode"]), item["ResponsePagePath"])
            for item in _items(config, "CustomErrorResponses")
            if item.get("ResponsePagePath")
        ),
        geo_restricted=_restricted(config),
        signed=bool(_items(behavior, "TrustedKeyGroups") or _items(behavior, "TrustedSigners")),
        web_acl=str(config.get("WebACLId") or ""),
        functions=bool(_items(behavior, "FunctionAssociations") or _items(behavior, "LambdaFunctionAssociations")),
        continuous_deployment=bool(config.get("ContinuousDeploymentPolicyId")),
    )


_Rules = tuple[tuple[str, HeaderRule | None], ...]


def _rules(behavior: Config, requests: Mapping[str, HeaderRule], caches: Mapping[str, HeaderRule]) -> _Rules:
    """The policies that decide, by name; None for one that is not known."""
    if legacy := behavior.get("ForwardedValues"):
        names = frozenset(name.lower() for name in _items(legacy, "Headers"))
        return (("the behavior's legacy settings", HeaderRule("allViewer" if "*" in names else "whitelist", names)),)
    rules: list[tuple[str, HeaderRule | None]] = []
    if cache := behavior.get("CachePolicyId"):
        rules.append(("the cache policy", caches.get(cache)))
    if request := behavior.get("OriginRequestPolicyId"):
        rules.append(("the origin request policy", requests.get(request)))
    return tuple(rules)


def _passage(header: str, rules: _Rules) -> Passage:
    for name, rule in rules:
        if rule is not None and rule.forwards(header):
            return Passage(header, True, f"{name} lets it through")
    if any(rule is None for _, rule in rules):
        return Passage(header, None, "a custom policy decides, and its content is not known here")
    if len(rules) < 2 and not any("legacy" in name for name, _ in rules):
        return Passage(header, False, "the behavior has no origin request policy")
    return Passage(header, False, "neither cache policy nor origin request policy names it")


def _restricted(config: Config) -> bool:
    geo = (config.get("Restrictions") or {}).get("GeoRestriction") or {}
    return str(geo.get("RestrictionType", "none")) != "none"


def _wildcard(host: str, aliases: Sequence[str]) -> bool:
    return any(alias.startswith("*.") and host.endswith(alias[1:]) for alias in aliases)


def _items(config: Config, name: str) -> list[Any]:
    """The items of one of CloudFront's Quantity/Items pairs; AWS leaves Items out when there are none."""
    return list((config.get(name) or {}).get("Items") or ())
