"""An endpoint's part of a distribution's configuration goes in and comes out, and nothing else
moves.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts import names
from provisioning.facts.path_patterns import covers, position_for
from provisioning.plan.behaviors import desired_behavior, desired_origin
from provisioning.plan.distribution_config import (
    Conflict,
    has_settings,
    with_endpoint,
    without_endpoint,
    would_take_from,
)
from tests.provisioning.examples import KEY, OWNER, spec

OURS = names.origin_id(OWNER, KEY)


def listed(*items: Any) -> dict[str, Any]:
    return {"Quantity": len(items), "Items": list(items)} if items else {"Quantity": 0}


def behavior(pattern: str, origin: str = "web", **more: Any) -> dict[str, Any]:
    return {
        "PathPattern": pattern,
        "TargetOriginId": origin,
        "ViewerProtocolPolicy": "allow-all",
        **more,
    }


def config(*behaviors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "CallerReference": "once",
        "Comment": "Chat front door",
        "Origins": listed({"Id": "web", "DomainName": "web.example.com"}),
        "DefaultCacheBehavior": {"TargetOriginId": "web"},
        "CacheBehaviors": listed(*behaviors),
        **more,
    }


def endpoint(*patterns: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    answers = spec(path_patterns=list(patterns or ("/ws/chat", "/ws/chat/*")))
    origin = desired_origin(answers, "internal-a.elb.amazonaws.com", KEY, OWNER)
    origin["VpcOriginConfig"] |= {"VpcOriginId": "vo_1"}
    return origin, [
        desired_behavior(answers, pattern, KEY, OWNER) for pattern in answers.path_patterns
    ]


def order(made: dict[str, Any]) -> list[str]:
    return [entry["PathPattern"] for entry in made["CacheBehaviors"].get("Items", [])]


def test_an_empty_distribution_gets_origin_and_behaviors_with_their_quantities() -> None:
    made, changed = with_endpoint(config(), *endpoint(), position_for)
    assert changed
    assert [origin["Id"] for origin in made["Origins"]["Items"]] == ["web", OURS]
    assert made["Origins"]["Quantity"] == made["CacheBehaviors"]["Quantity"] == 2
    assert order(made) == ["/ws/chat", "/ws/chat/*"]


def test_a_behavior_without_an_origin_request_policy_leaves_its_id_out() -> None:
    origin, (wanted, _) = endpoint()
    without = wanted | {"OriginRequestPolicyId": ""}
    made, _ = with_endpoint(config(), origin, [without], position_for)
    [entry] = made["CacheBehaviors"]["Items"]
    assert entry == {name: value for name, value in wanted.items() if name in entry}
    assert wanted.keys() - entry.keys() == {"OriginRequestPolicyId"}


def test_a_new_behavior_goes_before_what_would_swallow_it_and_behind_what_is_narrower() -> None:
    made, _ = with_endpoint(
        config(behavior("/ws/chat/admin"), behavior("/ws/*")), *endpoint("/ws/chat/*"), position_for
    )
    assert order(made) == ["/ws/chat/admin", "/ws/chat/*", "/ws/*"]


def test_put_in_twice_changes_nothing_the_second_time() -> None:
    made, _ = with_endpoint(config(), *endpoint(), position_for)
    assert with_endpoint(made, *endpoint(), position_for) == (made, False)


def test_what_aws_added_to_our_entries_stays_and_is_no_change() -> None:
    made, _ = with_endpoint(config(), *endpoint(), position_for)
    made = copy.deepcopy(made)
    made["Origins"]["Items"][1] |= {"OriginAccessControlId": ""}
    made["Origins"]["Items"][1]["VpcOriginConfig"]["OwnerAccountId"] = "111122223333"
    entry = made["CacheBehaviors"]["Items"][0]
    entry["GrpcConfig"] = {"Enabled": False}
    entry["AllowedMethods"]["Items"] = ["HEAD", "GET"]
    del entry["FieldLevelEncryptionId"], entry["TrustedSigners"]
    assert with_endpoint(made, *endpoint(), position_for) == (made, False)


def test_what_somebody_changed_in_our_entries_is_put_right_where_it_stands() -> None:
    made, _ = with_endpoint(config(behavior("/api/*")), *endpoint(), position_for)
    spoilt = copy.deepcopy(made)
    spoilt["Origins"]["Items"][1]["VpcOriginConfig"]["OriginReadTimeout"] = 5
    spoilt["Origins"]["Items"][1]["CustomHeaders"] = listed({"HeaderName": "x", "HeaderValue": "y"})
    entries = spoilt["CacheBehaviors"]["Items"]
    entries.insert(0, entries.pop())
    entries[0]["ViewerProtocolPolicy"] = "allow-all"
    mended, changed = with_endpoint(spoilt, *endpoint(), position_for)
    assert changed
    assert order(mended) == order(spoilt)
    assert mended["Origins"] == made["Origins"]
    assert sorted(map(repr, mended["CacheBehaviors"]["Items"])) == sorted(
        map(repr, made["CacheBehaviors"]["Items"])
    )


@pytest.mark.parametrize(
    ("theirs", "wanted"), [("/ws/chat", "/ws/chat"), ("ws/chat", "/ws/chat"), ("/ws/**", "/ws/*")]
)
def test_a_path_of_somebody_else_is_not_taken_over_however_it_is_written(
    theirs: str, wanted: str
) -> None:
    with pytest.raises(Conflict) as caught:
        with_endpoint(config(behavior(theirs, "theirs")), *endpoint(wanted), position_for)
    assert caught.value.code == "path_taken"
    assert "theirs" in str(caught.value)


def test_taking_out_what_is_not_in_changes_nothing() -> None:
    assert without_endpoint(config(behavior("/api/*")), OURS) == (config(behavior("/api/*")), False)


def test_half_an_endpoint_comes_out_too() -> None:
    made, _ = with_endpoint(config(), *endpoint(), position_for)
    made["CacheBehaviors"] = listed()
    assert without_endpoint(made, OURS) == (config(), True)


@pytest.mark.parametrize(
    "use",
    [
        {"DefaultCacheBehavior": {"TargetOriginId": OURS}},
        {
            "OriginGroups": listed(
                {"Id": "pair", "Members": listed({"OriginId": "web"}, {"OriginId": OURS})}
            )
        },
    ],
)
def test_an_origin_that_a_person_leads_traffic_to_is_not_pulled_away(use: dict[str, Any]) -> None:
    made, _ = with_endpoint(config(), *endpoint(), position_for)
    with pytest.raises(Conflict) as caught:
        without_endpoint(made | use, OURS)
    assert caught.value.code == "origin_shared"


def test_a_conflict_names_what_uses_the_origin_and_nothing_else() -> None:
    made, _ = with_endpoint(config(), *endpoint(), position_for)
    theirs = listed({"Id": "pair", "Members": listed({"OriginId": "web"}, {"OriginId": "api"})})
    with pytest.raises(Conflict) as caught:
        without_endpoint(
            made | {"DefaultCacheBehavior": {"TargetOriginId": OURS}, "OriginGroups": theirs}, OURS
        )
    assert "default behavior" in str(caught.value)
    assert "pair" not in str(caught.value)
    without_endpoint(made | {"OriginGroups": theirs}, OURS)


def test_a_change_of_paths_drops_ours_and_nobody_elses() -> None:
    made, _ = with_endpoint(config(behavior("/api/*")), *endpoint(), position_for)
    moved, changed = with_endpoint(made, *endpoint("/ws/new"), position_for, ["/ws/chat"])
    assert changed
    assert sorted(order(moved)) == ["/api/*", "/ws/chat/*", "/ws/new"]
    theirs = config(behavior("/ws/chat", "theirs"))
    kept, _ = with_endpoint(theirs, *endpoint("/ws/new"), position_for, ["/ws/chat"])
    assert sorted(order(kept)) == ["/ws/chat", "/ws/new"]


@pytest.mark.parametrize(
    ("there", "added", "losers"),
    [
        (["/api/*", "/ws/*"], "/ws/chat", [("/ws/*", "web")]),
        (["/api/*"], "/ws/chat", []),
        (["/ws/chat", "/ws/*"], "/ws/chat", []),
        (["/ws/*", "/ws/chat"], "/ws/chat", []),
    ],
)
def test_only_a_path_that_is_new_takes_requests_and_only_from_wider_ones(
    there: list[str], added: str, losers: list[tuple[str, str]]
) -> None:
    assert would_take_from(config(*map(behavior, there)), [added], position_for) == losers


def test_what_else_aws_says_beside_a_list_stays() -> None:
    before = config()
    before["Origins"]["Later"] = "kept"
    made, _ = with_endpoint(before, *endpoint(), position_for)
    assert made["Origins"]["Later"] == "kept"


@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        (["HEAD", "GET"], ["GET", "HEAD"], True),
        (["GET"], ["HEAD"], False),
        ("GET", ["GET"], False),
        (None, {"Enabled": False, "Quantity": 0}, True),
        (None, {"Enabled": False, "Quantity": 1}, False),
        ({"Enabled": True, "More": 1}, {"Enabled": True}, True),
    ],
)
def test_settings_that_are_there_and_those_that_are_not(
    existing: Any, wanted: Any, expected: bool
) -> None:
    assert has_settings(existing, wanted) is expected


segments = st.sampled_from(["ws", "chat", "api", "*", "a?", "static", "*.php"])
patterns = st.lists(segments, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
foreign = st.lists(patterns, unique=True, max_size=8).map(
    lambda found: [
        behavior(pattern, "web", Marker={"Quantity": 1, "Items": [pattern]}) for pattern in found
    ]
)
# What is wildcards only would take over everything, and no request may ask for it.
wished = st.lists(
    patterns.filter(lambda pattern: bool(pattern.strip("/*"))), unique=True, min_size=1, max_size=4
)


@given(foreign, wished)
def test_put_in_and_taken_out_is_the_original_and_foreign_entries_keep_bytes_and_order(
    theirs: list[dict[str, Any]], mine: list[str]
) -> None:
    taken = {entry["PathPattern"] for entry in theirs}
    mine = [pattern for pattern in mine if pattern not in taken] or ["/only/ours"]
    before = config(*theirs, Aliases=listed("chat.example.com"), WebACLId="acl")
    untouched = copy.deepcopy(before)

    made, changed = with_endpoint(before, *endpoint(*mine), position_for)
    assert changed
    assert before == untouched
    assert [
        entry for entry in made["CacheBehaviors"]["Items"] if entry["TargetOriginId"] != OURS
    ] == theirs
    assert made["CacheBehaviors"]["Quantity"] == len(theirs) + len(mine)
    assert {key: made[key] for key in made if key not in ("Origins", "CacheBehaviors")} == {
        key: before[key] for key in before if key not in ("Origins", "CacheBehaviors")
    }

    assert with_endpoint(made, *endpoint(*mine), position_for) == (made, False)
    assert without_endpoint(made, OURS) == (before, True)


@given(foreign, wished)
def test_none_of_ours_is_swallowed_and_none_of_theirs_that_was_alive_is(
    theirs: list[dict[str, Any]], mine: list[str]
) -> None:
    taken = {entry["PathPattern"] for entry in theirs}
    mine = [pattern for pattern in mine if pattern not in taken] or ["/only/ours"]
    made, _ = with_endpoint(config(*theirs), *endpoint(*mine), position_for)
    entries = made["CacheBehaviors"]["Items"]
    for place, entry in enumerate(entries):
        swallowing = [
            other for other in entries[:place] if covers(other["PathPattern"], entry["PathPattern"])
        ]
        if entry["TargetOriginId"] == OURS:
            assert all(other["TargetOriginId"] == OURS for other in swallowing)
        elif swallowing and all(other["TargetOriginId"] == OURS for other in swallowing):
            # Only when one of theirs, which covers ours, stood before it already.
            first = swallowing[0]
            later = entries[entries.index(first) + 1 : place]
            assert any(covers(other["PathPattern"], first["PathPattern"]) for other in later)


@given(foreign, wished, wished)
def test_two_endpoints_do_not_disturb_each_other(
    theirs: list[dict[str, Any]], mine: list[str], yours: list[str]
) -> None:
    taken = {entry["PathPattern"] for entry in theirs}
    mine = [pattern for pattern in mine if pattern not in taken] or ["/only/ours"]
    yours = [pattern for pattern in yours if pattern not in taken | set(mine)] or ["/only/yours"]
    origin, behaviors = endpoint(*yours)
    origin |= {"Id": "edge-portal-other"}
    behaviors = [entry | {"TargetOriginId": "edge-portal-other"} for entry in behaviors]

    alone, _ = with_endpoint(config(*theirs), origin, behaviors, position_for)
    both, _ = with_endpoint(alone, *endpoint(*mine), position_for)
    assert without_endpoint(both, OURS) == (alone, True)
