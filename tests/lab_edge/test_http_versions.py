"""HTTP/2 for whoever offers it, HTTP/1.1 for WebSockets: what ALPN decides, a client has to live
with.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Mapping, Sequence

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

from .stage import Stage

UPGRADE = (
    b"GET /ws/chat HTTP/1.1\r\nHost: dchat.cloudfront.net\r\nConnection: "
    b"Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: Rnhou3qbnI2nVKLvsTWapg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Http2Client:
    """One HTTP/2 connection to the edge."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.host = f"{name}.cloudfront.net"
        self.raw = stage.raw(self.host, alpn=["h2", "http/1.1"])
        assert isinstance(self.raw, ssl.SSLSocket)
        assert self.raw.selected_alpn_protocol() == "h2"
        self.http = H2Connection(H2Configuration(header_encoding="latin-1"))
        self.http.initiate_connection()

    def ask(
        self,
        *asked: tuple[str, str],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[tuple[int | None, dict[str, str], bytes]]:
        """Requests side by side; status, headers and body of each answer. A stream that was reset
        has no status.
        """
        streams = []
        for method, path in asked:
            stream = self.http.get_next_available_stream_id()
            head = [
                (":method", method),
                (":path", path),
                (":scheme", "https"),
                (":authority", self.host),
            ]
            self.http.send_headers(
                stream, [*head, *(headers or {}).items()], end_stream=body is None
            )
            streams.append(stream)
        for stream in streams if body is not None else []:
            self.send_body(stream, body or b"")
        heard: dict[int, list[Event]] = {stream: [] for stream in streams}
        while not all(
            any(isinstance(e, StreamEnded | StreamReset) for e in events)
            for events in heard.values()
        ):
            for event in self.exchange():
                if getattr(event, "stream_id", None) in heard:
                    heard[event.stream_id].append(event)  # type: ignore[attr-defined]
        return [answer(events) for events in heard.values()]

    def send_body(self, stream: int, body: bytes) -> None:
        while body:
            room = min(
                self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size
            )
            if room == 0:
                self.exchange()
                continue
            self.http.send_data(stream, body[:room])
            body = body[room:]
        self.http.end_stream(stream)

    def exchange(self) -> Sequence[Event]:
        self.raw.sendall(self.http.data_to_send())
        data = self.raw.recv(65536)
        assert data, "the edge closed the connection"
        events = self.http.receive_data(data)
        for event in events:
            if isinstance(event, DataReceived):
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        return events


def answer(events: list[Event]) -> tuple[int | None, dict[str, str], bytes]:
    heads = [event for event in events if isinstance(event, ResponseReceived)]
    body = b"".join(event.data for event in events if isinstance(event, DataReceived))
    headers = {str(name): str(value) for name, value in heads[0].headers} if heads else {}
    return (int(headers[":status"]) if headers else None), headers, body


@pytest.mark.parametrize(
    ("name", "offered", "agreed"),
    [
        ("dchat", None, None),
        ("dchat", ["http/1.1"], "http/1.1"),
        ("dchat", ["h2", "http/1.1"], "h2"),
        ("dchat", ["http/1.1", "h2"], "h2"),
        ("dchat", ["h2"], "h2"),
        ("dhttp1", ["h2", "http/1.1"], "http/1.1"),
        ("dhttp1", ["h2"], None),
    ],
)
def test_which_version_is_agreed_on(
    stage: Stage, name: str, offered: list[str] | None, agreed: str | None
) -> None:
    with stage.raw(f"{name}.cloudfront.net", alpn=offered) as raw:
        assert isinstance(raw, ssl.SSLSocket)
        assert raw.selected_alpn_protocol() == agreed


@pytest.mark.rule("websocket/http-1-1-only", "websocket/h2-is-refused")
@pytest.mark.parametrize(
    ("offered", "expected"),
    [(["h2"], b"HTTP/1.1 400 "), (["http/1.1"], b"HTTP/1.1 101 "), (None, b"HTTP/1.1 101 ")],
)
def test_a_client_that_agreed_to_h2_cannot_upgrade(
    stage: Stage, offered: list[str] | None, expected: bytes
) -> None:
    with stage.raw("dchat.cloudfront.net", alpn=offered) as raw:
        raw.sendall(UPGRADE)
        heard = raw.recv(65536)
        assert heard.startswith(expected)
        assert b"CloudFront" in heard
        if expected.endswith(b"400 "):
            while heard:
                heard = raw.recv(65536)


def test_a_page_over_h2(stage: Stage) -> None:
    client = Http2Client(stage, "dchat")
    (status, headers, body), (health, _, ok), (missing, _, _) = client.ask(
        ("GET", "/"), ("GET", "/healthz"), ("GET", "/" + "a" * 8192)
    )
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>" in body
    assert headers["x-cache"] == "Miss from cloudfront"
    assert (health, ok) == (200, b"ok\n")
    assert missing == 414
    ((status, headers, body),) = client.ask(("HEAD", "/"))
    assert (status, body) == (200, b"")
    row = stage.edge.wait_for_entry(lambda e: e["x-edge-request-id"] == headers["x-amz-cf-id"])
    assert (row["cs-protocol-version"], row["cs-protocol"], row["sc-status"]) == (
        "HTTP/2.0",
        "https",
        "200",
    )


def test_a_body_over_h2_arrives_whole_and_an_answer_that_breaks_off_ends_only_its_stream(
    stage: Stage,
) -> None:
    client = Http2Client(stage, "dodd")
    body = bytes(range(256)) * 1500
    ((status, _, _),) = client.ask(("POST", "/body"), body=body)
    assert status == 200
    assert stage.odd.bodies[-1] == body
    (half, whole) = client.ask(("GET", "/half"), ("GET", "/chunks"))
    assert half[2] in (b"", b"only this")
    assert (whole[0], whole[2]) == (200, b"abcde")
    ((refused, headers, _),) = client.ask(("TRACE", "/"))
    assert (refused, headers["x-cache"]) == (403, "Error from cloudfront")


def test_a_large_answer_waits_for_the_viewers_window(stage: Stage) -> None:
    client = Http2Client(stage, "dodd")
    ((status, _, body),) = client.ask(("GET", "/large"))
    assert (status, len(body)) == (200, 1_000_000)


@pytest.mark.parametrize(
    "nonsense", [PREFACE + b"\x00\x00\x01" + b"\x00" * 7, b"\x00" * 30, b"PRI"]
)
def test_nonsense_after_agreeing_to_h2_harms_nobody(stage: Stage, nonsense: bytes) -> None:
    with stage.raw("dchat.cloudfront.net", alpn=["h2"]) as raw:
        raw.sendall(nonsense)
        if len(nonsense) > 20:
            while raw.recv(65536):
                pass
    assert stage.request("dchat", path="/healthz")[0] == 200


def test_mutated_frames_end_their_own_connection_only(stage: Stage) -> None:
    dice = random.Random(20261121)  # noqa: S311 - not a secret
    http = H2Connection(H2Configuration(header_encoding="latin-1"))
    http.initiate_connection()
    head = [
        (":method", "POST"),
        (":path", "/body"),
        (":scheme", "https"),
        (":authority", "dodd.cloudfront.net"),
    ]
    http.send_headers(1, head)
    http.send_data(1, b"some body", end_stream=True)
    good = http.data_to_send()
    for _ in range(60):
        mutated = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            mutated[dice.randrange(len(PREFACE), len(mutated))] = dice.randrange(256)
        with stage.raw("dodd.cloudfront.net", alpn=["h2"]) as raw:
            raw.sendall(bytes(mutated))
            raw.recv(65536)
    client = Http2Client(stage, "dodd")
    ((status, _, _),) = client.ask(("POST", "/body"), body=b"some body")
    assert status == 200
