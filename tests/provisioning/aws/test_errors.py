"""How the adapter sees AWS's refusals, and AWS's silence."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from provisioning.aws import vpc_origins
from provisioning.aws.errors import (
    ABSENT,
    EXISTING,
    IN_USE,
    MEANINGS,
    STALE,
    AwsError,
    calling,
    translate,
)
from provisioning.aws.session import AccountRef, Aws
from tests.provisioning.aws.wire import HANG_UP, Reply, cloudfront_error, listening, no_vpc_origins

CONFIG = {
    "Name": "edge-portal-1",
    "Arn": "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/a/1",
    "HTTPPort": 80,
    "HTTPSPort": 443,
    "OriginProtocolPolicy": "http-only",
}
WEB_PAGE = "<html><body>Sign in to the network.</body></html>"


def refusal(
    code: str, status: int, operation: str = "GetVpcOrigin", headers: dict[str, str] | None = None
) -> AwsError:
    response: Any = {
        "Error": {"Code": code, "Message": "Because."},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "RequestId": "req-7",
            "HTTPHeaders": headers or {},
        },
    }
    return translate(ClientError(response, operation), operation)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore waits for nothing between its attempts."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)


def at(url: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    return Aws(AccountRef("123456789012", "us-east-1"))


@pytest.mark.parametrize(
    ("code", "status", "transient"),
    [
        ("Throttling", 400, True),
        ("RequestLimitExceeded", 503, True),
        ("PreconditionFailed", 412, True),
        ("CannotDeleteEntityWhileInUse", 409, True),
        ("ExpiredToken", 403, True),
        ("AccessDenied", 403, False),
        ("UnauthorizedOperation", 403, False),
        ("EntityLimitExceeded", 400, False),
        ("CannotUpdateEntityWhileInUse", 409, False),
        ("NeverHeardOf", 400, False),
        ("NeverHeardOf", 404, False),
        ("NeverHeardOf", 429, True),
        ("NeverHeardOf", 500, True),
        ("503", 503, True),
    ],
)
def test_the_table_tells_what_passes_by_itself(code: str, status: int, transient: bool) -> None:
    assert refusal(code, status).transient is transient


def test_an_error_composes_its_sentence_and_carries_what_a_person_needs() -> None:
    error = refusal("AccessDenied", 403, "CreateVpcOrigin", {"retry-after": "12"})
    assert str(error) == "CreateVpcOrigin: Because (AccessDenied, request id req-7)."
    assert (error.request_id, error.retry_after) == ("req-7", 12.0)


def test_a_bare_refusal_of_a_create_names_the_service_linked_role() -> None:
    assert "iam:CreateServiceLinkedRole" in refusal("AccessDenied", 403, "CreateVpcOrigin").fix
    assert "iam:CreateServiceLinkedRole" not in refusal("AccessDenied", 403, "GetVpcOrigin").fix


def test_a_role_that_cannot_be_assumed_is_told_apart_from_the_call_that_needed_it() -> None:
    response: Any = {
        "Error": {"Code": "AccessDenied", "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }
    error = translate(ClientError(response, "AssumeRole"), "ListVpcOrigins")
    assert error.operation == "AssumeRole"
    assert "ExternalId" in error.fix


@pytest.mark.parametrize(
    ("codes", "name"),
    [
        (IN_USE, "is_in_use"),
        (ABSENT, "is_absent"),
        (EXISTING, "already_exists"),
        (STALE, "is_stale"),
    ],
)
def test_each_predicate_holds_for_its_codes_and_no_other(codes: frozenset[str], name: str) -> None:
    assert codes <= set(MEANINGS)
    assert {code for code in MEANINGS if getattr(AwsError("x", code, ""), name)} == codes


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), "NoAnswer", True),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), "NoAnswer", True),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), "NoAnswer", True),
        (exceptions.ConnectionClosedError(endpoint_url="http://x"), "NoAnswer", True),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), "NoAnswer", True),
        (ResponseParserError("not XML"), "UnreadableAnswer", True),
        (exceptions.NoCredentialsError(), "NoCredentials", True),
        (exceptions.CredentialRetrievalError(provider="p", error_msg="e"), "NoCredentials", True),
        (exceptions.ParamValidationError(report="bad"), "InvalidRequest", False),
    ],
)
def test_what_botocore_says_by_itself(error: Exception, code: str, transient: bool) -> None:
    seen = translate(error, "CreateVpcOrigin")
    assert (seen.code, seen.transient, seen.operation) == (code, transient, "CreateVpcOrigin")


def test_no_botocore_exception_gets_out_but_our_own_bugs_do() -> None:
    with pytest.raises(AwsError), calling("GetVpcOrigin"):
        raise exceptions.NoCredentialsError
    with pytest.raises(KeyError), calling("GetVpcOrigin"):
        raise KeyError("ours")


def test_every_error_that_cloudfront_declares_for_our_calls_is_permanent_or_in_the_table() -> None:
    model = botocore.session.get_session().get_service_model("cloudfront")
    ours = (
        "CreateVpcOrigin",
        "GetVpcOrigin",
        "ListVpcOrigins",
        "DeleteVpcOrigin",
        "GetDistribution",
        "UpdateDistribution",
    )
    declared = {
        shape.name: shape.metadata["error"]["httpStatusCode"]
        for name in ours
        for shape in model.operation_model(name).error_shapes
    }
    assert len(declared) > 50
    assert [
        code for code, status in declared.items() if status >= 500 and code not in MEANINGS
    ] == []


def test_a_write_is_sent_once_although_the_answer_is_lost(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    with listening(HANG_UP) as wire:
        with pytest.raises(AwsError) as caught:
            vpc_origins.create(at(wire.url, monkeypatch), CONFIG, {})
        assert (caught.value.code, caught.value.transient) == ("NoAnswer", True)
        assert len(wire.requests) == 1


def test_a_write_is_sent_once_although_aws_is_unwell(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    with listening(cloudfront_error("InternalError", 500)) as wire:
        with pytest.raises(AwsError) as caught:
            vpc_origins.create(at(wire.url, monkeypatch), CONFIG, {})
        assert caught.value.transient
        assert len(wire.requests) == 1


def test_a_read_is_repeated_twice(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    with listening(
        HANG_UP, cloudfront_error("Throttling", 400, "Rate exceeded"), no_vpc_origins()
    ) as wire:
        assert vpc_origins.list_all(at(wire.url, monkeypatch)) == ()
        assert len(wire.requests) == 3
    with listening(
        cloudfront_error("Throttling", 400, "Rate exceeded", **{"Retry-After": "7"})
    ) as wire:
        with pytest.raises(AwsError) as caught:
            vpc_origins.list_all(at(wire.url, monkeypatch))
        assert (caught.value.code, caught.value.retry_after, len(wire.requests)) == (
            "Throttling",
            7.0,
            3,
        )


@pytest.mark.parametrize("body", ["not XML at all", "<VpcOrigin><Id>vo_1", WEB_PAGE])
def test_an_answer_that_cannot_be_read_may_have_been_a_yes(
    body: str, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    with listening(Reply(202, body)) as wire:
        with pytest.raises(AwsError) as caught:
            vpc_origins.create(at(wire.url, monkeypatch), CONFIG, {})
        assert (caught.value.code, caught.value.transient) == ("UnreadableAnswer", True)


def test_a_web_page_in_the_place_of_a_list_is_not_an_empty_list(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    with listening(Reply(200, WEB_PAGE)) as wire:
        with pytest.raises(AwsError) as caught:
            vpc_origins.list_all(at(wire.url, monkeypatch))
        assert (caught.value.code, caught.value.transient) == ("UnreadableAnswer", True)


def test_nobody_listening_is_no_answer(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    with listening(HANG_UP) as wire:
        pass
    with pytest.raises(AwsError) as caught:
        vpc_origins.list_all(at(wire.url, monkeypatch))
    assert caught.value.code == "NoAnswer"
