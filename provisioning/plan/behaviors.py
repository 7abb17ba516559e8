"""The plan's part of the distribution: our origin, a behavior for each path, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.facts import names
from provisioning.facts.distribution import Behavior, DistributionFacts
from provisioning.facts.guards import (
    ORIGIN_HEADERS,
    answering_behavior,
    carried_over,
    guards_of,
    header_source,
)
from provisioning.facts.path_patterns import position_for
from provisioning.facts.target import TargetFacts
from provisioning.plan.items import CREATE, KEEP, PlanItem, Unplannable
from provisioning.plan.path_ownership import Contest, PathRights, who_has, whom_to_ask
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.origin_headers import origin_headers


def desired_origin(
    spec: EndpointSpec, domain_name: str, endpoint_key: str, owner: str
) -> dict[str, Any]:
    """Our origin in the distribution; the VpcOriginId is filled in once it is known."""
    return {
        "Id": spec.own_origin_id(owner, endpoint_key),
        "DomainName": spec.origin_domain or domain_name,
        "OriginPath": "",
        "CustomHeaders": {"Quantity": 0},
        "ConnectionAttempts": 3,
        "ConnectionTimeout": 10,
        "OriginShield": {"Enabled": False},
        "VpcOriginConfig": {
            "OriginReadTimeout": spec.read_timeout,
            "OriginKeepaliveTimeout": spec.keepalive_timeout,
        },
    }


def desired_behavior(
    spec: EndpointSpec, pattern: str, endpoint_key: str, owner: str
) -> dict[str, Any]:
    """One cache behavior as UpdateDistribution takes it, without what it may carry over."""
    methods = spec.allowed_methods.split(",")
    return {
        "PathPattern": pattern,
        "TargetOriginId": spec.own_origin_id(owner, endpoint_key),
        "ViewerProtocolPolicy": spec.viewer_protocol_policy,
        "AllowedMethods": {
            "Quantity": len(methods),
            "Items": methods,
            "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
        },
        "CachePolicyId": names.CACHING_DISABLED,
        "OriginRequestPolicyId": spec.origin_request_policy_id,
        "Compress": False,
        "SmoothStreaming": False,
        "FieldLevelEncryptionId": "",
        "TrustedSigners": {"Enabled": False, "Quantity": 0},
        "TrustedKeyGroups": {"Enabled": False, "Quantity": 0},
        "LambdaFunctionAssociations": {"Quantity": 0},
        "FunctionAssociations": {"Quantity": 0},
    }


def origin_item(
    spec: EndpointSpec,
    target: TargetFacts,
    distribution: DistributionFacts,
    endpoint_key: str,
    owner: str,
    fingerprints: Mapping[str, str],
) -> PlanItem:
    """The origin that the behaviors lead to. A custom header is carried over from another origin,
    by its name, or the endpoint's own, by name and fingerprint: no plan has a value.
    """
    after = desired_origin(spec, target.dns_name, endpoint_key, owner)
    after["VpcOriginName"] = spec.vpc_origin_name(owner)
    source = header_source(distribution, target.dns_name, after["Id"])
    headers = [
        {"HeaderName": name, "ValueFingerprint": fingerprints[name]}
        for name, _ in origin_headers(spec.origin_headers)
    ]
    if source and ORIGIN_HEADERS in spec.carry_over:
        own = {one["HeaderName"].lower() for one in headers}
        copied = [name for name in source.header_names if name.lower() not in own]
        if copied:
            after["CustomHeadersFrom"] = source.id
            headers = [*({"HeaderName": name} for name in copied), *headers]
    if headers:
        after["CustomHeaders"] = {"Quantity": len(headers), "Items": headers}
    existing = distribution.origin(after["Id"])
    before = {"Id": existing.id, "DomainName": existing.domain_name} if existing else None
    return PlanItem(
        "origin",
        KEEP if existing else CREATE,
        f"Origin {after['Id']} in {distribution.id}",
        before,
        after,
    )


def behavior_items(
    spec: EndpointSpec,
    distribution: DistributionFacts,
    endpoint_key: str,
    owner: str,
    quota: int,
    contested: Sequence[Contest],
    rights: PathRights,
    target_domain: str = "",
) -> list[PlanItem]:
    """One item for each path. Raises Unplannable if another origin has a path, somebody else has
    paths in it and does not share them, or the quota is reached.
    """
    items = []
    ours = spec.own_origin_id(owner, endpoint_key)
    order = tuple(behavior.path_pattern for behavior in distribution.behaviors)
    for pattern in spec.path_patterns:
        existing = distribution.behavior_for(pattern)
        if existing and existing.target_origin_id != ours:
            raise Unplannable(
                "path_taken",
                f"The distribution already has a behavior for {existing.path_pattern}, with origin "
                f"{existing.target_origin_id}. {who_has(existing, rights)}",
            )
        holder = rights.holder(pattern, besides=ours)
        if holder and holder.team == rights.team:
            raise Unplannable(
                "path_taken",
                f"{pattern} is the path of your team's endpoint {holder.endpoint}, although the "
                "distribution has no behavior for it now. Restore or remove that endpoint first, "
                "or choose another path.",
            )
        answering = answering_behavior(distribution, pattern)
        others = [one for one in contested if one.pattern == pattern]
        if refused := next((one for one in others if not one.permitted), None):
            raise Unplannable("path_contested", f"{refused}. {whom_to_ask(refused)}")
        after = desired_behavior(spec, pattern, endpoint_key, owner)
        after |= carried_over(answering, spec.carry_over)
        title = f"Behavior {pattern} in {distribution.id}"
        if existing:
            items.append(PlanItem("behavior", KEEP, title, {"TargetOriginId": ours}, after))
            continue
        before = {
            "answered_by": answering.path_pattern,
            "TargetOriginId": answering.target_origin_id,
        }
        default = answering is distribution.default_behavior
        matched = "the default behavior" if default else f"the behavior {answering.path_pattern}"
        place = position_for(pattern, order)
        where = f"before {order[place]}" if place < len(order) else "last, just before the default"
        note = f"{pattern} currently matches {matched}. The new behavior is added {where}."
        note += _guards_note(answering, distribution, spec, target_domain)
        note += "".join(f" Allowed by an assignment: {one}." for one in others)
        items.append(PlanItem("behavior", CREATE, title, before, after, note))
    if len(distribution.behaviors) + sum(item.action == CREATE for item in items) > quota:
        raise Unplannable(
            "behavior_quota",
            f"The distribution would have more than {quota} behaviors. Choose another "
            "distribution.",
        )
    return items


def _guards_note(
    answering: Behavior, distribution: DistributionFacts, spec: EndpointSpec, target_domain: str
) -> str:
    guards = guards_of(answering, distribution, target_domain)
    kept = [guard.name for guard in guards if guard.carried_by in spec.carry_over]
    lost = [guard.name for guard in guards if guard.carried_by not in spec.carry_over]
    note = f" Carried over: {'; '.join(kept)}." if kept else ""
    return note + (f" Does not apply to it: {'; '.join(lost)}." if lost else "")
