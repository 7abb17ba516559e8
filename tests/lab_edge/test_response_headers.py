"""What a response headers policy changes, alone and on the wire."""

from __future__ import annotations

import pytest

from lab.edge.account.policies import parse_response_headers_policy
from lab.edge.account.state import parse_state
from lab.edge.cdn.response_headers import apply_policy, strip_unforwarded
from lab.edge.http.messages import Header, ViewerRequest

from .account import (
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
from .cloudfront_situations import response_headers_policy
from .stage import Stage


def after(config: Json, *headers: Header, method: str = "GET", **asked: str) -> dict[str, str]:
    """The response's headers after the policy, by name in lower case."""
    named = tuple((name.replace("_", "-"), value) for name, value in asked.items())
    request = ViewerRequest(method, "/", named, "https", "1.1", "198.51.100.7", 1)
    made = apply_policy(headers, parse_response_headers_policy(config), request)
    assert len({name.lower() for name, _ in made}) == len(made)
    return {name.lower(): value for name, value in made}


def test_security_headers_in_browsers_words() -> None:
    security = {
        "XSSProtection": {"Protection": True, "ModeBlock": True, "Override": True},
        "FrameOptions": {"FrameOption": "SAMEORIGIN", "Override": True},
        "ReferrerPolicy": {"ReferrerPolicy": "same-origin", "Override": True},
        "ContentSecurityPolicy": {"ContentSecurityPolicy": "default-src 'self'", "Override": True},
        "ContentTypeOptions": {"Override": True},
        "StrictTransportSecurity": {
            "AccessControlMaxAgeSec": 9,
            "IncludeSubdomains": True,
            "Preload": True,
        },
    }
    assert after({"SecurityHeadersConfig": security}) == {
        "x-xss-protection": "1; mode=block",
        "x-frame-options": "SAMEORIGIN",
        "referrer-policy": "same-origin",
        "content-security-policy": "default-src 'self'",
        "x-content-type-options": "nosniff",
        "strict-transport-security": "max-age=9; includeSubDomains; preload",
    }


def test_override_decides_whose_header_stays() -> None:
    for override, value in ((True, "ours"), (False, "theirs")):
        config = {
            "CustomHeadersConfig": items([{"Header": "X-A", "Value": "ours", "Override": override}])
        }
        assert after(config, ("x-a", "theirs")) == {"x-a": value}
        assert after(config) == {"x-a": "ours"}
    assert after(
        {"RemoveHeadersConfig": items([{"Header": "X-A"}])}, ("x-a", "1"), ("x-b", "2")
    ) == {"x-b": "2"}


@pytest.mark.rule("policy/set-cookie", "policy/vary")
@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (None, {"x-a": "1", "vary": "Accept-Encoding, Cookie"}),
        (
            ALL_VIEWER,
            {
                "x-a": "1",
                "set-cookie": "a=1",
                "vary": "Accept-Encoding, Origin, Cookie, User-Agent",
            },
        ),
        (SOCKET_HEADERS_ONLY, {"x-a": "1", "set-cookie": "a=1", "vary": "Accept-Encoding, Cookie"}),
    ],
)
def test_cookies_and_vary_come_back_as_far_as_they_were_forwarded(
    policy: str | None, kept: dict[str, str]
) -> None:
    headers = (
        ("X-A", "1"),
        ("Set-Cookie", "a=1"),
        ("Vary", "Accept-Encoding, Origin, Cookie, User-Agent"),
    )
    made = distribution("dchat", [vpc_origin_ref("chat")], behavior("chat", policy=policy))
    state = parse_state({**account([made]), "origin_request_policies": POLICIES})
    passed = strip_unforwarded(headers, state.distributions[0].default_behavior)
    assert {name.lower(): value for name, value in passed} == kept
    assert strip_unforwarded([("Vary", "Origin")], state.distributions[0].default_behavior) == (
        (("Vary", "Origin"),) if policy == ALL_VIEWER else ()
    )


@pytest.mark.parametrize(
    ("allowed", "origin", "answer"),
    [
        (["*"], "https://a.example", "*"),
        (["https://a.example"], "https://a.example", "https://a.example"),
        (["a.example"], "https://a.example", "https://a.example"),
        (["http://a.example"], "https://a.example", None),
        (["https://*.example"], "https://a.b.example", "https://a.b.example"),
        (["*.example"], "https://example", None),
        (["https://a.example"], "", None),
    ],
)
def test_cors_only_for_who_may(allowed: list[str], origin: str, answer: str | None) -> None:
    config = {"CorsConfig": {"AccessControlAllowOrigins": items(allowed), "OriginOverride": True}}
    assert (
        after(config, **({"origin": origin} if origin else {})).get("access-control-allow-origin")
        == answer
    )


def test_a_preflight_hears_more() -> None:
    cors = {
        "AccessControlAllowOrigins": items(["*"]),
        "AccessControlAllowMethods": items(["ALL"]),
        "AccessControlAllowHeaders": items(["X-Token"]),
        "AccessControlExposeHeaders": items(["X-Count"]),
        "AccessControlMaxAgeSec": 60,
    }
    asked = {"origin": "https://a.example", "access_control_request_method": "PUT"}
    heard = after({"CorsConfig": cors}, method="OPTIONS", **asked)
    assert heard["access-control-allow-methods"] == "GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE"
    assert (heard["access-control-allow-headers"], heard["access-control-max-age"]) == (
        "X-Token",
        "60",
    )
    plain = after({"CorsConfig": cors}, origin="https://a.example")
    assert plain == {"access-control-allow-origin": "*", "access-control-expose-headers": "X-Count"}


@pytest.mark.rule("policy/response-headers")
def test_the_page_and_the_handshake_carry_them(stage: Stage) -> None:
    assert "X-Team" not in stage.request("dchat")[1]
    _, headers, _ = stage.request("dheaders", headers={"Origin": "https://a.example.com"})
    assert headers["x-team"] == "chat"
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["strict-transport-security"] == "max-age=300; includeSubDomains"
    assert headers["access-control-allow-origin"] == "https://a.example.com"
    for name, cookies in (("dodd", ["a=1", "b=2"]), ("dheaders", None)):
        assert stage.request(name, path="/cookies")[1].get_all("set-cookie") == cookies
    with stage.websocket("dheaders") as client:
        assert client.recv()["type"] == "welcome"
        assert client.response.headers["x-team"] == "chat"


def test_an_answer_of_the_edge_itself_has_none(stage: Stage) -> None:
    assert stage.request("dheaders", "POST", body=b"x")[1]["x-team"] is None
    assert parse_response_headers_policy(response_headers_policy()).cors is not None
