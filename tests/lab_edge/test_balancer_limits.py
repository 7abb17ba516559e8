"""What load balancers do not wait for and do not take, told apart from CloudFront's own limits."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from .stage import PATIENCE, Stage, wait_until


@pytest.mark.rule("balancer/too-large-headers")
def test_a_header_line_of_16_kb_is_too_long_for_an_alb_but_not_for_cloudfront(stage: Stage) -> None:
    def asked_with(size: int) -> tuple[int, str | None]:
        status, headers, _ = stage.request(
            "dapps", path="/single-page/", headers={"X-Long": "a" * size}
        )
        return status, headers["server"]

    assert asked_with(16_000) == (200, None)
    assert asked_with(17_000) == (400, "awselb/2.0")


@pytest.mark.rule("balancer/target-silent")
def test_a_target_that_does_not_answer_within_the_idle_timeout_is_504(stage: Stage) -> None:
    status, headers, _ = stage.request("dmute", path="/never")
    assert (status, headers["server"]) == (504, "awselb/2.0")
    assert stage.request("dchat")[0] == 200


@pytest.mark.rule("timeout/nlb-idle", "timeout/cut-without-close-frame")
def test_an_nlb_forgets_a_silent_connection_and_not_one_that_talks(stage: Stage) -> None:
    with (
        stage.websocket("dnlbidle") as silent,
        stage.websocket("dnlbidle") as talking,
    ):
        assert silent.recv()["type"] == talking.recv()["type"] == "welcome"
        # With pings: the app would broadcast a message to the silent client too.
        while silent.wait_closed_for(0.1) is None:
            talking.ping()
        assert silent.connection.close_code == 1006
        talking.ping()


@pytest.mark.rule("balancer/client-silent")
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: a.ex", b"HTTP/1.1 408 "),
        (
            b"POST /body HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\n\r\nhalf",
            b"HTTP/1.1 408 ",
        ),
        (b"GET /chunks HTTP/1.1\r\nHost: a.example\r\n\r\n", b"HTTP/1.1 200 "),
    ],
)
def test_a_client_that_falls_silent_is_cut_after_the_idle_timeout(
    stage: Stage, said: bytes, answer: bytes
) -> None:
    """Called directly; the edge itself would never stop in the middle."""
    with brisk(stage) as raw:
        raw.sendall(said)
        assert everything(raw)[: len(answer) or 1] == answer


@pytest.mark.rule("balancer/desync-mitigation")
def test_the_strictest_mode_refuses_a_request_framed_twice(stage: Stage) -> None:
    head = (
        b"POST /body HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nConnection: "
        b"close\r\n"
    )
    for extra, refused in ((b"Content-Length: 9\r\n", True), (b"", False)):
        with brisk(stage) as raw:
            raw.sendall(head + extra + b"\r\n0\r\n\r\n")
            assert everything(raw).startswith(b"HTTP/1.1 400 ") is refused


@pytest.mark.rule("balancer/malformed")
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET chunks HTTP/1.1", b"400"),
        (b"GET /chunks HTTP/2.0", b"400"),
        (b"GET /chunks HTTP/1.1", b"200"),
        (b"GET http://b.example/chunks HTTP/1.1", b"200"),
    ],
)
def test_what_is_no_request_of_http_1_is_400(stage: Stage, line: bytes, status: bytes) -> None:
    with brisk(stage) as raw:
        raw.sendall(line + b"\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        assert everything(raw).startswith(b"HTTP/1.1 " + status)


@contextlib.contextmanager
def brisk(stage: Stage) -> Iterator[socket.socket]:
    """A client of a public balancer whose idle timeout is two real seconds."""
    wait_until(lambda: bool(stage.aws.report))
    host, _, port = stage.aws.report["public"]["pub-brisk.elb.amazonaws.com:80"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
        yield raw


def everything(raw: socket.socket) -> bytes:
    heard = b""
    while piece := raw.recv(65536):
        heard += piece
    return heard
