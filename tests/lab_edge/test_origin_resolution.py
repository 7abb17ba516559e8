"""Security groups, VPC origins and custom origins: where an origin leads, and why not."""

from __future__ import annotations

from typing import Any

import pytest

from lab.edge.account.state import State, parse_state
from lab.edge.network.origin_resolution import (
    MAX_CONNECT_WAIT,
    ResolvedAddress,
    ResolvedListener,
    Unreachable,
    resolve_origin,
)
from lab.edge.network.packet_filter import PacketSource, cloudfront_source, groups_admit

from .account import (
    SERVICE_GROUP,
    VPC,
    Json,
    account,
    behavior,
    custom_origin,
    distribution,
    forward,
    ingress,
    listener,
    load_balancer,
    vpc_origin,
    vpc_origin_ref,
)

CLOUDFRONT = "130.176.14.52"


@pytest.mark.parametrize(
    ("rule", "address", "group", "expected"),
    [
        (ingress(80, lists=["pl-3b927c52"]), CLOUDFRONT, None, True),
        (ingress(80, lists=["pl-3b927c52"]), "203.0.113.1", None, False),
        (ingress(80, lists=["pl-unknown"]), CLOUDFRONT, None, False),
        (ingress(443, lists=["pl-3b927c52"]), CLOUDFRONT, None, False),
        (ingress(80, groups=[SERVICE_GROUP]), CLOUDFRONT, SERVICE_GROUP, True),
        (ingress(80, groups=[SERVICE_GROUP]), CLOUDFRONT, None, False),
        (ingress(80, groups=["sg-other"]), CLOUDFRONT, SERVICE_GROUP, False),
        (ingress(80, cidrs=["10.10.0.0/16"]), CLOUDFRONT, SERVICE_GROUP, False),
        (ingress(80, cidrs=["130.176.0.0/16"]), CLOUDFRONT, None, True),
        (ingress(80, cidrs=["::/0"]), CLOUDFRONT, None, False),
        (ingress(80, cidrs=["0.0.0.0/0"]), CLOUDFRONT, None, True),
        ({**ingress(0, cidrs=["0.0.0.0/0"]), "to_port": 65535}, CLOUDFRONT, None, True),
        ({"protocol": "-1", "cidrs": ["0.0.0.0/0"]}, CLOUDFRONT, None, True),
        ({**ingress(80, cidrs=["0.0.0.0/0"]), "protocol": "udp"}, CLOUDFRONT, None, False),
    ],
)
def test_one_rule(rule: Json, address: str, group: str | None, expected: bool) -> None:
    made = account()
    made["security_groups"]["sg-tried"] = {"ingress": [rule]}
    groups = frozenset({group} if group else ())
    assert (
        groups_admit(parse_state(made).network, ["sg-tried"], 80, PacketSource(address, groups))
        is expected
    )


def test_no_rule_admits_nobody_and_no_group_admits_everybody() -> None:
    made = account()
    made["security_groups"]["sg-empty"] = {"ingress": []}
    network = parse_state(made).network
    assert not groups_admit(network, ["sg-empty"], 80, PacketSource(CLOUDFRONT))
    assert groups_admit(network, [], 80, PacketSource(CLOUDFRONT))


@pytest.mark.rule("vpc-origin/service-group-admits")
def test_only_the_way_through_a_vpc_origin_belongs_to_the_service_group() -> None:
    network = parse_state(account()).network
    assert cloudfront_source(network, VPC, CLOUDFRONT, through_vpc_origin=True).groups == {
        SERVICE_GROUP
    }
    assert (
        cloudfront_source(network, VPC, CLOUDFRONT, through_vpc_origin=False).groups == frozenset()
    )


def resolved(
    origin: Json, scheme: str = "https", **balancer: Any
) -> ResolvedListener | ResolvedAddress | Unreachable:
    """Reach `origin` in an account with one load balancer "chat" (HTTP:80) and a VPC origin per
    situation.
    """
    state = state_with(origin, **balancer)
    return resolve_origin(state, state.distributions[0].origins[origin["Id"]], scheme, CLOUDFRONT)


def state_with(origin: Json, **changes: Any) -> State:
    return parse_state(
        account(
            [distribution("d", [origin], behavior(origin["Id"]))],
            [
                vpc_origin("chat", "chat"),
                vpc_origin("https", "chat", policy="https-only"),
                vpc_origin("match", "chat", policy="match-viewer"),
                vpc_origin("deploying", "chat", status="Deploying"),
                vpc_origin("orphan", "deleted"),
            ],
            [
                {**load_balancer("chat", [listener("chat", forward("chat"))]), **changes},
                load_balancer("pub", [listener("pub", forward("chat"))], scheme="internet-facing"),
            ],
        )
    )


def problem(answer: ResolvedListener | ResolvedAddress | Unreachable) -> tuple[int, str]:
    assert isinstance(answer, Unreachable)
    return answer.refusal.status, answer.refusal.detail


def test_a_deployed_vpc_origin_leads_to_the_listener() -> None:
    answer = resolved(vpc_origin_ref("chat"))
    assert isinstance(answer, ResolvedListener)
    assert (answer.load_balancer.name, answer.listener.port) == ("chat", 80)


@pytest.mark.rule("distribution/origin-protocol-policy", "vpc-origin/protocol-policies")
def test_match_viewer_follows_the_viewers_protocol() -> None:
    assert isinstance(resolved(vpc_origin_ref("match"), "http"), ResolvedListener)
    assert problem(resolved(vpc_origin_ref("match"), "https")) == (502, "OriginConnectError")


@pytest.mark.rule(
    "websocket/origin-dns-error", "answer/origin-dns", "answer/vpc-origin-not-deployed"
)
@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (vpc_origin_ref("https"), (502, "OriginConnectError")),
        (vpc_origin_ref("deploying"), (502, "OriginConnectError")),
        (vpc_origin_ref("orphan"), (502, "OriginConnectError")),
        (vpc_origin_ref("unknown"), (502, "OriginConnectError")),
        (custom_origin("c", "nowhere.example"), (502, "OriginDnsError")),
        (custom_origin("c", "internal-chat.elb.amazonaws.com"), (502, "OriginDnsError")),
        (custom_origin("c", "pub.elb.amazonaws.com", http_port=81), (504, "OriginCommError")),
        ({"Id": "s3", "DomainName": "bucket.s3.amazonaws.com"}, (502, "OriginDnsError")),
    ],
)
def test_what_leads_nowhere(origin: Json, expected: tuple[int, str]) -> None:
    assert problem(resolved(origin)) == expected


@pytest.mark.rule("distribution/public-custom-origin")
def test_a_public_custom_origin_is_reached_by_name() -> None:
    assert isinstance(resolved(custom_origin("c", "PUB.elb.amazonaws.com")), ResolvedListener)


@pytest.mark.rule("timeout/connection", "answer/dropped-packets")
def test_a_closed_group_costs_the_attempts_times_the_timeout_but_never_too_long() -> None:
    closed: Json = {"security_groups": ["sg-closed"]}
    answer = resolved(vpc_origin_ref("chat"), **closed)
    assert problem(answer) == (504, "OriginCommError")
    assert isinstance(answer, Unreachable)
    assert answer.wait == pytest.approx(0.3)
    quick = resolved(vpc_origin_ref("chat", ConnectionAttempts=1, ConnectionTimeout=5), **closed)
    assert isinstance(quick, Unreachable)
    assert quick.wait == pytest.approx(0.05)
    state = parse_state({**account(scale=0), "version": 1})
    slow_clock = state_with(vpc_origin_ref("chat"), **closed)
    slow = resolve_origin(
        State(**{**{f: getattr(slow_clock, f) for f in State.__slots__}, "scale": state.scale}),
        slow_clock.distributions[0].origins["chat"],
        "https",
        CLOUDFRONT,
    )
    assert isinstance(slow, Unreachable)
    assert slow.wait == MAX_CONNECT_WAIT


@pytest.mark.rule("balancer/security-group")
def test_the_group_is_asked_before_the_listener() -> None:
    assert problem(resolved(vpc_origin_ref("chat"), listeners=[])) == (502, "OriginConnectError")
    closed: Json = {"security_groups": ["sg-closed"], "listeners": []}
    assert problem(resolved(vpc_origin_ref("chat"), **closed)) == (504, "OriginCommError")
