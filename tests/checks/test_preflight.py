"""What the preflight says of targets that are ready, made ready by the plan, not ready, and not to
be seen.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.preflight import TITLES, Level, PreflightResult, PreflightSubject, blocks, evaluate
from provisioning.facts.distribution import Origin
from provisioning.facts.load_balancer import Listener, ListenerRule, RegisteredTarget, TargetGroup
from provisioning.facts.names import Arn, SecurityGroupId, VpcOriginId
from provisioning.facts.network import AclEntry, SecurityGroupRule, Subnet
from provisioning.facts.permissions import Permission
from provisioning.facts.snapshot import Gap, Snapshot, VpcOriginFacts
from provisioning.facts.target import TargetFacts
from provisioning.plan.items import Unplannable
from provisioning.plan.path_ownership import PathClaim, PathRights
from provisioning.plan.planner import make_plan
from tests.provisioning.examples import KEY, OWNER, RIGHTS, TARGET, behavior, snapshot, spec

ALL_OUT = (AclEntry(100, True, "-1", "0.0.0.0/0"), AclEntry(32767, False, "-1", "0.0.0.0/0"))
SUBNETS = tuple(
    Subnet(f"subnet-{letter}", zone, 251, False, acl_id="acl-1", acl_egress=ALL_OUT)
    for letter, zone in (("a", "use1-az6"), ("b", "use1-az1"))
)
WELL = (RegisteredTarget("10.0.0.1", "healthy"), RegisteredTarget("10.0.0.2", "healthy"))
GROUP = TargetGroup(
    "arn:tg",
    "chat",
    "HTTP",
    "HTTP1",
    "ip",
    "/healthz",
    WELL,
    sticky=False,
    deregistration_seconds=300,
)
ATTRIBUTES = (
    ("idle_timeout.timeout_seconds", "60"),
    ("ipv6.deny_all_igw_traffic", "true"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
)
READY: dict[str, Any] = {
    "subnets": SUBNETS,
    "internet_gateway": True,
    "block_public_access": "off",
    "idle_timeout_seconds": 60,
    "listeners": (Listener(80, "HTTP", "forward", rules=()),),
    "attributes": ATTRIBUTES,
    "groups": (GROUP,),
    "public_addresses": (),
    "internet_facing_load_balancers": (),
    "group_tags": (),
    "healthy_targets": 2,
    "registered_targets": 2,
}
IDLE = {"TCP": 350, "TLS": 350}
ANSWERS: dict[str, Any] = {"path_patterns": ["/ws/chat", "/ws/chat/*"]}
MAKE, PUBLISH, OPEN = (
    "cloudfront:CreateVpcOrigin",
    "cloudfront:UpdateDistribution",
    "ec2:AuthorizeSecurityGroupIngress",
)
MAY = tuple(Permission(action, "*", "allowed") for action in (MAKE, PUBLISH, OPEN))


def seen(target: dict[str, Any] | None = None, **more: Any) -> Snapshot:
    known: dict[str, Any] = {"service_role": True, "permissions": MAY}
    return snapshot(target=READY | (target or {}), **known | more)


def judged(
    answers: dict[str, Any] | None = None, facts: Snapshot | None = None, **subject: Any
) -> dict[str, list[PreflightResult]]:
    about = replace(PreflightSubject.of(spec(**(ANSWERS | (answers or {})))), **subject)
    found: dict[str, list[PreflightResult]] = {}
    for result in evaluate(about, facts or seen()):
        found.setdefault(result.code, []).append(result)
    return found


def level(
    code: str, answers: dict[str, Any] | None = None, facts: Snapshot | None = None, **subject: Any
) -> Level:
    """The worst that is said under one code."""
    return max(result.level for result in judged(answers, facts, **subject)[code])


def listener(
    port: int = 80, protocol: str = "HTTP", action: str = "forward", **more: Any
) -> Listener:
    return Listener(
        port, protocol, action, **({"rules": (), "idle_timeout_seconds": IDLE.get(protocol)} | more)
    )


def ingress(
    source_kind: str, source: str, port: int = 80, protocol: str = "tcp"
) -> SecurityGroupRule:
    return SecurityGroupRule(
        SecurityGroupId("sg-1"), "sgr-9", protocol, port, port, source_kind, source
    )


def inner(count: int) -> tuple[SecurityGroupRule, ...]:
    return tuple(ingress("cidr", f"10.0.{number}.0/24") for number in range(count))


def rule_for(
    *paths: str, hosts: tuple[str, ...] = (), narrow: bool = False, action: str = "forward"
) -> ListenerRule:
    return ListenerRule(hosts, paths, narrow, action)


def test_a_ready_target_passes_everything() -> None:
    results = [result for found in judged().values() for result in found]
    assert {result.level for result in results} == {Level.PASS}
    assert not blocks(results)
    assert len({result.code for result in results}) >= 18


def test_the_seeded_cast_is_judged_as_its_names_say() -> None:
    """Closed: the plan opens it. Public, without the listener, Gateway: blocked, each for its own
    reason only.
    """

    def worst(facts: Snapshot) -> set[tuple[str, str]]:
        return {
            (result.code, result.level.value)
            for found in judged(facts=facts).values()
            for result in found
            if result.level in (Level.BLOCK, Level.FIXABLE)
        }

    assert worst(seen({"ingress": (ingress("cidr", "10.10.0.0/16"),)})) == {
        ("PF-INGRESS", "fixable")
    }
    assert worst(seen({"scheme": "internet-facing"})) == {("PF-SCHEME", "block")}
    assert worst(seen({"listeners": (listener(8443),)})) == {("PF-LISTENER", "block")}
    assert worst(seen({"kind": "gateway", "security_groups": (), "listeners": ()})) == {
        ("PF-KIND", "block")
    }


OTHER_LIST: dict[str, Any] = {"ingress": (ingress("prefix-list", "pl-other"),)}
TARGET_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("PF-STATE", {"state": "active"}, "pass"),
    ("PF-STATE", {"state": "active_impaired"}, "warn"),
    ("PF-STATE", {"state": "provisioning"}, "block"),
    ("PF-STATE", {"state": "stopped", "kind": "instance"}, "block"),
    ("PF-SCHEME", {"scheme": "internet-facing"}, "block"),
    ("PF-SCHEME", {"scheme": "internet-facing", "kind": "instance"}, "warn"),
    ("PF-SCHEME", {"scheme": "internal", "kind": "instance"}, "pass"),
    ("PF-GROUP", {"security_groups": ()}, "block"),
    ("PF-GROUP", {"security_groups": (), "kind": "network"}, "block"),
    ("PF-TLS", {"kind": "network", "listeners": (listener(80, "TCP"),)}, "pass"),
    (
        "PF-TLS",
        {"kind": "network", "listeners": (listener(80, "TCP"), listener(8443, "TLS"))},
        "block",
    ),
    ("PF-LISTENER", {"listeners": ()}, "block"),
    ("PF-LISTENER", {"listeners": (listener(80, "HTTPS"),)}, "block"),
    ("PF-LISTENER", {"listeners": (listener(8080),)}, "block"),
    ("PF-LISTENER", {"listeners": (listener(80, "TCP"),), "kind": "network"}, "pass"),
    ("PF-LISTENER", {"listeners": (listener(80, "UDP"),), "kind": "network"}, "block"),
    ("PF-LISTENER", {"listeners": (), "kind": "instance"}, "unknown"),
    (
        "PF-ACTION",
        {"listeners": (listener(action="redirect", redirect_protocol="HTTPS"),)},
        "block",
    ),
    (
        "PF-ACTION",
        {"listeners": (listener(action="redirect", redirect_protocol="HTTPS", rules=None),)},
        "warn",
    ),
    (
        "PF-ACTION",
        {"listeners": (listener(action="fixed-response", rules=(rule_for("/ws/*"),)),)},
        "pass",
    ),
    ("PF-RULES", {"listeners": (listener(rules=None),)}, "unknown"),
    ("PF-RULES", {"listeners": (listener(rules=(rule_for("/ws/*", action="redirect"),)),)}, "warn"),
    (
        "PF-RULES",
        {"listeners": (listener(rules=(rule_for("/ws/chat/a", action="redirect"),)),)},
        "warn",
    ),
    (
        "PF-RULES",
        {"listeners": (listener(rules=(rule_for("/ws/*", narrow=True, action="redirect"),)),)},
        "warn",
    ),
    (
        "PF-RULES",
        {"listeners": (listener(rules=(rule_for("/api/*", action="redirect"),)),)},
        "pass",
    ),
    (
        "PF-RULES",
        {"listeners": (listener(rules=(rule_for(hosts=("other.example",), action="redirect"),)),)},
        "pass",
    ),
    (
        "PF-RULES",
        {"listeners": (listener(action="fixed-response", rules=(rule_for(hosts=("a.b",)),)),)},
        "warn",
    ),
    ("PF-ACTION", {"listeners": (listener(action="authenticate-oidc"),)}, "warn"),
    ("PF-ACTION", {"listeners": (listener(action="fixed-response"),)}, "warn"),
    ("PF-IP-TYPE", {"kind": "network", "ip_address_type": "dualstack"}, "warn"),
    ("PF-GATEWAY", {"internet_gateway": False}, "block"),
    ("PF-GATEWAY", {"internet_gateway": None}, "unknown"),
    ("PF-BPA", {"block_public_access": "block-bidirectional"}, "block"),
    ("PF-BPA", {"block_public_access": "block-ingress"}, "block"),
    ("PF-BPA", {"block_public_access": "block-bidirectional+allow-bidirectional"}, "warn"),
    ("PF-BPA", {"block_public_access": "block-bidirectional+allow-egress"}, "block"),
    ("PF-BPA", {"block_public_access": ""}, "unknown"),
    ("PF-SUBNET", {"subnets": (SUBNETS[0], replace(SUBNETS[1], public=True))}, "warn"),
    ("PF-SUBNET", {"subnets": ()}, "unknown"),
    (
        "PF-BPA",
        {"block_public_access": "block-bidirectional", "exclusions_allowed": False},
        "block",
    ),
    ("PF-IPV6", {"subnets": (replace(SUBNETS[0], ipv6_only=True),)}, "block"),
    ("PF-IPV6", {"ip_address_type": "dualstack"}, "pass"),
    (
        "PF-IPV6",
        {"ip_address_type": "dualstack", "attributes": (("ipv6.deny_all_igw_traffic", "false"),)},
        "warn",
    ),
    ("PF-IPV6", {"ip_address_type": "dualstack", "attributes": ()}, "unknown"),
    ("PF-NACL", {"subnets": (replace(SUBNETS[0], acl_egress=None),)}, "unknown"),
    ("PF-NACL", {"subnets": (replace(SUBNETS[0], acl_egress=()),)}, "warn"),
    ("PF-PUBLIC-ADDRESS", {"public_addresses": ("54.1.2.3",)}, "warn"),
    ("PF-PUBLIC-ADDRESS", {"public_addresses": None}, "unknown"),
    ("PF-PUBLIC-ADDRESS", {"addresses_behind": ("54.1.2.3",)}, "warn"),
    (
        "PF-PUBLIC-ADDRESS",
        {"kind": "instance", "subnets": (replace(SUBNETS[0], maps_public=True),)},
        "warn",
    ),
    ("PF-PUBLIC-ADDRESS", {"public_addresses": ()}, "pass"),
    ("PF-PUBLIC-ADDRESS", {"groups": None}, "unknown"),
    ("PF-PUBLIC-ADDRESS", {"groups": None, "kind": "instance"}, "pass"),
    ("PF-OTHER-ROUTE", {"internet_facing_load_balancers": ("pub-web",)}, "warn"),
    ("PF-OTHER-ROUTE", {"internet_facing_load_balancers": None}, "unknown"),
    ("PF-OTHER-ROUTE", {"internet_facing_load_balancers": ()}, "pass"),
    ("PF-OTHER-ROUTE", {"api_gateway_links": ("API chat-http",)}, "warn"),
    (
        "PF-OTHER-ROUTE",
        {"api_gateway_links": ("API chat-http",), "internet_facing_load_balancers": None},
        "warn",
    ),
    ("PF-TARGET-GROUP", {"groups": (GROUP,)}, "pass"),
    ("PF-TARGET-GROUP", {"groups": (replace(GROUP, protocol_version="GRPC"),)}, "warn"),
    ("PF-TARGET-GROUP", {"groups": None}, "unknown"),
    ("PF-STICKY", {"groups": (GROUP,)}, "pass"),
    ("PF-STICKY", {"groups": (replace(GROUP, sticky=None),)}, "unknown"),
    ("PF-ATTRIBUTES", {"attributes": ATTRIBUTES}, "pass"),
    ("PF-ATTRIBUTES", {"attributes": None}, "unknown"),
    ("PF-ADDRESS", {"subnets": (SUBNETS[0], replace(SUBNETS[1], free_addresses=0))}, "block"),
    ("PF-ADDRESS", {"subnets": (replace(SUBNETS[0], free_addresses=3),)}, "warn"),
    ("PF-ADDRESS", {"subnets": (replace(SUBNETS[0], free_addresses=8),)}, "pass"),
    (
        "PF-ZONE",
        {"subnets": (SUBNETS[0], replace(SUBNETS[1], availability_zone_id="use1-az3"))},
        "block",
    ),
    ("PF-ZONE", {"arn": Arn(TARGET.replace("us-east-1", "cn-north-1"))}, "block"),
    ("PF-INGRESS", {"ingress": (ingress("group", "sg-service"),)}, "pass"),
    ("PF-INGRESS", {"ingress": (ingress("prefix-list", "pl-other"),)}, "fixable"),
    ("PF-INGRESS", {"ingress": (ingress("prefix-list", "pl-1", 443),)}, "fixable"),
    ("PF-INGRESS", {"ingress": (ingress("prefix-list", "pl-1", protocol="udp"),)}, "fixable"),
    ("PF-INGRESS", {"ingress": ()}, "fixable"),
    ("PF-GROUP-ROOM", {"ingress": (ingress("prefix-list", "pl-1"),)}, "pass"),
    ("PF-GROUP-ROOM", {"ingress": (ingress("prefix-list", "pl-1", 443),)}, "pass"),
    ("PF-GROUP-ROOM", {"ingress": (ingress("prefix-list", "pl-1", 443), *inner(4))}, "pass"),
    ("PF-GROUP-ROOM", {"ingress": (ingress("prefix-list", "pl-1", 443), *inner(5))}, "warn"),
    ("PF-GROUP-ROOM", {"ingress": (ingress("prefix-list", "pl-other"),)}, "unknown"),
    ("PF-GROUP-ROOM", OTHER_LIST | {"list_weights": (("pl-other", None),)}, "unknown"),
    ("PF-GROUP-ROOM", OTHER_LIST | {"list_weights": (("pl-other", 59),)}, "pass"),
    ("PF-GROUP-ROOM", OTHER_LIST | {"list_weights": (("pl-other", 60),)}, "warn"),
    ("PF-PUBLIC", {"ingress": (ingress("cidr", "0.0.0.0/0"),)}, "warn"),
    ("PF-PUBLIC", {"ingress": (ingress("cidr", "::/0"),)}, "warn"),
    ("PF-PUBLIC", {"ingress": (ingress("cidr", "8.0.0.0/8"),)}, "warn"),
    (
        "PF-PUBLIC",
        {"ingress": (ingress("cidr", "100.64.0.0/10"), ingress("cidr", "fd00::/8"))},
        "pass",
    ),
    ("PF-PUBLIC", {"ingress": (ingress("prefix-list", "pl-1", 22),)}, "pass"),
    ("PF-PUBLIC", OTHER_LIST, "unknown"),
    ("PF-HEALTH", {"healthy_targets": 0, "registered_targets": 0}, "warn"),
    ("PF-HEALTH", {"healthy_targets": 0}, "warn"),
    ("PF-HEALTH", {"healthy_targets": 1}, "warn"),
    ("PF-HEALTH", {"healthy_targets": None, "registered_targets": None}, "unknown"),
]


@pytest.mark.parametrize(("code", "target", "expected"), TARGET_CASES)
def test_each_rule_of_the_target(code: str, target: dict[str, Any], expected: str) -> None:
    assert level(code, {"http_port": 80, "origin_protocol": "http-only"}, seen(target)) == expected


def test_an_unhealthy_target_is_told_with_what_its_health_check_wants() -> None:
    def said(reason: str, codes: str = "200,302", path: str = "/healthz") -> str:
        ill = replace(
            GROUP,
            targets=(RegisteredTarget("10.0.0.1", "unhealthy", reason),),
            health_check_codes=codes,
            health_check_path=path,
        )
        facts = seen({"groups": (ill,), "healthy_targets": 0, "registered_targets": 1})
        return judged(facts=facts)["PF-HEALTH"][0].seen

    assert said("Target.ResponseCodeMismatch") == (
        "0 of 1 targets are healthy: the app answers the health check (GET /healthz) with a status "
        "that the target group does not accept (it accepts 200,302; Target.ResponseCodeMismatch)."
    )
    assert "check (GET /healthz) in time (Target.Timeout)." in said("Target.Timeout")
    assert "check (a connection) gets no" in said("Target.FailedHealthChecks", path="")
    assert said("Target.New") == "0 of 1 targets are healthy: AWS says Target.New."
    assert said("") == "0 of 1 targets are healthy."


def test_a_closed_group_is_fixable_only_if_the_plan_may_open_it() -> None:
    closed = seen({"ingress": ()})
    (fixable,) = judged(facts=closed)["PF-INGRESS"]
    assert fixable.in_plan
    (blocked,) = judged({"open_security_group": False}, closed)["PF-INGRESS"]
    assert (blocked.level, blocked.in_plan) == (Level.BLOCK, False)
    assert blocked.fix is not None
    assert "--source-group sg-service" in blocked.fix.cli


def test_every_port_that_cloudfront_may_use_is_looked_at() -> None:
    both = {"origin_protocol": "match-viewer", "http_port": 80, "https_port": 443}
    plain = seen({"listeners": (listener(80),)})
    assert level("PF-LISTENER", both, plain) == Level.BLOCK
    assert level("PF-INGRESS", both, plain) == Level.FIXABLE
    listening = seen({"listeners": (listener(80), listener(443, "HTTPS"))})
    assert level("PF-LISTENER", both, listening) == Level.PASS
    swapped = seen({"listeners": (listener(80, "HTTPS"), listener(443, "HTTP"))})
    assert level("PF-LISTENER", both, swapped) == Level.BLOCK


@pytest.mark.parametrize(
    ("target", "silence", "expected"),
    [
        ({}, 30, "pass"),
        ({}, 59, "pass"),
        ({}, 60, "warn"),
        ({"idle_timeout_seconds": 4000}, 599, "pass"),
        ({"idle_timeout_seconds": 4000}, 600, "warn"),
        (
            {"kind": "network", "listeners": (listener(80, "TCP", idle_timeout_seconds=350),)},
            350,
            "warn",
        ),
        (
            {"kind": "network", "listeners": (listener(80, "TCP", idle_timeout_seconds=None),)},
            30,
            "unknown",
        ),
        ({"idle_timeout_seconds": None}, 30, "unknown"),
        ({"kind": "instance", "idle_timeout_seconds": None, "listeners": ()}, 300, "pass"),
    ],
)
def test_the_shortest_idle_clock_on_the_way_decides(
    target: dict[str, Any], silence: int, expected: str
) -> None:
    facts = seen({"idle_timeout_seconds": None} | target if target.get("kind") else target)
    assert level("PF-IDLE", {"max_silence_seconds": silence}, facts) == expected


GAPS = {
    "target": ("PF-TARGET",),
    "distribution": ("PF-DISTRIBUTION",),
    "vpc_origins": ("PF-VPC-ORIGIN",),
    "listeners": ("PF-LISTENER",),
    "rules": ("PF-RULES",),
    "ingress": ("PF-INGRESS", "PF-PUBLIC", "PF-GROUP-ROOM"),
    "prefix_list": ("PF-INGRESS", "PF-PUBLIC", "PF-GROUP-ROOM"),
    "service_group": ("PF-INGRESS",),
    "subnets": ("PF-SUBNET", "PF-ADDRESS", "PF-ZONE", "PF-NACL"),
    "acls": ("PF-NACL",),
    "addresses": ("PF-PUBLIC-ADDRESS",),
    "addresses_behind": ("PF-PUBLIC-ADDRESS",),
    "api_gateway": ("PF-OTHER-ROUTE",),
    "internet_facing_load_balancers": ("PF-OTHER-ROUTE",),
    "service_role": ("PF-ROLE",),
    "permissions": ("PF-PERMISSION",),
    "internet_gateway": ("PF-GATEWAY",),
    "block_public_access": ("PF-BPA",),
    "target_health": ("PF-HEALTH", "PF-TARGET-GROUP", "PF-STICKY", "PF-PUBLIC-ADDRESS"),
    "attributes": ("PF-IDLE", "PF-ATTRIBUTES"),
    "list_weights": ("PF-GROUP-ROOM",),
}
BLANK: dict[str, dict[str, Any]] = {
    "listeners": {"listeners": ()},
    "ingress": {"ingress": ()},
    "prefix_list": {"origin_facing_prefix_list": ""},
    "service_group": {"service_group_id": "", "ingress": (ingress("group", "sg-service"),)},
    "subnets": {"subnets": ()},
    "internet_gateway": {"internet_gateway": None},
    "block_public_access": {"block_public_access": ""},
    "target_health": {"healthy_targets": None, "registered_targets": None, "groups": None},
    "attributes": {"idle_timeout_seconds": None, "attributes": None},
    "rules": {"listeners": (Listener(80, "HTTP", "forward"),)},
    "acls": {"subnets": tuple(replace(subnet, acl_egress=None) for subnet in SUBNETS)},
    "addresses": {"public_addresses": None},
    "internet_facing_load_balancers": {"internet_facing_load_balancers": None},
    "list_weights": {"ingress": (ingress("prefix-list", "pl-other"),)},
}


@pytest.mark.parametrize("what", GAPS)
def test_what_could_not_be_seen_is_unknown_never_passed(what: str) -> None:
    facts = seen(BLANK.get(what), gaps=(Gap(what, "AccessDenied: not authorized"),))
    if what in ("target", "distribution"):
        facts = (
            replace(facts, target=None) if what == "target" else replace(facts, distribution=None)
        )
    found = judged(facts=facts)
    for code in GAPS[what]:
        assert [result.level for result in found[code]] == [Level.UNKNOWN]
        assert "not authorized" in found[code][0].why


def test_what_is_not_there_is_blocked_and_nothing_is_said_about_its_parts() -> None:
    found = judged(facts=replace(seen(), target=None))
    assert found["PF-TARGET"][0].level is Level.BLOCK
    assert "PF-STATE" not in found
    found = judged(facts=replace(seen(), distribution=None))
    assert found["PF-DISTRIBUTION"][0].level is Level.BLOCK
    assert "PF-PATH-TAKEN" not in found


def test_a_form_can_ask_with_nothing_but_a_target() -> None:
    results = evaluate(PreflightSubject(target_arn=TARGET), replace(seen(), distribution=None))
    assert {result.level for result in results} == {Level.PASS}
    assert not {"PF-DISTRIBUTION", "PF-INGRESS", "PF-IDLE"} & {result.code for result in results}
    assert evaluate(PreflightSubject(), seen()) == ()


def test_a_disabled_distribution_and_one_too_new_for_the_library_are_blocked() -> None:
    assert level("PF-DISTRIBUTION", facts=seen(distribution={"enabled": False})) == Level.BLOCK
    assert (
        level("PF-UNKNOWN-SETTINGS", facts=seen(distribution={"unknown_elements": ("X",)}))
        == Level.BLOCK
    )


def test_a_staging_distribution_is_refused_and_its_primary_is_taken_with_a_warning() -> None:
    """CloudFront Developer Guide, continuous deployment: viewers reach a staging distribution only
    by its primary.
    """
    (refused,) = judged(facts=seen(distribution={"staging": True}))["PF-STAGING"]
    assert refused.level is Level.BLOCK
    assert refused.fix is not None
    assert "primary" in refused.fix.console
    assert "d111111abcdef8.cloudfront.net" in refused.fix.console + refused.fix.cli
    (warned,) = judged(facts=seen(distribution={"continuous_deployment_policy_id": "policy-1"}))[
        "PF-STAGING"
    ]
    assert warned.level is Level.WARN
    assert "policy-1" in warned.seen
    assert level("PF-STAGING") is Level.PASS


def test_a_path_of_somebody_else_is_blocked_and_our_own_is_not() -> None:
    facts = seen(distribution={"behaviors": (behavior("/ws/chat", "edge-portal-1"),)})
    assert level("PF-PATH-TAKEN", facts=facts) == Level.BLOCK
    assert level("PF-PATH-TAKEN", facts=facts, origin_id="edge-portal-1") == Level.PASS


def test_a_path_of_an_endpoint_whose_behavior_is_missing_in_aws_is_blocked() -> None:
    rights = PathRights("chat", (PathClaim("/ws/chat", "chat", "rooms", "edge-portal-1"),))
    asked = {"path_patterns": ["/ws/chat"]}
    assert level("PF-PATH-TAKEN", asked, rights=rights) is Level.BLOCK
    assert level("PF-PATH-TAKEN", asked, rights=rights, origin_id="edge-portal-1") is Level.PASS


@pytest.mark.parametrize(("free", "expected"), [(True, Level.PASS), (False, Level.BLOCK)])
def test_a_name_is_judged_where_it_is_known_whether_it_is_free(free: bool, expected: Level) -> None:
    assert level("PF-NAME", name_free=free) is expected
    assert "PF-NAME" not in judged()


@pytest.mark.parametrize(
    ("existing", "patterns", "expected"),
    [
        ((), ["/ws/chat"], "pass"),
        (("/ws/*",), ["/ws/chat"], "pass"),
        (("/api/*", "/ws/*"), ["/ws/chat"], "pass"),
        (("/ws/chat/admin",), ["/ws/chat", "/ws/chat/*"], "warn"),
        (("/*.php", "/ws/*"), ["/ws/chat/*", "/ws/chat"], "warn"),
        (("/*.php",), ["/ws/chat"], "pass"),
    ],
)
def test_who_answers_before_us(
    existing: tuple[str, ...], patterns: list[str], expected: str
) -> None:
    facts = seen(distribution={"behaviors": tuple(map(behavior, existing))})
    assert level("PF-PATH-ORDER", {"path_patterns": patterns}, facts) == expected


@pytest.mark.parametrize(("leads_to", "expected"), [("ours", "pass"), ("theirs", "warn")])
def test_a_change_does_not_warn_of_the_path_that_it_replaces(leads_to: str, expected: str) -> None:
    facts = seen(distribution={"behaviors": (behavior("/ws/chat", leads_to),)})
    wider = {"path_patterns": ["/ws/chat*"], "check_path": "/ws/chat/"}
    assert level("PF-PATH-ORDER", wider, facts, origin_id="ours") == expected


def test_a_behavior_of_ours_that_was_moved_behind_a_broader_one_is_told() -> None:
    moved = (behavior("/ws/*"), behavior("/ws/chat", "ours"), behavior("/ws/chat/*", "ours"))
    facts = seen(distribution={"behaviors": moved})
    assert level("PF-PATH-ORDER", facts=facts, origin_id="ours") == Level.BLOCK


def test_a_path_that_may_be_a_namespace_is_asked_about() -> None:
    def said(kind: str, path: str) -> PreflightResult:
        return judged({"app_kind": kind, "path_patterns": [path]})["PF-PATH-CHECK"][0]

    doubted = said("socketio", "/chat/*")
    assert doubted.level is Level.WARN
    assert "A namespace such as /chat is not a path." in doubted.why
    assert doubted.fix
    assert "change the path to /socket.io/*" in doubted.fix.console
    assert said("engineio", "/chat/*").level is Level.WARN
    for kind, path in (("socketio", "/socket.io/*"), ("socketio2", "/app/socket.io/*")):
        assert said(kind, path).level is Level.PASS
    assert said("phoenix", "/chat/*").level is Level.PASS


@pytest.mark.parametrize(
    ("patterns", "missing"),
    [
        (["/ws/*"], ["/ws"]),
        (["/ws", "/ws/*"], []),
        (["/ws*", "/ws/*"], []),
        (["/ws/chat"], []),
        (["/a/*", "/b/c/*"], ["/a", "/b/c"]),
        (["/socket.io/*"], []),  # its clients always request a path below
    ],
)
def test_the_path_without_its_slash(patterns: list[str], missing: list[str]) -> None:
    found = judged({"path_patterns": patterns}).get("PF-PATH-BARE", [])
    assert [result.seen.split(" does not match ")[1].rstrip(".") for result in found] == missing


def ours(**changes: Any) -> VpcOriginFacts:
    name = f"{OWNER}-{spec(**ANSWERS).vpc_origin_key}"
    return replace(
        VpcOriginFacts(VpcOriginId("vo_1"), name, TARGET, "Deployed", True, 1), **changes
    )


def others(count: int) -> tuple[VpcOriginFacts, ...]:
    return tuple(
        VpcOriginFacts(VpcOriginId(f"vo_{n}"), f"theirs-{n}", Arn("arn:other"), "Deployed")
        for n in range(count)
    )


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ((), "pass"),
        ((ours(),), "pass"),
        ((ours(status="Deploying"),), "pass"),
        ((ours(status="Failed"),), "warn"),
        ((ours(distributions=50),), "warn"),
        ((ours(distributions=None),), "unknown"),
        ((ours(ours=False),), "block"),
        (others(24), "pass"),
        (others(25), "block"),
        ((*others(24), ours()), "pass"),
    ],
)
def test_a_vpc_origin_is_reused_or_has_room(
    origins: tuple[VpcOriginFacts, ...], expected: str
) -> None:
    assert level("PF-VPC-ORIGIN", facts=seen(vpc_origins=origins)) == expected


def test_there_must_be_room_for_behaviors_and_for_the_origin() -> None:
    full = tuple(behavior(f"/p{number}") for number in range(74))
    assert level("PF-BEHAVIORS", facts=seen(distribution={"behaviors": full})) == Level.BLOCK
    assert level("PF-BEHAVIORS", facts=seen(distribution={"behaviors": full[:73]})) == Level.PASS
    origins = tuple(Origin(f"o{number}", "x.example.com", "") for number in range(100))
    assert level("PF-BEHAVIORS", facts=seen(distribution={"origins": origins})) == Level.BLOCK
    assert (
        level("PF-BEHAVIORS", facts=seen(distribution={"origins": origins}), origin_id="o5")
        == Level.PASS
    )


def test_what_aws_allows_an_account_beyond_its_defaults_counts() -> None:
    """And where that could not be seen, it is said that the default was taken."""
    full = tuple(behavior(f"/p{number}") for number in range(74))
    origins = tuple(Origin(f"o{number}", "x.example.com", "") for number in range(100))
    many = seen(distribution={"behaviors": full, "origins": origins}, vpc_origins=others(25))
    more = replace(many, vpc_origin_quota=40, behavior_quota=100, origin_quota=120)
    assert (level("PF-BEHAVIORS", facts=more), level("PF-VPC-ORIGIN", facts=more)) == (
        Level.PASS,
        Level.PASS,
    )
    assert make_plan(spec(**ANSWERS), more, endpoint_key=KEY, owner=OWNER, rights=RIGHTS).items
    unseen = replace(many, gaps=(Gap("quotas", "AccessDenied: not authorized"),))
    for code in ("PF-BEHAVIORS", "PF-VPC-ORIGIN"):
        (blocked,) = judged(facts=unseen)[code]
        assert blocked.level is Level.BLOCK
        assert "not authorized" in blocked.why
    crowded = seen({"ingress": inner(60)})
    assert level("PF-GROUP-ROOM", facts=crowded) == Level.WARN
    assert level("PF-GROUP-ROOM", facts=replace(crowded, rules_per_group=100)) == Level.PASS


def everything_said() -> list[PreflightResult]:
    said = []
    for code, target, _ in TARGET_CASES:
        said += judged({"http_port": 80, "origin_protocol": "http-only"}, seen(target))[code]
    return said


def test_whoever_is_stopped_is_told_why_and_what_to_do() -> None:
    for result in everything_said():
        assert result.seen.endswith(".")
        if result.level in (Level.BLOCK, Level.WARN):
            assert result.why, result
        if result.level is Level.BLOCK:
            assert result.fix is not None, result
            assert result.fix.console, result


def test_results_are_plain_json_with_their_titles() -> None:
    for result in everything_said():
        plain = json.loads(json.dumps(result.to_dict()))
        assert plain["title"] == TITLES[result.code]
        assert plain["level"] == result.level.value


listeners = st.lists(
    st.builds(
        listener,
        st.sampled_from([80, 443, 8080]),
        st.sampled_from(["HTTP", "HTTPS", "TCP", "TLS", "UDP"]),
    ),
    max_size=3,
    unique_by=lambda one: one.port,
).map(tuple)
any_target = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["application", "network", "instance", "gateway", "something-new"]),
        "scheme": st.sampled_from(["internal", "internet-facing"]),
        "state": st.sampled_from(["active", "failed", ""]),
        "security_groups": st.sampled_from([(), ("sg-1",)]),
        "listeners": listeners,
        "subnets": st.sampled_from([(), SUBNETS]),
        "ingress": st.sampled_from(
            [(), (ingress("cidr", "0.0.0.0/0"),), (ingress("cidr", "nonsense"),)]
        ),
        "idle_timeout_seconds": st.sampled_from([None, 60]),
        "attributes": st.sampled_from([None, (), ATTRIBUTES]),
        "groups": st.sampled_from([None, (), (GROUP,), (replace(GROUP, sticky=None, targets=()),)]),
        "public_addresses": st.sampled_from([None, (), ("54.1.2.3",)]),
        "internet_facing_load_balancers": st.sampled_from([None, (), ("pub-web",)]),
        "addresses_behind": st.sampled_from([(), ("54.1.2.4",)]),
        "api_gateway_links": st.sampled_from([(), ("API chat-http",)]),
        "healthy_targets": st.sampled_from([None, 0, 1]),
        "registered_targets": st.sampled_from([None, 0, 1]),
        "internet_gateway": st.sampled_from([None, True, False]),
        "block_public_access": st.sampled_from(["", "off", "block-ingress", "new-mode"]),
    }
)
any_gaps = st.lists(st.sampled_from(sorted(GAPS)), unique=True).map(
    lambda found: tuple(Gap(w, "no") for w in found)
)


@given(any_target, any_gaps)
def test_whatever_aws_says_it_is_judged_and_no_gap_passes(
    target: dict[str, Any], gaps: tuple[Gap, ...]
) -> None:
    facts = seen(target, gaps=gaps)
    found = judged({"http_port": 80, "origin_protocol": "http-only"}, facts)
    assert set(found) <= set(TITLES)
    for gap in gaps:
        if gap.what not in ("target", "prefix_list", "service_group", "list_weights"):
            said = [result for code in GAPS[gap.what] for result in found.get(code, ())]
            assert all(result.level is not Level.PASS for result in said)


@given(any_target)
def test_what_does_not_block_can_be_planned(target: dict[str, Any]) -> None:
    facts = seen(target)
    answers = spec(**ANSWERS)
    if not blocks(evaluate(PreflightSubject.of(answers), facts)):
        try:
            make_plan(answers, facts, endpoint_key=KEY, owner=OWNER, rights=RIGHTS)
        except Unplannable as obstacle:
            pytest.fail(f"passed the preflight, but {obstacle}")


def test_the_facts_used_here_are_those_of_a_target() -> None:
    assert set(READY) <= set(TargetFacts.__dataclass_fields__)
