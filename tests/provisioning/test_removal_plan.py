"""What a plan says goes when an endpoint is removed, and what stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provisioning.facts.distribution import Origin
from provisioning.facts.names import VpcOriginId, origin_id
from provisioning.facts.snapshot import Gap, Snapshot, VpcOriginFacts
from provisioning.plan.holdings import HeldRule, Holdings
from provisioning.plan.items import Unplannable
from provisioning.plan.plan import Plan
from provisioning.plan.planner import make_plan
from provisioning.plan.removal import make_removal_plan, rule_items
from tests.provisioning.examples import (
    DISTRIBUTION,
    KEY,
    OWNER,
    RIGHTS,
    TARGET,
    behavior,
    snapshot,
    spec,
)

OURS = origin_id(OWNER, KEY)
APPLIED = make_plan(spec(), snapshot(), endpoint_key=KEY, owner=OWNER, rights=RIGHTS).to_dict()
ORIGIN = Origin(OURS, "internal-int-chat-1.us-east-1.elb.amazonaws.com", "vo_1")
BUILT = replace(
    DISTRIBUTION,
    behaviors=(behavior("/ws/chat", OURS), behavior("/ws/*"), behavior("/ws/chat/*", OURS)),
    origins=(*DISTRIBUTION.origins, ORIGIN),
)
ALONE = Holdings("vo_1", 0, ())
ADOPTED_ID = "vo_adopted"
ADOPTED = APPLIED | {
    "spec": APPLIED["spec"] | {"origin_id": "chat", "vpc_origin_id": ADOPTED_ID},
}
ADOPTED_ORIGIN = Origin("chat", "internal.example.com", ADOPTED_ID)


def plan(
    seen: Snapshot | None = None,
    *,
    applied: dict[str, Any] = APPLIED,
    holdings: Holdings = ALONE,
    grace_seconds: int = 0,
) -> Plan:
    return make_removal_plan(
        applied,
        seen or Snapshot(None, BUILT),
        endpoint_key=KEY,
        owner=OWNER,
        holdings=holdings,
        grace_seconds=grace_seconds,
    )


def said(made: Plan, resource: str) -> list[tuple[str, str]]:
    return [(one.action, one.note) for one in made.items if one.resource == resource]


def test_everything_that_only_the_endpoint_uses_goes_in_order() -> None:
    made = plan(grace_seconds=60)
    assert [(one.resource, one.action) for one in made.items] == [
        ("behavior", "delete"),
        ("behavior", "delete"),
        ("origin", "delete"),
        ("vpc-origin", "delete"),
    ]
    assert made.items[0].before == APPLIED["items"][-2]["after"]
    assert made.items[2].before == {"Id": OURS, "DomainName": ORIGIN.domain_name}
    assert made.expected_seconds == 20 + 300 + 300
    assert (made.grace_seconds, made.applied) == (60, APPLIED)
    assert made.relies_on["distribution_domain"] == DISTRIBUTION.domain_name


def test_it_says_which_behavior_answers_afterwards() -> None:
    notes = [note for _, note in said(plan(), "behavior")]
    assert all("the behavior /ws/* answers /ws/chat" in note for note in notes), notes
    others = replace(BUILT, behaviors=(BUILT.behaviors[0], BUILT.behaviors[2]))
    notes = [note for _, note in said(plan(Snapshot(None, others)), "behavior")]
    assert all("the default behavior answers /ws/chat" in note for note in notes), notes
    afterwards = plan().relies_on["answered_afterwards"]
    assert [line.split(":")[0] for line in afterwards] == ["/ws/chat", "/ws/chat/*"]
    assert all("/ws/*" in line.split(":", 1)[1] for line in afterwards)


def test_what_is_not_in_aws_any_more_is_no_obstacle() -> None:
    without = replace(BUILT, behaviors=BUILT.behaviors[:2])
    assert [action for action, _ in said(plan(Snapshot(None, without)), "behavior")] == [
        "delete",
        "keep",
    ]
    made = plan(Snapshot(None, DISTRIBUTION))
    assert said(made, "origin") == [("keep", "It is not in AWS any more.")]
    assert {action for action, _ in said(made, "behavior")} == {"keep"}
    made = plan(Snapshot(None, None))
    assert {one.action for one in made.items if one.resource != "vpc-origin"} == {"keep"}
    assert made.expected_seconds == 20 + 300
    assert made.relies_on == {"distribution_domain": "", "answered_afterwards": []}


def test_a_distribution_that_aws_did_not_show_is_an_obstacle() -> None:
    with pytest.raises(Unplannable, match="not found"):
        plan(Snapshot(None, None, gaps=(Gap("distribution", "Throttling"),)))


def test_a_behavior_that_others_led_to_the_origin_is_an_obstacle() -> None:
    strange = replace(BUILT, behaviors=(*BUILT.behaviors, behavior("/stray", OURS)))
    with pytest.raises(Unplannable, match="/stray") as refused:
        plan(Snapshot(None, strange))
    assert refused.value.code == "changed_by_others"


def test_what_others_use_stays() -> None:
    rules = (
        HeldRule(1, "sg-1", 80, "sg-service", "sgr-1", 0),
        HeldRule(2, "sg-1", 8080, "sg-service", "sgr-2", 2),
    )
    made = plan(holdings=Holdings("vo_1", 3, rules))
    assert said(made, "ingress-rule") == [
        ("delete", "Only this endpoint uses it."),
        ("keep", "It stays: 2 other endpoint(s) use it."),
    ]
    assert said(made, "vpc-origin") == [("keep", "It stays: 3 other endpoint(s) use it.")]
    assert made.expected_seconds == 20 + 300
    kept = list(rule_items(Holdings("vo_1", 0, rules), needed=frozenset({1})))
    assert [one.before and one.before["Port"] for one in kept] == [8080]


@pytest.mark.parametrize(
    ("used_by", "other_origins", "elsewhere"),
    [
        (1, (), ""),
        (2, (), "1 other distribution(s) use it"),
        (0, (), ""),
        (None, (), "AWS did not say whether other distributions use it"),
        (1, (Origin("another", "x", ADOPTED_ID),), "origin another of this distribution uses it"),
        (1, (Origin("another", "x", "vo_9"),), ""),
    ],
)
@pytest.mark.parametrize("adopted", [True, False])
def test_an_adopted_vpc_origin_stays_while_anything_uses_it(
    adopted: bool, used_by: int | None, other_origins: tuple[Origin, ...], elsewhere: str
) -> None:
    known = VpcOriginFacts(VpcOriginId(ADOPTED_ID), "theirs", TARGET, "Deployed", None, used_by)
    another = replace(known, id=VpcOriginId("vo_9"), distributions=7)
    origins = (*DISTRIBUTION.origins, ADOPTED_ORIGIN, *other_origins)
    seen = Snapshot(None, replace(DISTRIBUTION, origins=origins), (another, known))
    made = plan(seen, applied=ADOPTED if adopted else APPLIED)
    [(action, note)] = said(made, "vpc-origin")
    if adopted and elsewhere:
        assert (action, note) == ("keep", f"It stays: {elsewhere}.")
    else:
        assert action == "delete"


def test_an_adopted_vpc_origin_that_its_distribution_does_not_use_counts_all_others() -> None:
    known = VpcOriginFacts(VpcOriginId(ADOPTED_ID), "theirs", TARGET, "Deployed", None, 1)
    made = plan(Snapshot(None, DISTRIBUTION, (known,)), applied=ADOPTED)
    assert said(made, "vpc-origin") == [("keep", "It stays: 1 other distribution(s) use it.")]
    assert [action for action, _ in said(plan(applied=ADOPTED), "vpc-origin")] == ["delete"]


def test_a_rule_that_was_there_before_the_adoption_stays() -> None:
    rules = [one["action"] for one in APPLIED["items"] if one["resource"] == "ingress-rule"]
    assert rules == ["keep"]
    assert said(plan(applied=ADOPTED), "ingress-rule") == [
        ("keep", "It stays: the portal did not add it.")
    ]
    assert said(plan(), "ingress-rule") == []
    created = [
        one | ({"action": "create"} if one["resource"] == "ingress-rule" else {})
        for one in APPLIED["items"]
    ]
    assert said(plan(applied=ADOPTED | {"items": created}), "ingress-rule") == []
