"""What of the viewer's request reaches the origin, policy by policy."""

from __future__ import annotations

import pytest

from lab.edge.account.state import parse_state
from lab.edge.cdn.forwarding import origin_request
from lab.edge.cdn.routing import find_behavior, find_distribution
from lab.edge.http.messages import EdgeIdentity, OriginRequest, ViewerRequest

from .account import (
    ALL_EXCEPT_HOST,
    ALL_VIEWER,
    POLICIES,
    SOCKET_HEADERS_ONLY,
    Json,
    account,
    behavior,
    distribution,
    items,
    vpc_origin_ref,
)

EDGE = EdgeIdentity("abc.cloudfront.net", "request-id==")
HANDSHAKE = (
    ("Host", "dchat.cloudfront.net"),
    ("User-Agent", "browser"),
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Origin", "https://dchat.cloudfront.net"),
    ("Sec-WebSocket-Key", "Rnhou3qbnI2nVKLvsTWapg=="),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ("Cookie", "a=1; session=2"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Real-IP", "1.2.3.4"),
    ("CloudFront-Forwarded-Proto", "forged"),
)


def forwarded(
    policy: str | None,
    *,
    headers: tuple[tuple[str, str], ...] = HANDSHAKE,
    target: str = "/ws/chat?room=a&secret=b",
    origin: Json | None = None,
    default: Json | None = None,
) -> OriginRequest:
    origin = origin or vpc_origin_ref("chat")
    made = distribution("dchat", [origin], default or behavior("chat", policy=policy))
    state = parse_state({**account([made]), "origin_request_policies": POLICIES})
    found = find_distribution(state.distributions, "dchat.cloudfront.net")
    assert found is not None
    request = ViewerRequest(
        "GET", target, headers, "https", "1.1", "198.51.100.7", 50000, "TLSv1.3:X"
    )
    chosen = find_behavior(found, request.path)
    return origin_request(request, chosen, found.origins[chosen.target_origin_id], EDGE)


def header(request: OriginRequest, name: str) -> str | None:
    found = [value for key, value in request.headers if key.lower() == name]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.rule(
    "policy/nothing-without-policy",
    "policy/all-viewer",
    "policy/except-host",
    "policy/listed-headers",
    "policy/cookies-and-queries",
    "websocket/upgrade-passes",
    "websocket/removed-headers",
    "websocket/user-agent",
    "websocket/forwarded-for",
    "vpc-origin/domain-name-is-host",
)
@pytest.mark.parametrize(
    ("policy", "key", "host", "agent", "origin", "cookie", "target"),
    [
        (
            None,
            False,
            "internal-int.elb.amazonaws.com",
            "Amazon CloudFront",
            False,
            None,
            "/ws/chat",
        ),
        (
            ALL_VIEWER,
            True,
            "dchat.cloudfront.net",
            "browser",
            True,
            "a=1; session=2",
            "/ws/chat?room=a&secret=b",
        ),
        (
            ALL_EXCEPT_HOST,
            True,
            "internal-int.elb.amazonaws.com",
            "browser",
            True,
            "a=1; session=2",
            "/ws/chat?room=a&secret=b",
        ),
        (
            SOCKET_HEADERS_ONLY,
            True,
            "internal-int.elb.amazonaws.com",
            "Amazon CloudFront",
            False,
            "session=2",
            "/ws/chat?room=a",
        ),
    ],
)
def test_each_policy(
    policy: str | None,
    key: bool,
    host: str,
    agent: str,
    origin: bool,
    cookie: str | None,
    target: str,
) -> None:
    request = forwarded(policy)
    for name in ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"):
        assert (header(request, name) is not None) is key
    assert header(request, "host") == host
    assert header(request, "user-agent") == agent
    assert (header(request, "origin") is not None) is origin
    assert header(request, "cookie") == cookie
    assert request.target == target
    assert header(request, "upgrade") == "websocket"
    assert header(request, "connection") == "upgrade"
    assert header(request, "via") == "1.1 abc.cloudfront.net (CloudFront)"
    assert header(request, "x-amz-cf-id") == "request-id=="
    assert header(request, "x-forwarded-for") == "198.51.100.7"
    assert header(request, "x-forwarded-proto") is None
    assert header(request, "x-real-ip") is None


@pytest.mark.rule("policy/cloudfront-headers")
def test_cloudfronts_own_headers_come_only_by_name_and_cannot_be_forged() -> None:
    assert header(forwarded(ALL_VIEWER), "cloudfront-forwarded-proto") is None
    assert header(forwarded(SOCKET_HEADERS_ONLY), "cloudfront-forwarded-proto") == "https"


@pytest.mark.rule("policy/cloudfront-headers")
def test_the_order_of_the_viewers_headers_can_be_told() -> None:
    legacy = behavior("chat", policy=None)
    del legacy["CachePolicyId"]
    wanted = items(["CloudFront-Viewer-Header-Order", "CloudFront-Viewer-Header-Count"])
    legacy["ForwardedValues"] = {
        "QueryString": False,
        "Cookies": {"Forward": "none"},
        "Headers": wanted,
    }
    request = forwarded(
        None, default=legacy, headers=(("Host", "h"), ("accept", "*/*"), ("User-Agent", "a"))
    )
    assert header(request, "cloudfront-viewer-header-order") == "Host:accept:User-Agent"
    assert header(request, "cloudfront-viewer-header-count") == "3"


@pytest.mark.rule(
    "websocket/upgrade-passes", "websocket/connection-replaced", "websocket/forwarded-for"
)
def test_an_ordinary_request_loses_upgrade_and_keeps_its_own_chain_of_addresses() -> None:
    plain = (
        ("Host", "dchat.cloudfront.net"),
        ("Upgrade", "h2c"),
        ("Connection", "Upgrade"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Via", "1.1 proxy"),
    )
    request = forwarded(ALL_VIEWER, headers=plain)
    assert header(request, "upgrade") is None
    assert header(request, "connection") == "Keep-Alive"
    assert header(request, "x-forwarded-for") == "203.0.113.9, 198.51.100.7"
    assert header(request, "via") == "1.1 proxy, 1.1 abc.cloudfront.net (CloudFront)"


@pytest.mark.rule("policy/cookies-sorted", "policy/edge-headers-removed")
def test_cookies_are_sorted_and_what_looks_like_the_edges_own_is_removed() -> None:
    odd = (("Host", "h"), ("Cookie", "b=1; $Path=/; a=2; B=3; a=1"), ("X-Edge-Location", "here"))
    request = forwarded(ALL_VIEWER, headers=odd)
    assert header(request, "cookie") == "B=3; a=2; a=1; b=1"
    assert header(request, "x-edge-location") is None


def test_the_body_and_the_caches_questions_pass_without_any_policy() -> None:
    headers = (
        ("Host", "h"),
        ("Content-Type", "text/plain"),
        ("Range", "bytes=0-1"),
        ("Authorization", "secret"),
    )
    request = forwarded(None, headers=headers)
    assert header(request, "content-type") == "text/plain"
    assert header(request, "range") == "bytes=0-1"
    assert header(request, "authorization") is None


@pytest.mark.rule("distribution/origin-path", "distribution/origin-headers")
def test_origin_path_and_custom_headers() -> None:
    custom = items([{"HeaderName": "X-Secret", "HeaderValue": "ours"}])
    origin = {**vpc_origin_ref("chat"), "OriginPath": "/stage", "CustomHeaders": custom}
    request = forwarded(ALL_VIEWER, origin=origin, headers=(*HANDSHAKE, ("x-secret", "theirs")))
    assert request.target == "/stage/ws/chat?room=a&secret=b"
    assert header(request, "x-secret") == "ours"


@pytest.mark.rule("policy/forwarded-values")
def test_legacy_forwarded_values_count_like_a_policy() -> None:
    legacy = behavior("chat", policy=None)
    del legacy["CachePolicyId"]
    legacy["ForwardedValues"] = {
        "QueryString": True,
        "Cookies": {"Forward": "whitelist", "WhitelistedNames": items(["a"])},
        "Headers": items(["*"]),
    }
    request = forwarded(None, default=legacy)
    assert header(request, "sec-websocket-key") is not None
    assert header(request, "cookie") == "a=1"
    assert request.target == "/ws/chat?room=a&secret=b"


@pytest.mark.rule("websocket/http-1-1-only")
@pytest.mark.parametrize(
    ("method", "version", "upgrade", "connection", "expected"),
    [
        ("GET", "1.1", "websocket", "Upgrade", True),
        ("GET", "1.1", "WebSocket", "keep-alive, upgrade", True),
        ("POST", "1.1", "websocket", "Upgrade", False),
        ("GET", "1.0", "websocket", "Upgrade", False),
        ("GET", "1.1", "h2c", "Upgrade", False),
        ("GET", "1.1", "websocket", "keep-alive", False),
        ("GET", "1.1", "", "", False),
    ],
)
def test_what_counts_as_a_handshake(
    method: str, version: str, upgrade: str, connection: str, expected: bool
) -> None:
    headers = (("Upgrade", upgrade), ("Connection", connection))
    request = ViewerRequest(method, "/", headers, "https", version, "198.51.100.7", 1)
    assert request.is_websocket_handshake is expected


@pytest.mark.rule("policy/cache-key-is-forwarded")
def test_what_is_in_the_cache_key_reaches_the_origin() -> None:
    made = distribution(
        "dchat", [vpc_origin_ref("chat")], {**behavior("chat", policy=None), "CachePolicyId": "key"}
    )
    key = {**POLICIES[SOCKET_HEADERS_ONLY], "header_names": ["Origin"], "max_ttl": 60}
    (found,) = parse_state({**account([made]), "cache_policies": {"key": key}}).distributions
    request = ViewerRequest(
        "GET", "/ws/chat?room=a&x=1", HANDSHAKE, "https", "1.1", "198.51.100.7", 50000
    )
    chosen = found.default_behavior
    sent = origin_request(request, chosen, found.origins[chosen.target_origin_id], EDGE)
    assert (header(sent, "origin"), header(sent, "cookie")) == (
        "https://dchat.cloudfront.net",
        "session=2",
    )
    assert (sent.target, header(sent, "sec-websocket-key")) == ("/ws/chat?room=a", None)


@pytest.mark.parametrize(
    ("agent", "kinds"),
    [
        ("Mozilla/5.0 (Windows NT 10.0)", {"Desktop"}),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Mobile/15E148", {"Mobile", "IOS"}),
        ("Mozilla/5.0 (iPad; CPU OS 18_0)", {"Mobile", "Tablet", "IOS"}),
        ("Mozilla/5.0 (Linux; Android 15) Mobile", {"Mobile", "Android"}),
        ("Mozilla/5.0 (SMART-TV; Tizen 8.0)", {"SmartTV"}),
    ],
)
def test_what_cloudfront_says_of_the_viewer(agent: str, kinds: set[str]) -> None:
    names = [
        f"CloudFront-Is-{kind}-Viewer"
        for kind in ("Android", "Desktop", "IOS", "Mobile", "SmartTV", "Tablet")
    ]
    asked = [
        "CloudFront-Viewer-Country",
        "CloudFront-Viewer-Address",
        "CloudFront-Viewer-TLS",
        *names,
    ]
    made = distribution("dchat", [vpc_origin_ref("chat")], behavior("chat", policy="p"))
    policy = {"headers": "allViewerAndWhitelistCloudFront", "header_names": asked}
    (found,) = parse_state(
        {**account([made]), "origin_request_policies": {"p": policy}}
    ).distributions
    headers = (
        ("Host", "dchat.cloudfront.net"),
        ("User-Agent", agent),
        ("CloudFront-Viewer-Country", "forged"),
    )
    request = ViewerRequest(
        "GET",
        "/",
        headers,
        "https",
        "1.1",
        "198.51.100.7",
        50000,
        "TLSv1.3:TLS_AES_128_GCM_SHA256",
        country="DE",
    )
    sent = origin_request(request, found.default_behavior, found.origins["chat"], EDGE)
    assert header(sent, "cloudfront-viewer-country") == "DE"
    assert header(sent, "cloudfront-viewer-address") == "198.51.100.7:50000"
    assert header(sent, "cloudfront-viewer-tls") == "TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake"
    assert {name[14:-7] for name in names if header(sent, name.lower()) == "true"} == kinds
