"""The life of an endpoint request, by table: who may do what, when, and what each state says to
people.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from portal.people.actor import Actor
from portal.requests.lifecycle import (
    FINAL,
    NEXT_STEPS,
    PERMISSIONS,
    TITLES,
    TRANSITIONS,
    Allowed,
    Denied,
    Standing,
    State,
    Verb,
    after,
    diagram,
    may,
)

ANA, BEN, OLGA = 1, 2, 3
WAITING = Standing(State.AWAITING_APPROVAL, ANA, ANA, ANA, "d1")
APPROVER = Actor(OLGA, is_approver=True)
MEMBER = Actor(ANA, is_team_member=True)


def test_olga_may_approve_what_ana_asked_for() -> None:
    assert may(Verb.APPROVE, APPROVER, WAITING, digest="d1") == Allowed(State.PROVISIONING)
    assert may(Verb.REJECT, APPROVER, WAITING) == Allowed(State.REJECTED)


@pytest.mark.parametrize(
    ("actor", "standing", "digest", "code"),
    [
        (Actor(BEN, is_team_member=True), WAITING, "d1", "not_approver"),
        (replace(APPROVER, is_active=False), WAITING, "d1", "not_approver"),
        (Actor(ANA, is_approver=True), WAITING, "d1", "own_request"),
        (APPROVER, replace(WAITING, beneficiary_id=OLGA), "d1", "beneficiary"),
        (APPROVER, replace(WAITING, last_editor_id=OLGA), "d1", "editor"),
        (APPROVER, replace(WAITING, editor_ids=frozenset({BEN, OLGA})), "d1", "editor"),
        (APPROVER, WAITING, "d0", "stale_plan"),
        (APPROVER, replace(WAITING, state=State.PLANNING), "d1", "wrong_state"),
        (APPROVER, replace(WAITING, state=State.PROVISIONING), "d1", "wrong_state"),
        (APPROVER, replace(WAITING, state=State.REJECTED), "d1", "wrong_state"),
    ],
)
def test_nobody_else_may_and_is_told_why(
    actor: Actor, standing: Standing, digest: str, code: str
) -> None:
    refusal = may(Verb.APPROVE, actor, standing, digest=digest)
    assert isinstance(refusal, Denied)
    assert refusal.code == code
    assert refusal.reason.endswith((".", "”."))
    assert len(refusal.reason) > 20


@pytest.mark.parametrize("state", State)
def test_the_team_may_cancel_and_edit_just_while_the_table_says_so(state: State) -> None:
    standing = replace(WAITING, state=state)
    assert isinstance(may(Verb.CANCEL, MEMBER, standing), Allowed) is (
        (state, Verb.CANCEL) in TRANSITIONS
    )
    assert isinstance(may(Verb.EDIT, MEMBER, standing), Allowed) is (
        (state, Verb.EDIT) in TRANSITIONS
    )
    assert isinstance(may(Verb.CANCEL, APPROVER, standing), Denied)
    assert isinstance(may(Verb.EDIT, APPROVER, standing), Denied)


@pytest.mark.parametrize(
    ("verb", "states"),
    [
        (Verb.RETRY_STUCK, {State.STUCK}),
        (Verb.RESUME, {State.QUARANTINED}),
        (Verb.CLOSE, {State.STUCK, State.QUARANTINED}),
    ],
)
@pytest.mark.parametrize("state", State)
def test_a_platform_admin_retries_resumes_or_gives_up_only_what_stands_still(
    state: State, verb: Verb, states: set[State]
) -> None:
    standing = replace(WAITING, state=state)
    admin = Actor(OLGA, is_approver=True, is_admin=True)
    assert isinstance(may(verb, admin, standing), Allowed) is (state in states)
    for nobody in (MEMBER, APPROVER, replace(admin, is_active=False)):
        refusal = may(verb, nobody, standing)
        assert isinstance(refusal, Denied)
        assert refusal.code == "not_platform_admin"


@pytest.mark.parametrize("verb", PERMISSIONS)
def test_a_refusal_is_a_sentence_for_people_in_every_state(verb: Verb) -> None:
    for state in State:
        for actor in (Actor(BEN), MEMBER, APPROVER, Actor(OLGA, is_admin=True)):
            answer = may(verb, actor, replace(WAITING, state=state), digest="d1")
            if isinstance(answer, Denied):
                assert answer.reason[0].isupper()
                assert answer.reason.endswith(".")


def test_every_state_can_be_reached_and_speaks_to_people() -> None:
    assert set(TRANSITIONS.values()) | {State.PLANNING} == set(State)
    assert set(TITLES) == set(NEXT_STEPS) == set(State)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_leads_out_of_a_final_state(state: State) -> None:
    assert all(after(state, verb) is None for verb in Verb)


def test_the_documented_diagram_is_the_machine() -> None:
    shown = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text()
    assert f"```mermaid\n{diagram()}\n```" in shown, (
        "regenerate the diagram: portal.requests.lifecycle.diagram()"
    )
    assert all(f"| `{state}` | {TITLES[state]} | {NEXT_STEPS[state]} |" in shown for state in State)
