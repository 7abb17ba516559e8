"""What clearing one fault means for the others that are set, as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.faults.overlaps import renamed, under_every_name, undo_first, without_change
from lab.faults.set_fault import SetFault
from lab.faults.steps.step import Step

PLACE = ("111122223333", "us-east-1")
BALANCER, LISTENER, RULE = (
    "arn:lb/net/a/1",
    "arn:listener/net/a/1/2",
    "arn:listener-rule/net/a/1/2/3",
)
FORWARD, REDIRECT = [{"Type": "forward", "TargetGroupArn": "g"}], [{"Type": "redirect"}]
CONDITIONS = [{"Field": "path-pattern"}]
KEPT: dict[str, Any] = {
    "arn": LISTENER,
    "listener": {"LoadBalancerArn": BALANCER, "Port": 8443, "DefaultActions": REDIRECT},
    "rules": [
        {"arn": RULE, "given": {"Priority": 1, "Conditions": CONDITIONS, "Actions": REDIRECT}}
    ],
    "attributes": [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}],
}


def removed(kept: Any = KEPT) -> Step:
    return Step("remove listener", *PLACE, f"{BALANCER}:8443", [kept], None)


def fault(*steps: Step) -> SetFault:
    return SetFault("fault-1", 1, "listener-missing", 0.0, {}, {"listener": LISTENER}, steps)


@pytest.mark.parametrize(
    ("leaving", "where", "value"),
    [
        (
            Step("replace actions", *PLACE, LISTENER, FORWARD, REDIRECT),
            ("listener", "DefaultActions"),
            FORWARD,
        ),
        (
            Step("replace actions", *PLACE, RULE, FORWARD, REDIRECT),
            ("rules", 0, "given", "Actions"),
            FORWARD,
        ),
        (Step("replace actions", *PLACE, LISTENER, FORWARD, FORWARD), (), KEPT),
        (Step("replace actions", *PLACE, "arn:another", FORWARD, REDIRECT), (), KEPT),
        (
            Step(
                "add rule",
                *PLACE,
                "",
                None,
                {"listener": LISTENER, "rule": {"Priority": 1, "Conditions": CONDITIONS}},
            ),
            ("rules",),
            [],
        ),
        (
            Step(
                "add rule",
                *PLACE,
                "",
                None,
                {"listener": LISTENER, "rule": {"Priority": 2, "Conditions": CONDITIONS}},
            ),
            (),
            KEPT,
        ),
        (
            Step(
                "set attribute",
                *PLACE,
                LISTENER,
                *({"tcp.idle_timeout.seconds": text} for text in ("350", "60")),
            ),
            ("attributes", 0, "Value"),
            "350",
        ),
        (
            Step(
                "set attribute",
                *PLACE,
                LISTENER,
                *({"tcp.idle_timeout.seconds": text} for text in ("350", "90")),
            ),
            (),
            KEPT,
        ),
        (Step("move listener", *PLACE, LISTENER, 80, 8443), ("listener", "Port"), 80),
        (Step("move listener", *PLACE, LISTENER, 80, 8444), (), KEPT),
        (Step("deny egress", *PLACE, LISTENER, None, {}), (), KEPT),
        (
            Step("replace actions", "444455556666", "us-east-1", LISTENER, FORWARD, REDIRECT),
            (),
            KEPT,
        ),
    ],
)
def test_a_change_is_taken_out_of_a_listener_that_is_away(
    leaving: Step, where: tuple[Any, ...], value: Any
) -> None:
    (step,) = without_change(fault(removed()), leaving).steps
    (found,) = step.before
    for name in where:
        found = found[name]
    assert found == value
    moved = leaving.verb == "move listener" and bool(where)
    assert step.key == f"{BALANCER}:{80 if moved else 8443}"


def test_new_arns_take_the_place_of_old_ones_everywhere() -> None:
    step = Step(
        "add rule", *PLACE, f"{LISTENER}/1", None, {"listener": LISTENER, "rule": {"Priority": 1}}
    )
    found = renamed(
        fault(step, removed()),
        {LISTENER: "arn:listener/net/a/1/9", RULE: "arn:listener-rule/net/a/1/9/8"},
    )
    assert found.hit == {"listener": "arn:listener/net/a/1/9"}
    assert found.steps[0].key == "arn:listener/net/a/1/9/1"
    assert found.steps[0].after == {"listener": "arn:listener/net/a/1/9", "rule": {"Priority": 1}}
    assert "/1/2" not in str(found.steps)
    assert found.steps[1].before[0]["rules"][0]["arn"] == "arn:listener-rule/net/a/1/9/8"
    assert renamed(fault(step), {}) == fault(step)


def test_a_behavior_is_found_under_the_name_that_another_fault_gave_it() -> None:
    edit = Step("edit distribution", *PLACE, "E1|/ws/*|OriginRequestPolicyId", "old", None)
    moved = Step("edit distribution", *PLACE, "E1|/ws/*|PathPattern", "/ws/*", "/away")
    elsewhere = replace(moved, key="E2|/ws/*|PathPattern")
    assert list(under_every_name(edit, [fault(moved), fault(elsewhere)])) == [
        edit,
        replace(edit, key="E1|/away|OriginRequestPolicyId"),
    ]
    assert list(under_every_name(moved, [fault(moved)])) == [moved], (
        "the pattern itself is put back by its own name"
    )


def test_a_vpc_origin_that_is_away_is_undo_first_of_its_accounts_distributions() -> None:
    edit = Step("edit distribution", *PLACE, "E1||Enabled", True, False)
    hidden = Step("set VPC origin", *PLACE, "vo_1", {"id": "vo_1"}, None)
    held = replace(hidden, after={"id": "vo_1"})
    others = [fault(hidden), fault(held), fault(replace(hidden, account="444455556666"))]
    assert undo_first(edit, others) == [hidden]
    assert undo_first(removed(), others) == []
