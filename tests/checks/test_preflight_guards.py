"""What the preflight says of the guards that a new behavior leaves behind or carries over, and that
no fix opens a guard of the target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import Level, PreflightResult
from provisioning.aws.targets import _rule
from provisioning.facts.distribution import Origin
from provisioning.facts.guards import CARRY_OVER
from provisioning.facts.load_balancer import Listener, ListenerRule
from provisioning.facts.names import origin_id
from tests.checks.test_preflight import judged, listener, seen
from tests.provisioning.examples import DISTRIBUTION, KEY, OWNER, TARGET_FACTS, behavior
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


# --- a load balancer that refuses what does not carry a certain header

DEFAULT_403: dict[str, Any] = {"action": "fixed-response"}


def verifying(*names: str, paths: tuple[str, ...] = (), **more: Any) -> Listener:
    """A listener whose only rule forwards what carries these headers; the default refuses."""
    rule = ListenerRule((), paths, True, "forward", headers=names)
    return listener(rules=(rule,), **DEFAULT_403 | more)


def behind(one: Listener, *origins: Origin) -> dict[str, list[PreflightResult]]:
    facts = seen({"listeners": (one,)})
    distribution = replace(DISTRIBUTION, origins=origins or DISTRIBUTION.origins)
    return judged({}, replace(facts, distribution=distribution))


@pytest.mark.parametrize("action", ["fixed-response", "redirect", "authenticate-oidc"])
def test_a_required_header_is_named_and_the_default_action_stays(action: str) -> None:
    found = behind(verifying("X-Origin-Verify", action=action))
    (result,) = found["PF-HEADER"]
    assert result.level is Level.WARN
    assert "X-Origin-Verify" in result.seen
    assert found["PF-ACTION"][0].level is Level.PASS
    fixes = [one.fix for results in found.values() for one in results if one.fix]
    assert not [fix for fix in fixes if "modify-listener" in fix.cli or "create-rule" in fix.cli]
    assert result.fix is not None
    assert "Do not change the default action" in result.fix.console


def test_an_origin_that_already_sends_the_header_is_named_without_its_value() -> None:
    sending = Origin("chat-alb", "alb.example", "", header_names=("x-origin-verify",))
    (result,) = behind(verifying("X-Origin-Verify"), sending)["PF-HEADER"]
    assert "origin chat-alb sends it" in result.why
    (alone,) = behind(verifying("X-Origin-Verify"))["PF-HEADER"]
    assert "chat-alb" not in alone.why


def test_no_header_is_required_where_another_rule_or_the_default_forwards() -> None:
    for one in (
        listener(rules=()),
        verifying("X-Origin-Verify", action="forward"),
        listener(rules=(ListenerRule((), ("/ws/*",), False, "forward"),), **DEFAULT_403),
        verifying("X-Origin-Verify", paths=("/api/*",)),
        listener(rules=(ListenerRule((), (), True, "forward"),), **DEFAULT_403),
    ):
        assert "PF-HEADER" not in behind(one)


def test_several_required_headers_are_all_named() -> None:
    (result,) = behind(verifying("X-Origin-Verify", "X-Tenant"))["PF-HEADER"]
    assert "X-Origin-Verify, X-Tenant" in result.seen


def test_only_the_name_of_a_required_header_is_read() -> None:
    condition = {
        "Field": "http-header",
        "HttpHeaderConfig": {"HttpHeaderName": "X-Origin-Verify", "Values": ["s3cret"]},
    }
    found = _rule({"Conditions": [condition], "Actions": [{"Type": "forward"}]})
    assert found.headers == ("X-Origin-Verify",)
    assert "s3cret" not in repr(found)
    upgrade = {
        "Field": "http-header",
        "HttpHeaderConfig": {"HttpHeaderName": "Upgrade", "Values": ["websocket"]},
    }
    assert _rule({"Conditions": [upgrade], "Actions": [{"Type": "forward"}]}).headers == ()


@pytest.mark.parametrize(
    ("action", "opens"),
    [
        ("fixed-response", "refuses what no rule forwards"),
        ("authenticate-cognito", "without the load balancer's sign-in"),
        ("jwt-validation", "without a token"),
        ("redirect", "without TLS"),
    ],
)
def test_a_default_action_that_refuses_is_never_to_be_opened(action: str, opens: str) -> None:
    (result,) = behind(listener(action=action, rules=()))["PF-ACTION"]
    assert result.fix is not None
    assert "--default-actions" not in result.fix.cli
    assert "Values=/ws/chat,/ws/chat/*" in result.fix.cli
    assert opens in result.fix.opens
    assert result.fix.narrower


@pytest.mark.parametrize(("service", "source"), [("sg-service", "sg-service"), ("", "SERVICE-")])
def test_the_offered_rule_admits_what_the_plan_would(service: str, source: str) -> None:
    (result,) = judged({}, seen({"ingress": (), "service_group_id": service}))["PF-INGRESS"]
    assert result.fix is not None
    assert f"--source-group {source}" in result.fix.cli
    offered = result.fix.console + result.fix.cli + result.fix.terraform
    for wide in ("origin-facing", "pl-1", "0.0.0.0/0"):
        assert wide not in offered


def test_block_public_access_is_lifted_for_the_subnets_only() -> None:
    (result,) = judged({}, seen({"block_public_access": "block-bidirectional"}))["PF-BPA"]
    assert result.fix is not None
    assert "--subnet-id subnet-a" in result.fix.cli
    assert "--vpc-id" not in result.fix.cli


def test_the_header_of_an_origin_with_the_same_target_can_be_carried_over() -> None:
    same = TARGET_FACTS.dns_name
    sending = Origin("chat-alb", same, "", header_names=("X-Origin-Verify",))
    (offered,) = behind(verifying("X-Origin-Verify"), sending)["PF-HEADER"]
    assert offered.amendment is not None
    assert offered.amendment.changes == (("carry_over", ("origin-headers",)),)
    facts = replace(
        seen({"listeners": (verifying("X-Origin-Verify"),)}),
        distribution=replace(DISTRIBUTION, origins=(sending,)),
    )
    (kept,) = judged({"carry_over": "origin-headers"}, facts)["PF-HEADER"]
    assert kept.level is Level.PASS
    for other in (
        replace(sending, domain_name="other.example"),
        replace(sending, header_names=("X-Tenant",)),
    ):
        (alone,) = behind(verifying("X-Origin-Verify"), other)["PF-HEADER"]
        assert alone.amendment is not None
        assert [name for name, _ in alone.amendment.changes] == ["origin_headers"]


def sending(text: str, *required: str) -> PreflightResult:
    """What is said of a load balancer that requires these headers, of an endpoint that sends
    others.
    """
    facts = seen({"listeners": (verifying(*required),)})
    (result,) = judged({"origin_headers": text}, facts)["PF-HEADER"]
    return result


@pytest.mark.parametrize(
    ("text", "required", "missing"),
    [
        ("", ("X-Origin-Verify",), "X-Origin-Verify: ${secret:ORIGIN_VERIFY}"),
        (
            "X-Tenant: demo",
            ("X-Tenant", "x-cdn.secret"),
            "X-Tenant: demo\nx-cdn.secret: ${secret:CDN_SECRET}",
        ),
        ("", ("7-of-9",), "7-of-9: ${secret:HEADER_7_OF_9}"),
    ],
)
def test_a_required_header_can_be_sent_from_a_secret_and_then_it_passes(
    text: str, required: tuple[str, ...], missing: str
) -> None:
    offered = sending(text, *required)
    assert offered.level is Level.WARN
    assert offered.amendment is not None
    assert offered.amendment.changes == (("origin_headers", missing),)
    assert "from the secret" in offered.amendment.label
    kept = sending(missing, *required)
    assert (kept.level, kept.amendment) == (Level.PASS, None)
    assert required[-1] in kept.seen
    assert "cannot be checked" in kept.seen


def test_a_header_that_cloudfront_cannot_add_is_not_offered() -> None:
    assert sending("", "Cookie").amendment is None


def test_an_own_header_and_a_copied_one_are_enough_together() -> None:
    other = Origin("alb", TARGET_FACTS.dns_name, "", header_names=("X-Tenant",))
    facts = replace(
        seen({"listeners": (verifying("X-Tenant", "X-Origin-Verify"),)}),
        distribution=replace(DISTRIBUTION, origins=(other,)),
    )
    own = {"origin_headers": "X-Origin-Verify: ${secret:A}"}
    (offered,) = judged(own, facts)["PF-HEADER"]
    assert offered.amendment is not None
    assert offered.amendment.changes == (("carry_over", ("origin-headers",)),)
    (kept,) = judged(own | {"carry_over": "origin-headers"}, facts)["PF-HEADER"]
    assert kept.level is Level.PASS
