"""What guards a path today, what a plan carries over of it, and that an approval covers both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts.distribution import Behavior, EdgeFunction, Origin
from provisioning.facts.guards import CARRY_OVER, carried_over, guards_of
from provisioning.facts.names import Arn, origin_id
from provisioning.plan.changes import what_changed
from provisioning.plan.path_ownership import PathClaim, PathRights
from provisioning.plan.plan import Plan
from provisioning.plan.planner import make_plan
from provisioning.spec.parsing import SpecError
from tests.provisioning.examples import ACCOUNT, DISTRIBUTION, KEY, OWNER, behavior, snapshot, spec

SIGN_IN = EdgeFunction("viewer-request", Arn(f"arn:aws:cloudfront::{ACCOUNT}:function/sign-in"))
LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function"
CHECKER = EdgeFunction("viewer-request", Arn(f"{LAMBDA}:checker:3"), include_body=False)
ROUTER = EdgeFunction("origin-request", Arn(f"{LAMBDA}:router:7"), include_body=True)

NAMES: list[tuple[dict[str, Any], str, str]] = [
    ({"functions": (SIGN_IN,)}, "viewer-request function sign-in", "functions"),
    ({"functions": (CHECKER,)}, "viewer-request Lambda@Edge function checker:3", "functions"),
    ({"functions": (ROUTER,)}, "origin-request Lambda@Edge function router:7", ""),
    ({"key_groups": ("kg-1", "kg-2")}, "key group kg-1, kg-2", "key-groups"),
    ({"trusted_signers": ("self",)}, "trusted signer self", "key-groups"),
    ({"response_headers_policy_id": "p-1"}, "response headers policy p-1", CARRY_OVER[2]),
    (
        {"realtime_log_config_arn": f"arn:aws:cloudfront::{ACCOUNT}:realtime-log-config/all"},
        "real-time log configuration all",
        "realtime-logs",
    ),
    ({"field_level_encryption_id": "E9"}, "field-level encryption E9", ""),
]

EVERYTHING = PathRights("chat", (PathClaim("/*", "chat"),))


def guarded(pattern: str = "*", **guards: Any) -> Behavior:
    return replace(behavior(pattern), **guards)


def plan(carry_over: tuple[str, ...] = (), *behaviors: Behavior, **default: Any) -> Plan:
    wanted = spec(path_patterns=["/ws/chat"], carry_over=list(carry_over))
    facts = snapshot(distribution={"behaviors": behaviors, "default_behavior": guarded(**default)})
    return make_plan(wanted, facts, endpoint_key=KEY, owner=OWNER, rights=EVERYTHING)


@pytest.mark.parametrize(("guards", "name", "carried_by"), NAMES, ids=[one[1] for one in NAMES])
def test_a_guard_is_named_and_bound_and_carried_over_where_cloudfront_allows(
    guards: dict[str, Any], name: str, carried_by: str
) -> None:
    bare, lost = plan(), plan(**guards)
    assert lost.relies_on["guards_left_behind"] == [f"/ws/chat: {name} of *"]
    assert f"Does not apply to it: {name}." in lost.items[-1].note
    assert lost.digest != bare.digest
    assert lost.items[-1].after == bare.items[-1].after
    (guard,) = guards_of(guarded(**guards), DISTRIBUTION)
    assert guard.carried_by == carried_by
    kept = plan(CARRY_OVER, **guards)
    if carried_by:
        assert not guard.obstacle
        assert kept.relies_on["guards_left_behind"] == []
        assert f"Carried over: {name}." in kept.items[-1].note
        assert kept.items[-1].after != bare.items[-1].after
        assert plan((carried_by,), **guards).items[-1].after == kept.items[-1].after
    else:
        assert guard.obstacle.endswith(".")
        assert kept.relies_on == lost.relies_on
        assert kept.items[-1].after == bare.items[-1].after


def test_carried_over_members_are_those_that_updatedistribution_takes() -> None:
    after = plan(CARRY_OVER, functions=(SIGN_IN,), key_groups=("kg-1",)).items[-1].after or {}
    assert after["FunctionAssociations"] == {
        "Quantity": 1,
        "Items": [{"FunctionARN": SIGN_IN.arn, "EventType": "viewer-request"}],
    }
    assert after["TrustedKeyGroups"] == {"Enabled": True, "Quantity": 1, "Items": ["kg-1"]}
    assert after["TrustedSigners"] == {"Enabled": False, "Quantity": 0}
    lambdas = plan(CARRY_OVER, functions=(ROUTER, CHECKER)).items[-1].after or {}
    assert lambdas["LambdaFunctionAssociations"] == {
        "Quantity": 1,
        "Items": [
            {
                "LambdaFunctionARN": CHECKER.arn,
                "EventType": "viewer-request",
                "IncludeBody": False,
            }
        ],
    }


def test_the_guards_are_those_of_the_behavior_that_matches_the_path() -> None:
    broad = guarded("/ws/*", functions=(SIGN_IN,))
    beside = guarded("/api/*", key_groups=("kg-1",))
    assert plan((), beside, broad).relies_on["guards_left_behind"] == [
        "/ws/chat: viewer-request function sign-in of /ws/*"
    ]
    assert (
        plan((), beside, guarded("/ws/*"), functions=(SIGN_IN,)).relies_on["guards_left_behind"]
        == []
    )


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin("web", "b.s3.amazonaws.com", "", access_control="E1OAC"), "origin access control"),
        (
            Origin("web", "b.s3.amazonaws.com", "", access_control="origin-access-identity/E1"),
            "origin access control E1 of web",
        ),
        (Origin("web", "a.example", "", header_names=("X-Origin-Verify",)), "X-Origin-Verify"),
    ],
)
def test_guards_of_the_other_origin_are_named_and_stay_there(origin: Origin, name: str) -> None:
    made = make_plan(
        spec(carry_over=list(CARRY_OVER)),
        snapshot(distribution={"origins": (origin,)}),
        endpoint_key=KEY,
        owner=OWNER,
        rights=EVERYTHING,
    )
    left = made.relies_on["guards_left_behind"]
    assert len(left) == 2
    assert all(name in one for one in left)


def test_a_guard_that_comes_or_goes_after_the_approval_is_named_in_the_changes() -> None:
    before, after = plan(), plan(functions=(SIGN_IN,))
    (line,) = [
        one
        for one in what_changed(before.to_dict(), after.to_dict())
        if one.startswith("guards left behind")
    ]
    assert "was nothing" in line
    assert "sign-in" in line
    swapped = plan(("functions",), functions=(replace(SIGN_IN, arn=Arn(SIGN_IN.arn + "-2")),))
    assert swapped.digest != plan(("functions",), functions=(SIGN_IN,)).digest


@given(st.sets(st.sampled_from(CARRY_OVER)), st.sets(st.sampled_from(range(len(NAMES)))))
def test_a_guard_is_either_carried_over_or_named(chosen: set[str], attached: set[int]) -> None:
    guards: dict[str, Any] = {}
    for index in attached:
        for member, value in NAMES[index][0].items():
            guards[member] = (*guards.get(member, ()), *value) if member == "functions" else value
    one = guarded(**guards)
    kept = carried_over(one, tuple(chosen))
    found = guards_of(one, DISTRIBUTION)
    carried = {guard.carried_by for guard in found} & chosen
    assert bool(kept) == bool(carried - {""})


@pytest.mark.parametrize("given", ["functions, key-groups", ["key-groups", "functions"]])
def test_the_choice_is_a_list_or_words_and_is_kept_in_one_order(given: Any) -> None:
    assert spec(carry_over=given).carry_over == ("functions", "key-groups")
    assert spec().carry_over == ()


@pytest.mark.parametrize("given", ["web-acl", "functions functions", ["functions", 1], "Functions"])
def test_what_cannot_be_carried_over_is_no_choice(given: Any) -> None:
    with pytest.raises(SpecError) as refused:
        spec(carry_over=given)
    assert [one.field for one in refused.value.errors] == ["carry_over"]


# --- headers that CloudFront adds for an origin

TARGET_DOMAIN = "internal-int-chat-1.us-east-1.elb.amazonaws.com"
VERIFYING = Origin("chat-alb", TARGET_DOMAIN, "", header_names=("X-Origin-Verify", "X-Tenant"))


def with_headers(carry_over: tuple[str, ...], *origins: Origin) -> Plan:
    facts = snapshot(distribution={"origins": (*DISTRIBUTION.origins, *origins)})
    return make_plan(
        spec(carry_over=list(carry_over)),
        facts,
        endpoint_key=KEY,
        owner=OWNER,
        rights=PathRights("team"),
    )


def origin_of(made: Plan) -> Any:
    return next(item.after for item in made.items if item.resource == "origin")


def test_headers_of_an_origin_with_the_same_target_are_carried_over_by_name() -> None:
    after = origin_of(with_headers(("origin-headers",), VERIFYING))
    assert after["CustomHeadersFrom"] == "chat-alb"
    names = [header["HeaderName"] for header in after["CustomHeaders"]["Items"]]
    assert names == ["X-Origin-Verify", "X-Tenant"]
    assert all(set(header) == {"HeaderName"} for header in after["CustomHeaders"]["Items"])


@pytest.mark.parametrize(
    ("carry_over", "origin"),
    [
        ((), VERIFYING),
        (CARRY_OVER, replace(VERIFYING, domain_name="other.us-east-1.elb.amazonaws.com")),
        (CARRY_OVER, replace(VERIFYING, header_names=())),
        (CARRY_OVER, replace(VERIFYING, id=origin_id(OWNER, KEY))),
    ],
)
def test_no_header_leaves_for_another_target_or_unasked(
    carry_over: tuple[str, ...], origin: Origin
) -> None:
    after = origin_of(with_headers(carry_over, origin))
    assert after["CustomHeaders"] == {"Quantity": 0}
    assert "CustomHeadersFrom" not in after
