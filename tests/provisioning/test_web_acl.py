"""Rules of a web ACL that look at the path: whether they apply to a pattern's paths, and that an
approval covers that.
"""

from __future__ import annotations

from typing import Any

import pytest

from checks.preflight import Level, PreflightSubject, evaluate
from provisioning.facts.snapshot import Gap
from provisioning.facts.web_acl import WebAcl, WebAclRule
from provisioning.plan.plan import Plan
from provisioning.plan.planner import make_plan
from tests.provisioning.examples import ACCOUNT, KEY, OWNER, RIGHTS, snapshot, spec

ARN = f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/shield/1"


def path(text: str, how: str = "STARTS_WITH", *transformations: str) -> dict[str, Any]:
    return {
        "ByteMatchStatement": {
            "SearchString": text.encode(),
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": how,
            "TextTransformations": [
                {"Priority": number, "Type": name}
                for number, name in enumerate(transformations or ("NONE",))
            ],
        }
    }


def regex(text: str) -> dict[str, Any]:
    return {
        "RegexMatchStatement": {
            "RegexString": text,
            "FieldToMatch": {"UriPath": {}},
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }


def both(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"AndStatement": {"Statements": list(statements)}}


def either(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"OrStatement": {"Statements": list(statements)}}


def no(statement: dict[str, Any]) -> dict[str, Any]:
    return {"NotStatement": {"Statement": statement}}


OFFICE: dict[str, Any] = {"IPSetReferenceStatement": {"ARN": "office"}}
CORE = {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}
QUERY: dict[str, Any] = {
    "ByteMatchStatement": path("/ws")["ByteMatchStatement"] | {"FieldToMatch": {"QueryString": {}}}
}


@pytest.mark.parametrize(
    ("statement", "pattern", "applies"),
    [
        (path("/admin"), "/ws/*", "none"),
        (path("/ws"), "/ws/*", "all"),
        (path("/ws/admin"), "/ws/*", "some"),
        (path("/ws/chat", "EXACTLY"), "/ws/chat", "all"),
        (path("/ws/chat", "EXACTLY"), "/ws/chat/*", "none"),
        (path(".php", "ENDS_WITH"), "/ws/chat", "none"),
        (path(".php", "ENDS_WITH"), "/ws/*", "some"),
        (path("chat", "CONTAINS"), "/ws/chat/*", "all"),
        (path("chat", "CONTAINS_WORD"), "/ws/chat/*", "some"),
        (path("/ws", "STARTS_WITH", "LOWERCASE"), "/WS/*", "all"),
        (path("/ws"), "/WS/*", "none"),
        (path("/a*b"), "/ws/*", "some"),
        (regex("^/ws"), "/ws/*", "all"),
        (regex("^/admin/.*"), "/ws/*", "none"),
        (regex("^/ws/(chat|orders)$"), "/ws/chat", "all"),
        (regex("^/ws/(chat|orders)$"), "/ws/mail", "none"),
        (regex("^/ws/(chat|orders)$"), "/ws/*", "some"),
        (regex("("), "/ws/*", "some"),
        (both(OFFICE, path("/admin")), "/ws/*", "none"),
        (both(OFFICE, path("/ws")), "/ws/*", "some"),
        (both(no(OFFICE), path("/ws")), "/ws/*", "some"),
        (either(path("/admin"), path("/login")), "/ws/*", "none"),
        (either(path("/admin"), path("/ws")), "/ws/*", "all"),
        (no(path("/public")), "/ws/*", "all"),
        (no(path("/ws")), "/ws/*", "none"),
        (no(path("/ws/open")), "/ws/*", "some"),
        (no(both(OFFICE, path("/ws"))), "/ws/*", "some"),
        ({"RateBasedStatement": {"Limit": 100, "ScopeDownStatement": path("/login")}},
         "/ws/*", "none"),
        ({"ManagedRuleGroupStatement": {**CORE, "ScopeDownStatement": no(path("/ws"))}},
         "/ws/*", "none"),
        ({"RegexPatternSetReferenceStatement": {"ARN": "x", "FieldToMatch": {"UriPath": {}}}},
         "/ws/*", "some"),
    ],
)  # fmt: skip
def test_a_rule_applies_where_its_statement_says(
    statement: dict[str, Any], pattern: str, applies: str
) -> None:
    rule = WebAclRule("r", "Block", statement)
    assert rule.looks_at_path
    assert rule.applies_to(pattern) == applies


@pytest.mark.parametrize(
    "statement", [OFFICE, QUERY, {"ManagedRuleGroupStatement": CORE}, no(OFFICE)]
)
def test_a_rule_that_looks_at_something_else_is_no_matter_of_paths(
    statement: dict[str, Any],
) -> None:
    assert not WebAclRule("r", "Block", statement).looks_at_path


def acl(statement: dict[str, Any], action: str = "Block", default: str = "Allow") -> WebAcl:
    return WebAcl(ARN, "shield", default, (WebAclRule("admins", action, statement),))


def plan(found: WebAcl | None, **more: Any) -> Plan:
    seen = snapshot(distribution={"web_acl_id": ARN if found else ""}, web_acl=found, **more)
    return make_plan(spec(), seen, endpoint_key=KEY, owner=OWNER, rights=RIGHTS)


def test_an_approval_covers_which_rules_apply() -> None:
    plans = [
        plan(None),
        plan(acl(path("/admin"))),
        plan(acl(path("/ws"))),
        plan(acl(path("/ws"), "Captcha")),
        plan(acl(OFFICE)),
    ]
    assert len({one.digest for one in plans}) == len(plans)
    assert plans[1].relies_on["web_acl_rules_by_path"] == [
        "admins (Block) of shield does not apply to /ws/chat",
        "admins (Block) of shield does not apply to /ws/chat/*",
    ]
    unread = plan(None, gaps=(Gap("web_acl", "The role may not ask."),))
    assert unread.relies_on["web_acl_rules_by_path"] == "not known"


@pytest.mark.parametrize(
    ("found", "level", "says"),
    [
        (None, Level.PASS, "The distribution has no web ACL."),
        (acl(OFFICE), Level.PASS, "No rule of shield looks at the path"),
        (acl(path("/ws"), "Count"), Level.PASS, "but for those that count"),
        (acl(path("/admin")), Level.WARN, "does not apply to /ws/chat, /ws/chat/*. If the app"),
        (acl(path("/ws")), Level.WARN, "applies to /ws/chat, /ws/chat/*. Handshakes that it"),
        (acl(path("/ws"), "Challenge"), Level.WARN, "cannot solve a challenge"),
        (acl(path("/web"), "Allow", "Block"), Level.WARN, "blocks what no rule allows"),
    ],
)
def test_requester_and_approver_are_told(found: WebAcl | None, level: Level, says: str) -> None:
    seen = snapshot(distribution={"web_acl_id": ARN if found else ""}, web_acl=found)
    (told,) = [
        one for one in evaluate(PreflightSubject.of(spec()), seen) if one.code == "PF-WEB-ACL"
    ]
    assert (told.level, says in f"{told.seen} {told.why}") == (level, True)


def test_what_the_role_may_not_read_is_not_known() -> None:
    seen = snapshot(gaps=(Gap("web_acl", "The role may not ask."),))
    (told,) = [
        one for one in evaluate(PreflightSubject.of(spec()), seen) if one.code == "PF-WEB-ACL"
    ]
    assert told.level is Level.UNKNOWN
