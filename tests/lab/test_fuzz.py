"""Whatever is sent, the reply is in AWS's form and the process survives. `make soak` sends much
more.
"""

from __future__ import annotations

import random
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.protocol.rest_xml import Router, read_call
from lab.aws.cloudfront.protocol.service_model import SERVICE_MODEL
from tests.lab.account import PATIENCE, Lab
from tests.lab.fuzzing import (
    MONSTERS,
    SCOPE,
    TEXTS,
    Request,
    Sender,
    cloudfront_request,
    judge,
    lab_request,
    moto_request,
)

SEED = 20261121
ROUTER = Router.for_all_operations()
CREATES = (
    "CreateDistribution",
    "CreateVpcOrigin",
    "CreateResponseHeadersPolicy",
    "CreateKeyGroup",
    "TagResource",
)


@pytest.fixture
def sender(lab: Lab) -> Iterator[Sender]:
    """Connected to a lab without throttling."""
    lab.post("/_lab/settings", {"throttling": {"read_rate": 0, "write_rate": 0}})
    opened = Sender(lab.port)
    yield opened
    opened.close()
    lab.post("/_lab/settings", {"throttling": {"read_rate": None, "write_rate": None}})


def assert_named_answers(
    sender: Sender, make: Callable[[random.Random], Request], count: int, seed: int = SEED
) -> None:
    chance = random.Random(seed)  # noqa: S311
    for _ in range(count):
        request = make(chance)
        judge(request, *sender.send(request))


def at_cloudfront(lab: Lab) -> Callable[[random.Random], Request]:
    account = lab.account("123456789012")
    origins = account.cloudfront.list_vpc_origins()["VpcOriginList"].get("Items", [])
    made = account.create_distribution()["Distribution"]["Id"]
    ids = [made, origins[0]["Id"] if origins else account.create_vpc_origin()["VpcOrigin"]["Id"]]
    return lambda chance: cloudfront_request(chance, ids)


def test_cloudfront(lab: Lab, sender: Sender) -> None:
    assert_named_answers(sender, at_cloudfront(lab), 250)


def test_what_moto_serves(sender: Sender) -> None:
    assert_named_answers(sender, moto_request, 100)


def test_the_labs_own_addresses(sender: Sender) -> None:
    assert_named_answers(sender, lab_request, 100)


@pytest.mark.parametrize("number", range(len(MONSTERS)))
def test_monsters(sender: Sender, number: int) -> None:
    request = Request("POST", "/2020-05-31/distribution", MONSTERS[number])
    status, body, content_type = sender.send(request)
    judge(request, status, body, content_type)
    assert status == 400


def exchange(lab: Lab, raw: bytes) -> bytes:
    """Everything that the server sends on a connection."""
    with socket.create_connection(("127.0.0.1", lab.port), timeout=PATIENCE) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    return reply


def request_of(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """An HTTP/1.1 request with what the lab reads of a signature."""
    signed = f"Authorization: {SCOPE.format('cloudfront')}"
    return (
        "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", signed, *headers, "", ""]).encode()
        + body
    )


LISTING = "/2020-05-31/vpc-origin?MaxItems=1"


def test_a_connection_carries_many_requests(lab: Lab) -> None:
    """As with AWS, even if the next request is sent before the answer. An unexpected body is
    skipped.
    """
    several = [
        request_of("GET", LISTING),
        request_of("HEAD", LISTING),
        request_of("DELETE", "/2020-05-31/vpc-origin/vo_x", "Content-Length: 3", body=b"abc"),
        request_of("GET", f"http://cloudfront.amazonaws.com{LISTING}"),
        request_of("GET", "/_lab/state?version=999999999"),
        request_of("GET", LISTING, "Connection: close"),
        request_of("GET", LISTING),
    ]
    reply = exchange(lab, b"".join(several))
    assert re.findall(rb"HTTP/1.1 (\d+)", reply)[:4] == [b"200", b"404", b"404", b"200"]
    assert reply.count(b"HTTP/1.1 ") == 6, "what follows on a closed connection is not answered"
    assert reply.count(b"Connection: close") == 1


def test_chunks_with_extensions_and_trailers(lab: Lab) -> None:
    body = b'1;name="a;b"\r\n<\r\n3\r\na/>\r\n0\r\nX-Checksum: 1\r\n\r\n'
    first = request_of("POST", "/2020-05-31/distribution", "Transfer-Encoding: chunked", body=body)
    reply = exchange(lab, first + request_of("GET", LISTING))
    assert b"the root element is a;" in reply
    assert b"<VpcOriginList" in reply


def test_a_client_may_ask_before_it_sends_a_body(lab: Lab) -> None:
    head = request_of(
        "POST", "/2020-05-31/distribution", "Content-Length: 4", "Expect: 100-continue"
    )
    with socket.create_connection(("127.0.0.1", lab.port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"<a/>")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/2.0\r\n\r\n", b"505"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nX: " + b"b" * 70_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_http_is_told_so_in_http(lab: Lab, raw: bytes, status: bytes) -> None:
    reply = exchange(lab, raw)
    assert reply.startswith(b"HTTP/1.1 " + status + b" ")
    assert b"<ErrorResponse>" in reply


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /2020-05-31/distribution HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        b"chunked\r\n\r\nZZ\r\n",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n5\r\nab",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n<a/>",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n<a/>",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nHost: x\r\nContent-Length: "
        b"4\r\nContent-Length: 0\r\n\r\n<a/>",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n0\r\nX: 1\r\n",
        b"POST /_lab/clock HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    ],
)
def test_broken_framing(lab: Lab, raw: bytes) -> None:
    reply = exchange(lab, raw)
    assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n"), reply
    assert b"<Code>IncompleteBody</Code>" in reply or raw.startswith(b"POST /_lab/"), reply
    assert lab.get("/_lab/clock")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    operation=st.sampled_from(CREATES),
    body=st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: f"<a>{text}</a>".encode("utf-8", "replace")),
    query=st.sampled_from(TEXTS) | st.text(max_size=50),
)
def test_reading_a_request_gives_a_call_or_an_error_of_aws(
    operation: str, body: bytes, query: str
) -> None:
    http = SERVICE_MODEL.operation_model(operation).http
    path, _, fixed = http["requestUri"].partition("?")
    try:
        outcome = read_call(
            ROUTER, http["method"], path, f"{fixed}&{query}", {}, body
        ).operation.name
    except CloudFrontError as error:
        outcome = str(error.status)
    assert outcome.startswith((operation, "4"))


@pytest.mark.slow
def test_a_long_storm_and_a_restart_in_it(tmp_path: Path) -> None:
    """A request that was journaled must not keep the next process from starting."""
    lab = Lab(tmp_path)
    lab.start()
    try:
        for round_number in range(3):
            lab.post("/_lab/settings", {"throttling": {"read_rate": 0, "write_rate": 0}})
            sender = Sender(lab.port)
            assert_named_answers(sender, at_cloudfront(lab), 6000, seed=round_number)
            assert_named_answers(sender, moto_request, 3000, seed=round_number)
            assert_named_answers(sender, lab_request, 1500, seed=round_number)
            sender.close()
            lab.end(signal.SIGKILL)
            lab.start()
    finally:
        lab.end()
