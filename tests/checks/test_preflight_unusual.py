"""Targets set up right in unusual ways are not held up, and those that are wrong in unusual ways do
not pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import Level
from checks.preflight.exposure import lets_answers_out
from provisioning.aws.security_groups import _rule as read_group_rule
from provisioning.aws.targets import _listener, _rule
from provisioning.aws.vpcs import _leads_to_internet
from provisioning.facts.load_balancer import ListenerRule, RegisteredTarget
from provisioning.facts.network import AclEntry, SecurityGroupRule, everybody
from tests.checks.test_preflight import (
    GROUP,
    WELL,
    ingress,
    judged,
    level,
    listener,
    rule_for,
    seen,
)

OURS, THEIRS = "arn:ours", "arn:theirs"
SICK = (RegisteredTarget("10.0.0.9", "unhealthy", "Target.Timeout"),)
LEAVING = (*WELL, RegisteredTarget("10.0.0.9", "draining", "Target.DeregistrationInProgress"))
FUNCTION = (RegisteredTarget("arn:lambda", "unavailable", "Target.HealthCheckDisabled"),)


def to(arn: str, *paths: str, **more: Any) -> ListenerRule:
    return replace(rule_for(*paths, **more), target_groups=(arn,))


def shared(
    ours: tuple[RegisteredTarget, ...], theirs: tuple[RegisteredTarget, ...], **more: Any
) -> dict[str, Any]:
    """A load balancer of many teams: our path has a rule of its own, the default action leads to
    another's group.
    """
    rules = more.pop("rules", (to(OURS, "/ws/*"),))
    return {
        "listeners": (listener(rules=rules, target_groups=(THEIRS,)),),
        "groups": (
            replace(GROUP, arn=OURS, name="ours", targets=ours),
            replace(GROUP, arn=THEIRS, name="theirs", targets=theirs, **more),
        ),
        "healthy_targets": 2,
        "registered_targets": 3,
    }


BOTH = (to(OURS, "/ws/a"), to(OURS, "/ws/*", hosts=("other.example.com",)))
HALVES = (ingress("cidr", "0.0.0.0/1"), ingress("cidr", "128.0.0.0/1"))
OWN_LIST = {
    "ingress": (ingress("prefix-list", "pl-team"),),
    "own_lists": ("pl-team",),
    "list_weights": (("pl-team", 5),),
}
DEFAULT_404: dict[str, Any] = {"action": "fixed-response", "target_groups": ()}
REGEX = (rule_for(narrow=True),)
PARTS = (rule_for("/ws"), rule_for("/ws/*"))
LAMBDA: dict[str, Any] = {
    "protocol": "",
    "protocol_version": "",
    "target_type": "lambda",
    "targets": FUNCTION,
}
CALLING = replace(GROUP, arn=OURS, name="ours", **LAMBDA)

CASES = [
    # other teams' groups of the same load balancer are theirs
    ("PF-HEALTH", shared(WELL, SICK), "pass"),
    ("PF-HEALTH", shared(LEAVING, ()), "pass"),
    ("PF-HEALTH", shared(FUNCTION, SICK), "pass"),
    ("PF-TARGET-GROUP", shared(WELL, WELL, protocol_version="GRPC"), "pass"),
    # ... and their health is no health of ours
    ("PF-HEALTH", shared((), WELL), "warn"),
    ("PF-HEALTH", shared(SICK, WELL), "warn"),
    ("PF-HEALTH", shared(WELL, SICK, rules=BOTH), "warn"),
    ("PF-HEALTH", shared(WELL, SICK, rules=()), "warn"),
    ("PF-TARGET-GROUP", shared(WELL, WELL, protocol_version="GRPC", rules=BOTH), "warn"),
    # a Lambda function takes no upgrade; where only some handshakes come to one, the others get
    # through
    ("PF-TARGET-GROUP", {"groups": (CALLING,)}, "block"),
    ("PF-TARGET-GROUP", {"groups": (CALLING, GROUP)}, "warn"),
    ("PF-TARGET-GROUP", shared(WELL, FUNCTION, target_type="lambda"), "pass"),
    ("PF-TARGET-GROUP", shared(WELL, FUNCTION, target_type="lambda", rules=()), "block"),
    ("PF-TARGET-GROUP", shared(WELL, FUNCTION, target_type="lambda", rules=BOTH), "block"),
    (
        "PF-TARGET-GROUP",
        shared(WELL, FUNCTION, target_type="lambda", rules=(to(OURS, "/ws/chat"),)),
        "warn",
    ),
    ("PF-TARGET-GROUP", shared(WELL, FUNCTION, target_type="lambda", rules=None), "warn"),
    ("PF-HEALTH", shared((), WELL, rules=None) | {"registered_targets": 2}, "unknown"),
    # security groups
    ("PF-INGRESS", {"ingress": HALVES}, "pass"),
    ("PF-INGRESS", {"ingress": HALVES[:1]}, "fixable"),
    ("PF-INGRESS", {"ingress": (ingress("cidr", "::/0"),)}, "fixable"),
    (
        "PF-INGRESS",
        {"ingress": (ingress("prefix-list", ""),), "origin_facing_prefix_list": ""},
        "fixable",
    ),
    ("PF-PUBLIC", {"ingress": HALVES}, "warn"),
    ("PF-PUBLIC", OWN_LIST, "unknown"),
    ("PF-PUBLIC", OWN_LIST | {"own_lists": ()}, "unknown"),
    ("PF-PUBLIC", OWN_LIST | {"own_lists": (), "origin_facing_ipv6_list": "pl-team"}, "pass"),
    # listeners
    ("PF-LISTENER", {"kind": "network", "listeners": (listener(protocol="TCP_QUIC"),)}, "pass"),
    ("PF-LISTENER", {"kind": "network", "listeners": (listener(protocol="QUIC"),)}, "block"),
    ("PF-ACTION", {"listeners": (listener(rules=(rule_for("/*"),), **DEFAULT_404),)}, "pass"),
    ("PF-RULES", {"listeners": (listener(rules=REGEX, **DEFAULT_404),)}, "unknown"),
    (
        "PF-RULES",
        {"listeners": (listener(rules=(rule_for("/api/*", narrow=True),), **DEFAULT_404),)},
        "warn",
    ),
    ("PF-ACTION", {"listeners": (listener(action="jwt-validation"),)}, "warn"),
]


@pytest.mark.parametrize(
    ("code", "facts", "expected"), CASES, ids=[f"{n}-{row[0]}" for n, row in enumerate(CASES)]
)
def test_an_unusual_target_is_judged_by_what_handshakes_meet(
    code: str, facts: dict[str, Any], expected: str
) -> None:
    assert level(code, facts=seen(facts)) is Level(expected)


def test_a_listener_that_answers_by_itself_is_to_forward() -> None:
    (rule,) = judged(
        {}, seen({"listeners": (listener(rules=(rule_for("/ws/*", action="redirect"),)),)})
    )["PF-RULES"]
    assert rule.fix is not None
    assert "> Rules > Add rule: forward /ws/chat, /ws/chat/* with Host" in rule.fix.console
    conditions = (
        "Field=host-header,Values=d111111abcdef8.cloudfront.net "
        "'Field=path-pattern,Values=/ws/chat,/ws/chat/*'"
    )
    assert f"--conditions {conditions} --actions" in rule.fix.cli
    (default,) = judged({}, seen({"listeners": (listener(**DEFAULT_404),)}))["PF-ACTION"]
    assert default.fix is not None
    assert default.fix.console.endswith("Leave the default action as it is.")


def test_a_function_is_told_apart_from_a_group_of_another_version() -> None:
    """ELB guide, Lambda functions as targets: upgrade requests are rejected with 400."""
    (function,) = judged({}, seen({"groups": (CALLING,)}))["PF-TARGET-GROUP"]
    assert function.seen == "ours forwards to a Lambda function."
    assert "400" in function.why
    assert function.fix is not None
    assert "--target-type ip" in function.fix.cli
    (version,) = judged({}, seen({"groups": (replace(GROUP, protocol_version="HTTP2"),)}))[
        "PF-TARGET-GROUP"
    ]
    assert "HTTP2" in version.seen


def test_rules_that_forward_a_part_of_a_path_are_told_as_that() -> None:
    """`/ws*` is more than `/ws` and `/ws/*`: whoever knocks at those two gets through."""
    answers = {"path_patterns": ["/ws*"]}
    (part,) = judged(answers, seen({"listeners": (listener(rules=PARTS, **DEFAULT_404),)}))[
        "PF-RULES"
    ]
    assert part.level is Level.WARN
    assert part.seen.startswith("Rules on 80 forward part of /ws* with Host ")
    behind = (rule_for("/w*", action="redirect"), *PARTS)
    (none,) = judged(answers, seen({"listeners": (listener(rules=behind, **DEFAULT_404),)}))[
        "PF-RULES"
    ]
    assert none.seen.startswith("For /ws* with Host "), (
        "what stands behind a rule for all of it is never asked"
    )
    (all_of_it,) = judged(
        answers, seen({"listeners": (listener(rules=(rule_for("/ws*"),), **DEFAULT_404),)})
    )["PF-RULES"]
    assert all_of_it.level is Level.PASS


def test_an_empty_group_is_to_be_filled_and_one_that_is_unwell_looked_at() -> None:
    (empty,) = judged({}, seen(shared((), WELL)))["PF-HEALTH"]
    assert empty.fix is not None
    assert (
        empty.fix.console
        == "EC2 > Target Groups > ours > Targets > Register targets: the app's instances or "
        "addresses."
    )
    assert OURS in empty.fix.cli
    (unwell,) = judged({}, seen(shared(SICK, WELL)))["PF-HEALTH"]
    assert unwell.fix is not None
    assert (
        unwell.fix.console
        == "EC2 > Target Groups > ours > Targets: check the health status details."
    )


def test_a_list_that_may_hold_cloudfronts_addresses_does_not_stop_the_request_nor_pass() -> None:
    (result,) = judged({"open_security_group": False}, seen(OWN_LIST))["PF-INGRESS"]
    assert result.level is Level.UNKNOWN
    assert result.amendment is not None
    (blocked,) = judged({"open_security_group": False}, seen(OWN_LIST | {"own_lists": ()}))[
        "PF-INGRESS"
    ]
    assert blocked.level is Level.BLOCK, "a list of AWS's own for something else"


TCP, ALL = "6", "-1"
ACLS = [
    (True, [(1, True, TCP, "0.0.0.0/1", 1024, 65535), (2, True, TCP, "128.0.0.0/1", 1024, 65535)]),
    (True, [(1, True, TCP, "0.0.0.0/0", 1024, 40000), (2, True, TCP, "0.0.0.0/0", 40001, 65535)]),
    (True, [(1, True, ALL, "0.0.0.0/0", 0, 65535), (2, False, TCP, "0.0.0.0/0", 0, 65535)]),
    (True, [(1, False, TCP, "10.0.0.0/8", 0, 65535), (2, True, ALL, "0.0.0.0/0", 0, 65535)]),
    (True, [(1, False, "17", "0.0.0.0/0", 0, 65535), (2, True, ALL, "0.0.0.0/0", 0, 65535)]),
    (
        True,
        [(1, True, TCP, "0.0.0.0/0", 1024, 65535), (2, False, TCP, "130.176.0.0/16", 2000, 3000)],
    ),
    (False, [(1, False, TCP, "130.176.0.0/16", 2000, 3000), (2, True, ALL, "0.0.0.0/0", 0, 65535)]),
    (False, [(1, True, TCP, "0.0.0.0/1", 1024, 65535), (2, True, TCP, "128.0.0.0/1", 1024, 65534)]),
    (False, [(1, True, TCP, "0.0.0.0/0", 1024, 40000), (2, True, TCP, "0.0.0.0/0", 40002, 65535)]),
    (False, [(1, True, TCP, "::/0", 0, 65535)]),
    (False, [(1, True, "17", "0.0.0.0/0", 0, 65535)]),
    (False, []),
]


@pytest.mark.parametrize(("out", "entries"), ACLS)
def test_answers_leave_when_the_numbered_entries_let_them(
    out: bool, entries: list[tuple[Any, ...]]
) -> None:
    assert lets_answers_out([AclEntry(*entry) for entry in entries]) is out


READ = [
    # what AWS says of a rule, and whether only some handshakes meet it
    (
        {
            "Field": "http-header",
            "HttpHeaderConfig": {"HttpHeaderName": "Upgrade", "Values": ["WebSocket"]},
        },
        False,
    ),
    (
        {
            "Field": "http-header",
            "HttpHeaderConfig": {"HttpHeaderName": "Connection", "Values": ["*Upgrade*"]},
        },
        False,
    ),
    (
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "POST"]}},
        False,
    ),
    ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}}, True),
    (
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Team", "Values": ["*"]}},
        True,
    ),
    ({"Field": "host-header", "HostHeaderConfig": {"RegexValues": ["^a"]}}, True),
    ({"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a"]}}, True),
    ({"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24"]}}, True),
    ({"Field": "path-pattern", "Values": ["/ws"]}, False),
]


@pytest.mark.parametrize(("condition", "narrow"), READ)
def test_a_condition_is_narrow_unless_every_handshake_meets_it(
    condition: dict[str, Any], narrow: bool
) -> None:
    assert _rule({"Conditions": [condition], "Actions": [{"Type": "forward"}]}).narrow is narrow


def test_weights_say_which_groups_get_anything() -> None:
    weighted = {
        "TargetGroups": [
            {"TargetGroupArn": OURS, "Weight": 1},
            {"TargetGroupArn": THEIRS, "Weight": 0},
        ]
    }
    after_sign_in = [
        {"Type": "forward", "Order": 2, "ForwardConfig": weighted},
        {"Type": "authenticate-oidc", "Order": 1},
    ]
    found = _listener({"Port": 80, "Protocol": "HTTP", "DefaultActions": after_sign_in}, None)
    assert (found.default_action, found.target_groups) == ("authenticate-oidc", (OURS,))
    plain = _rule({"Actions": [{"Type": "forward", "TargetGroupArn": THEIRS}]})
    assert plain.target_groups == (THEIRS,)


@pytest.mark.parametrize(
    ("route", "out"),
    [
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}, True),
        ({"DestinationCidrBlock": "128.0.0.0/1", "GatewayId": "igw-1"}, True),
        ({"DestinationPrefixListId": "pl-1", "GatewayId": "igw-1"}, True),
        ({"DestinationIpv6CidrBlock": "2000::/3", "GatewayId": "igw-1"}, True),
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "blackhole"}, False),
        ({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}, False),
        ({"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1"}, False),
        ({"DestinationCidrBlock": "10.9.0.0/16", "GatewayId": "local"}, False),
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "vgw-1"}, False),
    ],
)
def test_a_subnet_is_public_when_anything_leaves_by_an_internet_gateway(
    route: dict[str, Any], out: bool
) -> None:
    assert _leads_to_internet(route) is out


def test_ranges_are_everybody_only_together_and_in_full() -> None:
    quarters = ["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"]
    assert everybody(quarters)
    assert not any(everybody(quarters[:at] + quarters[at + 1 :]) for at in range(4))
    assert not everybody(["", "nonsense", "::/0"])
    odd: SecurityGroupRule = read_group_rule(
        {"GroupId": "sg-1", "SecurityGroupRuleId": "sgr-1", "IpProtocol": "-1"}
    )
    assert (odd.source_kind, odd.source, odd.covers(80)) == ("cidr", "", True)
