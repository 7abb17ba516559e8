"""Each way in which a private endpoint fails, seen by a client outside, beside the same thing when
it works.
"""

from __future__ import annotations

import http.client
import random
import socket
import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from .stage import Stage


def refused(stage: Stage, name: str, path: str = "/ws/chat", *, tls: bool = True) -> Response:
    """The answer to a handshake that must not succeed."""
    with pytest.raises(InvalidStatus) as error, stage.websocket(name, path, tls=tls):
        pass
    return error.value.response


def logged_detail(stage: Stage, response: Response) -> str:
    id = response.headers["x-amz-cf-id"]
    return str(
        stage.edge.wait_for_entry(lambda e: e["x-edge-request-id"] == id)[
            "x-edge-detailed-result-type"
        ]
    )


@pytest.mark.rule(
    "answer/error-from-cloudfront",
    "answer/dropped-packets",
    "answer/refused-port",
    "answer/unknown-host",
    "distribution/disabled-is-not-served",
    "log/detailed-results",
    "websocket/origin-dns-error",
)
@pytest.mark.parametrize(
    ("name", "status", "detail"),
    [
        ("dclosed", 504, "OriginCommError"),
        ("dport", 502, "OriginConnectError"),
        ("dmatch", 502, "OriginConnectError"),
        ("ddeploying", 502, "OriginConnectError"),
        ("dgone", 502, "OriginConnectError"),
        ("dname", 502, "OriginDnsError"),
        ("doff", 403, "InvalidRequestBlocked"),
        ("dunknown", 403, "InvalidRequestBlocked"),
    ],
)
def test_the_edge_says_why_it_cannot_reach_the_origin(
    stage: Stage, name: str, status: int, detail: str
) -> None:
    response = refused(stage, name)
    assert response.status_code == status
    assert response.headers["server"] == "CloudFront"
    assert response.headers["x-cache"] == "Error from cloudfront"
    assert response.headers["date"].endswith(" GMT")
    assert logged_detail(stage, response) == detail


@pytest.mark.rule("vpc-origin/vpc-cidr-does-not-admit")
@pytest.mark.rule("timeout/connection")
def test_a_closed_security_group_takes_its_time(stage: Stage) -> None:
    started = time.monotonic()
    assert refused(stage, "dclosed").status_code == 504
    # Three attempts of ten seconds each, on the lab's clock. AWS's own clock would take them all.
    assert 0.25 < time.monotonic() - started < 30


@pytest.mark.rule("vpc-origin/service-group-admits")
def test_the_service_group_is_enough(stage: Stage) -> None:
    with stage.websocket("dservice") as client:
        assert client.recv()["type"] == "welcome"


def test_match_viewer_works_over_plain_http_where_only_port_80_listens(stage: Stage) -> None:
    with stage.websocket("dmatch", tls=False) as client:
        assert client.recv()["type"] == "welcome"


@pytest.mark.rule("balancer/no-targets", "balancer/target-refuses", "balancer/own-answers-say-so")
@pytest.mark.parametrize(("name", "status"), [("dempty", 503), ("drefusing", 502), ("drules", 404)])
def test_the_load_balancer_answers_by_itself(stage: Stage, name: str, status: int) -> None:
    response = refused(stage, name, "/elsewhere")
    assert response.status_code == status
    assert response.headers["server"] == "awselb/2.0"
    assert response.headers["x-cache"] == "Error from cloudfront"


@pytest.mark.rule("balancer/rules-by-priority")
def test_a_listener_rule_lets_the_sockets_path_through(stage: Stage) -> None:
    with stage.websocket("drules", "/ws/chat") as client:
        assert client.recv()["type"] == "welcome"


@pytest.mark.rule("balancer/redirect-loop")
def test_a_listener_that_redirects_to_https_is_a_loop(stage: Stage) -> None:
    status, headers, _ = stage.request("dloop", path="/ws/chat?a=1")
    assert status == 301
    assert headers["location"] == "https://dloop.cloudfront.net/ws/chat?a=1"
    assert headers["x-cache"] == "Miss from cloudfront"


@pytest.mark.rule("distribution/viewer-protocol-policy", "websocket/viewer-protocol-policy")
def test_plain_http_is_redirected_or_refused_as_the_behavior_says(stage: Stage) -> None:
    status, headers, _ = stage.request("dchat", path="/?a=1", tls=False)
    assert (status, headers["location"]) == (301, "https://dchat.cloudfront.net/?a=1")
    assert headers["x-cache"] == "Redirect from cloudfront"
    status, headers, _ = stage.request(
        "dchat", headers={"Host": f"dchat.edge.localhost:{stage.plain_port}"}, tls=False
    )
    assert (status, headers["location"]) == (301, f"https://dchat.edge.localhost:{stage.tls_port}/")
    assert refused(stage, "dchat", tls=False).status_code == 403
    with stage.websocket("dchat"):
        pass


@pytest.mark.rule("distribution/redirect-keeps-method")
def test_other_methods_are_redirected_with_their_body(stage: Stage) -> None:
    status, headers, _ = stage.request("dchat", method="POST", body=b"x", tls=False)
    assert (status, headers["location"]) == (307, "https://dchat.cloudfront.net/")
    assert headers["x-cache"] == "Redirect from cloudfront"
    with stage.raw(tls=False) as raw:
        raw.sendall(b"POST / HTTP/1.0\r\nHost: dchat.cloudfront.net\r\nContent-Length: 0\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 403 ")


@pytest.mark.rule("distribution/methods")
def test_the_behaviors_methods_are_all_it_takes(stage: Stage) -> None:
    status, headers, _ = stage.request("dchat", method="POST", body=b"x")
    assert (status, headers["server"]) == (403, "CloudFront")
    status, headers, _ = stage.request("dnlb", method="POST", body=b"x")
    assert status != 403


@pytest.mark.rule("distribution/get-with-body")
def test_get_with_a_body_is_refused(stage: Stage) -> None:
    assert stage.request("dchat", body=b"x")[0] == 403
    assert stage.request("dchat")[0] == 200


@pytest.mark.rule("distribution/error-pages")
def test_an_error_page_turns_a_failed_handshake_into_a_web_page(stage: Stage) -> None:
    response = refused(stage, "dspa")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.rule("distribution/public-custom-origin")
def test_a_public_origin_is_reached_by_its_name(stage: Stage) -> None:
    with stage.websocket("dpublic") as client:
        assert client.recv()["type"] == "welcome"


def test_the_page_is_served_and_does_not_load_anything_from_elsewhere(stage: Stage) -> None:
    status, headers, body = stage.request("dchat")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>" in body
    assert b"http://" not in body
    assert b"https://" not in body
    status, _, body = stage.request("dchat", method="HEAD")
    assert (status, body) == (200, b"")
    assert stage.request("dchat", path="/healthz")[2] == b"ok\n"


@pytest.mark.rule(
    "answer/url-too-long", "answer/headers-too-large", "quota/request-size", "quota/url-length"
)
def test_too_long_urls_and_headers_have_their_own_status(stage: Stage) -> None:
    assert stage.request("dempty", path="/" + "a" * 8191)[0] == 503
    assert stage.request("dempty", path="/" + "a" * 8192)[0] == 414
    assert stage.request("dchat", headers={f"X-{n}": "a" * 7000 for n in range(4)})[0] == 200
    assert stage.request("dchat", headers={f"X-{n}": "a" * 7000 for n in range(5)})[0] == 494
    assert stage.request("dchat", headers={f"X-{n}": "a" * 7000 for n in range(40)})[0] == 494


@pytest.mark.rule("answer/too-large-ends-connection")
def test_what_is_too_large_ends_the_connection(stage: Stage) -> None:
    with stage.raw("dchat.cloudfront.net") as raw:
        for path, status, ends in (("/healthz", 200, False), ("/" + "a" * 8192, 414, True)):
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: dchat.cloudfront.net\r\n\r\n".encode())
            response = http.client.HTTPResponse(raw)
            response.begin()
            response.read()
            assert (response.status, response.will_close) == (status, ends)
        assert raw.recv(1) == b""


@pytest.mark.rule("answer/bad-request")
@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: dchat.cloudfront.net\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: dchat.cloudfront.net\r\nContent-Length: -4\r\n\r\n",
        b"GET chat HTTP/1.1\r\nHost: dchat.cloudfront.net\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: dchat.cloudfront.net/x\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x99" * 64 + b"\r\n\r\n",
    ],
)
def test_garbage_gets_a_400_and_harms_nobody(stage: Stage, garbage: bytes) -> None:
    with stage.raw(tls=False) as raw:
        raw.sendall(garbage)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert stage.edge.running()
    with stage.websocket("dchat") as client:
        assert client.recv()["type"] == "welcome"


def test_mutated_requests_never_end_the_edge(stage: Stage) -> None:
    dice = random.Random(20261121)  # noqa: S311 - not a secret
    good = (
        b"POST /ws/chat?a=1 HTTP/1.1\r\nHost: dnlb.cloudfront.net\r\nConnection: "
        b"Upgrade\r\nUpgrade: websocket\r\n"
        b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nX-Forwarded-For: "
        b"1.2.3.4\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    )
    for _ in range(150):
        mutated = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(mutated))
            match dice.randrange(3):
                case 0:
                    mutated[at] = dice.randrange(256)
                case 1:
                    del mutated[at : at + dice.randint(1, 20)]
                case _:
                    mutated[at:at] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 20)))
            mutated = mutated or bytearray(b"x")
        with stage.raw(tls=False) as raw:
            raw.sendall(bytes(mutated))
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(65536)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert stage.edge.running()
    assert stage.request("dchat")[0] == 200


def test_a_viewer_that_breaks_off_in_the_middle_harms_nobody(stage: Stage) -> None:
    whole = b"POST / HTTP/1.1\r\nHost: dnlb.cloudfront.net\r\nContent-Length: 10\r\n\r\n12345"
    for length in (0, 4, 30, len(whole)):
        for tls in (True, False):
            with stage.raw("dnlb.cloudfront.net", tls=tls) as raw:
                raw.sendall(whole[:length])
    assert stage.edge.running()
    assert stage.request("dchat")[0] == 200


@pytest.mark.rule("distribution/answers-by-name")
def test_a_whole_url_on_the_request_line_names_the_host(stage: Stage) -> None:
    url = "http://dmatch.cloudfront.net/healthz"
    for path, host, status in (
        (url, "dunknown.cloudfront.net", 200),
        ("/healthz", "dunknown.cloudfront.net", 403),
    ):
        assert stage.request("dmatch", path=path, headers={"Host": host}, tls=False)[0] == status


def test_one_connection_serves_several_requests(stage: Stage) -> None:
    with stage.raw("dchat.cloudfront.net") as raw:
        for _ in range(3):
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: DCHAT.cloudfront.net\r\n\r\n")
            answer = b""
            while not answer.endswith(b"ok\n"):
                answer += raw.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.rule("distribution/disabled-alias-stops", "distribution/default-root-object")
def test_a_disabled_alias_stops_though_a_wildcard_elsewhere_would_match(stage: Stage) -> None:
    assert stage.request("dchat", headers={"Host": "b.wild.example"})[2] == b"ok\n"
    assert stage.request("dchat", headers={"Host": "a.wild.example"})[0] == 403


@pytest.mark.rule("quota/chained-distributions")
def test_two_distributions_in_a_row_and_no_more(stage: Stage) -> None:
    with stage.websocket("dtwo") as client:
        assert client.recv()["type"] == "welcome"
    status, headers, body = stage.request("dtwo", path="/healthz")
    assert (status, body, headers["via"].count("(CloudFront)")) == (200, b"ok\n", 2)
    for name in ("dthree", "dself"):
        status, headers, body = stage.request(name, path="/healthz")
        assert (status, headers["server"]) == (403, "CloudFront")
        assert b"too many distributions" in body
