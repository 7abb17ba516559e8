"""Every app that misbehaves, met through the edge: what it refuses beside what it allows, and
nobody else suffers.
"""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from lab.apps.addresses import BY_NAME, MISBEHAVING
from lab.apps.misbehaving import HANDLERS
from lab.apps.strict import STRICT_APPS

from .stage import PATIENCE, Stage

HIGH_LIMIT = 1 << 20


def fate(
    stage: Stage, name: str, query: str = "", distribution: str = "dapps", **options: Any
) -> int | str | dict[str, Any]:
    """What a client meets at an app: the status of a refusal, the code of a close, what is wrong,
    or a message.
    """
    try:
        with stage.websocket(
            distribution, f"/{name}/ws{query}", max_size=HIGH_LIMIT, close_timeout=0.3, **options
        ) as client:
            try:
                message: dict[str, Any] = client.recv()
                return message
            except ConnectionClosed:
                # The code a client gave itself says what it thought of the app's frames.
                sent, received = (
                    client.connection.protocol.close_sent,
                    client.connection.protocol.close_rcvd,
                )
                return received.code if received else sent.code if sent else 1006
    except InvalidStatus as refused:
        return refused.response.status_code
    except InvalidHandshake as wrong:
        return type(wrong).__name__


@pytest.mark.parametrize(
    ("name", "refused", "allowed"),
    [
        ("origin-check", 403, {"origin": "https://app.allowed.example"}),
        ("subprotocol-required", 400, {"subprotocols": ["chat.v0", "chat.v1"]}),
        ("subprotocol-closes", 1002, {"subprotocols": ["chat.v1"]}),
        ("needs-login", 401, {"additional_headers": {"Authorization": "Bearer letmein"}}),
    ],
)
def test_a_strict_app_accepts_what_it_says(
    stage: Stage, name: str, refused: int, allowed: dict[str, Any]
) -> None:
    assert fate(stage, name) == refused
    welcome = fate(stage, name, **allowed)
    assert isinstance(welcome, dict)
    assert welcome["type"] == "welcome"


def test_a_redirect_reaches_the_client_as_it_is(stage: Stage) -> None:
    handshake = {
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "Rnhou3qbnI2nVKLvsTWapg==",
        "Sec-WebSocket-Version": "13",
    }
    for name, status, location in (
        ("redirects-to-https", 301, "https://dapps.cloudfront.net/redirects-to-https/ws"),
        ("redirects-inside", 302, f"http://127.0.0.1:{stage.aws.port}/_lab/state"),
        ("sends-to-login", 302, "/login"),
    ):
        got, headers, _ = stage.request("dapps", path=f"/{name}/ws", headers=handshake)
        assert (got, headers["location"]) == (status, location)
    welcome = fate(stage, "sends-to-login", additional_headers={"Cookie": "session=1"})
    assert isinstance(welcome, dict)


def test_a_host_check_sees_the_viewers_host(stage: Stage) -> None:
    status, _, body = stage.request("dapps", path="/host-check/headers")
    assert (status, b"ALLOWED_HOSTS" in body) == (400, True)
    assert (
        stage.request("dapps", path="/host-check/headers", headers={"Host": "app.allowed.example"})[
            0
        ]
        == 200
    )


@pytest.mark.parametrize(
    ("name", "query", "expected"),
    [
        ("no-websocket", "", 426),
        ("old-version", "", 426),
        ("ignores-upgrade", "", 200),
        ("single-page", "", 200),
        ("deflates-unasked", "", 1002),
        ("deflates-badly", "", 1002),
        ("resets", "", 502),
        ("wrong-accept", "", "InvalidHeaderValue"),
        ("no-accept", "", "InvalidHeader"),
        ("closes", "", 1011),
        ("closes", "?code=4001", 4001),
        ("drops", "", 1006),
        ("not-found", "", 404),
        ("breaks", "", 500),
        ("overloaded", "", 503),
        ("not-http", "", 502),
        ("hangs-up", "", 502),
        ("deflate-bomb", "", 1009),
        ("endless-headers", "", 502),
        ("huge-frame", "", 1009),
        ("endless-fragments", "", 1009),
        ("masked-frames", "", 1002),
    ],
)
def test_what_a_client_meets(stage: Stage, name: str, query: str, expected: int | str) -> None:
    assert fate(stage, name, query) == expected


@pytest.mark.rule("timeout/origin-read")
def test_who_says_nothing_is_waited_for_only_so_long(stage: Stage) -> None:
    names = ("never-answers", "slow-accept", "drips")
    with ThreadPoolExecutor() as together:
        fates = together.map(lambda name: fate(stage, name, distribution="dimpatient"), names)
        assert list(fates) == [504, 504, 504]


@pytest.mark.rule("timeout/origin-read-after-upgrade")
def test_the_read_timeout_does_not_cut_an_open_websocket(stage: Stage) -> None:
    with stage.websocket("dimpatient", "/health-fails/ws") as client:
        client.recv()
        with pytest.raises(TimeoutError):
            client.recv(timeout=3.5)
        client.send("still here")
        assert client.recv()["message"] == "still here"


def test_a_silent_app_opens_and_answers_no_ping(stage: Stage) -> None:
    with (
        stage.websocket("dapps", "/silent/ws", close_timeout=0.1) as client,
        pytest.raises(TimeoutError),
    ):
        client.recv(timeout=0.3)


def test_a_subprotocol_that_is_ignored_is_not_agreed_on(stage: Stage) -> None:
    for name, agreed in (("subprotocol-ignored", None), ("subprotocol-required", "chat.v1")):
        with stage.websocket("dapps", f"/{name}/ws", subprotocols=["chat.v1"]) as client:
            assert client.recv()["type"] == "welcome"
            assert client.connection.subprotocol == agreed


def test_a_flood_stops_when_nobody_reads_and_harms_nobody(stage: Stage) -> None:
    with stage.raw("dapps.cloudfront.net") as raw:
        raw.sendall(
            b"GET /floods/ws HTTP/1.1\r\nHost: dapps.cloudfront.net\r\nConnection: "
            b"Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: Rnhou3qbnI2nVKLvsTWapg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 101 ")
        assert stage.request("dchat")[0] == 200
    assert stage.edge.running()


def test_a_failing_health_check_is_all_that_is_wrong_with_it(stage: Stage) -> None:
    asked = http.client.HTTPConnection(
        BY_NAME["health-fails"].loopback, stage.app_port, timeout=PATIENCE
    )
    asked.request("GET", "/health")
    assert asked.getresponse().status == 500
    assert isinstance(fate(stage, "health-fails"), dict)


def test_every_app_of_the_list_is_served_and_every_handler_is_on_the_list(stage: Stage) -> None:
    assert set(BY_NAME) == {*STRICT_APPS, *HANDLERS, "redirects-inside"}
    assert len({app.number for app in MISBEHAVING}) == len(BY_NAME) == len(MISBEHAVING)
    listed = stage.request("dchat", path="/apps")[2]
    assert all(app.simulated.encode() in listed for app in MISBEHAVING)
