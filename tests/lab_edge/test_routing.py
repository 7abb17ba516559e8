"""Host to distribution, path to behavior."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.edge.account.state import parse_state
from lab.edge.cdn.routing import find_behavior, find_distribution, matches, normalized
from lab.edge.http.hosts import is_host, split_host, split_target

from .account import account, behavior, distribution, items, vpc_origin_ref

STATE = parse_state(
    account(
        distributions=[
            distribution(
                "dchat",
                [vpc_origin_ref("chat"), vpc_origin_ref("web")],
                behavior("web"),
                [behavior("chat", "/ws/*"), behavior("chat", "ws"), behavior("web", "/ws/special")],
                Aliases=items(["Chat.Example.com", "*.wild.example"]),
            ),
            distribution(
                "dother",
                [vpc_origin_ref("web")],
                behavior("web"),
                Aliases=items(["a.wild.example"]),
            ),
            distribution(
                "dtenants",
                [vpc_origin_ref("web")],
                behavior("web"),
                ConnectionMode="tenant-only",
            ),
            {"id": "ENEW", "domain": "dnew.cloudfront.net", "enabled": True, "config": None},
        ]
    )
)


@pytest.mark.rule("distribution/answers-by-name", "distribution/multi-tenant-has-no-name")
@pytest.mark.parametrize(
    ("host", "id"),
    [
        ("dchat.cloudfront.net", "EDCHAT"),
        ("DChat.CloudFront.NET", "EDCHAT"),
        ("dchat.cloudfront.net:8002", "EDCHAT"),
        ("dchat.cloudfront.net.", "EDCHAT"),
        ("dchat.edge.localhost", "EDCHAT"),
        ("dchat.edge.localhost:8002", "EDCHAT"),
        ("chat.example.COM", "EDCHAT"),
        ("b.wild.example", "EDCHAT"),
        ("a.wild.example", "EDOTHER"),
        ("deep.b.wild.example", "EDCHAT"),
        ("wild.example", None),
        ("dnew.cloudfront.net", None),
        ("dtenants.cloudfront.net", None),
        ("dtenants.edge.localhost", None),
        ("dchat.example.net", None),
        ("xdchat.cloudfront.net", None),
        ("127.0.0.1:8002", None),
        ("", None),
    ],
)
def test_which_distribution_answers(host: str, id: str | None) -> None:
    found = find_distribution(STATE.distributions, host)
    assert (found.id if found else None) == id


@pytest.mark.rule("distribution/pattern-characters")
@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/ws/*", "/ws/chat", True),
        ("/ws/*", "/ws/", True),
        ("/ws/*", "/ws/a/b/c", True),
        ("/ws/*", "/ws", False),
        ("/ws*", "/ws", True),
        ("ws/*", "/ws/chat", True),
        ("/WS/*", "/ws/chat", False),
        ("*.jpg", "/images/a.jpg", True),
        ("/images/*.jpg", "/images/a.jpg.png", False),
        ("/a?c", "/abc", True),
        ("/a?c", "/ac", False),
        ("/a?c", "/a/c", True),
        ("/ws/*", "/web?x=/ws/1", False),
        ("/ws", "/ws?x=1", True),
        ("/a.c", "/abc", False),
        ("/a[b]c", "/abc", False),
        ("*", "/anything", True),
    ],
)
def test_path_patterns(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


@pytest.mark.rule("distribution/first-pattern-wins")
@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/ws/chat", "/ws/*"),
        ("//a/..//ws/chat", "/ws/*"),
        ("/ws/special", "/ws/*"),
        ("/ws", "ws"),
        ("/other", None),
        ("/", None),
    ],
)
def test_the_first_behavior_in_order_wins(path: str, pattern: str | None) -> None:
    found = find_distribution(STATE.distributions, "dchat.cloudfront.net")
    assert found is not None
    assert find_behavior(found, path).path_pattern == pattern


@pytest.mark.rule("distribution/path-normalized")
@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/", "/"),
        ("/ws/chat", "/ws/chat"),
        ("/ws/", "/ws/"),
        ("//ws///chat//", "/ws/chat/"),
        ("/a/b/..", "/a/"),
        ("/a/./b/../../ws/chat", "/ws/chat"),
        ("/../../ws", "/ws"),
        ("/.", "/"),
        ("/.well-known/x..y", "/.well-known/x..y"),
        ("/%77s/%63hat%2fa%7e", "/ws/chat%2Fa~"),
        ("/%2e%2e/ws", "/ws"),
        ("/%", "/%"),
    ],
)
def test_patterns_see_the_normal_form_of_a_path(path: str, normal: str) -> None:
    assert normalized(path) == normal
    assert normalized(normal) == normal


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_pattern_and_path_give_an_answer(pattern: str, path: str) -> None:
    assert matches(pattern, path) in (True, False)
    assert matches("*", path.partition("?")[0])


def test_a_pattern_of_many_stars_is_not_slow() -> None:
    started = time.process_time()
    assert not matches("/" + "*" * 200 + "x", "/" + "a" * 5000)
    assert not matches("/*a*a*a*b", "/" + "a" * 300)
    assert time.process_time() - started < 2


@given(st.text(max_size=80))
def test_any_host_splits(host: str) -> None:
    name, port = split_host(host)
    assert ":" not in name
    assert find_distribution(STATE.distributions, host) is None or name
    assert port is not None


@pytest.mark.parametrize(
    ("method", "target", "split"),
    [
        ("GET", "/ws/chat?a=1", ("", "/ws/chat?a=1")),
        ("GET", "//other.example/ws", ("", "//other.example/ws")),
        ("GET", "https://chat.example.com/ws?a=/b", ("chat.example.com", "/ws?a=/b")),
        ("GET", "HTTP://chat.example.com:8080", ("chat.example.com:8080", "/")),
        ("GET", "http://chat.example.com?a=1", ("chat.example.com", "/?a=1")),
        ("OPTIONS", "*", ("", "/")),
        ("CONNECT", "chat.example.com:443", ("", "/")),
        ("GET", "*", None),
        ("GET", "ws/chat", None),
        ("GET", "chat.example.com:443", None),
        ("GET", "http:///ws", None),
        ("GET", "ftp://chat.example.com/", None),
        ("GET", "", None),
    ],
)
def test_the_four_forms_of_a_request_target(
    method: str, target: str, split: tuple[str, str] | None
) -> None:
    assert split_target(method, target) == split


@pytest.mark.parametrize(
    "host",
    ["", "d1.cloudfront.net", "D1.cloudfront.net.:443", "a_b.example:", "[::1]:80", "10.0.0.1"],
)
def test_what_may_stand_in_host(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host", ["a b", "a/b", "u@a", "a:b", "a,b:1:2", "[::1", "a#b", "a?b", "\xe4.example"]
)
def test_what_may_not_stand_in_host(host: str) -> None:
    assert not is_host(host)
