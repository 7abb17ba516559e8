"""An approval is bound to whatever the preflight would block for: each such change gives another
digest, or no plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import PreflightSubject, blocks, evaluate
from provisioning.facts.certificate import Certificate
from provisioning.facts.snapshot import Gap, Snapshot
from provisioning.plan.changes import no_longer_known
from provisioning.plan.items import Unplannable
from provisioning.plan.planner import make_plan
from tests.checks.test_preflight import (
    ANSWERS,
    TARGET_CASES,
    listener,
    others,
    ours,
    rule_for,
    seen,
)
from tests.provisioning.examples import KEY, OWNER, RIGHTS, behavior, spec

REDIRECTING = listener(action="redirect", redirect_protocol="HTTPS")
BLOCKING = [
    *(
        {"target": target}
        for _, target, expected in TARGET_CASES
        if expected == "block" and "arn" not in target
    ),
    {"distribution": {"enabled": False}},
    {"distribution": {"unknown_elements": ("X",)}},
    {"distribution": {"behaviors": (behavior("/ws/chat"),)}},
    {"distribution": {"aliases": ("chat.example.com",)}},
    {"vpc_origins": others(25)},
    {"vpc_origins": (ours(ours=False),)},
]


def bound(facts: Snapshot, **answers: Any) -> str:
    """What an approval is bound to, or why there can be no plan."""
    try:
        return make_plan(
            spec(**(ANSWERS | answers)), facts, endpoint_key=KEY, owner=OWNER, rights=RIGHTS
        ).digest
    except Unplannable as obstacle:
        return obstacle.code


@pytest.mark.parametrize("changed", BLOCKING)
def test_an_approval_does_not_outlive_what_would_block(changed: dict[str, Any]) -> None:
    """Whatever a preflight would block for changes the digest, so that the run does not begin."""
    plain = {"http_port": 80, "https_port": 443, "origin_protocol": "http-only"}
    facts = seen(
        changed.get("target"), **{key: value for key, value in changed.items() if key != "target"}
    )
    if blocks(evaluate(PreflightSubject.of(spec(**(ANSWERS | plain))), facts)):
        assert bound(facts, **plain) != bound(seen(), **plain)


def test_an_approval_does_not_outlive_the_rule_that_kept_a_redirect_away() -> None:
    redirecting = replace(REDIRECTING, rules=(rule_for("/ws/*"),))
    before, after = (
        seen({"listeners": (one,)}) for one in (redirecting, replace(redirecting, rules=()))
    )
    judgements = [
        blocks(evaluate(PreflightSubject.of(spec(**ANSWERS)), facts)) for facts in (before, after)
    ]
    assert judgements == [False, True]
    assert bound(before) != bound(after)
    gone = replace(after, gaps=(Gap("rules", "denied"),))
    old, new = (
        make_plan(spec(**ANSWERS), one, endpoint_key=KEY, owner=OWNER, rights=RIGHTS).to_dict()
        for one in (before, gone)
    )
    assert no_longer_known(old, new) == ["rules_before_redirects"]


@pytest.mark.parametrize(
    "shown",
    [{"names": ("b.example.com",)}, {"status": "EXPIRED"}, {"kind": "PRIVATE"}],
    ids=lambda one: next(iter(one)),
)
def test_an_approval_does_not_outlive_a_certificate(shown: dict[str, Any]) -> None:
    good = Certificate("arn:1", ("a.example.com",), "ISSUED", "AMAZON_ISSUED", "2027-01-01")
    answers = {
        "origin_protocol": "https-only",
        "origin_domain": "a.example.com",
        "forward_host": False,
    }
    before, after, renewed = (
        seen({"listeners": (listener(443, "HTTPS", certificates=(one,)),)})
        for one in (good, replace(good, **shown), replace(good, expires="2028-01-01"))
    )
    assert blocks(evaluate(PreflightSubject.of(spec(**(ANSWERS | answers))), after))
    assert bound(after, **answers) != bound(before, **answers) == bound(renewed, **answers)
    alias = {"distribution": {"aliases": ("a.example.com",)}}
    viewed = [seen(viewer_certificate=one, **alias) for one in (good, replace(good, **shown))]
    if "kind" not in shown:
        assert len({bound(one) for one in viewed}) == 2
