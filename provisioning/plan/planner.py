"""What would change in AWS to bring an endpoint about: item by item, before and after, and its
digest.

PURE. It compares a spec with a snapshot. It never changes anything and never asks AWS. An approval
is bound to `Plan.digest`: the spec, every change, and the facts the change relies on. Whether a
shared VPC origin or ingress rule of ours happens to exist already is left out of the digest,
because other endpoints may create or undo it meanwhile without changing what was approved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from provisioning.facts import names
from provisioning.facts.path_patterns import covers, overlap
from provisioning.facts.snapshot import (
    Behavior,
    Certificate,
    DistributionFacts,
    IngressRule,
    Snapshot,
    TargetFacts,
)
from provisioning.spec.digest import digest_of
from provisioning.spec.endpoint_spec import EndpointSpec

CREATE, REUSE, KEEP = "create", "reuse", "keep"
NOT_KNOWN = "not known"
QUOTA_CODES = frozenset({"vpc_origin_quota", "behavior_quota"})
"""Codes of Unplannable that depend on a quota: on AWS's default where the account's own could not
be asked.
"""


class Unplannable(Exception):
    """No plan can be made. Carries a code and, in words, what stands in the way and what to do."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class PlanItem:
    """One AWS resource: what happens to it (create, reuse, keep), how it is now, how it will be."""

    resource: str
    action: str
    title: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    note: str = ""
    shared: bool = False


@dataclass(frozen=True)
class Plan:
    """The exact plan. `expected_seconds` is the sum over its steps on real AWS."""

    endpoint_key: str
    spec: EndpointSpec
    items: tuple[PlanItem, ...]
    relies_on: Mapping[str, Any]
    expected_seconds: int

    @property
    def digest(self) -> str:
        """SHA-256, hex, over everything an approver agrees to."""
        return digest_of(self._binding())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the digest."""
        return {
            "endpoint_key": self.endpoint_key,
            "spec": self.spec.to_dict(),
            "items": [asdict(item) for item in self.items],
            "relies_on": dict(self.relies_on),
            "expected_seconds": self.expected_seconds,
            "digest": self.digest,
        }

    def _binding(self) -> dict[str, Any]:
        return {
            "endpoint_key": self.endpoint_key,
            "spec": self.spec.to_dict(),
            "items": [_bound(asdict(item)) for item in self.items],
            "relies_on": dict(self.relies_on),
        }


def _bound(item: Mapping[str, Any]) -> dict[str, Any]:
    """What an approver agrees to in an item (its dict). Of a shared one, not whether it is there
    already.
    """
    bound = ("resource", "after") if item["shared"] else ("resource", "after", "action", "before")
    return {name: item[name] for name in bound}


def make_plan(spec: EndpointSpec, snapshot: Snapshot, *, endpoint_key: str, owner: str) -> Plan:
    """Compare and list the changes, in the order in which they will be made. Raises Unplannable."""
    target, distribution = snapshot.target, snapshot.distribution
    if target is None:
        raise Unplannable(
            "target_unknown", _why(snapshot, "target", "The target was not found in this account.")
        )
    if distribution is None:
        raise Unplannable(
            "distribution_unknown",
            _why(snapshot, "distribution", "The distribution was not found in this account."),
        )
    if distribution.unknown_elements:
        raise Unplannable(
            "distribution_too_new",
            "The distribution uses settings that this portal does not know yet, and writing "
            "it would lose them: "
            f"{', '.join(distribution.unknown_elements)}. Update the portal's boto3.",
        )
    vpc_origin = _vpc_origin_item(spec, snapshot, owner)
    items = [vpc_origin, *_ingress_items(spec, target, owner)]
    items.append(_origin_item(spec, target, distribution, endpoint_key, owner))
    items += _behavior_items(spec, distribution, endpoint_key, owner, snapshot.behavior_quota)
    seconds = 20 + (0 if vpc_origin.action == REUSE else 540) + 300
    return Plan(
        endpoint_key, spec, tuple(items), _relies_on(spec, target, distribution, snapshot), seconds
    )


def what_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The differences of two plans (their dicts), one sentence each, for people."""
    sentences = []
    for part in ("spec", "relies_on"):
        before, after = old.get(part, {}), new.get(part, {})
        for key in sorted(set(before) | set(after)):
            if before.get(key) != after.get(key):
                what = key.replace("_", " ")
                sentences.append(
                    f"{what}: was {_brief(before.get(key))}, is now {_brief(after.get(key))}"
                )
    old_items = {(item["resource"], item["title"]): item for item in old.get("items", ())}
    new_items = {(item["resource"], item["title"]): item for item in new.get("items", ())}
    for key in sorted(set(old_items) | set(new_items)):
        before_item, after_item = old_items.get(key), new_items.get(key)
        if before_item is None:
            sentences.append(f"new in the plan: {key[1]}")
        elif after_item is None:
            sentences.append(f"no longer in the plan: {key[1]}")
        elif _bound(before_item) != _bound(after_item):
            was, now = before_item["action"], after_item["action"]
            sentences.append(
                f"changed: {key[1]}" + (f" (was {was}, is now {now})" if was != now else "")
            )
    return sentences


def desired_vpc_origin(spec: EndpointSpec, owner: str) -> dict[str, Any]:
    """VpcOriginEndpointConfig as CreateVpcOrigin takes it."""
    return {
        "Name": names.vpc_origin_name(owner, spec.vpc_origin_key),
        "Arn": spec.target_arn,
        "HTTPPort": spec.http_port,
        "HTTPSPort": spec.https_port,
        "OriginProtocolPolicy": spec.origin_protocol,
        "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
    }


def desired_origin(
    spec: EndpointSpec, domain_name: str, endpoint_key: str, owner: str
) -> dict[str, Any]:
    """Our origin in the distribution; the VpcOriginId is filled in once it is known."""
    return {
        "Id": names.origin_id(owner, endpoint_key),
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
    """One cache behavior as UpdateDistribution takes it."""
    methods = spec.allowed_methods.split(",")
    return {
        "PathPattern": pattern,
        "TargetOriginId": names.origin_id(owner, endpoint_key),
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


def position_for(pattern: str, existing: tuple[str, ...]) -> int:
    """Where a new behavior goes: before the first one that would swallow it, else last. It never
    goes in front of a narrower behavior, so it takes no traffic from anything more specific than
    itself.
    """
    return next(
        (index for index, other in enumerate(existing) if covers(other, pattern)), len(existing)
    )


def _vpc_origin_item(spec: EndpointSpec, snapshot: Snapshot, owner: str) -> PlanItem:
    name = names.vpc_origin_name(owner, spec.vpc_origin_key)
    gap = snapshot.gap("vpc_origins")
    if gap:
        raise Unplannable(
            "vpc_origins_unknown",
            f"The account's VPC origins could not be listed. AWS said: {_sentence(gap.reason)}",
        )
    existing = next((origin for origin in snapshot.vpc_origins if origin.name == name), None)
    # The name stands for the target: on another target it is somebody's imitation.
    if existing and (existing.ours is False or existing.target_arn != spec.target_arn):
        raise Unplannable(
            "vpc_origin_foreign",
            f"A VPC origin named {name} exists ({existing.id}), but not as this portal makes it: "
            "its tag or its target is another. The portal will not touch it. Rename or remove it.",
        )
    if existing is None and len(snapshot.vpc_origins) >= snapshot.vpc_origin_quota:
        raise Unplannable(
            "vpc_origin_quota",
            f"The account has {len(snapshot.vpc_origins)} of {snapshot.vpc_origin_quota} "
            "VPC origins. "
            "Remove one that is not used, or ask AWS for a higher quota.",
        )
    after = desired_vpc_origin(spec, owner)
    if existing:
        note = f"{existing.id} leads to the same target and is shared. No waiting for it."
        return PlanItem(
            "vpc-origin", REUSE, f"VPC origin {name}", {"Id": existing.id}, after, note, shared=True
        )
    return PlanItem(
        "vpc-origin",
        CREATE,
        f"VPC origin {name}",
        None,
        after,
        "AWS needs about 10 to 15 minutes.",
        shared=True,
    )


def _ingress_items(spec: EndpointSpec, target: TargetFacts, owner: str) -> list[PlanItem]:
    items = []
    for port in spec.origin_ports:
        title = f"Security group: TCP {port} from CloudFront"
        rule = target.admits_cloudfront(port)
        added = _rule_of_ours(spec, target, port, owner)
        if rule and added and _is_ours(rule, target, port, owner):
            note = f"The rule of another endpoint on this target, {rule.rule_id}, is shared."
            now = {"GroupId": rule.group_id, "Port": port, "Source": rule.source}
            items.append(PlanItem("ingress-rule", REUSE, title, now, added, note, shared=True))
        elif rule:
            kept = {"GroupId": rule.group_id, "Port": port, "Source": rule.source}
            items.append(
                PlanItem("ingress-rule", KEEP, title, kept, kept, "CloudFront is admitted already.")
            )
        elif added:
            note = "Only traffic of this VPC's own VPC origins is let in; nothing public."
            items.append(PlanItem("ingress-rule", CREATE, title, None, added, note, shared=True))
    return items


def _rule_of_ours(
    spec: EndpointSpec, target: TargetFacts, port: int, owner: str
) -> dict[str, Any] | None:
    """The rule that the portal may add for a port; None when it may not."""
    if not spec.open_security_group or not target.security_groups:
        return None
    return {
        "GroupId": target.group_to_open,
        "IpProtocol": "tcp",
        "Port": port,
        "Source": names.SERVICE_GROUP_NAME,
        "Description": names.rule_description(owner, spec.vpc_origin_key),
    }


def _is_ours(rule: IngressRule, target: TargetFacts, port: int, owner: str) -> bool:
    """Whether a rule is the one that this portal adds."""
    made = (owner, target.service_group_id, target.group_to_open, port, port)
    return (rule.owner, rule.source, rule.group_id, rule.from_port, rule.to_port) == made


def _origin_item(
    spec: EndpointSpec,
    target: TargetFacts,
    distribution: DistributionFacts,
    endpoint_key: str,
    owner: str,
) -> PlanItem:
    after = desired_origin(spec, target.dns_name, endpoint_key, owner)
    existing = distribution.origin(after["Id"])
    before = {"Id": existing.id, "DomainName": existing.domain_name} if existing else None
    return PlanItem(
        "origin",
        KEEP if existing else CREATE,
        f"Origin {after['Id']} in {distribution.id}",
        before,
        after,
    )


def _behavior_items(
    spec: EndpointSpec, distribution: DistributionFacts, endpoint_key: str, owner: str, quota: int
) -> list[PlanItem]:
    items = []
    ours = names.origin_id(owner, endpoint_key)
    order = tuple(behavior.path_pattern for behavior in distribution.behaviors)
    for pattern in spec.path_patterns:
        existing = distribution.behavior_for(pattern)
        if existing and existing.target_origin_id != ours:
            raise Unplannable(
                "path_taken",
                f"The distribution already has a behavior for {existing.path_pattern}, leading to "
                f"{existing.target_origin_id}. Choose another path, or ask its owner to "
                "give it up.",
            )
        after = desired_behavior(spec, pattern, endpoint_key, owner)
        title = f"Behavior {pattern} in {distribution.id}"
        if existing:
            items.append(PlanItem("behavior", KEEP, title, {"TargetOriginId": ours}, after))
            continue
        answering = _answering(pattern, distribution)
        place = position_for(pattern, order)
        ahead = (
            f"It goes in front of {order[place]}."
            if place < len(order)
            else "It goes after all others."
        )
        before = {
            "answered_by": answering.path_pattern,
            "TargetOriginId": answering.target_origin_id,
        }
        note = f"Today {pattern} is answered by the behavior {answering.path_pattern}. {ahead}"
        items.append(PlanItem("behavior", CREATE, title, before, after, note))
    if len(distribution.behaviors) + sum(item.action == CREATE for item in items) > quota:
        raise Unplannable(
            "behavior_quota",
            f"The distribution would have more than {quota} behaviors. Choose another "
            "distribution.",
        )
    return items


def _answering(pattern: str, distribution: DistributionFacts) -> Behavior:
    return next(
        (b for b in distribution.behaviors if covers(b.path_pattern, pattern)),
        distribution.default_behavior,
    )


def not_known_any_more(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What plan `new` relies on and could not see, although plan `old` (their dicts) had seen it:
    ask AWS again.
    """
    before, after = old.get("relies_on", {}), new.get("relies_on", {})
    return sorted(
        key
        for key, value in after.items()
        if value == NOT_KNOWN and before.get(key, NOT_KNOWN) != NOT_KNOWN
    )


def _relies_on(
    spec: EndpointSpec, target: TargetFacts, distribution: DistributionFacts, snapshot: Snapshot
) -> dict[str, Any]:
    """The facts that, if they change between approval and apply, make the approval void: what the
    plan itself is made of, and what the preflight would block for. What could not be seen is
    NOT_KNOWN, never left empty.
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
            f"{behavior.path_pattern} to {behavior.target_origin_id}"
            for behavior in distribution.behaviors
            if behavior.path_pattern not in ours
            and any(overlap(behavior.path_pattern, pattern) for pattern in spec.path_patterns)
        ],
    }


def _certificates(spec: EndpointSpec, target: TargetFacts) -> list[str]:
    """What the target shows over HTTPS, where CloudFront would look; when it expires may change by
    renewal.
    """
    if spec.origin_protocol == "http-only":
        return []
    listener = target.listener_on(spec.https_port)
    shown = (listener.certificates if listener else None) or ()
    return [_certificate(one) for one in shown]


def _certificate(one: Certificate) -> str:
    by = " of a private CA" if one.kind == "PRIVATE" else ""
    return f"{', '.join(sorted(one.names)) or one.arn}: {one.status or NOT_KNOWN}{by}"


def _why(snapshot: Snapshot, what: str, otherwise: str) -> str:
    gap = snapshot.gap(what)
    return f"{otherwise} AWS said: {_sentence(gap.reason)}" if gap else otherwise


def _brief(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if text else "nothing"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
