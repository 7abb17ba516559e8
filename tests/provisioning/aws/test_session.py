"""Who the portal is in an account, and that its clients are made once."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioning.aws import vpc_origins
from provisioning.aws.errors import AwsError
from provisioning.aws.session import AccountRef, Aws, aws_for
from tests.provisioning.aws.wire import (
    Reply,
    assumed_role,
    cloudfront_error,
    listening,
    no_vpc_origins,
)

ROLE = "arn:aws:iam::111122223333:role/edge-portal"
CHAT = AccountRef("111122223333", "us-east-1", ROLE, "chosen-by-the-portal")


def in_(**given: float) -> str:
    return (datetime.now(UTC) + timedelta(**given)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_role_is_assumed_with_external_id_and_session_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listening(assumed_role("ASIAONE", in_(hours=1)), no_vpc_origins()) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        aws = Aws(CHAT)
        vpc_origins.list_all(aws)
        vpc_origins.list_all(aws)
        sts, *lists = wire.requests
    assert {
        name: sts[2][name] for name in ("Action", "RoleArn", "ExternalId", "RoleSessionName")
    } == {
        "Action": ["AssumeRole"],
        "RoleArn": [ROLE],
        "ExternalId": ["chosen-by-the-portal"],
        "RoleSessionName": ["edge-portal"],
    }
    assert [path for _, path, _ in lists] == ["/2020-05-31/vpc-origin"] * 2


def test_no_external_id_is_sent_where_none_is_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(assumed_role("ASIAONE", in_(hours=1)), no_vpc_origins()) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        vpc_origins.list_all(Aws(AccountRef("111122223333", "us-east-1", ROLE)))
        assert "ExternalId" not in wire.requests[0][2]


def test_credentials_are_renewed_before_they_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [
        assumed_role("ASIAONE", in_(minutes=5)),
        no_vpc_origins(),
        assumed_role("ASIATWO", in_(hours=1)),
        no_vpc_origins(),
    ]
    with listening(*replies) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        aws = Aws(CHAT)
        vpc_origins.list_all(aws)
        vpc_origins.list_all(aws)
        assert [method for method, _, _ in wire.requests] == ["POST", "GET", "POST", "GET"]


def test_a_role_that_refuses_us_is_an_error_of_assume_role(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(cloudfront_error("AccessDenied", 403)) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        with pytest.raises(AwsError) as caught:
            vpc_origins.list_all(Aws(CHAT))
    assert (caught.value.operation, caught.value.code) == ("AssumeRole", "AccessDenied")


def test_without_credentials_the_error_says_so_and_the_next_try_is_a_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    aws = Aws(AccountRef("123456789012", "us-east-1"))
    with pytest.raises(AwsError) as caught:
        vpc_origins.list_all(aws)
    assert (caught.value.code, caught.value.transient) == ("NoCredentials", True)
    with listening(no_vpc_origins()) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
        assert vpc_origins.list_all(aws) == ()


def test_threads_share_one_client_of_each_kind() -> None:
    aws = Aws(AccountRef("123456789012", "us-east-1"))
    with ThreadPoolExecutor(8) as pool:
        reads = set(pool.map(lambda _: id(aws.cloudfront_read), range(16)))
        balancers = set(pool.map(lambda _: id(aws.elbv2_read("us-east-1")), range(16)))
    assert len(reads) == len(balancers) == 1
    assert aws.cloudfront_read is not aws.cloudfront_write
    assert aws.elbv2_read("eu-west-1") is not aws.elbv2_read("us-east-1")


def test_cloudfront_is_signed_for_its_home_whatever_the_account_s_region(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listening(no_vpc_origins()) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        aws = Aws(AccountRef("123456789012", "eu-west-1"))
        vpc_origins.list_all(aws)
        assert "/us-east-1/cloudfront/aws4_request" in wire.signatures[0]
    assert aws.ec2_read("eu-west-1").meta.region_name == "eu-west-1"


def test_writes_are_sent_once_and_reads_up_to_three_times() -> None:
    aws = Aws(AccountRef("123456789012", "us-east-1"))
    for client, attempts in (
        (aws.cloudfront_write, 1),
        (aws.ec2_write("us-east-1"), 1),
        (aws.cloudfront_read, 3),
        (aws.ec2_read("us-east-1"), 3),
        (aws.elbv2_read("us-east-1"), 3),
    ):
        config: Any = client.meta.config  # its fields are set at run time
        assert config.retries["total_max_attempts"] == attempts
        assert config.connect_timeout + config.read_timeout <= 25
        assert attempts * config.read_timeout < 60, (
            "a run's lease must outlast a read that nobody answers"
        )


def test_one_account_has_one_set_of_clients_in_a_process_and_a_fork_has_its_own() -> None:
    ref = AccountRef("123456789012", "us-east-1", ROLE, "a")
    mine = aws_for(ref)
    assert aws_for(AccountRef("123456789012", "us-east-1", ROLE, "a")) is mine
    assert aws_for(AccountRef("123456789012", "us-east-1", ROLE, "b")) is not mine
    child = os.fork()
    if child == 0:
        os._exit(0 if aws_for(ref) is not mine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_as_many_calls_as_a_process_makes_at_once_keep_their_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Six snapshots of a page's form, eight reads of each: urllib3 warns of each connection that it
    closes because its pool is full, and every later call opens one again.
    """
    at_once = 48
    all_asked = threading.Barrier(at_once)
    with listening(no_vpc_origins()) as wire, ThreadPoolExecutor(at_once) as pool:
        reply = wire.replies[0]

        def when_all_have_asked() -> Reply | str:
            all_asked.wait(60)
            return reply

        monkeypatch.setattr(wire, "next_reply", when_all_have_asked)
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        aws = Aws(AccountRef("123456789012", "us-east-1"))
        assert [*pool.map(lambda _: vpc_origins.list_all(aws), range(at_once))] == [()] * at_once
    assert "pool is full" not in caplog.text


def test_each_call_has_a_line_with_what_aws_support_asks_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "provisioning.aws.call_log")
    throttled = cloudfront_error("Throttling", 503, **{"x-amzn-RequestId": "first"})
    found = no_vpc_origins()
    answered = Reply(found.status, found.body, {"x-amzn-RequestId": "8f0c"})
    with listening(throttled, answered, cloudfront_error("AccessDenied", 403)) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        aws = Aws(AccountRef("123456789012", "us-east-1"))
        vpc_origins.list_all(aws)
        with pytest.raises(AwsError):
            vpc_origins.list_all(aws)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(AwsError):
        vpc_origins.list_all(Aws(AccountRef("123456789012", "us-east-1")))
    lines: list[dict[str, Any]] = [vars(record)["fields"] for record in caplog.records]
    assert all(line.pop("ms") > 0 for line in lines)
    always = {
        "account": "123456789012",
        "region": "us-east-1",
        "service": "cloudfront",
        "operation": "ListVpcOrigins",
    }
    assert lines == [
        always | {"status": 200, "error": "", "aws_request_id": "8f0c", "retries": 1},
        always | {"status": 403, "error": "AccessDenied", "aws_request_id": "req-1", "retries": 0},
        always | {"status": 0, "error": "EndpointConnectionError"},
    ]
