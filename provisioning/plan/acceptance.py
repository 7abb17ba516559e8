"""The plan that accepts a change made in AWS (PURE): before as approved, after as AWS has it.

Nothing is written for it. Whatever else differs between AWS and the applied plan stays as it was
approved, and so stays drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.guards import carried_over
from provisioning.facts.path_patterns import same_paths
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.behaviors import desired_behavior, desired_origin
from provisioning.plan.distribution_config import has_settings
from provisioning.plan.items import ACCEPT, KEEP, PlanItem, Unplannable
from provisioning.plan.path_ownership import PathRights, contests, whom_to_ask
from provisioning.plan.plan import ACCEPT as ACCEPT_DRIFT
from provisioning.plan.plan import Plan, writable_distribution
from provisioning.plan.planner import known_target
from provisioning.plan.reliance import relies_on
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec

SECONDS = 5


def make_acceptance_plan(
    spec: EndpointSpec,
    snapshot: Snapshot,
    *,
    endpoint_key: str,
    owner: str,
    rights: PathRights,
    applied: Mapping[str, Any],
) -> Plan:
    """What is approved once `spec` is: the applied plan (its dict), with the settings in which
    `spec` differs from it.

    1. AWS has each of these settings as `spec` says. Another value, or one behavior that differs
       from the others, is no plan.
    2. New paths are subject to the same rights as those of a new endpoint.
    Raises Unplannable.
    """
    target, distribution = known_target(snapshot), writable_distribution(snapshot)
    origin_id = spec.own_origin_id(owner, endpoint_key)
    contested = contests(spec.path_patterns, distribution, rights, origin_id=origin_id)
    if refused := next((one for one in contested if not one.permitted), None):
        raise Unplannable("path_contested", f"{refused}. {whom_to_ask(refused)}")
    before = read_spec(applied["spec"])
    moved = [*_moved_items(applied, before, spec, distribution, target.dns_name, origin_id, owner)]
    present = snapshot.distribution_config or {}
    for item in moved:
        if item.action == ACCEPT and (unmet := _unmet(item, present)):
            raise Unplannable("not_in_aws", unmet)
    if all(item.action == KEEP for item in moved):
        raise Unplannable(
            "nothing_changes", "This is what is approved already. Cancel this request."
        )
    facts = relies_on(spec, target, distribution, snapshot, contested, origin_id=origin_id)
    if spec.path_patterns == before.path_patterns:
        # Behaviors that others put before the endpoint's are drift of their own.
        agreed = applied["relies_on"]["overlapping_behaviors"]
        facts["overlapping_behaviors"] = agreed
    return Plan(
        endpoint_key, spec, tuple(moved), facts, SECONDS, action=ACCEPT_DRIFT, applied=applied
    )


def _moved_items(
    applied: Mapping[str, Any],
    before: EndpointSpec,
    spec: EndpointSpec,
    distribution: DistributionFacts,
    domain_name: str,
    origin_id: str,
    owner: str,
) -> Iterator[PlanItem]:
    """The items of the applied plan, with the settings that `spec` has and `before` has not."""
    key = applied["endpoint_key"]
    added = tuple(one for one in spec.carry_over if one not in before.carry_over)
    for item in applied["items"]:
        was = item["after"]
        if not was:
            continue
        becomes, title = was, item["title"]
        if item["resource"] == "origin":
            becomes = _moved(
                was,
                desired_origin(before, domain_name, key, owner),
                desired_origin(spec, domain_name, key, owner),
            )
        elif item["resource"] == "behavior":
            old = was["PathPattern"]
            new = spec.path_patterns[before.path_patterns.index(old)]
            own = distribution.behavior_for(new)
            wanted = desired_behavior(spec, new, key, owner)
            wanted |= carried_over(own, added) if own and own.target_origin_id == origin_id else {}
            becomes = _moved(was, desired_behavior(before, old, key, owner), wanted)
            title = f"Behavior {new} in {distribution.id}"
        if becomes == was:
            yield PlanItem(item["resource"], KEEP, title, was, was, shared=item["shared"])
        else:
            note = "AWS has this already; nothing is written."
            yield PlanItem(item["resource"], ACCEPT, title, was, becomes, note)


def _moved(
    was: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """`was`, with what differs between `before` and `after`."""
    moved = dict(was)
    for name, value in after.items():
        old = before.get(name)
        if value == old:
            continue
        if isinstance(value, Mapping) and isinstance(old, Mapping) and "Quantity" not in value:
            moved[name] = _moved(was.get(name) or {}, old, value)
        else:
            moved[name] = value
    return moved


def _unmet(item: PlanItem, present: Mapping[str, Any]) -> str:
    """Why AWS does not have what the item says, in a sentence, or an empty string."""
    was, becomes = item.before or {}, item.after or {}
    if item.resource == "origin":
        entries = (present.get("Origins") or {}).get("Items") or ()
        own = next((one for one in entries if one["Id"] == becomes["Id"]), None)
    else:
        entries = (present.get("CacheBehaviors") or {}).get("Items") or ()
        leading = (one for one in entries if one["TargetOriginId"] == becomes["TargetOriginId"])
        own = next(
            (one for one in leading if same_paths(one["PathPattern"], becomes["PathPattern"])), None
        )
    if own is None:
        return f"{item.title} is not there. Compare with AWS again."
    for name in _differing(was, becomes):
        if not has_settings(_at(own, name), _at(becomes, name)):
            return (
                f"{item.title} does not have this {name}. Cancel this request and compare with "
                "AWS again; what only some of the endpoint's behaviors have cannot be accepted."
            )
    return ""


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """The dotted names of the settings in which two documents differ."""
    for name, value in other.items():
        old = one.get(name)
        if value == old:
            continue
        if isinstance(value, Mapping) and isinstance(old, Mapping) and "Quantity" not in value:
            yield from (f"{name}.{inner}" for inner in _differing(old, value))
        else:
            yield name


def _at(document: Mapping[str, Any], name: str) -> Any:
    value: Any = document
    for part in name.split("."):
        value = (value or {}).get(part)
    return value
