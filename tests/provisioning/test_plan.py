"""What a plan says would change, and what makes its digest another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts.certificate import Certificate
from provisioning.facts.distribution import Origin
from provisioning.facts.load_balancer import Listener
from provisioning.facts.names import Arn, SecurityGroupId, VpcOriginId, origin_id, vpc_origin_name
from provisioning.facts.network import Subnet
from provisioning.facts.path_patterns import covers, position_for
from provisioning.facts.snapshot import Gap, VpcOriginFacts
from provisioning.plan.changes import no_longer_known, what_changed
from provisioning.plan.items import Unplannable
from provisioning.plan.plan import Plan
from provisioning.plan.planner import make_plan
from provisioning.plan.vpc_origin import vpc_origin_item
from tests.provisioning.examples import KEY, OWNER, RIGHTS, TARGET, behavior, rule, snapshot, spec


def plan(spec_changes: dict[str, Any] | None = None, **facts: Any) -> Plan:
    return make_plan(
        spec(**(spec_changes or {})),
        snapshot(**facts),
        endpoint_key=KEY,
        owner=OWNER,
        rights=RIGHTS,
    )


def actions(made: Plan) -> list[tuple[str, str]]:
    return [(item.resource, item.action) for item in made.items]


def ours(**changes: Any) -> VpcOriginFacts:
    name = vpc_origin_name(OWNER, spec().vpc_origin_key)
    return VpcOriginFacts(VpcOriginId("vo_1"), name, TARGET, "Deployed", changes.get("ours", True))


def test_a_first_endpoint_needs_everything() -> None:
    made = plan()
    assert actions(made) == [
        ("vpc-origin", "create"),
        ("ingress-rule", "keep"),
        ("origin", "create"),
        ("behavior", "create"),
        ("behavior", "create"),
    ]
    assert made.items[3].before == {"answered_by": "*", "TargetOriginId": "web"}


def test_an_adopted_vpc_origin_is_used_as_it_is_and_never_created_again() -> None:
    adopted = replace(ours(), id=VpcOriginId("vo_9"), name="theirs")
    wanted = replace(spec(), vpc_origin_id="vo_9")
    seen = snapshot(vpc_origins=(ours(), adopted))
    item = vpc_origin_item(wanted, seen, OWNER)
    assert (item.action, item.before, (item.after or {})["Name"]) == (
        "reuse",
        {"Id": "vo_9"},
        "theirs",
    )
    with pytest.raises(Unplannable) as refused:
        vpc_origin_item(wanted, snapshot(vpc_origins=(ours(),)), OWNER)
    assert refused.value.code == "vpc_origin_gone"


def test_a_closed_security_group_is_opened_for_the_service_group_only_if_wished() -> None:
    opened = plan(target={"ingress": ()})
    assert ("ingress-rule", "create") in actions(opened)
    assert (opened.items[1].after or {})["Source"] == "CloudFront-VPCOrigins-Service-SG"
    assert "ingress-rule" not in dict(
        actions(plan({"open_security_group": False}, target={"ingress": ()}))
    )


def test_match_viewer_needs_both_ports_open() -> None:
    made = plan({"origin_protocol": "match-viewer"}, target={"ingress": (rule(),)})
    assert [action for resource, action in actions(made) if resource == "ingress-rule"] == [
        "keep",
        "create",
    ]


def test_a_second_endpoint_on_the_target_shares_the_vpc_origin_and_the_digest_does_not_care() -> (
    None
):
    alone, shared = plan(), plan(vpc_origins=(ours(),))
    assert actions(shared)[0] == ("vpc-origin", "reuse")
    assert shared.expected_seconds < alone.expected_seconds
    assert shared.digest == alone.digest


def test_a_rule_of_ours_is_shared_like_the_vpc_origin_and_the_digest_does_not_care() -> None:
    made_by_us = replace(rule("group", "sg-service"), owner=OWNER)
    alone, shared = plan(target={"ingress": ()}), plan(target={"ingress": (made_by_us,)})
    assert (actions(alone)[1], actions(shared)[1]) == (
        ("ingress-rule", "create"),
        ("ingress-rule", "reuse"),
    )
    assert shared.digest == alone.digest
    somebodys = plan(target={"ingress": (rule("group", "sg-service"),)})
    assert actions(somebodys)[1] == ("ingress-rule", "keep")
    assert somebodys.digest != alone.digest


def test_the_order_in_which_aws_lists_the_groups_changes_nothing() -> None:
    one, other = (
        plan(target={"ingress": (), "security_groups": tuple(map(SecurityGroupId, order))})
        for order in (("sg-1", "sg-2"), ("sg-2", "sg-1"))
    )
    assert (one.items[1].after or {})["GroupId"] == "sg-1"
    assert one.digest == other.digest


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"vpc_origins": (ours(ours=False),)}, "vpc_origin_foreign"),
        ({"vpc_origins": (replace(ours(), target_arn=Arn("another")),)}, "vpc_origin_foreign"),
        ({"distribution": {"behaviors": (behavior("/ws/chat"),)}}, "path_taken"),
        ({"distribution": {"behaviors": (behavior("ws/chat"),)}}, "path_taken"),
        ({"distribution": {"behaviors": (behavior("/ws/chat/**"),)}}, "path_taken"),
        ({"distribution": {"unknown_elements": ("NewThing",)}}, "distribution_too_new"),
        (
            {"distribution": {"behaviors": tuple(behavior(f"/{n}") for n in range(74))}},
            "behavior_quota",
        ),
        ({"gaps": (Gap("vpc_origins", "AccessDenied"),)}, "vpc_origins_unknown"),
        (
            {
                "vpc_origins": tuple(
                    VpcOriginFacts(VpcOriginId(f"vo_{n}"), f"x{n}", Arn("a"), "Deployed")
                    for n in range(25)
                )
            },
            "vpc_origin_quota",
        ),
    ],
)
def test_what_stands_in_the_way_is_named(facts: dict[str, Any], code: str) -> None:
    with pytest.raises(Unplannable) as refused:
        plan(**facts)
    assert refused.value.code == code
    assert str(refused.value).endswith(".")


def test_one_fewer_of_each_is_planned() -> None:
    assert plan(distribution={"behaviors": tuple(behavior(f"/{n}") for n in range(73))})
    others = tuple(
        VpcOriginFacts(VpcOriginId(f"vo_{n}"), f"x{n}", Arn("a"), "Deployed") for n in range(24)
    )
    assert plan(vpc_origins=others)


@pytest.mark.parametrize(
    "facts",
    [
        {"target": {"scheme": "internet-facing"}},
        {"target": {"listeners": (Listener(80, "HTTP", "redirect"),)}},
        {"target": {"ingress": ()}},
        {"target": {"internet_gateway": True}},
        {"target": {"block_public_access": "block-bidirectional"}},
        {"target": {"subnets": (Subnet("subnet-a", "use1-az3", 9, False),)}},
        {
            "target": {
                "listeners": (Listener(80, "HTTP", "forward"), Listener(8443, "TLS", "forward"))
            }
        },
        {"viewer_certificate": Certificate("arn:c", ("chat.example.com",), "EXPIRED")},
        {"target": {"dns_name": "other.example.com"}},
        {"distribution": {"enabled": False}},
        {"distribution": {"aliases": ("chat.example.com",)}},
        {"distribution": {"behaviors": (behavior("/ws/chat/admin"),)}},
        {"distribution": {"origins": (Origin(origin_id(OWNER, KEY), "x.example.com", "vo_1"),)}},
    ],
)
def test_what_the_plan_relies_on_changes_its_digest_and_can_be_told(facts: dict[str, Any]) -> None:
    before, now = plan(), plan(**facts)
    assert before.digest != now.digest
    told = what_changed(before.to_dict(), now.to_dict())
    assert told
    assert all(told)


@pytest.mark.parametrize(
    "what", ["listeners", "subnets", "ingress", "service_group", "block_public_access"]
)
def test_what_cannot_be_seen_any_more_is_no_change_of_aws(what: str) -> None:
    seen, unseen = plan().to_dict(), plan(gaps=(Gap(what, "AccessDenied"),)).to_dict()
    assert no_longer_known(seen, unseen)
    assert no_longer_known(unseen, unseen) == []
    assert no_longer_known(unseen, seen) == []
    assert (
        no_longer_known(seen, plan(target={"block_public_access": "block-ingress"}).to_dict()) == []
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"distribution": {"behaviors": (behavior("/images/*"),)}},
        {"distribution": {"status": "InProgress"}},
        {"target": {"idle_timeout_seconds": 90}},
        {
            "target": {
                "listeners": (Listener(80, "HTTP", "forward"), Listener(9000, "HTTP", "forward"))
            }
        },
    ],
)
def test_what_it_does_not_rely_on_leaves_the_digest_alone(facts: dict[str, Any]) -> None:
    before, now = plan(), plan(**facts)
    assert before.digest == now.digest
    assert what_changed(before.to_dict(), now.to_dict()) == []


def test_each_change_of_the_wish_changes_the_digest() -> None:
    digests = {
        plan(changes).digest
        for changes in (
            {},
            {"name": "other"},
            {"read_timeout": 31},
            {"viewer_protocol_policy": "redirect-to-https"},
        )
    }
    assert len(digests) == 4


PATTERN = st.text(alphabet="ab/*", max_size=5).map(lambda text: f"/{text}")


@given(st.lists(PATTERN, max_size=6, unique=True), PATTERN)
def test_a_new_behavior_is_never_swallowed_and_never_put_before_a_narrower_one(
    existing: list[str], new: str
) -> None:
    if new in existing:
        return
    place = position_for(new, tuple(existing))
    assert not any(covers(earlier, new) for earlier in existing[:place])
    assert place == len(existing) or covers(existing[place], new)
