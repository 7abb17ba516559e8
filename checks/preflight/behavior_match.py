"""What a distribution's configuration does with one handshake: which behavior, which headers, which
obstacles (PURE).

Decides by CloudFront's own rules which behavior answers a path and what of the request it passes
on. It must never fetch anything, and never call something forwarded or dropped when it does not
know the policy: that is None. Sources: CloudFront Developer Guide (path pattern, origin request
policies).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

from provisioning.facts import path_patterns
from provisioning.facts.forwarding import (
    MANAGED_CACHE_POLICIES,
    MANAGED_REQUEST_POLICIES,
    Forwarding,
    Selection,
)

Config = Mapping[str, Any]
Part = Literal["header", "cookie", "query string"]

HANDSHAKE_HEADERS = (
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)


@dataclass(frozen=True, slots=True)
class ForwardedPart:
    """What becomes of one header line, cookie or parameter of the query string on its way to the
    app; `forwarded` is None where a policy is not known.
    """

    name: str
    forwarded: bool | None
    why: str
    part: Part = "header"


@dataclass(frozen=True, slots=True)
class BehaviorMatch:
    """How a distribution serves one path. `error_pages` are (status, replacing status, page).

    `own` is False when another behavior than one of the endpoint's own patterns gets the path.
    `vpc_origin_owner` is the account that shares its VPC origin, "" for the distribution's own.
    """

    enabled: bool
    status: str
    knows_host: bool
    path_pattern: str
    own: bool
    origin_domain: str
    vpc_origin_id: str
    viewer_protocol_policy: str
    parts: tuple[ForwardedPart, ...] = ()
    error_pages: tuple[tuple[int, int, str], ...] = ()
    geo_restricted: bool = False
    signed: bool = False
    web_acl: str = ""
    functions: bool = False
    continuous_deployment: bool = False
    vpc_origin_owner: str = ""
    other_names: tuple[str, ...] = ()
    """The distribution's other names: its own domain name and its aliases, without wildcards."""

    def forwards(self, header: str) -> bool | None:
        """Whether a header line reaches the app; None when that is not known."""
        lines = (passage for passage in self.parts if passage.part == "header")
        found = next((passage for passage in lines if passage.name.lower() == header.lower()), None)
        return found.forwarded if found else None


def match_behavior(
    config: Config,
    *,
    domain_name: str,
    status: str,
    host: str,
    path: str,
    own_patterns: Sequence[str] = (),
    query: str = "",
    headers: Sequence[tuple[str, str]] = (),
    request_policies: Mapping[str, Forwarding] = MANAGED_REQUEST_POLICIES,
    cache_policies: Mapping[str, Forwarding] = MANAGED_CACHE_POLICIES,
) -> BehaviorMatch:
    """What a DistributionConfig does with a handshake for `host`, `path` and `query` that carries
    `headers`.

    1. The first behavior whose pattern matches the path answers, else the default one.
    2. A header reaches the app when the cache policy or the origin request policy names it; Upgrade
       and Connection always do for a WebSocket. So do cookies and parameters of the query string,
       each by its own name.
    """
    behavior = next(
        (
            item
            for item in _items(config, "CacheBehaviors")
            if path_patterns.matches(item["PathPattern"], path)
        ),
        config["DefaultCacheBehavior"],
    )
    pattern = str(behavior.get("PathPattern", "*"))
    origin: Config = next(
        (item for item in _items(config, "Origins") if item["Id"] == behavior["TargetOriginId"]), {}
    )
    aliases: list[str] = _items(config, "Aliases")
    geo = (config.get("Restrictions") or {}).get("GeoRestriction") or {}
    rules = _rules(behavior, request_policies, cache_policies)
    lines = (
        *HANDSHAKE_HEADERS,
        "Host",
        "Origin",
        *(name for name, _ in headers if name.lower() != "cookie"),
    )
    carried: list[tuple[Part, str]] = [("header", name) for name in dict.fromkeys(lines)]
    carried += [("cookie", name) for name in _cookies(headers)]
    carried += [
        ("query string", name) for name in dict.fromkeys(name for name, _ in parse_qsl(query, True))
    ]
    return BehaviorMatch(
        enabled=bool(config["Enabled"]),
        status=status,
        knows_host=host in (domain_name, *aliases)
        or any(alias.startswith("*.") and host.endswith(alias[1:]) for alias in aliases),
        path_pattern=pattern,
        own=not own_patterns or pattern in own_patterns,
        origin_domain=str(origin.get("DomainName", "")),
        vpc_origin_id=str((origin.get("VpcOriginConfig") or {}).get("VpcOriginId", "")),
        viewer_protocol_policy=str(behavior.get("ViewerProtocolPolicy", "")),
        parts=tuple(_forwarded_part(part, name, rules) for part, name in carried),
        error_pages=tuple(
            (
                int(item["ErrorCode"]),
                int(item.get("ResponseCode") or item["ErrorCode"]),
                item["ResponsePagePath"],
            )
            for item in _items(config, "CustomErrorResponses")
            if item.get("ResponsePagePath")
        ),
        geo_restricted=str(geo.get("RestrictionType", "none")) != "none",
        signed=bool(_items(behavior, "TrustedKeyGroups") or _items(behavior, "TrustedSigners")),
        web_acl=str(config.get("WebACLId") or ""),
        functions=bool(
            _items(behavior, "FunctionAssociations")
            or _items(behavior, "LambdaFunctionAssociations")
        ),
        continuous_deployment=bool(config.get("ContinuousDeploymentPolicyId")),
        vpc_origin_owner=str((origin.get("VpcOriginConfig") or {}).get("OwnerAccountId", "")),
        other_names=tuple(
            name for name in (domain_name, *aliases) if name != host and not name.startswith("*")
        ),
    )


_Rules = tuple[tuple[str, Forwarding | None], ...]


def _rules(
    behavior: Config, requests: Mapping[str, Forwarding], caches: Mapping[str, Forwarding]
) -> _Rules:
    """The policies that decide, by name; None for one that is not known."""
    if legacy := behavior.get("ForwardedValues"):
        return (("the behavior's legacy settings", _legacy(legacy)),)
    rules: list[tuple[str, Forwarding | None]] = []
    if cache := behavior.get("CachePolicyId"):
        rules.append(("the cache policy", caches.get(cache)))
    if request := behavior.get("OriginRequestPolicyId"):
        rules.append(("the origin request policy", requests.get(request)))
    return tuple(rules)


def _legacy(values: Config) -> Forwarding:
    names = frozenset(name.lower() for name in _items(values, "Headers"))
    cookies = values.get("Cookies") or {}
    return Forwarding(
        Selection("allViewer" if "*" in names else "whitelist", names),
        Selection(
            str(cookies.get("Forward", "none")), frozenset(_items(cookies, "WhitelistedNames"))
        ),
        Selection("all" if values.get("QueryString") else "none"),
    )


def _forwarded_part(part: Part, name: str, rules: _Rules) -> ForwardedPart:
    for policy, rule in rules:
        if rule is None:
            continue
        match part:
            case "header":
                forwarded = rule.forwards(name)
            case "cookie":
                forwarded = rule.cookies.takes(name)
            case "query string":
                forwarded = rule.query_strings.takes(name)
        if forwarded:
            return ForwardedPart(name, True, f"{policy} forwards it", part)
    if any(rule is None for _, rule in rules):
        return ForwardedPart(
            name, None, "a custom policy decides, and its content is not known here", part
        )
    if len(rules) < 2 and not any("legacy" in policy for policy, _ in rules):
        return ForwardedPart(name, False, "the behavior has no origin request policy", part)
    return ForwardedPart(
        name, False, "neither cache policy nor origin request policy names it", part
    )


def _cookies(headers: Sequence[tuple[str, str]]) -> list[str]:
    """The names of the cookies in the Cookie lines."""
    pairs = [
        pair
        for name, value in headers
        if name.lower() == "cookie"
        for pair in value.split(";")
        if "=" in pair
    ]
    return list(dict.fromkeys(pair.partition("=")[0].strip() for pair in pairs))


def _items(config: Config, name: str) -> list[Any]:
    """The items of one of CloudFront's Quantity/Items pairs; AWS leaves Items out when there are
    none.
    """
    return list((config.get(name) or {}).get("Items") or ())
