"""Rules, targets, redirects and headers of an Application Load Balancer; and the edge's idle
clocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.edge.account.load_balancers import (
    Listener,
    ListenerAction,
    LoadBalancer,
    Target,
    TargetGroup,
    target_key,
)
from lab.edge.account.state import parse_state
from lab.edge.balancers.rules.answers import own_answer, redirect_location
from lab.edge.balancers.rules.listener_rules import BalancerRequest, choose_action, deciding_rule
from lab.edge.balancers.rules.target_choice import (
    choose_group,
    choose_target,
    read_cookies,
    sticky_cookies,
    token,
    usable_targets,
)
from lab.edge.balancers.rules.target_headers import target_headers

from .account import Json, account, forward, listener, load_balancer, target_group


def parsed(rules: Sequence[Json] = (), default: Json | None = None) -> Listener:
    made = account(
        load_balancers=[
            load_balancer("a", [listener("a", default or forward("default"), rules=rules)])
        ]
    )
    return parse_state(made).load_balancers[0].listeners[0]


def rule(priority: int, field: str, *values: str, to: str) -> Json:
    return {
        "priority": priority,
        "conditions": [{"field": field, "values": list(values)}],
        "actions": [forward(to)],
    }


def request(target: str = "/", host: str = "chat.example", method: str = "GET") -> BalancerRequest:
    return BalancerRequest(method, target, (("Host", host),), "130.176.14.52")


def balancer(**attributes: str) -> LoadBalancer:
    made = {**load_balancer("a", []), "attributes": attributes}
    return parse_state(account(load_balancers=[made])).load_balancers[0]


def as_the_state_says(group: TargetGroup, target: Target) -> str:
    return target.health


RULES = parsed(
    [
        rule(30, "path-pattern", "/ws/*", "/[x]", to="paths"),
        rule(10, "host-header", "*.Example", to="hosts"),
        rule(20, "http-request-method", "POST", to="methods"),
        rule(5, "phase-of-the-moon", "full", to="unjudged"),
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
def test_rules_apply_by_priority_then_the_default(asked: BalancerRequest, group: str) -> None:
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
        return [target.id for target in usable_targets(known[f"arn:tg/{name}"], as_the_state_says)]

    assert chosen("mixed") == ["10.0.0.2"]
    assert chosen("sick") == ["10.0.0.3"]
    assert chosen("leaving") == []
    assert chosen("empty") == []


@pytest.mark.rule("balancer/redirects")
@pytest.mark.parametrize(
    ("action", "location"),
    [
        ({"protocol": "HTTPS", "port": "443"}, "https://chat.example/ws?a=1"),
        ({"protocol": "HTTPS", "port": "8443"}, "https://chat.example:8443/ws?a=1"),
        (
            {"host": "new.example", "path": "/v2/#{path}", "query": "b=2"},
            "http://new.example/v2/ws?b=2",
        ),
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
    asked = BalancerRequest("GET", "/", headers, "130.176.14.52")
    seen = target_headers(asked, balancer(), RULES, "Root=1-0-0", websocket=True)
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


@pytest.mark.parametrize(
    ("scale", "idle"), [(0, 60.0), (1, 60.0), (3, 20.0), (45, 10.0), (10_000, 10.0)]
)
def test_idle_clocks_run_faster_but_leave_people_time_to_type(scale: float, idle: float) -> None:
    assert 60 / parse_state(account(scale=scale)).socket_scale == pytest.approx(idle)


def conditional(field: str, values: Sequence[Json | str], name: str = "") -> Listener:
    condition = {"field": field, "values": list(values), "name": name}
    return parsed([{"priority": 1, "conditions": [condition], "actions": [forward("hit")]}])


@pytest.mark.rule("balancer/rules-by-priority")
@pytest.mark.parametrize(
    ("at", "asked", "hits"),
    [
        (
            conditional("http-header", ["*Firefox*"], "User-Agent"),
            ("User-Agent", "Mozilla firefox 150"),
            True,
        ),
        (conditional("http-header", ["*Firefox*"], "User-Agent"), ("User-Agent", "curl"), False),
        (conditional("http-header", ["*Firefox*"], "User-Agent"), ("X-Other", "Firefox"), False),
        (conditional("query-string", [{"Key": "Room", "Value": "a*"}]), "/ws?room=Ab&x", True),
        (conditional("query-string", [{"Key": "room", "Value": "a*"}]), "/ws?other=ab", False),
        (conditional("query-string", [{"Value": "yes"}]), "/ws?anything=yes", True),
        (conditional("source-ip", ["130.176.0.0/16"]), "/", True),
        (conditional("source-ip", ["10.0.0.0/8", "2600::/16"]), "/", False),
    ],
)
def test_conditions_on_headers_query_and_source(
    at: Listener, asked: tuple[str, str] | str, hits: bool
) -> None:
    if isinstance(asked, str):
        made = request(asked)
    else:
        made = BalancerRequest("GET", "/", (("Host", "chat.example"), asked), "130.176.14.52")
    action = choose_action(at, made)
    assert action is not None
    assert (action.target_group_arns == ("arn:tg/hit",)) is hits


@pytest.mark.parametrize(
    ("unauthenticated", "status", "location"),
    [("authenticate", 302, "https://login.example/authorize?client_id=c"), ("deny", 401, "")],
)
def test_an_authenticate_action_lets_no_stranger_pass(
    unauthenticated: str, status: int, location: str
) -> None:
    login = {"type": "authenticate-oidc", "on_unauthenticated": unauthenticated}
    login["login_url"] = "https://login.example/authorize?client_id=c"
    at = parsed([{"priority": 1, "conditions": [], "actions": [login, forward("chat")]}])
    answer = own_answer(choose_action(at, request()), request(), at)
    assert answer.status == status
    assert dict(answer.headers).get("Location", "") == location
    allowing = parsed(
        [{"priority": 1, "conditions": [], "actions": [{**login, "on_unauthenticated": "allow"}]}]
    )
    allowed = choose_action(allowing, request())
    assert allowed is None or not allowed.type.startswith("authenticate")


SECRET = b"known to the balancer"
GROUPS = parse_state(
    account(
        target_groups=[
            target_group("blue", "10.0.0.1:80", "10.0.0.2:80"),
            target_group("green", "10.0.0.3:80"),
        ]
    )
).target_groups


def weighted(*weights: int, sticky: int = 0) -> ListenerAction:
    given = [
        {"target_group_arn": f"arn:tg/{n}", "weight": w}
        for n, w in zip(("blue", "green"), weights, strict=True)
    ]
    action = {"type": "forward", "target_groups": given, "sticky_seconds": sticky}
    return parsed(default=action).default_actions[0]


@pytest.mark.rule("balancer/weights")
@pytest.mark.parametrize(
    ("weights", "draw", "group"),
    [
        ((9, 1), 0.0, "blue"),
        ((9, 1), 0.89, "blue"),
        ((9, 1), 0.9, "green"),
        ((0, 1), 0.0, "green"),
        ((1, 0), 0.99, "blue"),
        ((1, 1), 0.5, "green"),
    ],
)
def test_target_groups_share_by_weight(weights: tuple[int, int], draw: float, group: str) -> None:
    chosen = choose_group(weighted(*weights), GROUPS, draw, {}, SECRET)
    assert chosen is not None
    assert chosen.arn == f"arn:tg/{group}"


@pytest.mark.rule("balancer/weights", "balancer/cookie-stickiness")
def test_group_stickiness_outweighs_the_weights_unless_the_group_is_gone() -> None:
    cookies = {"AWSALBTG": token(SECRET, "arn:tg/green")}
    sticky = choose_group(weighted(9, 1, sticky=60), GROUPS, 0.0, cookies, SECRET)
    assert sticky is GROUPS["arn:tg/green"]
    assert choose_group(weighted(9, 1), GROUPS, 0.0, cookies, SECRET) is GROUPS["arn:tg/blue"]
    assert (
        choose_group(weighted(9, 0, sticky=60), GROUPS, 0.0, cookies, SECRET)
        is GROUPS["arn:tg/blue"]
    )


def sticky_group(**attributes: str) -> TargetGroup:
    made = {
        **target_group("s", "10.0.0.1:80", "10.0.0.2:80"),
        "attributes": {"stickiness.enabled": "true"},
    }
    made["attributes"] |= {name.replace("__", "."): value for name, value in attributes.items()}
    return parse_state(account(target_groups=[made])).target_groups["arn:tg/s"]


def next_target(
    group: TargetGroup, turn: int, cookie: str = "", open_sockets: Json | None = None
) -> str | None:
    usable = usable_targets(group, as_the_state_says)
    count = open_sockets or {}
    chosen = choose_target(
        group, usable, turn, read_cookies(cookie), SECRET, lambda one: int(count.get(one.id, 0))
    )
    return chosen.id if chosen else None


@pytest.mark.rule("balancer/cookie-stickiness")
def test_a_cookie_brings_a_client_back_to_its_target() -> None:
    group = sticky_group(stickiness__type="lb_cookie", stickiness__lb_cookie__duration_seconds="60")
    second = group.targets[1]
    ((name, value, seconds),) = sticky_cookies(ListenerAction("forward"), group, second, [], SECRET)
    assert (name, seconds) == ("AWSALB", 60)
    assert [next_target(group, turn, f"other=1; AWSALB={value}") for turn in (0, 1)] == [
        "10.0.0.2"
    ] * 2
    assert [next_target(group, turn) for turn in (0, 1)] == ["10.0.0.1", "10.0.0.2"]
    assert next_target(group, 0, "AWSALB=forged") == "10.0.0.1"
    assert (
        next_target(sticky_group(stickiness__enabled="false"), 0, f"AWSALB={value}") == "10.0.0.1"
    )


@pytest.mark.rule("balancer/cookie-stickiness")
def test_app_cookie_stickiness_begins_when_the_app_sets_its_cookie() -> None:
    group = sticky_group(stickiness__type="app_cookie", stickiness__app_cookie__cookie_name="SID")
    assert (
        sticky_cookies(ListenerAction("forward"), group, group.targets[1], ["other"], SECRET) == []
    )
    ((name, value, _),) = sticky_cookies(
        ListenerAction("forward"), group, group.targets[1], ["SID"], SECRET
    )
    assert name == "AWSALBAPP-0"
    assert next_target(group, 0, f"SID=x; {name}={value}") == "10.0.0.2"


@pytest.mark.rule("balancer/least-outstanding")
def test_least_outstanding_requests_picks_the_idlest() -> None:
    group = sticky_group(
        stickiness__enabled="false", load_balancing__algorithm__type="least_outstanding_requests"
    )
    busy = {"10.0.0.1": 5, "10.0.0.2": 1}
    assert [next_target(group, turn, open_sockets=busy) for turn in (0, 1)] == ["10.0.0.2"] * 2
    assert target_key(group, group.targets[0]) == "arn:tg/s 10.0.0.1:80"


@pytest.mark.rule("balancer/forwarded-for-mode")
@pytest.mark.parametrize(
    ("attributes", "seen"),
    [
        ({}, ["198.51.100.7, 130.176.14.52"]),
        ({"mode": "preserve"}, ["198.51.100.7"]),
        ({"mode": "remove"}, []),
        ({"port": "true"}, ["198.51.100.7, 130.176.14.52:4711"]),
    ],
)
def test_forwarded_for_by_its_mode(attributes: dict[str, str], seen: list[str]) -> None:
    given = {
        "routing.http.xff_header_processing.mode": attributes.get("mode", "append"),
        "routing.http.xff_client_port.enabled": attributes.get("port", "false"),
    }
    headers = (("Host", "chat.example"), ("X-Forwarded-For", "198.51.100.7"))
    asked = BalancerRequest("GET", "/", headers, "130.176.14.52", 4711)
    sent = target_headers(asked, balancer(**given), RULES, "", websocket=False)
    assert [value for name, value in sent if name == "X-Forwarded-For"] == seen


def test_the_host_header_gets_an_unusual_port_and_odd_names_are_dropped_if_asked() -> None:
    made = account(load_balancers=[load_balancer("a", [listener("a", forward("x"), port=8443)])])
    at = parse_state(made).load_balancers[0].listeners[0]
    asked = BalancerRequest("GET", "/", (("Host", "chat.example"), ("X_Odd", "1")), "130.176.14.52")
    lenient = dict(target_headers(asked, balancer(), at, "", websocket=False))
    assert (lenient["Host"], lenient["X_Odd"]) == ("chat.example:8443", "1")
    strictly = balancer(
        **{
            "routing.http.preserve_host_header.enabled": "true",
            "routing.http.drop_invalid_header_fields.enabled": "true",
        }
    )
    strict = dict(target_headers(asked, strictly, at, "", websocket=False))
    assert strict["Host"] == "chat.example"
    assert "X_Odd" not in strict


def test_the_rule_that_decides_is_told_from_one_with_the_same_action() -> None:
    at = parsed(
        [rule(1, "path-pattern", "/room", to="app"), rule(2, "path-pattern", "/ws/*", to="app")],
        forward("app"),
    )
    assert [deciding_rule(at, request(target)) for target in ("/room", "/ws/chat", "/")] == [
        *at.rules,
        None,
    ]
