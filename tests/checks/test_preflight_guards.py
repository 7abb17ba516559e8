"""What the preflight says of the guards that a new behavior leaves behind or carries over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import Level, PreflightResult
from provisioning.facts.guards import CARRY_OVER
from provisioning.facts.names import origin_id
from tests.checks.test_preflight import judged, seen
from tests.provisioning.examples import DISTRIBUTION, KEY, OWNER, behavior
from tests.provisioning.test_guards import CHECKER, NAMES, ROUTER, SIGN_IN


def said(answers: dict[str, Any] | None = None, **guards: Any) -> list[PreflightResult]:
    default = replace(behavior("*"), **guards)
    facts = replace(seen(), distribution=replace(DISTRIBUTION, default_behavior=default))
    return judged(answers, facts)["PF-GUARD"]


def test_without_a_guard_the_question_passes() -> None:
    (result,) = said()
    assert result.level is Level.PASS


@pytest.mark.parametrize(("guards", "name", "carried_by"), NAMES, ids=[one[1] for one in NAMES])
def test_a_guard_is_named_once_for_all_paths_with_its_way_out(
    guards: dict[str, Any], name: str, carried_by: str
) -> None:
    (result,) = said(**guards)
    assert result.level is Level.WARN
    assert result.seen.startswith(f"The {name} applies to /ws/chat, /ws/chat/* today")
    assert "the default behavior" in result.seen
    if not carried_by:
        assert result.amendment is None
        return
    assert result.amendment is not None
    (change,) = result.amendment.changes
    assert change == ("carry_over", (carried_by,))
    (kept,) = said({"carry_over": list(change[1])}, **guards)
    assert kept.level is Level.PASS
    assert name in kept.seen


def test_each_guard_is_chosen_by_itself_and_the_choices_add_up() -> None:
    guards = {"functions": (SIGN_IN,), "key_groups": ("kg-1",)}
    kept, lost = sorted(said({"carry_over": "functions"}, **guards), key=lambda one: one.level)
    assert (kept.level, lost.level) == (Level.PASS, Level.WARN)
    assert lost.amendment is not None
    assert lost.amendment.changes == (("carry_over", ("functions", "key-groups")),)


def test_a_redirect_to_a_sign_in_page_is_warned_of_before_and_after_the_choice() -> None:
    (lost,), (kept,) = (
        said(functions=(SIGN_IN,)),
        said({"carry_over": "functions"}, functions=(SIGN_IN,)),
    )
    assert lost.fix is not None
    for text in (lost.fix.console, kept.seen):
        assert "do not follow redirects" in text
    (edge,) = said(functions=(CHECKER,))
    assert edge.fix is not None
    assert "lambda:EnableReplication*" in edge.fix.console


def test_an_origin_trigger_says_that_vpc_origins_have_none() -> None:
    (result,) = said({"carry_over": list(CARRY_OVER)}, functions=(ROUTER,))
    assert result.level is Level.WARN
    assert "VPC origin" in result.why


def test_an_endpoints_own_behavior_has_what_was_approved() -> None:
    ours = origin_id(OWNER, KEY)
    own = replace(behavior("/ws/chat", ours), functions=(SIGN_IN,))
    facts = replace(seen(), distribution=replace(DISTRIBUTION, behaviors=(own,)))
    about = {"path_patterns": ["/ws/chat"]}
    (mine,) = judged(about, facts, origin_id=ours)["PF-GUARD"]
    assert mine.level is Level.PASS
    (foreign,) = judged(about, facts)["PF-GUARD"]
    assert foreign.level is Level.WARN
