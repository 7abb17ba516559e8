"""Whether a behavior that leads to a custom origin can carry a WebSocket: API Gateway's rules, and
anybody's.

PURE. The portal makes no such origin; it judges those that a distribution has. Sources: CloudFront
Developer Guide ("Using WebSockets", managed policies), API Gateway (WebSocket APIs are served over
HTTPS only, under their stage).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from checks.preflight.behavior_match import HANDSHAKE_HEADERS
from checks.preflight.results import Fix, Level, PreflightResult, unknown
from provisioning.facts.distribution import Behavior, DistributionFacts, Origin
from provisioning.facts.forwarding import (
    MANAGED_CACHE_POLICIES,
    MANAGED_REQUEST_POLICIES,
    Forwarding,
)
from provisioning.facts.names import CACHING_DISABLED

_API_GATEWAY = re.compile(r"[a-z0-9]+\.execute-api\.[a-z0-9-]+\.amazonaws\.com", re.ASCII)
_NEEDED = HANDSHAKE_HEADERS[:2]
_COMPRESSION = "Sec-WebSocket-Extensions"
_Policies = Mapping[str, Forwarding]


def evaluate_behavior(
    distribution: DistributionFacts, behavior: Behavior, custom: _Policies | None = None
) -> tuple[PreflightResult, ...]:
    """How a handshake fares at a behavior of a custom origin; nothing for VPC origins, S3 and
    unknown origins.

    `custom` are the origin request policies that AWS showed besides its own, by id.
    """
    origin = distribution.origin(behavior.target_origin_id)
    if origin is None or not origin.protocol_policy:
        return ()
    policies = {**MANAGED_REQUEST_POLICIES, **(custom or {})}
    results = [
        *_headers(distribution, behavior, policies),
        _cache(distribution, behavior),
        _viewers(distribution, behavior),
    ]
    if _API_GATEWAY.fullmatch(origin.domain_name.lower()):
        results += [
            _secure(distribution, origin),
            _stage(distribution, origin),
            _host(distribution, behavior, origin, policies),
        ]
    else:
        results.append(_public(distribution, origin))
    return tuple(results)


def _headers(
    distribution: DistributionFacts, behavior: Behavior, policies: _Policies
) -> Iterator[PreflightResult]:
    """Without Sec-WebSocket-Extensions all works, but uncompressed: reported, not blocked."""
    passing = {header: _forwards(behavior, header, policies) for header in HANDSHAKE_HEADERS}
    if any(passing[header] is None for header in HANDSHAKE_HEADERS):
        yield unknown(
            "PF-ORIGIN-HEADERS", "A custom policy decides, and its content is not known here."
        )
        return
    lost = [header for header in HANDSHAKE_HEADERS if not passing[header]]
    if set(lost) <= {_COMPRESSION}:
        seen = f"{behavior.path_pattern} forwards all handshake headers."
        if lost:
            seen = (
                f"{behavior.path_pattern} forwards what a handshake needs, but not "
                f"{_COMPRESSION}: no compression."
            )
        yield PreflightResult("PF-ORIGIN-HEADERS", Level.PASS, seen)
        return
    needed = [header for header in lost if header in _NEEDED]
    why = "Without them the app cannot answer a handshake."
    if not needed:
        why = "AWS recommends forwarding these too: without them no subprotocol is agreed."
    yield PreflightResult(
        "PF-ORIGIN-HEADERS",
        Level.BLOCK if needed else Level.WARN,
        f"{behavior.path_pattern} does not forward {', '.join(lost)}.",
        why,
        _behavior_fix(
            distribution,
            behavior,
            "origin request policy that names Sec-WebSocket-Key, -Version, -Protocol and "
            "-Extensions, or "
            "AllViewerExceptHostHeader",
        ),
    )


def _cache(distribution: DistributionFacts, behavior: Behavior) -> PreflightResult:
    if behavior.cache_policy_id == CACHING_DISABLED:
        return PreflightResult(
            "PF-ORIGIN-CACHE", Level.PASS, f"{behavior.path_pattern} caches nothing."
        )
    if behavior.cache_policy_id not in MANAGED_CACHE_POLICIES:
        return unknown(
            "PF-ORIGIN-CACHE", "A custom policy decides, and its content is not known here."
        )
    return PreflightResult(
        "PF-ORIGIN-CACHE",
        Level.WARN,
        f"{behavior.path_pattern} has a cache policy that caches.",
        "A failed handshake may be cached and returned again, and "
        "simultaneous requests are collapsed into one.",
        _behavior_fix(distribution, behavior, "cache policy CachingDisabled"),
    )


def _viewers(distribution: DistributionFacts, behavior: Behavior) -> PreflightResult:
    policy = behavior.viewer_protocol_policy
    seen = f"{behavior.path_pattern}: {policy}."
    if policy == "redirect-to-https":
        return PreflightResult(
            "PF-ORIGIN-VIEWERS",
            Level.WARN,
            seen,
            "A client that uses ws:// gets a 301 and does not follow it; wss:// works.",
            _behavior_fix(distribution, behavior, "viewer protocol policy HTTPS only"),
        )
    return PreflightResult("PF-ORIGIN-VIEWERS", Level.PASS, seen)


def _secure(distribution: DistributionFacts, origin: Origin) -> PreflightResult:
    if origin.protocol_policy == "https-only":
        return PreflightResult(
            "PF-ORIGIN-PROTOCOL", Level.PASS, f"{origin.id} is accessed over HTTPS only."
        )
    return PreflightResult(
        "PF-ORIGIN-PROTOCOL",
        Level.BLOCK,
        f"{origin.id} is accessed with {origin.protocol_policy}.",
        "API Gateway does not accept plain HTTP, so handshakes fail.",
        _origin_fix(
            distribution, origin, "protocol HTTPS only", 'origin_protocol_policy = "https-only"'
        ),
    )


def _stage(distribution: DistributionFacts, origin: Origin) -> PreflightResult:
    if re.fullmatch(r"/[A-Za-z0-9_$-]+", origin.path, re.ASCII):
        return PreflightResult(
            "PF-ORIGIN-PATH", Level.PASS, f"{origin.id} has the stage {origin.path} as its path."
        )
    return PreflightResult(
        "PF-ORIGIN-PATH",
        Level.WARN,
        f"{origin.id} has {origin.path or 'no origin path'}.",
        "A WebSocket API is served under its stage. Without it in the "
        "origin path, each client must send it, and CloudFront's own path "
        "would be mistaken for it.",
        _origin_fix(distribution, origin, "origin path /STAGE", 'origin_path = "/STAGE"'),
    )


def _host(
    distribution: DistributionFacts, behavior: Behavior, origin: Origin, policies: _Policies
) -> PreflightResult:
    forwarded = _forwards(behavior, "Host", policies)
    if forwarded is None:
        return unknown(
            "PF-ORIGIN-HOST", "A custom policy decides, and its content is not known here."
        )
    if not forwarded:
        return PreflightResult(
            "PF-ORIGIN-HOST", Level.PASS, f"{origin.id} sees its own name as Host."
        )
    return PreflightResult(
        "PF-ORIGIN-HOST",
        Level.BLOCK,
        f"{behavior.path_pattern} forwards the viewers' Host to {origin.domain_name}.",
        "API Gateway accepts only its own name, and answers 403.",
        _behavior_fix(distribution, behavior, "origin request policy AllViewerExceptHostHeader"),
    )


def _public(distribution: DistributionFacts, origin: Origin) -> PreflightResult:
    return PreflightResult(
        "PF-ORIGIN-PUBLIC",
        Level.WARN,
        f"{origin.id} ({origin.domain_name}) is a custom origin.",
        "CloudFront reaches it at its public address, so others can try "
        "to. A VPC origin needs no public address.",
        Fix(
            "Request a private endpoint here and move the path to it. Until then, allow only "
            "com.amazonaws.global.cloudfront.origin-facing in the origin's security group, as a "
            "stopgap.",
            f"aws cloudfront get-distribution-config --id {distribution.id}",
            "vpc_origin_config instead of custom_origin_config in the origin block",
            opens="The CloudFront prefix list admits the distributions of every customer.",
            narrower="With a VPC origin, only VPC origins of the same VPC get in.",
        ),
    )


def _forwards(behavior: Behavior, header: str, policies: _Policies) -> bool | None:
    """Whether a header reaches the origin; None where a policy decides that AWS did not show."""
    rules: list[Forwarding | None] = []
    if behavior.cache_policy_id:
        rules.append(MANAGED_CACHE_POLICIES.get(behavior.cache_policy_id))
    if behavior.origin_request_policy_id:
        rules.append(policies.get(behavior.origin_request_policy_id))
    if any(rule is not None and rule.forwards(header) for rule in rules):
        return True
    # Without a cache policy the behavior has settings of the old kind, which were not looked at.
    return None if not behavior.cache_policy_id or None in rules else False


def _behavior_fix(distribution: DistributionFacts, behavior: Behavior, what: str) -> Fix:
    return Fix(
        f"CloudFront > Distributions > {distribution.id} > Behaviors > "
        f"{behavior.path_pattern} > Edit: {what}.",
        f"aws cloudfront get-distribution-config --id {distribution.id}",
        f"the cache behavior for {behavior.path_pattern} in the "
        f"aws_cloudfront_distribution: {what}",
    )


def _origin_fix(distribution: DistributionFacts, origin: Origin, what: str, terraform: str) -> Fix:
    return Fix(
        f"CloudFront > Distributions > {distribution.id} > Origins > {origin.id} > Edit: {what}.",
        f"aws cloudfront get-distribution-config --id {distribution.id}",
        terraform,
    )
