"""Errors that the edge has in mind: which, for how long, and what a viewer sees of it."""

from __future__ import annotations

import pytest

from lab.edge.account.state import parse_state
from lab.edge.cdn.error_cache import MAX_ERRORS, ErrorCache, cache_key, error_ttl
from lab.edge.http.messages import Refusal, ViewerRequest

from .account import CACHING_DISABLED, Json, account, behavior, distribution, items, vpc_origin_ref
from .stage import Stage

CACHING: Json = {
    "caching": {"max_ttl": 60, "query_strings": "whitelist", "query_string_names": ["a"]}
}


def kept(
    status: int, control: str = "", policy: str = "caching", mapping: Json | None = None
) -> float:
    """For how many seconds an error of that status is kept."""
    made = distribution(
        "derrors",
        [vpc_origin_ref("odd")],
        {**behavior("odd"), "CachePolicyId": policy},
        CustomErrorResponses=items([mapping] if mapping else []),
    )
    told = {**account([made]), "cache_policies": {**CACHING, CACHING_DISABLED: {"max_ttl": 0}}}
    (found,) = parse_state(told).distributions
    headers = [("Cache-Control", control)] if control else []
    return error_ttl(found, found.default_behavior, status, headers)


@pytest.mark.rule(
    "distribution/error-caching",
    "distribution/error-caching-with-max-age",
    "distribution/error-caching-disabled",
)
@pytest.mark.parametrize(
    ("status", "control", "seconds"),
    [
        (404, "", 10),
        (414, "", 10),
        (500, "", 10),
        (501, "", 10),
        (502, "", 10),
        (503, "", 10),
        (504, "", 10),
        (504, "max-age=30", 30),
        (504, "max-age=3", 10),
        (504, "no-store", 10),
        (404, "max-age=30, s-maxage=60", 60),
        (400, "", 0),
        (403, "", 0),
        (403, "max-age=30", 30),
        (403, "private, max-age=30", 0),
        (405, "s-maxage=5", 10),
        (412, "", 0),
        (415, "", 0),
        (401, "max-age=30", 0),
        (426, "max-age=30", 0),
        (429, "", 0),
    ],
)
def test_which_errors_are_kept_and_for_how_long(status: int, control: str, seconds: float) -> None:
    assert kept(status, control) == seconds
    assert kept(status, control, policy=CACHING_DISABLED) == 0


def test_a_custom_error_response_sets_the_time() -> None:
    assert kept(404, mapping={"ErrorCode": 404, "ErrorCachingMinTTL": 0}) == 0
    assert kept(404, mapping={"ErrorCode": 404, "ErrorCachingMinTTL": 300}) == 300
    assert kept(404, "max-age=600", mapping={"ErrorCode": 404, "ErrorCachingMinTTL": 300}) == 600
    assert kept(404, mapping={"ErrorCode": 503, "ErrorCachingMinTTL": 300}) == 10
    assert kept(403, mapping={"ErrorCode": 403, "ErrorCachingMinTTL": 5}) == 5


def test_what_makes_two_requests_the_same() -> None:
    made = distribution(
        "derrors", [vpc_origin_ref("odd")], {**behavior("odd"), "CachePolicyId": "caching"}
    )
    (found,) = parse_state({**account([made]), "cache_policies": CACHING}).distributions

    def key(target: str, host: str = "derrors.cloudfront.net") -> object:
        request = ViewerRequest("GET", target, (("Host", host),), "https", "1.1", "198.51.100.7", 1)
        return cache_key(found, found.default_behavior, request)

    assert key("/x?a=1&b=2") == key("/x?b=3&a=1", host="alias.example")
    assert key("/x?a=1") != key("/x?a=2")
    assert key("/x") != key("/y")


@pytest.mark.rule("continuous-deployment/own-cache")
def test_a_staging_distribution_shares_nothing_with_its_primary() -> None:
    caching = {**behavior("odd"), "CachePolicyId": "caching"}
    made = [
        distribution(name, [vpc_origin_ref("odd")], caching) for name in ("dprimary", "dstaging")
    ]
    told = {**account([made[0], {**made[1], "staging": True}]), "cache_policies": CACHING}
    request = ViewerRequest(
        "GET", "/x", (("Host", "dprimary.cloudfront.net"),), "https", "1.1", "198.51.100.7", 1
    )
    keys = [
        cache_key(found, found.default_behavior, request)
        for found in parse_state(told).distributions
    ]
    assert keys[0] != keys[1]


def test_the_cache_forgets_in_time_and_never_grows_without_end() -> None:
    cache = ErrorCache()
    error = Refusal(504, "OriginCommError", "late")
    cache.put("a", error, 10.0)
    assert cache.get("a", 9.9) is error
    assert cache.get("a", 10.0) is None
    for number in range(MAX_ERRORS + 5):
        cache.put(number, error, 99.0)
    assert cache.get(4, 0.0) is None
    assert cache.get(5, 0.0) is error


def test_an_error_is_answered_again_without_asking_the_origin(stage: Stage) -> None:
    asked = len(stage.odd.asked)
    answers = [stage.request("derrors", path="/missing") for _ in range(3)]
    assert [(status, body) for status, _, body in answers] == [(404, b"gone\n")] * 3
    assert {headers["x-cache"] for _, headers, _ in answers} == {"Error from cloudfront"}
    assert len({headers["x-amz-cf-id"] for _, headers, _ in answers}) == 3
    assert len(stage.odd.asked) == asked + 1
    assert stage.request("derrors", "HEAD", "/missing")[0] == 404
    assert len(stage.odd.asked) == asked + 1
    last = answers[-1][1]["x-amz-cf-id"]
    row = stage.edge.wait_for_entry(lambda entry: entry["x-edge-request-id"] == last)
    assert [row[f"x-edge-{kind}"] for kind in ("result-type", "detailed-result-type")] == [
        "Error",
        "Error",
    ]


def test_with_caching_disabled_every_request_reaches_the_origin(stage: Stage) -> None:
    asked = len(stage.odd.asked)
    assert [stage.request("dodd", path="/missing")[0] for _ in range(3)] == [404] * 3
    assert len(stage.odd.asked) == asked + 3
