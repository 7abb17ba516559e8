"""HTTP/1.1 on a connection: h11 parses and serialises, this module moves its events.

Malformed input raises nothing but h11's protocol errors. What a request means is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from email.utils import formatdate
from typing import Protocol, cast

import h11

from lab.edge.http.hosts import split_target
from lab.edge.http.messages import Answer, Header, reason_phrase
from lab.edge.wire.connection import Connection

# h11 rejects a longer head, with the status hint 431.
MAX_HEADER_BYTES = 96 * 1024
# How long a sender may pause within its request body.
BODY_TIMEOUT = 30.0
HTTP1_VERSIONS = (b"1.0", b"1.1")
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class HttpStream(Protocol):
    """A viewer's request and its response as h11 events, over any version of HTTP."""

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        """Wait for the next event from the viewer."""

    async def send(self, event: h11.Event) -> None:
        """Send one event of the response."""

    @property
    def can_answer(self) -> bool:
        """Whether a response can still be started."""

    @property
    def gone(self) -> bool:
        """Whether the viewer has disconnected."""


class Http1Connection:
    """One HTTP/1.1 connection, as server or client."""

    def __init__(self, connection: Connection, role: type[h11.SERVER] | type[h11.CLIENT]) -> None:
        self.connection = connection
        # The request had both Transfer-Encoding and Content-Length.
        self.ambiguous = False
        self._h11 = h11.Connection(role, max_incomplete_event_size=MAX_HEADER_BYTES)

    async def next_event(self, timeout: float | None = None) -> h11.Event | type[h11.PAUSED]:
        """Wait for the next event from the other side.

        A message with both Transfer-Encoding and Content-Length loses the latter, so that every hop
        agrees where it ends. Such a request is the last of its connection (RFC 9112 section 6.1).

        :raises h11.RemoteProtocolError: the bytes are not HTTP/1.1.
        :raises TimeoutError: nothing arrived for `timeout` seconds.
        """
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request | h11.Response):
                names = {name for name, _ in event.headers}
                if {b"content-length", b"transfer-encoding"} <= names:
                    self.ambiguous = isinstance(event, h11.Request)
                    return _without_length(event)
            if event is not h11.NEED_DATA:
                return cast("h11.Event | type[h11.PAUSED]", event)
            if self._h11.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(timeout):
                data = await self.connection.receive()
            self._h11.receive_data(data)

    async def send(self, event: h11.Event) -> None:
        """Send one event.

        :raises h11.LocalProtocolError: the event is out of order.
        :raises ConnectionResetError: the connection is lost.
        """
        if self.ambiguous and isinstance(event, h11.Response):
            headers = [
                (name, value)
                for name, value in event.headers.raw_items()
                if name.lower() != b"connection"
            ]
            headers.append((b"Connection", b"close"))
            event = h11.Response(
                status_code=event.status_code, headers=headers, reason=event.reason
            )
        data = self._h11.send(event)
        if data:
            await self.connection.send(data)

    def trailing_bytes(self) -> bytes:
        """Bytes received but not parsed: part of a request, or, after an upgrade, the first bytes
        of the new protocol.
        """
        return bytes(self._h11.trailing_data[0])

    def ready_for_next(self) -> bool:
        """Start the next request cycle, if both sides are done and keep the connection open."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        return False

    @property
    def peer_done(self) -> bool:
        """Whether the other side has sent its whole message."""
        return self._h11.their_state in (h11.DONE, h11.CLOSED, h11.MUST_CLOSE)

    @property
    def gone(self) -> bool:
        """Whether the connection is lost."""
        return self.connection.lost

    @property
    def can_answer(self) -> bool:
        """Whether a response can still be started, even after a malformed request."""
        return self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE)


def decode_headers(
    event: h11.Request | h11.Response | h11.InformationalResponse,
) -> tuple[Header, ...]:
    """The headers of a message as text, spelled as received."""
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in event.headers.raw_items()
    )


def target_and_headers(event: h11.Request) -> tuple[str, tuple[Header, ...]]:
    """A request's target as path with query string, and its headers. A host in the target replaces
    the Host header.

    :raises h11.RemoteProtocolError: the target is malformed.
    """
    split = split_target(event.method.decode(), event.target.decode("latin-1"))
    if split is None:
        raise h11.RemoteProtocolError("not a request target")
    host, target = split
    headers = decode_headers(event)
    if host:
        headers = (("Host", host), *(header for header in headers if header[0].lower() != "host"))
    return target, headers


def encode_headers(headers: Iterable[Header]) -> list[tuple[bytes, bytes]]:
    """Headers in h11's form. Characters outside Latin-1 become question marks."""
    return [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in headers
    ]


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Response headers without the hop-by-hop ones."""
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]


def has_body(headers: Iterable[Header]) -> bool:
    """Whether a request with these headers carries a body (RFC 9112 section 6)."""
    names = {name.lower(): value.strip() for name, value in headers}
    return "transfer-encoding" in names or names.get("content-length", "0") != "0"


class RequestAborted(Exception):
    """The sender of a request disconnected or sent garbage before the request was complete."""


async def send_request(
    sink: Http1Connection,
    request: h11.Request,
    *,
    body_from: HttpStream | None,
    timeout: float,
    body_timeout: float = BODY_TIMEOUT,
    max_continues: float = math.inf,
) -> h11.Response | h11.InformationalResponse:
    """Send a request, with the rest of the body from `body_from`, and wait for the head of the
    response.

    A response that begins before the whole body is sent ends the body: HTTP/1.1 cannot use the
    rest.

    :raises TimeoutError: no response began within `timeout` seconds after the request was sent.
    :raises RequestAborted: the body broke off, or its sender paused for `body_timeout` seconds; the
        exception's cause says which.
    :raises h11.RemoteProtocolError: the response is not HTTP/1.1.
    :raises OSError: the connection is lost.
    """
    await sink.send(request)
    if body_from is None:
        await sink.send(h11.EndOfMessage())
        async with asyncio.timeout(timeout):
            return await read_response_head(sink, max_continues)
    loop = asyncio.get_running_loop()
    pump = loop.create_task(_relay_request_body(body_from, sink, body_timeout))
    head = loop.create_task(read_response_head(sink, max_continues))
    try:
        await asyncio.wait({pump, head}, return_when=asyncio.FIRST_COMPLETED)
        if not head.done():
            await pump
        async with asyncio.timeout(timeout):
            return await head
    finally:
        pump.cancel()
        head.cancel()
        await asyncio.gather(pump, head, return_exceptions=True)


async def relay_response(
    source: Http1Connection,
    sink: HttpStream,
    head: h11.Response,
    headers: Iterable[Header],
    timeout: float | None,
) -> None:
    """Forward a response with other headers; its body is streamed.

    :raises TimeoutError: the source paused for `timeout` seconds.
    :raises ConnectionResetError: the source disconnected within its response.
    """
    await sink.send(
        h11.Response(
            status_code=head.status_code, headers=encode_headers(headers), reason=head.reason
        )
    )
    while True:
        async with asyncio.timeout(timeout):
            event = await source.next_event()
        if isinstance(event, h11.Data):
            await sink.send(h11.Data(data=bytes(event.data)))
        elif isinstance(event, h11.EndOfMessage):
            await sink.send(h11.EndOfMessage())
            return
        else:
            raise ConnectionResetError("the origin disconnected within its response")


async def read_small_body(source: Http1Connection, most: int, timeout: float | None) -> bytes:
    """The body of a response whose head was read, cut after `most` bytes.

    :raises ConnectionResetError: the source disconnected within it.
    :raises TimeoutError: the source paused for `timeout` seconds.
    """
    body = b""
    while len(body) < most:
        async with asyncio.timeout(timeout):
            event = await source.next_event()
        if isinstance(event, h11.EndOfMessage):
            return body
        if not isinstance(event, h11.Data):
            raise ConnectionResetError("the origin disconnected within its response")
        body += bytes(event.data)
    return body[:most]


async def switch_protocols(
    near: Http1Connection,
    far: Http1Connection,
    reply: h11.InformationalResponse,
    headers: Iterable[Header],
) -> None:
    """Forward a 101, then the bytes that either side already sent in the new protocol."""
    await near.send(
        h11.InformationalResponse(
            status_code=101, headers=encode_headers(headers), reason=reply.reason
        )
    )
    for source, sink in ((near, far), (far, near)):
        early = source.trailing_bytes()
        if early:
            await sink.connection.send(early)


async def send_answer(http: HttpStream, answer: Answer, *, head: bool = False) -> None:
    """Send a complete answer, with a Date header; only its head if the request was HEAD."""
    reason = reason_phrase(answer.status).encode()
    headers = list(answer.headers)
    if all(name.lower() != "date" for name, _ in headers):
        headers.insert(0, ("Date", formatdate(usegmt=True)))
    await http.send(
        h11.Response(status_code=answer.status, headers=encode_headers(headers), reason=reason)
    )
    if answer.body and not head:
        await http.send(h11.Data(data=answer.body))
    await http.send(h11.EndOfMessage())


async def read_response_head(
    source: Http1Connection, max_continues: float = math.inf
) -> h11.Response | h11.InformationalResponse:
    """Wait for the head of a final response or of a 101. Other 1xx are skipped.

    :raises h11.RemoteProtocolError: it is not HTTP/1.1, or more than `max_continues` 100s came.
    :raises ConnectionResetError: the connection closed without a response.
    """
    while True:
        event = await source.next_event()
        if isinstance(event, h11.Response):
            return event
        if isinstance(event, h11.InformationalResponse):
            if event.status_code == 101:
                return event
            max_continues -= event.status_code == 100
            if max_continues < 0:
                raise h11.RemoteProtocolError("100 Continue again")
        else:
            raise ConnectionResetError("closed without a response")


async def _relay_request_body(source: HttpStream, sink: Http1Connection, timeout: float) -> None:
    sink_listens = True
    while True:
        try:
            async with asyncio.timeout(timeout):
                event = await source.next_event()
        except (h11.RemoteProtocolError, OSError, TimeoutError) as error:
            raise RequestAborted from error
        if not isinstance(event, (h11.Data, h11.EndOfMessage)):
            raise RequestAborted
        if sink_listens:
            try:
                await sink.send(
                    h11.Data(data=bytes(event.data))
                    if isinstance(event, h11.Data)
                    else h11.EndOfMessage()
                )
            except OSError:
                # It may have answered before it closed, so its response is read anyway.
                sink_listens = False
        if isinstance(event, h11.EndOfMessage):
            return


def _without_length(message: h11.Request | h11.Response) -> h11.Request | h11.Response:
    headers = [
        (name, value)
        for name, value in message.headers.raw_items()
        if name.lower() != b"content-length"
    ]
    version = message.http_version
    if isinstance(message, h11.Request):
        return h11.Request(
            method=message.method, target=message.target, headers=headers, http_version=version
        )
    return h11.Response(
        status_code=message.status_code,
        headers=headers,
        reason=message.reason,
        http_version=version,
    )
