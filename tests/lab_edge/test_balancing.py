"""Rules, targets, redirects and headers of an Application Load Balancer; and the edge's idle clocks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.edge.balancing import FrontRequest, candidates, choose_action, redirect_location, target_headers
from lab.edge.network_facts import Action, Listener
from lab.edge.state import parse_state

from .account import Json, account, forward, listener, load_balancer, target_group


def parsed(rules: Sequence[Json] = (), default: Json | None = None) -> Listener:
    made = account(load_balancers=[load_balancer("a", [listener("a", default or forward("default"), rules=rules)])])
    return parse_state(made).load_balancers[0].listeners[0]


def rule(priority: int, field: str, *values: str, to: str) -> Json:
    return {"priority": priority, "conditions": [{"field": field, "values": list(values)}], "actions": [forward(to)]}


def request(target: str = "/", host: str = "chat.example", method: str = "GET") -> FrontRequest:
    return FrontRequest(method, target, (("Host", host),), "130.176.14.52")


RULES = parsed(
    [
        rule(30, "path-pattern", "/ws/*", "/[x]", to="paths"),
        rule(10, "host-header", "*.Example", to="hosts"),
        rule(20, "http-request-method", "POST", to="methods"),
        rule(5, "source-ip", "0.0.0.0/0", to="unjudged"),
    ]
)


@pytest.mark.rule("balancer/rules-by-priority")
@pytest.mark.parametrize(
    ("asked", "group"),
    [
        (request(host="chat.example:80", target="/ws/1"), "hosts"),
        (request(host="CHAT.EXAMPLE"), "hosts"),
        (request(host="other", target="/ws/1?x"), "paths"),
        (request(host="other", target="/WS/1"), "default"),
        (request(host="other", target="/[x]"), "paths"),
        (request(host="other", target="/x"), "default"),
        (request(host="other", method="POST"), "methods"),
        (request(host="other"), "default"),
    ],
)
def test_rules_apply_by_priority_then_the_default(asked: FrontRequest, group: str) -> None:
    action = choose_action(RULES, asked)
    assert action is not None
    assert action.target_group_arns == (f"arn:tg/{group}",)


@pytest.mark.rule("balancer/healthy-first", "balancer/fails-open")
def test_healthy_targets_first_and_all_of_them_if_none_is_healthy() -> None:
    groups = [
        target_group("mixed", "10.0.0.1:80", "10.0.0.2:80"),
        target_group("sick", "10.0.0.3:80", health="unhealthy"),
        target_group("leaving", "10.0.0.4:80", health="draining"),
        target_group("empty"),
    ]
    groups[0]["targets"][0]["health"] = "unhealthy"
    known = parse_state(account(target_groups=groups)).target_groups

    def chosen(name: str) -> list[str]:
        return [target.id for target in candidates(Action("forward", (f"arn:tg/{name}",)), known)]

    assert chosen("mixed") == ["10.0.0.2"]
    assert chosen("sick") == ["10.0.0.3"]
    assert chosen("leaving") == []
    assert chosen("empty") == []
    assert chosen("unknown") == []


@pytest.mark.rule("balancer/redirects")
@pytest.mark.parametrize(
    ("action", "location"),
    [
        ({"protocol": "HTTPS", "port": "443"}, "https://chat.example/ws?a=1"),
        ({"protocol": "HTTPS", "port": "8443"}, "https://chat.example:8443/ws?a=1"),
        ({"host": "new.example", "path": "/v2/#{path}", "query": "b=2"}, "http://new.example/v2/ws?b=2"),
        ({"path": "/fixed", "query": "#{query}&c=3"}, "http://chat.example/fixed?a=1&c=3"),
    ],
)
def test_redirects_fill_in_their_placeholders(action: Json, location: str) -> None:
    at = parsed(default={"type": "redirect", "status_code": "HTTP_301", **action})
    assert redirect_location(at.default_actions[0], request("/ws?a=1"), at) == location


@pytest.mark.rule("balancer/forwarded-headers", "balancer/upgrades")
def test_the_target_sees_this_hop_and_the_ones_before() -> None:
    headers = (
        ("Host", "chat.example"),
        ("X-Forwarded-For", "198.51.100.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "443"),
        ("Connection", "upgrade"),
        ("Upgrade", "websocket"),
        ("Cookie", "a=1"),
    )
    asked = FrontRequest("GET", "/", headers, "130.176.14.52")
    seen = target_headers(asked, RULES, "Root=1-0-0", websocket=True)
    assert seen == (
        ("X-Forwarded-For", "198.51.100.7, 130.176.14.52"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", "80"),
        ("Host", "chat.example"),
        ("X-Amzn-Trace-Id", "Root=1-0-0"),
        ("Upgrade", "websocket"),
        ("Connection", "upgrade"),
        ("Cookie", "a=1"),
    )


@pytest.mark.parametrize(("scale", "idle"), [(0, 60.0), (1, 60.0), (3, 20.0), (45, 10.0), (10_000, 10.0)])
def test_idle_clocks_run_faster_but_leave_people_time_to_type(scale: float, idle: float) -> None:
    assert 60 / parse_state(account(scale=scale)).socket_scale == pytest.approx(idle)
