"""Behaviors that lead to custom origins: API Gateway under its rules, a load balancer in the open
under others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import TITLES, Level
from checks.preflight.custom_origins import evaluate_behavior
from provisioning.facts.distribution import Behavior, Origin
from provisioning.facts.forwarding import Forwarding, Selection
from provisioning.facts.names import ALL_VIEWER, ALL_VIEWER_EXCEPT_HOST, CACHING_DISABLED
from tests.provisioning.examples import DISTRIBUTION

GATEWAY = Origin("api", "a1b2c3.execute-api.eu-west-1.amazonaws.com", "", "/prod", "https-only")
BALANCER = Origin("alb", "pub-1.us-east-1.elb.amazonaws.com", "", "", "http-only")
GOOD = Behavior("/chat", "api", "https-only", CACHING_DISABLED, ALL_VIEWER_EXCEPT_HOST, "GET,HEAD")
CUSTOM = {
    name: Forwarding(
        Selection("whitelist", frozenset(f"sec-websocket-{header}" for header in headers))
    )
    for name, headers in {
        "article": ("key", "version", "protocol", "accept"),
        "no-subprotocol": ("key", "version"),
        "no-key": ("version", "protocol", "accept"),
    }.items()
}
"""Custom origin request policies: the one of the article about API Gateway, and two with too little
in them.
"""
CORS, OPTIMIZED = "59781a5b-3903-41f3-afcb-af62929ccde1", "658327ea-f89d-4fab-a63d-7e88639e58f6"


def said(origin: Origin = GATEWAY, **changes: Any) -> dict[str, Level]:
    behavior = replace(GOOD, target_origin_id=origin.id, **changes)
    distribution = replace(DISTRIBUTION, origins=(origin,), behaviors=(behavior,))
    results = evaluate_behavior(distribution, behavior, CUSTOM)
    for result in results:
        assert result.code in TITLES
        assert (result.fix is not None) or result.level in (Level.PASS, Level.UNKNOWN)
    return {result.code: result.level for result in results}


@pytest.mark.parametrize("policy", [ALL_VIEWER_EXCEPT_HOST, "article"])
def test_api_gateway_as_the_article_sets_it_up_passes(policy: str) -> None:
    assert set(said(origin_request_policy_id=policy).values()) == {Level.PASS}
    assert {"PF-ORIGIN-PROTOCOL", "PF-ORIGIN-PATH", "PF-ORIGIN-HOST", "PF-ORIGIN-HEADERS"} <= set(
        said()
    )


@pytest.mark.parametrize(
    ("code", "origin", "behavior", "expected"),
    [
        ("PF-ORIGIN-PROTOCOL", {"protocol_policy": "http-only"}, {}, "block"),
        ("PF-ORIGIN-PROTOCOL", {"protocol_policy": "match-viewer"}, {}, "block"),
        ("PF-ORIGIN-PATH", {"path": ""}, {}, "warn"),
        ("PF-ORIGIN-PATH", {"path": "/$default"}, {}, "pass"),
        ("PF-ORIGIN-HOST", {}, {"origin_request_policy_id": ALL_VIEWER}, "block"),
        ("PF-ORIGIN-HOST", {}, {"origin_request_policy_id": "custom"}, "unknown"),
        ("PF-ORIGIN-HEADERS", {}, {"origin_request_policy_id": ""}, "block"),
        ("PF-ORIGIN-HEADERS", {}, {"origin_request_policy_id": CORS}, "block"),
        ("PF-ORIGIN-HEADERS", {}, {"origin_request_policy_id": "no-key"}, "block"),
        ("PF-ORIGIN-HEADERS", {}, {"origin_request_policy_id": "no-subprotocol"}, "warn"),
        ("PF-ORIGIN-HOST", {}, {"origin_request_policy_id": "no-key"}, "pass"),
        ("PF-ORIGIN-HEADERS", {}, {"origin_request_policy_id": "custom"}, "unknown"),
        (
            "PF-ORIGIN-HEADERS",
            {},
            {"cache_policy_id": "", "origin_request_policy_id": ""},
            "unknown",
        ),
        ("PF-ORIGIN-CACHE", {}, {"cache_policy_id": OPTIMIZED}, "warn"),
        ("PF-ORIGIN-CACHE", {}, {"cache_policy_id": "custom"}, "unknown"),
        ("PF-ORIGIN-VIEWERS", {}, {"viewer_protocol_policy": "redirect-to-https"}, "warn"),
    ],
)
def test_each_rule_of_api_gateway(
    code: str, origin: dict[str, Any], behavior: dict[str, str], expected: str
) -> None:
    assert said(replace(GATEWAY, **origin), **behavior)[code] == expected


def test_a_load_balancer_in_the_open_works_and_is_called_open() -> None:
    found = said(BALANCER, origin_request_policy_id=ALL_VIEWER)
    assert found["PF-ORIGIN-PUBLIC"] == Level.WARN
    assert found["PF-ORIGIN-HEADERS"] == Level.PASS
    assert not {"PF-ORIGIN-PROTOCOL", "PF-ORIGIN-PATH", "PF-ORIGIN-HOST"} & set(found)


@pytest.mark.parametrize(
    "origin", [Origin("v", "x", "vo_1"), Origin("s3", "bucket.s3.amazonaws.com", "")]
)
def test_of_vpc_origins_and_buckets_nothing_is_said_here(origin: Origin) -> None:
    assert said(origin) == {}


def test_a_name_that_only_looks_like_api_gateways_is_none() -> None:
    assert "PF-ORIGIN-PATH" not in said(
        replace(GATEWAY, domain_name="execute-api.amazonaws.com.evil.example")
    )
