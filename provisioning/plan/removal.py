"""What would change in AWS to remove an endpoint (PURE).

First its behaviors and its origin leave the distribution. Nothing else is deleted before the grace
period is over, so that the endpoint can be restored in a few minutes: creating a VPC origin again
takes a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from provisioning.facts import names
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.guards import answering_behavior
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.holdings import Holdings
from provisioning.plan.items import DELETE, KEEP, PlanItem, Unplannable
from provisioning.plan.path_ownership import describe
from provisioning.plan.plan import REMOVE, Plan, writable_distribution
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec

NOT_THERE = "It is not in AWS any more."


def make_removal_plan(
    applied: Mapping[str, Any],
    snapshot: Snapshot,
    *,
    endpoint_key: str,
    owner: str,
    holdings: Holdings,
    grace_seconds: int,
) -> Plan:
    """List what goes, in the order in which it goes. `applied` is the plan (its dict) that the
    endpoint was built or last changed by. A distribution that no longer exists is no obstacle.
    Raises Unplannable.
    """
    spec = read_spec(applied["spec"])
    ours = spec.own_origin_id(owner, endpoint_key)
    gone = snapshot.distribution is None and snapshot.gap("distribution") is None
    distribution = None if gone else writable_distribution(snapshot)
    afterwards = distribution and replace(
        distribution,
        behaviors=tuple(one for one in distribution.behaviors if one.target_origin_id != ours),
    )
    items = (
        *(_behavior_items(applied, distribution, afterwards, ours)),
        _origin_item(spec.distribution_id, distribution, ours),
        *rule_items(holdings),
        *_found_rule_items(applied),
        old_vpc_origin_item(
            spec.vpc_origin_name(owner), holdings, elsewhere=used_elsewhere(spec, snapshot)
        ),
    )
    facts = {
        "distribution_domain": distribution.domain_name if distribution else "",
        "answered_afterwards": [
            f"{pattern}: {describe(answering_behavior(afterwards, pattern))}"
            for pattern in spec.path_patterns
            if afterwards
        ],
    }
    seconds = 20 + (0 if gone else 300) + (0 if holdings.vpc_origin_others else 300)
    return Plan(
        endpoint_key,
        spec,
        items,
        facts,
        seconds,
        action=REMOVE,
        applied=applied,
        grace_seconds=grace_seconds,
    )


def rule_items(holdings: Holdings, *, needed: frozenset[int] = frozenset()) -> Iterator[PlanItem]:
    """The ingress rules that are not `needed` (row ids) any more. Those that others use stay."""
    for rule in holdings.rules:
        if rule.id in needed:
            continue
        title = f"Security group: TCP {rule.port} from CloudFront"
        before = {
            "GroupId": rule.group_id,
            "IpProtocol": "tcp",
            "Port": rule.port,
            "Source": names.SERVICE_GROUP_NAME,
        }
        if rule.others:
            note = f"It stays: {rule.others} other endpoint(s) use it."
            yield PlanItem("ingress-rule", KEEP, title, before, None, note, shared=True)
        else:
            note = "Only this endpoint uses it."
            yield PlanItem("ingress-rule", DELETE, title, before, None, note, shared=True)


def used_elsewhere(spec: EndpointSpec, snapshot: Snapshot) -> str:
    """What in AWS besides the endpoint uses the VPC origin that it was adopted with, in words; ""
    for nothing, and for one that the portal created.
    """
    if not spec.vpc_origin_id:
        return ""
    known = next((one for one in snapshot.vpc_origins if one.id == spec.vpc_origin_id), None)
    origins = snapshot.distribution.origins if snapshot.distribution else ()
    other = [
        one.id
        for one in origins
        if one.vpc_origin_id == spec.vpc_origin_id and one.id != spec.origin_id
    ]
    if other:
        return f"origin {other[0]} of this distribution uses it"
    if known is not None and known.distributions is None:
        return "AWS did not say whether other distributions use it"
    own = any(one.id == spec.origin_id for one in origins)
    count = (known.distributions or 0) - int(own) if known else 0
    return f"{count} other distribution(s) use it" if count > 0 else ""


def old_vpc_origin_item(name: str, holdings: Holdings, *, elsewhere: str = "") -> PlanItem:
    """The VPC origin that the endpoint stops using. It is deleted with its last user. `elsewhere`
    is what else in AWS uses an adopted one.
    """
    before = {"Id": holdings.vpc_origin_id, "Name": name}
    title = f"VPC origin {name}"
    if holdings.vpc_origin_others:
        note = f"It stays: {holdings.vpc_origin_others} other endpoint(s) use it."
        return PlanItem("vpc-origin", KEEP, title, before, None, note, shared=True)
    if elsewhere:
        return PlanItem(
            "vpc-origin", KEEP, title, before, None, f"It stays: {elsewhere}.", shared=True
        )
    note = "No other endpoint uses it. The account gets one VPC origin of its quota back."
    return PlanItem("vpc-origin", DELETE, title, before, None, note, shared=True)


def _found_rule_items(applied: Mapping[str, Any]) -> Iterator[PlanItem]:
    """The rules that were there before an endpoint was adopted: the portal deletes none of them."""
    if not applied["spec"].get("origin_id"):
        return
    for item in applied["items"]:
        if item["resource"] == "ingress-rule" and item["action"] == KEEP:
            note = "It stays: the portal did not add it."
            yield PlanItem(
                "ingress-rule", KEEP, item["title"], item["after"], None, note, shared=True
            )


def removed_behavior_item(
    before: Mapping[str, Any], distribution_id: str, afterwards: DistributionFacts
) -> PlanItem:
    """A behavior that goes. `afterwards` is the distribution without it."""
    pattern = before["PathPattern"]
    answers = answering_behavior(afterwards, pattern)
    default = answers is afterwards.default_behavior
    by = "the default behavior" if default else f"the behavior {answers.path_pattern}"
    note = f"From then on {by} answers {pattern}, with origin {answers.target_origin_id}."
    title = f"Behavior {pattern} in {distribution_id}"
    return PlanItem("behavior", DELETE, title, before, None, note)


def _behavior_items(
    applied: Mapping[str, Any],
    distribution: DistributionFacts | None,
    afterwards: DistributionFacts | None,
    origin_id: str,
) -> Iterator[PlanItem]:
    distribution_id = applied["spec"]["distribution_id"]
    planned = {
        item["after"]["PathPattern"]: item["after"]
        for item in applied["items"]
        if item["resource"] == "behavior" and item["after"]
    }
    leading = set(distribution.patterns_of(origin_id)) if distribution else set()
    if strangers := sorted(leading - set(planned)):
        raise Unplannable(
            "changed_by_others",
            f"Behavior(s) {', '.join(strangers)} use the portal's origin {origin_id}, but it did "
            "not create them. Point them to another origin first, then replan.",
        )
    for pattern, before in planned.items():
        if afterwards and pattern in leading:
            yield removed_behavior_item(before, distribution_id, afterwards)
        else:
            title = f"Behavior {pattern} in {distribution_id}"
            yield PlanItem("behavior", KEEP, title, None, None, NOT_THERE)


def _origin_item(
    distribution_id: str, distribution: DistributionFacts | None, origin_id: str
) -> PlanItem:
    title = f"Origin {origin_id} in {distribution_id}"
    origin = distribution.origin(origin_id) if distribution else None
    if origin is None:
        return PlanItem("origin", KEEP, title, None, None, NOT_THERE)
    before = {"Id": origin.id, "DomainName": origin.domain_name}
    return PlanItem("origin", DELETE, title, before, None)
