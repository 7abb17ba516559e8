"""The article that puts CloudFront before a WebSocket API of API Gateway: accepted as it says,
explained if it is not.

Such an origin is no endpoint of the portal. The form says what a WebSocket would meet there, and
`manage.py probe` what it really meets.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.journeys.conftest import Product
from tests.journeys.portal_clients import words_of
from tests.journeys.probe_command import typed
from tests.journeys.team_account import CHAT
from tests.journeys.until import until

CACHING_DISABLED, CACHING_OPTIMIZED = (
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "658327ea-f89d-4fab-a63d-7e88639e58f6",
)
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
STAGE = "/prod"
DEPLOYED_SECONDS = 60.0

SOCKET_HEADERS = (
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Accept",
)
"""What the article's origin request policy lists; no cookies, no query strings."""


@dataclass(frozen=True)
class Doors:
    """Two distributions before the same API: as the article has it, and with one mistake per
    path.
    """

    right: Mapping[str, Any]
    wrong: Mapping[str, Any]


@pytest.fixture(scope="module")
def doors(product: Product) -> Doors:
    """Made by the team itself. The form looks at them while they are deployed."""
    cloudfront, gateway = product.account.cloudfront, product.account.client("apigatewayv2")
    (api,) = (one for one in gateway.get_apis()["Items"] if one["ProtocolType"] == "WEBSOCKET")
    host = api["ApiEndpoint"].partition("://")[2]
    policy = cloudfront.create_origin_request_policy(
        OriginRequestPolicyConfig={
            "Name": "webSocketPolicy",
            "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(*SOCKET_HEADERS)},
            "CookiesConfig": {"CookieBehavior": "none"},
            "QueryStringsConfig": {"QueryStringBehavior": "none"},
        }
    )["OriginRequestPolicy"]["Id"]
    good, plain, whole = (
        origin("api", host),
        origin("plain", host, "http-only"),
        origin("whole", host, path=""),
    )
    right = made(cloudfront, "Gateway door", [good], behavior("api", policy))
    mistakes = {
        "/keyless": behavior("api", ""),
        "/cached": behavior("api", policy, cache=CACHING_OPTIMIZED),
        "/plain": behavior("plain", policy),
        "/whole": behavior("whole", policy),
    }
    host_forwarded = behavior("api", ALL_VIEWER)
    wrong = made(
        cloudfront, "Gateway door with mistakes", [good, plain, whole], host_forwarded, mistakes
    )
    return Doors(right, wrong)


def test_what_the_form_says_to_each_mistake(product: Product, doors: Doors) -> None:
    words = form_says(product, doors.wrong["Id"])
    for mistake, fix in (
        ("* forwards the viewers' Host", "origin request policy AllViewerExceptHostHeader"),
        (
            "/keyless does not forward Sec-WebSocket-Key, Sec-WebSocket-Version",
            "Sec-WebSocket-Key, -Version",
        ),
        ("/cached has a cache policy that caches", "cache policy CachingDisabled"),
        ("plain is accessed with http-only", "protocol HTTPS only"),
        ("whole has no origin path", "origin path /STAGE"),
    ):
        assert mistake in words, words
        assert fix in words, words


def test_as_the_article_sets_it_up_the_form_has_nothing_against_it_and_a_handshake_opens(
    product: Product, doors: Doors
) -> None:
    words = form_says(product, doors.right["Id"])
    assert "Preflight results" in words
    assert "Other paths on this distribution" not in words, words
    await_deployed(product, doors.right)
    told = typed(product, f"wss://{doors.right['DomainName']}/", "--handshake-only")
    assert (told.exit_code, told.status, told.code) == (0, 101, "WSE-LIVE")


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/", 403, "WSE-403-APIGW"), ("/whole", 403, "WSE-403-APIGW")]
)
def test_api_gateways_own_refusal_is_told_from_cloudfronts(
    product: Product, doors: Doors, path: str, status: int, code: str
) -> None:
    await_deployed(product, doors.wrong)
    told = typed(product, f"wss://{doors.wrong['DomainName']}{path}")
    assert (told.exit_code, told.status, told.code) == (1, status, code)
    assert "not Host (AllViewerExceptHostHeader)" in told.fix
    assert "the stage (for example /prod) as origin path" in told.fix


def form_says(product: Product, distribution_id: str) -> str:
    """What the request form says to a target and this distribution, as a reader sees it."""
    ana, target = product.visitor("ana"), product.account.target("int-chat")
    given = {"part": "target", "team": "chat", "account_id": CHAT, "target_arn": target.arn}

    def look() -> str:
        page = ana.http.get(
            "/requests/new/preview/", params=given | {"distribution_id": distribution_id}
        )
        words = html.unescape(words_of(page))
        assert "could not be checked" not in words, words
        not_yet = ("Waiting for AWS to answer", "has used up its call budget")
        return "" if any(told in words for told in not_yet) else words

    return until(look, "AWS's answer in the form")


def listed(*values: Any) -> dict[str, Any]:
    return {"Quantity": len(values), "Items": list(values)}


def origin(name: str, host: str, policy: str = "https-only", path: str = STAGE) -> dict[str, Any]:
    custom = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": policy}
    return {"Id": name, "DomainName": host, "OriginPath": path, "CustomOriginConfig": custom}


def behavior(origin_id: str, policy: str, *, cache: str = CACHING_DISABLED) -> dict[str, Any]:
    made = {
        "TargetOriginId": origin_id,
        "ViewerProtocolPolicy": "https-only",
        "CachePolicyId": cache,
        "Compress": False,
    }
    return made | ({"OriginRequestPolicyId": policy} if policy else {})


def made(
    cloudfront: Any,
    comment: str,
    origins: list[dict[str, Any]],
    default: dict[str, Any],
    others: Mapping[str, dict[str, Any]] | None = None,
) -> Mapping[str, Any]:
    """A new distribution: its Id and DomainName."""
    found: Mapping[str, Any] = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": comment,
            "Comment": comment,
            "Enabled": True,
            "Origins": listed(*origins),
            "DefaultCacheBehavior": default,
            "CacheBehaviors": listed(
                *(one | {"PathPattern": path} for path, one in (others or {}).items())
            ),
        }
    )["Distribution"]
    return found


def await_deployed(product: Product, distribution: Mapping[str, Any]) -> None:
    def deployed() -> bool:
        shown = product.account.cloudfront.get_distribution(Id=distribution["Id"])["Distribution"]
        return bool(shown["Status"] == "Deployed")

    until(deployed, f"{distribution['Id']} deployed", DEPLOYED_SECONDS)
