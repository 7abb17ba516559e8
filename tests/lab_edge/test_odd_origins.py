"""Origins that misbehave, and request bodies: what the viewer gets, and that nobody else
suffers.
"""

from __future__ import annotations

import http.client
import socket
import struct

import pytest

from .stage import Stage, wait_until


@pytest.mark.rule("answer/passes-the-origins", "balancer/target-refuses")
@pytest.mark.parametrize(
    ("path", "status", "server"),
    [
        ("/garbage", 502, "awselb/2.0"),
        ("/silence", 502, "awselb/2.0"),
        ("/switch", 502, "awselb/2.0"),
        ("/endless-headers", 502, "awselb/2.0"),
        ("/early", 413, None),
        ("/to-the-end", 200, None),
        ("/chunks", 200, None),
        ("/two-framings", 200, None),
    ],
)
def test_what_the_viewer_gets(stage: Stage, path: str, status: int, server: str | None) -> None:
    got, headers, body = stage.request("dodd", path=path)
    assert (got, headers["server"]) == (status, server)
    assert headers["x-cache"] == (
        "Error from cloudfront" if status >= 400 else "Miss from cloudfront"
    )
    assert {"/to-the-end": b"until I close", "/chunks": b"abcde", "/two-framings": b"abc"}.get(
        path, body
    ) == body
    assert stage.edge.running()


@pytest.mark.rule(
    "answer/malformed-origin", "answer/origin-headers-too-large", "answer/one-continue"
)
@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/garbage", 502, "OriginInvalidResponseError"),
        ("/silence", 502, "OriginInvalidResponseError"),
        ("/switch", 502, "OriginInvalidResponseError"),
        ("/long-headers", 502, "OriginHeaderTooBigError"),
        ("/endless-headers", 502, "OriginHeaderTooBigError"),
        ("/continues", 502, "OriginInvalidResponseError"),
        ("/continue", 200, "Miss"),
        ("/chunks", 200, "Miss"),
    ],
)
def test_without_a_load_balancers_own_answers_cloudfront_says_what_is_wrong(
    stage: Stage, path: str, status: int, detail: str
) -> None:
    got, headers, _ = stage.request("doddnlb", path=path)
    assert (got, headers["server"]) == (status, "CloudFront" if status == 502 else None)
    row = stage.edge.wait_for_entry(
        lambda entry: entry["x-edge-request-id"] == headers["x-amz-cf-id"]
    )
    assert row["x-edge-detailed-result-type"] == detail


def test_a_response_that_breaks_off_is_not_passed_as_whole(stage: Stage) -> None:
    with pytest.raises(http.client.IncompleteRead):
        stage.request("dodd", path="/half")
    assert stage.request("dchat")[0] == 200


@pytest.mark.rule("timeout/origin-read-between-packets", "log/viewer-left-midway")
@pytest.mark.parametrize(
    ("name", "path", "detail"),
    [("dodd", "/half", "OriginReadError"), ("dstalled", "/half-and-wait", "OriginCommError")],
)
def test_an_origin_that_stops_in_the_middle_is_an_error_that_began_well(
    stage: Stage, name: str, path: str, detail: str
) -> None:
    with pytest.raises(http.client.IncompleteRead):
        stage.request(name, path=path)
    of_this = (path, f"{name}.cloudfront.net")
    row = stage.edge.wait_for_entry(
        lambda entry: (entry["cs-uri-stem"], entry["cs(Host)"]) == of_this
    )
    assert (row["sc-status"], row["x-edge-response-result-type"]) == ("200", "Miss")
    assert (row["x-edge-result-type"], row["x-edge-detailed-result-type"]) == ("Error", detail)


def test_repeated_headers_stay_apart_and_via_grows(stage: Stage) -> None:
    _, headers, _ = stage.request("dodd", path="/cookies")
    assert headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert headers["via"].startswith("1.0 x, 1.1 ")


def test_bodies_arrive_whole_with_either_framing(stage: Stage) -> None:
    body = bytes(range(256)) * 4000
    assert stage.request("dodd", "POST", "/body", body=body)[0] == 200
    assert stage.odd.bodies[-1] == body
    with stage.raw("dodd.cloudfront.net") as raw:
        raw.sendall(
            b"POST /body HTTP/1.1\r\nHost: dodd.cloudfront.net\r\nTransfer-Encoding: "
            b"chunked\r\n\r\n"
        )
        raw.sendall(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert stage.odd.bodies[-1] == b"abcdefg"


@pytest.mark.rule("answer/expect-continue")
def test_expect_continue_is_answered_by_the_edge(stage: Stage) -> None:
    with stage.raw("dodd.cloudfront.net") as raw:
        raw.sendall(b"POST /body HTTP/1.1\r\nHost: dodd.cloudfront.net\r\nContent-Length: 2\r\n")
        raw.sendall(b"Expect: 100-continue\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"ok")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert stage.odd.bodies[-1] == b"ok"


def test_what_the_origin_says_right_after_101_arrives(stage: Stage) -> None:
    with stage.raw("dodd.cloudfront.net") as raw:
        raw.sendall(
            b"GET /early-frame HTTP/1.1\r\nHost: dodd.cloudfront.net\r\nConnection: "
            b"Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: Rnhou3qbnI2nVKLvsTWapg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        heard = b""
        while not heard.endswith(b"frame!"):
            heard += raw.recv(65536)
    assert heard.startswith(b"HTTP/1.1 101 ")


@pytest.mark.rule("distribution/origin-groups")
def test_an_origin_group_asks_the_next_one_after_an_error_that_it_names(stage: Stage) -> None:
    assert stage.request("dgroup", path="/chunks")[2] == b"abcde"
    status, _, body = stage.request("dodd", path="/missing")
    assert (status, body) == (404, b"gone\n")
    # The chat app, which is the other member, answers every unknown path with 426.
    assert stage.request("dgroup", path="/missing")[0] == 426
    assert stage.request("dgroup", path="/garbage")[0] == 426
    assert stage.request("dgroup", path="/early")[0] == 413
    assert stage.request("dgroup", "POST", "/missing")[0] == 404
    # OPTIONS is not cached.
    assert stage.request("dgroup", "OPTIONS", "/missing")[0] == 404


@pytest.mark.rule("distribution/origin-group-unconnected")
def test_503_also_names_an_origin_that_cannot_be_connected_to(stage: Stage) -> None:
    assert stage.request("dgroupdown", path="/healthz")[2] == b"ok\n"
    assert stage.request("dport", path="/healthz")[0] == 502


@pytest.mark.rule("timeout/completion")
def test_a_response_that_goes_on_too_long_is_cut(stage: Stage) -> None:
    assert stage.request("dcapped", path="/chunks")[2] == b"abcde"
    with pytest.raises(http.client.IncompleteRead):
        stage.request("dcapped", path="/half-and-wait")


def test_a_request_framed_twice_has_one_end_for_everybody_and_is_the_last(stage: Stage) -> None:
    """Content-Length and Transfer-Encoding at once (RFC 9112 section 6.3), beside the latter
    alone.
    """
    for extra, ends in (("Content-Length: 9\r\n", True), ("", False)):
        with stage.raw("dodd.cloudfront.net") as raw:
            head = (
                f"POST /body HTTP/1.1\r\nHost: dodd.cloudfront.net\r\n{extra}Transfer-Encoding: "
                "chunked\r\n\r\n"
            )
            raw.sendall(head.encode() + b"3\r\nabc\r\n0\r\n\r\n")
            response = http.client.HTTPResponse(raw)
            response.begin()
            assert (response.status, response.will_close) == (200, ends)
            assert stage.odd.bodies[-1] == b"abc"
            if ends:
                assert raw.recv(1) == b""


@pytest.mark.rule("log/viewer-left-first")
def test_a_viewer_that_leaves_before_the_answer_leaves_no_connection_behind(stage: Stage) -> None:
    stage.odd.may_answer_late.clear()
    with stage.raw("doddnlb.cloudfront.net") as raw:
        raw.sendall(b"GET /late HTTP/1.1\r\nHost: doddnlb.cloudfront.net\r\n\r\n")
        wait_until(lambda: "/late" in stage.odd.asked)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stage.odd.may_answer_late.set()
    row = stage.edge.wait_for_entry(lambda entry: entry["cs-uri-stem"] == "/late")
    assert (row["sc-status"], row["x-edge-detailed-result-type"]) == ("000", "ClientCommError")
    wait_until(lambda: "/late" in stage.odd.left)
