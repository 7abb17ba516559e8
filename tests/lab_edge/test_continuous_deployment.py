"""Primary or staging: by header, by weight, and by the cookie that keeps a session where it is."""

from __future__ import annotations

from typing import Any

import pytest

from lab.edge.account.state import parse_state
from lab.edge.cdn.continuous_deployment import COOKIE, ServedDistribution, choose
from lab.edge.http.messages import ViewerRequest

from .account import Json, account, behavior, distribution, vpc_origin_ref
from .cloudfront_situations import deployment
from .stage import Stage

NOW = 1_800_000_000.0


def chosen(
    policy: Json,
    dice: float = 0.5,
    now: float = NOW,
    scale: float = 1.0,
    enabled: bool = True,
    **headers: Any,
) -> ServedDistribution:
    """Who answers a request with these headers."""
    primary = distribution("dmain", [vpc_origin_ref("chat")], behavior("chat"))
    staging = {
        **distribution("dnew", [vpc_origin_ref("chat")], behavior("chat"), Enabled=enabled),
        "staging": True,
    }
    told = account([{**primary, "continuous_deployment_policy_id": "p"}, staging])
    state = parse_state({**told, "continuous_deployment_policies": {"p": policy}})
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    request = ViewerRequest("GET", "/ws/chat", named, "https", "1.1", "198.51.100.7", 1)
    policies = state.continuous_deployment_policies
    return choose(state.distributions[0], state.distributions, policies, request, dice, now, scale)


BY_HEADER = deployment("dnew", type="SingleHeader", header="aws-cf-cd-blue", value="Yes")
BY_WEIGHT = deployment("dnew", type="SingleWeight", weight=0.15)
STICKY = deployment("dnew", type="SingleWeight", weight=0.15, idle_ttl=300, maximum_ttl=900)


@pytest.mark.parametrize(
    ("policy", "headers", "answers"),
    [
        (BY_HEADER, {"aws_cf_cd_blue": "Yes"}, "EDNEW"),
        (BY_HEADER, {"Aws_Cf_Cd_Blue": "Yes"}, "EDNEW"),
        (BY_HEADER, {"aws_cf_cd_blue": "yes"}, "EDMAIN"),
        (BY_HEADER, {}, "EDMAIN"),
        ({**BY_HEADER, "enabled": False}, {"aws_cf_cd_blue": "Yes"}, "EDMAIN"),
        (
            {**BY_HEADER, "staging_domains": ["dother.cloudfront.net"]},
            {"aws_cf_cd_blue": "Yes"},
            "EDMAIN",
        ),
        ({**BY_HEADER, "header": None, "value": None}, {}, "EDMAIN"),
    ],
)
def test_by_header(policy: Json, headers: dict[str, Any], answers: str) -> None:
    assert chosen(policy, **headers).distribution.id == answers


@pytest.mark.parametrize(
    ("dice", "answers"), [(0.0, "EDNEW"), (0.149, "EDNEW"), (0.15, "EDMAIN"), (0.99, "EDMAIN")]
)
def test_by_weight(dice: float, answers: str) -> None:
    choice = chosen(BY_WEIGHT, dice)
    assert (choice.distribution.id, choice.cookie) == (answers, "")


def test_a_staging_distribution_that_is_disabled_gets_nothing() -> None:
    assert chosen(BY_WEIGHT, 0.0).distribution.id == "EDNEW"
    assert chosen(BY_WEIGHT, 0.0, enabled=False).distribution.id == "EDMAIN"


@pytest.mark.parametrize(("dice", "stays"), [(0.0, "EDNEW"), (0.9, "EDMAIN")])
def test_a_session_stays_until_it_was_idle_or_lasted_too_long(dice: float, stays: str) -> None:
    other = "EDMAIN" if stays == "EDNEW" else "EDNEW"
    first = chosen(STICKY, dice)
    assert first.distribution.id == stays
    cookie = first.cookie.partition(";")[0]
    assert "Max-Age=300" in first.cookie
    again = chosen(STICKY, 0.9 - dice, now=NOW + 290, cookie=cookie)
    assert again.distribution.id == stays
    later = again.cookie.partition(";")[0]
    assert (
        chosen(STICKY, 0.9 - dice, now=NOW + 580, cookie=f"a=1; {later}").distribution.id == stays
    )
    assert chosen(STICKY, 0.9 - dice, now=NOW + 310, cookie=cookie).distribution.id == other
    last = cookie
    for second in range(0, 1000, 250):
        choice = chosen(STICKY, 0.9 - dice, now=NOW + second, cookie=last)
        assert choice.distribution.id == (stays if second <= 900 else other)
        last = choice.cookie.partition(";")[0]


def test_sessions_run_with_the_labs_clock() -> None:
    cookie = chosen(STICKY, 0.0, scale=6.0).cookie
    assert "Max-Age=50" in cookie
    assert (
        chosen(
            STICKY, 0.9, now=NOW + 60, scale=6.0, cookie=cookie.partition(";")[0]
        ).distribution.id
        == "EDMAIN"
    )


@pytest.mark.rule("continuous-deployment/sessions-reset")
def test_a_switch_ends_all_sessions() -> None:
    cookie = chosen(STICKY, 0.0).cookie.partition(";")[0]
    assert chosen(STICKY, 0.9, cookie=cookie).distribution.id == "EDNEW"
    assert chosen({**STICKY, "resets": 2}, 0.9, cookie=cookie).distribution.id == "EDMAIN"


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "p-0.staging",
        "p-0.staging.x.y",
        "q-0.staging.1800000000.1800000000",
        "p-0.staging.1800000100.1800000100",
    ],
)
def test_a_cookie_that_is_not_of_this_session_says_nothing(cookie: str) -> None:
    assert chosen(STICKY, 0.9, cookie=f"{COOKIE}={cookie}").distribution.id == "EDMAIN"


@pytest.mark.rule(
    "continuous-deployment/header-routes",
    "continuous-deployment/not-called-directly",
    "continuous-deployment/websocket",
)
def test_only_the_header_leads_to_staging(stage: Stage) -> None:
    assert stage.request("dheader", path="/healthz")[2] == b"ok\n"
    assert stage.request("dheader", path="/chunks", headers={"aws-cf-cd-new": "yes"})[2] == b"abcde"
    assert stage.request("dheadernew", path="/chunks", headers={"aws-cf-cd-new": "yes"})[0] == 403
    with stage.websocket("dheader", additional_headers={"aws-cf-cd-new": "no"}) as client:
        assert client.recv()["type"] == "welcome"


@pytest.mark.rule("continuous-deployment/weight-routes", "continuous-deployment/session-stays")
def test_weight_leads_to_staging_and_a_cookie_says_so(stage: Stage) -> None:
    status, headers, body = stage.request("dweight", path="/chunks")
    assert (status, body) == (200, b"abcde")
    began = headers["set-cookie"].partition(";")[0]
    assert began.startswith(f"{COOKIE}=by-weight-0.staging.")
    primary = began.replace(".staging.", ".primary.")
    status, headers, body = stage.request("dweight", path="/healthz", headers={"Cookie": primary})
    assert (status, body) == (200, b"ok\n")
    with stage.websocket("dweight", additional_headers={"Cookie": primary}) as client:
        assert client.recv()["type"] == "welcome"
        assert client.response.headers["set-cookie"].startswith(f"{COOKIE}=by-weight-0.primary.")
