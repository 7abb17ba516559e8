"""Whose paths of a shared distribution are whose, and what a new endpoint would take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provisioning.facts.names import origin_id
from provisioning.plan.items import Unplannable
from provisioning.plan.path_ownership import (
    Contest,
    PathClaim,
    PathRights,
    contests,
    who_has,
)
from provisioning.plan.plan import Plan
from provisioning.plan.planner import make_plan
from tests.provisioning.examples import DISTRIBUTION, KEY, OWNER, behavior, snapshot, spec

THEIRS = origin_id(OWNER, "ba9876543210")
OURS = origin_id(OWNER, KEY)
ORDERS = PathClaim("/ws/*", "trading", "orders", THEIRS)


def assigned(pattern: str, team: str = "chat") -> PathClaim:
    return PathClaim(pattern, team)


def contested(
    pattern: str, *claims: PathClaim, behaviors: tuple[Any, ...] = ()
) -> tuple[Contest, ...]:
    facts = snapshot(distribution={"behaviors": behaviors}).distribution
    assert facts is not None
    return contests((pattern,), facts, PathRights("chat", claims), origin_id=OURS)


def plan(pattern: str, *claims: PathClaim, behaviors: tuple[Any, ...] = ()) -> Plan:
    return make_plan(
        spec(path_patterns=[pattern]),
        snapshot(distribution={"behaviors": behaviors}),
        endpoint_key=KEY,
        owner=OWNER,
        rights=PathRights("chat", claims),
    )


@pytest.mark.parametrize(
    "pattern", ["/ws/?*", "/ws/*/*", "/*.*", "/ws/chat", "/ws/", "/w*", "/?s/*", "/*/chat"]
)
def test_no_team_gets_paths_of_another_teams_endpoint(pattern: str) -> None:
    behaviors = (behavior("/ws/*", THEIRS),)
    with pytest.raises(Unplannable) as refused:
        plan(pattern, ORDERS, behaviors=behaviors)
    assert refused.value.code == "path_contested"
    assert "endpoint orders of team trading" in str(refused.value)
    assert "ask team trading" in str(refused.value)
    own = PathClaim("/ws/*", "chat", "rooms", THEIRS)
    if not pattern.startswith("/*"):
        assert plan(pattern, own, behaviors=behaviors).items


def test_a_path_stays_its_endpoints_where_its_behavior_is_missing_in_aws() -> None:
    own = PathClaim("/ws/chat", "chat", "rooms", THEIRS)
    with pytest.raises(Unplannable) as refused:
        plan("/ws/chat", own)
    assert refused.value.code == "path_taken"
    assert "your team's endpoint rooms" in str(refused.value)
    assert plan("/ws/chat", replace(own, origin_id=OURS)).items, "its own, planned again"
    assert plan("/ws/chat/2", own).items


@pytest.mark.parametrize("pattern", ["/chat", "/WS/chat", "/ws", "/wss/*", "/chat/ws/*"])
def test_paths_beside_another_teams_endpoint_are_free(pattern: str) -> None:
    assert contested(pattern, ORDERS, behaviors=(behavior("/ws/*", THEIRS),)) == ()
    assert plan(pattern, ORDERS, behaviors=(behavior("/ws/*", THEIRS),)).items


def test_an_endpoint_that_is_still_being_built_has_its_paths_already() -> None:
    (found,) = contested("/ws/?*", ORDERS)
    assert (found.team, found.takes, found.permitted) == ("trading", False, False)


@pytest.mark.parametrize(
    ("pattern", "behaviors", "losers"),
    [
        ("/api/ws", ("/api/*",), ["/api/*"]),
        ("/api/*/ws", ("/api/*", "/img/*"), ["/api/*"]),
        ("/a/b/c", ("/a/b/*", "/a/*"), ["/a/b/*"]),
        ("/api/ws", ("/*/ws", "/api/*"), ["/*/ws"]),
        ("/api/*", ("/api/v1/*",), []),
        ("/ws/*", ("/*/admin",), []),
        ("/ws", (), []),
    ],
)
def test_a_behavior_made_by_hand_loses_nothing_unasked(
    pattern: str, behaviors: tuple[str, ...], losers: list[str]
) -> None:
    facts = tuple(behavior(one, "legacy") for one in behaviors)
    found = contested(pattern, behaviors=facts)
    assert [one.other for one in found] == losers
    assert all(one.takes and not one.permitted for one in found)
    if losers:
        with pytest.raises(Unplannable, match="takes requests from"):
            plan(pattern, behaviors=facts)
    allowed = plan(pattern, assigned(pattern), behaviors=facts)
    assert allowed.relies_on["takes_requests_from"] == [f"{one} to legacy" for one in losers]
    assert len(allowed.relies_on["paths_of_others"]) == len(losers)


def test_what_is_taken_with_consent_binds_the_digest_and_is_said_in_the_plan() -> None:
    consent = assigned("/ws/admin/*")
    alone = plan("/ws/admin/x")
    shared = plan("/ws/admin/x", ORDERS, consent, behaviors=(behavior("/ws/*", THEIRS),))
    assert alone.digest != shared.digest
    said = "/ws/admin/x takes requests from /ws/*, the path of endpoint orders of team trading"
    assert shared.relies_on["paths_of_others"] == [said]
    assert said in shared.items[-1].note
    assert said not in alone.items[-1].note


@pytest.mark.parametrize(
    ("pattern", "claims", "permitted"),
    [
        # An assignment that is inside the endpoint's pattern and narrower was meant for just this.
        ("/ws/admin/x", (ORDERS, assigned("/ws/admin/*")), [True]),
        ("/ws/admin", (ORDERS, assigned("/ws/admin/*")), [False]),
        ("/ws/?*", (ORDERS, assigned("/ws/*")), [False]),
        ("/ws/?*", (ORDERS, assigned("/*")), [False]),
        ("/ws/?*", (ORDERS, assigned("/ws/?*", "support")), [False, False]),
        # Between assignments the narrower one decides.
        ("/ws/a", (assigned("/*", "web"), assigned("/ws/*")), [True]),
        ("/ws/a", (assigned("/ws/*", "web"), assigned("/*")), [False]),
        ("/ws/a", (assigned("/ws/*", "web"), assigned("/ws/*")), [True]),
        ("/login", (assigned("/*", "web"),), [False]),
        ("/login", (assigned("/*"),), []),
    ],
)
def test_assignments_decide(
    pattern: str, claims: tuple[PathClaim, ...], permitted: list[bool]
) -> None:
    assert [one.permitted for one in contested(pattern, *claims)] == permitted


@pytest.mark.parametrize("pattern", ["/.well-known/*", "/.well-known/acme-challenge/x", "/*.*"])
def test_the_domains_own_paths_need_an_assignment(pattern: str) -> None:
    with pytest.raises(Unplannable, match="whole domain"):
        plan(pattern)
    assert plan(pattern, assigned(pattern)).items


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("web", "ask the distribution's owner"),
        ("", "ask the distribution's owner"),
        (THEIRS, "the path of endpoint orders of team trading"),
        ("portal-own", "the path of your team's own endpoint rooms"),
    ],
)
def test_it_says_whose_a_behavior_is(origin: str, said: str) -> None:
    own = PathClaim("/rooms", "chat", "rooms", "portal-own")
    rights = PathRights("chat", (assigned("/*", "web"), own, ORDERS))
    assert said in who_has(behavior("/x", origin), rights)


def test_an_endpoint_takes_nothing_from_its_own_behaviors() -> None:
    assert contested("/ws/chat", behaviors=(behavior("/ws/*", OURS),)) == ()
    assert contested("/ws/chat", behaviors=(behavior("/ws/*"),)) != ()


def test_the_endpoints_own_behaviors_and_claims_are_no_contest() -> None:
    mine = PathClaim("/ws/chat", "someone-else", "team-chat", OURS)
    facts = (behavior("/ws/chat", OURS), behavior("/ws/*", OURS))
    assert (
        contests(
            ("/ws/chat",),
            snapshot(distribution={"behaviors": facts}).distribution or DISTRIBUTION,
            PathRights("chat", (mine,)),
            origin_id=OURS,
        )
        == ()
    )
