"""What would change in AWS to build an endpoint, or to change one (PURE)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.path_patterns import same_paths
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts
from provisioning.plan.behaviors import behavior_items, origin_item
from provisioning.plan.distribution_config import has_settings
from provisioning.plan.holdings import Holdings
from provisioning.plan.ingress import ingress_items
from provisioning.plan.items import KEEP, REUSE, UPDATE, PlanItem, Unplannable
from provisioning.plan.path_ownership import PathRights, contests
from provisioning.plan.plan import CHANGE, Plan, writable_distribution
from provisioning.plan.reliance import relies_on
from provisioning.plan.removal import (
    old_vpc_origin_item,
    removed_behavior_item,
    rule_items,
    used_elsewhere,
)
from provisioning.plan.vpc_origin import vpc_origin_item
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec

RESTORED = "It was changed in AWS after it was approved. This restores it."
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
CREATING_SECONDS, DEPLOYING_SECONDS, DELETING_SECONDS = 540, 300, 300
"""A VPC origin until Deployed, a distribution until Deployed, a VPC origin until gone."""


def make_plan(
    spec: EndpointSpec,
    snapshot: Snapshot,
    *,
    endpoint_key: str,
    owner: str,
    rights: PathRights,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Plan:
    """Compare spec and snapshot, and list the changes in the order in which they will be made.
    `rights` are those of the endpoint's team on the distribution; `headers` are the fingerprints of
    the headers to the target, by name. Raises Unplannable.
    """
    target = known_target(snapshot)
    distribution = writable_distribution(snapshot)
    vpc_origin = vpc_origin_item(spec, snapshot, owner)
    ours = spec.own_origin_id(owner, endpoint_key)
    contested = contests(spec.path_patterns, distribution, rights, origin_id=ours)
    items = (
        vpc_origin,
        *ingress_items(spec, target, owner),
        origin_item(spec, target, distribution, endpoint_key, owner, headers),
        *behavior_items(
            spec,
            distribution,
            endpoint_key,
            owner,
            snapshot.behavior_quota,
            contested,
            rights,
            target.dns_name,
        ),
    )
    seconds = 20 + (0 if vpc_origin.action == REUSE else CREATING_SECONDS) + DEPLOYING_SECONDS
    facts = relies_on(spec, target, distribution, snapshot, contested, origin_id=ours)
    return Plan(endpoint_key, spec, items, facts, seconds)


def make_change_plan(
    spec: EndpointSpec,
    snapshot: Snapshot,
    *,
    endpoint_key: str,
    owner: str,
    rights: PathRights,
    applied: Mapping[str, Any],
    holdings: Holdings,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Plan:
    """The same for an endpoint that exists. `applied` is the plan (its dict) that it was built or
    last changed by.

    AWS refuses to update a VPC origin that is in use. So another target, port or protocol means
    another VPC origin: created beside the old one, switched to, and only then the old one deleted.
    Raises Unplannable, also where nothing would change.
    """
    before = read_spec(applied["spec"])
    if _vpc_origin_settings(spec) != _vpc_origin_settings(before):
        # The portal changes no VPC origin that it did not create: it replaces it by one of its own.
        spec = replace(spec, vpc_origin_id="")
    built = make_plan(
        spec, snapshot, endpoint_key=endpoint_key, owner=owner, rights=rights, headers=headers
    )
    replaced = spec.vpc_origin_key != before.vpc_origin_key
    distribution = writable_distribution(snapshot)
    items = [
        *(
            _updated(item, applied, snapshot.distribution_config or {}, replaced=replaced)
            for item in built.items
        ),
        *_removed_behaviors(spec, applied, distribution, spec.own_origin_id(owner, endpoint_key)),
        *rule_items(holdings, needed=_needed_rules(spec, snapshot, holdings)),
    ]
    seconds = built.expected_seconds
    if replaced:
        items.append(
            old_vpc_origin_item(
                before.vpc_origin_name(owner), holdings, elsewhere=used_elsewhere(before, snapshot)
            )
        )
        seconds += 0 if holdings.vpc_origin_others else DELETING_SECONDS
    if all(item.action in (KEEP, REUSE) for item in items):
        raise Unplannable(
            "nothing_changes",
            "AWS has these settings already. Change a setting, or cancel this request.",
        )
    return replace(
        built, items=tuple(items), expected_seconds=seconds, action=CHANGE, applied=applied
    )


def _vpc_origin_settings(spec: EndpointSpec) -> tuple[object, ...]:
    return (spec.target_arn, spec.origin_protocol, spec.http_port, spec.https_port)


def _updated(
    item: PlanItem, applied: Mapping[str, Any], present: Mapping[str, Any], *, replaced: bool
) -> PlanItem:
    """An item of the endpoint's own as the change of what the applied plan made; where nothing else
    is wanted, of what somebody has made of that in the `present` DistributionConfig.
    """
    if item.resource not in ("origin", "behavior") or item.action != KEEP:
        return item
    assert item.after is not None  # noqa: S101 -- what is built has an after
    key = "Id" if item.resource == "origin" else "PathPattern"
    before = next(
        (
            one["after"]
            for one in applied["items"]
            if one["resource"] == item.resource
            and one["after"]
            and one["after"][key] == item.after[key]
        ),
        None,
    )
    if before is None or before == item.after:
        drifted = _drifted(item.resource, item.after, present)
        return replace(item, action=UPDATE, before=drifted, note=RESTORED) if drifted else item
    note = item.note
    if item.resource == "origin" and replaced:
        note = (
            "New connections reach the new target once this is deployed. Open ones may stay with "
            "the old target until its VPC origin is deleted."
        )
    return replace(item, action=UPDATE, before=before, note=note)


def _drifted(
    resource: str, wanted: Mapping[str, Any], present: Mapping[str, Any]
) -> dict[str, Any] | None:
    """An origin or a behavior as it is in the present configuration, if that is not as wanted.
    Values of custom headers may be secrets: only their names are compared.
    """
    listed, key = ("Origins", "Id") if resource == "origin" else ("CacheBehaviors", "PathPattern")
    entries = (present.get(listed) or {}).get("Items") or ()
    own = next((one for one in entries if one[key] == wanted[key]), None)
    if own is None:
        return None
    words = {"CustomHeaders", "CustomHeadersFrom", "VpcOriginName"}
    settings = {name: value for name, value in wanted.items() if name not in words}
    differs = {
        name: own.get(name)
        for name, value in settings.items()
        if not has_settings(own.get(name), value)
    }
    if resource == "origin":
        planned = {one["HeaderName"]: one for one in wanted["CustomHeaders"].get("Items", ())}
        sent = [one["HeaderName"] for one in (own.get("CustomHeaders") or {}).get("Items") or ()]
        if set(sent) != set(planned):
            listed_now = [planned.get(name, {"HeaderName": name}) for name in sent]
            differs["CustomHeaders"] = {"Quantity": len(sent), "Items": listed_now}
    return {**wanted, **differs} if differs else None


def _removed_behaviors(
    spec: EndpointSpec,
    applied: Mapping[str, Any],
    distribution: DistributionFacts,
    origin_id: str,
) -> Iterator[PlanItem]:
    stays = [
        one
        for one in distribution.behaviors
        if one.target_origin_id != origin_id or one.path_pattern in spec.path_patterns
    ]
    afterwards = replace(distribution, behaviors=tuple(stays))
    for item in applied["items"]:
        if item["resource"] != "behavior" or not item["after"]:
            continue
        pattern = item["after"]["PathPattern"]
        if not any(same_paths(pattern, kept) for kept in spec.path_patterns):
            yield removed_behavior_item(item["after"], distribution.id, afterwards)


def _needed_rules(spec: EndpointSpec, snapshot: Snapshot, holdings: Holdings) -> frozenset[int]:
    groups = snapshot.target.security_groups if snapshot.target else ()
    return frozenset(
        rule.id
        for rule in holdings.rules
        if rule.group_id in groups and rule.port in spec.origin_ports
    )


def known_target(snapshot: Snapshot) -> TargetFacts:
    """The snapshot's target. Raises Unplannable."""
    if snapshot.target is None:
        raise Unplannable.unseen(
            "target_unknown",
            f"The target was not found in this account.{_replaced_by(snapshot)}",
            snapshot.gap("target"),
        )
    return snapshot.target


def _replaced_by(snapshot: Snapshot) -> str:
    if not snapshot.target_successor:
        return ""
    return (
        " A load balancer of the same name exists, so it was deleted and created again: request "
        f"{snapshot.target_successor}."
    )
