"""The facts that a plan relies on. If one changes before it is applied, the approval is void."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.facts.certificate import Certificate
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.exposures import GAPS, exposures
from provisioning.facts.guards import answering_behavior, left_behind
from provisioning.facts.path_patterns import overlap
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts
from provisioning.facts.web_acl import described
from provisioning.plan.path_ownership import Contest, describe, taken_from
from provisioning.spec.endpoint_spec import EndpointSpec

NOT_KNOWN = "not known"
EXPOSED = "exposed_by_"


def relies_on(
    spec: EndpointSpec,
    target: TargetFacts,
    distribution: DistributionFacts,
    snapshot: Snapshot,
    contested: Sequence[Contest] = (),
    *,
    origin_id: str,
) -> dict[str, Any]:
    """What the plan is made of, what the preflight would block for, and what the endpoint, whose
    origin is `origin_id`, shares with others or takes from them. What could not be seen is
    NOT_KNOWN, never empty.
    """

    def known(what: str, value: Any) -> Any:
        return NOT_KNOWN if snapshot.gap(what) else value

    ours = {
        behavior.path_pattern
        for behavior in distribution.behaviors
        if behavior.path_pattern in spec.path_patterns
    }
    return {
        "target_state": target.state,
        "target_scheme": target.scheme,
        "target_dns_name": target.dns_name,
        "target_vpc": target.vpc_id,
        "target_security_groups": sorted(target.security_groups),
        "target_listeners": known(
            "listeners",
            [
                f"{listener.port}/{listener.protocol} {listener.default_action}"
                for listener in sorted(target.listeners, key=lambda one: one.port)
                if listener.port in spec.origin_ports
            ],
        ),
        "target_tls_ports": known(
            "listeners",
            sorted(listener.port for listener in target.listeners if listener.protocol == "TLS"),
        ),
        "rules_before_redirects": known(
            "rules",
            [
                f"{listener.port}: {'some' if listener.rules else 'none'}"
                for listener in sorted(target.listeners, key=lambda one: one.port)
                if listener.port in spec.origin_ports and listener.redirect_protocol
            ],
        ),
        "target_certificates": known("certificates", _certificates(spec, target)),
        "security_group_rules": NOT_KNOWN
        if any(map(snapshot.gap, ("ingress", "prefix_list", "service_group")))
        else "seen",
        "internet_gateway": known("internet_gateway", bool(target.internet_gateway)),
        "block_public_access": known("block_public_access", target.block_public_access),
        "subnets": known(
            "subnets",
            sorted(f"{subnet.id} in {subnet.availability_zone_id}" for subnet in target.subnets),
        ),
        "subnets_without_ipv4": known(
            "subnets", sorted(subnet.id for subnet in target.subnets if subnet.ipv6_only)
        ),
        "full_subnets": known(
            "subnets", sorted(subnet.id for subnet in target.subnets if subnet.free_addresses == 0)
        ),
        "viewer_certificate": known(
            "viewer_certificate",
            _certificate(snapshot.viewer_certificate) if snapshot.viewer_certificate else "",
        ),
        "distribution_domain": distribution.domain_name,
        "distribution_enabled": distribution.enabled,
        "distribution_aliases": sorted(distribution.aliases),
        "overlapping_behaviors": [
            describe(behavior)
            for behavior in distribution.behaviors
            if behavior.path_pattern not in ours
            and behavior.target_origin_id != origin_id
            and any(overlap(behavior.path_pattern, pattern) for pattern in spec.path_patterns)
        ],
        "distribution_connection_mode": distribution.connection_mode,
        "unusable_origins": known("unusable_origins", sorted(snapshot.unusable_origins)),
        "guards_left_behind": [
            f"{pattern}: {guard.name} of {answering_behavior(distribution, pattern).path_pattern}"
            for pattern in spec.path_patterns
            for guard in left_behind(distribution, pattern, spec.carry_over, target.dns_name)
        ],
        "web_acl": distribution.web_acl_id,
        "web_acl_rules_by_path": known(
            "web_acl",
            described(spec.path_patterns, snapshot.web_acl) if snapshot.web_acl else [],
        ),
        "takes_requests_from": sorted(
            {
                describe(behavior)
                for pattern in spec.path_patterns
                for behavior in taken_from(pattern, distribution)
            }
        ),
        "paths_of_others": sorted(str(one) for one in contested),
        **_exposed(spec, target, snapshot),
    }


def _exposed(spec: EndpointSpec, target: TargetFacts, snapshot: Snapshot) -> dict[str, Any]:
    """What besides CloudFront reaches the target, by kind."""
    found = exposures(target, spec.origin_ports)
    return {
        f"{EXPOSED}{kind}": NOT_KNOWN
        if any(map(snapshot.gap, gaps))
        else sorted(one.what for one in found if one.kind is kind)
        for kind, gaps in GAPS.items()
    }


def exposures_of(plan: Mapping[str, Any]) -> list[str]:
    """What besides CloudFront reaches the target, as far as a plan (its dict) knows: whoever
    approves it accepts that.
    """
    listed = (value for key, value in plan.get("relies_on", {}).items() if key.startswith(EXPOSED))
    return sorted({what for value in listed if value != NOT_KNOWN for what in value})


def _certificates(spec: EndpointSpec, target: TargetFacts) -> list[str]:
    """The certificates that CloudFront would see. Without their expiry, which renewal changes."""
    if spec.origin_protocol == "http-only":
        return []
    listener = target.listener_on(spec.https_port)
    shown = (listener.certificates if listener else None) or ()
    return [_certificate(one) for one in shown]


def _certificate(one: Certificate) -> str:
    by = " of a private CA" if one.kind == "PRIVATE" else ""
    return f"{', '.join(sorted(one.names)) or one.arn}: {one.status or NOT_KNOWN}{by}"
