"""Preflight questions about an endpoint that is to be adopted: how does what AWS has differ from
what the portal would build?

PURE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from checks.preflight.behavior_match import HANDSHAKE_HEADERS, match_behavior
from checks.preflight.results import Fix, Level, PreflightResult, PreflightSubject
from provisioning.facts.distribution import Behavior, DistributionFacts
from provisioning.facts.forwarding import MANAGED_REQUEST_POLICIES
from provisioning.facts.names import ALL_VIEWER, ALL_VIEWER_EXCEPT_HOST, CACHING_DISABLED
from provisioning.facts.path_patterns import example_path
from provisioning.facts.snapshot import Snapshot

CODE = "PF-SETTINGS"
SHORT_SECONDS = 10
FIX = Fix(
    "Request a change of the endpoint once it is adopted: the portal then sets what it would have "
    "built, and the plan shows each setting."
)


def settings(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Only of an endpoint that is to be adopted: one result for each finding."""
    if not subject.adopts:
        return
    own = [one for one in distribution.behaviors if one.target_origin_id == subject.origin_id]
    found = [pair for one in own for pair in _of_behavior(one, distribution, snapshot)]
    found += _of_all(own, subject, snapshot)
    for seen, why in found:
        yield PreflightResult(CODE, Level.WARN, seen, why, FIX)
    if not found:
        yield PreflightResult(CODE, Level.PASS, "AWS has what the portal would build.")


def _of_behavior(
    behavior: Behavior, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[tuple[str, str]]:
    """What is seen, and what follows from it."""
    pattern = behavior.path_pattern
    if behavior.viewer_protocol_policy == "allow-all":
        yield (
            f"{pattern} admits viewers without TLS (allow-all).",
            "Anyone on the way can read and change what goes over ws:// connections.",
        )
    if behavior.cache_policy_id != CACHING_DISABLED:
        yield (
            f"{pattern} has the cache policy {behavior.cache_policy_id}, not CachingDisabled.",
            "Answers to HTTP requests of this path may come from the cache, such as an app's "
            "refusal of a handshake.",
        )
    if lost := _dropped(behavior, distribution, snapshot):
        yield (
            f"{pattern} does not forward {' and '.join(lost)}.",
            "The app cannot complete a handshake without the headers that it needs of these.",
        )
    elif behavior.origin_request_policy_id not in (ALL_VIEWER, ALL_VIEWER_EXCEPT_HOST):
        policy = behavior.origin_request_policy_id
        yield (
            f"{pattern} has the origin request policy {policy}."
            if policy
            else f"{pattern} has no origin request policy.",
            "Headers, cookies or query strings that the app needs may not reach it.",
        )


def _dropped(behavior: Behavior, distribution: DistributionFacts, snapshot: Snapshot) -> list[str]:
    path, config = example_path(behavior.path_pattern), snapshot.distribution_config
    if path is None or config is None:
        return []
    # The behavior alone: whether another comes first is a question of its own.
    entries = (config.get("CacheBehaviors") or {}).get("Items") or ()
    alone = [one for one in entries if one["PathPattern"] == behavior.path_pattern]
    at = match_behavior(
        {**config, "CacheBehaviors": {"Quantity": len(alone), "Items": alone}},
        domain_name=distribution.domain_name,
        status=distribution.status,
        host=distribution.domain_name,
        path=path,
        request_policies={**MANAGED_REQUEST_POLICIES, **dict(snapshot.request_policies)},
    )
    return [header for header in HANDSHAKE_HEADERS if at.forwards(header) is False]


def _of_all(
    own: list[Behavior], subject: PreflightSubject, snapshot: Snapshot
) -> Iterator[tuple[str, str]]:
    kinds = {
        (
            one.viewer_protocol_policy,
            one.cache_policy_id,
            one.origin_request_policy_id,
            one.allowed_methods,
            one.functions,
            one.key_groups,
            one.trusted_signers,
        )
        for one in own
    }
    if len(kinds) > 1:
        yield (
            f"{' and '.join(one.path_pattern for one in own)} have different settings.",
            "An endpoint has the same settings on all of its paths; those of the first count.",
        )
    entries = ((snapshot.distribution_config or {}).get("Origins") or {}).get("Items") or ()
    origin: Mapping[str, Any] = next((one for one in entries if one["Id"] == subject.origin_id), {})
    seconds = (origin.get("VpcOriginConfig") or {}).get("OriginReadTimeout")
    if seconds is not None and seconds < SHORT_SECONDS:
        yield (
            f"CloudFront waits {seconds} s for the target's answer.",
            "A target that takes longer to answer a handshake gets 504.",
        )
