"""What a distribution's configuration does with an endpoint's paths, and with each change of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from checks.preflight.serving import Serving, serving_of

OURS, VPC_ORIGIN = "edge-portal-0123456789ab", "vo_1"


def config(*behaviors: tuple[str, str], vpc_origin: str = VPC_ORIGIN) -> dict[str, Any]:
    items = [{"PathPattern": pattern, "TargetOriginId": origin} for pattern, origin in behaviors]
    ours = {"Id": OURS, "VpcOriginConfig": {"VpcOriginId": vpc_origin}}
    return {
        "CacheBehaviors": {"Quantity": len(items), **({"Items": items} if items else {})},
        "DefaultCacheBehavior": {"TargetOriginId": "web"},
        "Origins": {"Quantity": 2, "Items": [{"Id": "web"}, ours]},
    }


def served(
    behaviors: Sequence[tuple[str, str]],
    path: str = "/ws/",
    patterns: Sequence[str] = ("/ws/*",),
    **given: Any,
) -> Serving:
    vpc_origin = given.pop("vpc_origin", VPC_ORIGIN)
    found = serving_of(
        config(*behaviors, vpc_origin=vpc_origin),
        path=path,
        own_patterns=patterns,
        own_origin=OURS,
        vpc_origin=VPC_ORIGIN,
        **given,
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("behaviors", "pattern", "origin"),
    [
        ([], "*", "web"),
        ([("/ws/*", "web")], "/ws/*", "web"),
        ([("/ws/", "other"), ("/ws/*", OURS)], "/ws/", "other"),
        ([("/*", "other"), ("/ws/*", OURS)], "/*", "other"),
        ([("/WS/*", OURS)], "*", "web"),
    ],
)
def test_a_path_that_leads_elsewhere_is_not_the_endpoints(
    behaviors: list[tuple[str, str]], pattern: str, origin: str
) -> None:
    found = served(behaviors)
    assert (found.own, found.pattern, found.origin) == (False, pattern, origin)
    assert f"/ws/ matches the behavior {pattern}" in found.reason
    own = served([("/images/*", "web"), ("/ws/*", OURS), *behaviors])
    assert (own.own, own.pattern, own.origin, own.lost) == (True, "/ws/*", OURS, ())


@pytest.mark.parametrize("vpc_origin", ["vo_2", ""])
def test_an_origin_of_our_name_with_another_vpc_origin_is_not_ours(vpc_origin: str) -> None:
    found = served([("/ws/*", OURS)], vpc_origin=vpc_origin)
    assert not found.own
    assert "instead of vo_1" in found.reason


@pytest.mark.parametrize(
    ("behaviors", "patterns", "says"),
    [
        ([("/ws/?*", "foreign"), ("/ws/*", OURS)], ["/ws/*"], "takes a part of it"),
        ([("/*.*", "foreign"), ("/ws/*", OURS)], ["/ws/*"], "/*.*, with origin foreign"),
        ([("/ws/*", OURS)], ["/ws/*", "/chat"], "no behavior for /chat"),
        ([("/ws/*", OURS), ("/c*", "web"), ("/chat", OURS)], ["/ws/*", "/chat"], "all of it"),
    ],
)
def test_paths_that_do_not_come_are_named_though_the_asked_one_does(
    behaviors: list[tuple[str, str]], patterns: list[str], says: str
) -> None:
    found = served(behaviors, patterns=patterns)
    assert found.own
    assert len(found.lost) == 1
    assert says in found.lost[0]


@pytest.mark.parametrize("expected", ["/ws/?* to theirs", "theirs"])
def test_what_was_agreed_is_not_lost(expected: str) -> None:
    behaviors = [("/ws/?*", "theirs"), ("/ws/*", OURS)]
    assert served(behaviors, expected=[expected]).lost == ()
    assert served(behaviors, expected=["/ws/x to theirs", "web"]).lost


def test_a_path_of_a_custom_check_may_be_anybodys() -> None:
    asked = {"own_patterns": ["/ws/*"], "own_origin": OURS, "vpc_origin": ""}
    assert serving_of(config(), path="/elsewhere", **asked) is None  # type: ignore[arg-type]
    assert serving_of(config(), path="/ws/x", **asked) is not None  # type: ignore[arg-type]
