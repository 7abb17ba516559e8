"""HTTP/1.1 on a leg: h11 reads and writes it, this module moves its events.

It decides how one message is taken from a leg and how a response is relayed to another. It must
never decide what a request means, and must never let a malformed one raise anything but h11's
protocol errors.
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

# Beyond this, h11 itself gives up on a request line with its headers (its hint is 431).
MAX_HEADER_BYTES = 96 * 1024
# How long a sender may pause in the middle of its request.
BODY_PATIENCE = 30.0
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
    """A viewer's requests and the answers to them, whichever HTTP version carries them."""

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        """The next event from the viewer; waits for it."""

    async def send(self, event: h11.Event) -> None:
        """Send one event of the response."""

    @property
    def may_answer(self) -> bool:
        """Whether a response can still be started."""

    @property
    def gone(self) -> bool:
        """Whether the viewer has left."""


class Http1Connection:
    """One HTTP/1.1 connection on one leg, in the role of server or client."""

    def __init__(self, connection: Connection, role: type[h11.SERVER] | type[h11.CLIENT]) -> None:
        self.connection = connection
        # The request was framed in two ways at once.
        self.ambiguous = False
        self._h11 = h11.Connection(role, max_incomplete_event_size=MAX_HEADER_BYTES)

    async def next_event(self, patience: float | None = None) -> h11.Event | type[h11.PAUSED]:
        """The next event from the other side; waits for it.

        A message with both Transfer-Encoding and Content-Length loses the latter here, so that
        nobody further on can read its end differently. Such a request is the last one of its
        connection (RFC 9112 section 6.1).

        :raises h11.RemoteProtocolError: what came is not HTTP/1.1.
        :raises TimeoutError: nothing at all came for `patience` seconds.
        """
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request | h11.Response) and _framed_twice(event):
                self.ambiguous = isinstance(event, h11.Request)
                return _without_length(event)
            if event is not h11.NEED_DATA:
                return cast("h11.Event | type[h11.PAUSED]", event)
            if self._h11.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(patience):
                data = await self.connection.receive()
            self._h11.receive_data(data)

    async def send(self, event: h11.Event) -> None:
        """Send one event.

        :raises h11.LocalProtocolError: it does not fit what was sent before.
        :raises ConnectionResetError: the other side is gone.
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
        """What came and was not read yet: half a request, or after an upgrade what belongs to the
        new protocol.
        """
        return bytes(self._h11.trailing_data[0])

    def ready_for_next(self) -> bool:
        """Begin the next request on this connection if both sides are done and want to."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        return False

    @property
    def peer_done(self) -> bool:
        """Whether the other side has said all it wanted to."""
        return self._h11.their_state in (h11.DONE, h11.CLOSED, h11.MUST_CLOSE)

    @property
    def gone(self) -> bool:
        """Whether the connection is lost."""
        return self.connection.lost

    @property
    def may_answer(self) -> bool:
        """Whether a response can still be started, also after garbage."""
        return self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE)


def decode_headers(
    event: h11.Request | h11.Response | h11.InformationalResponse,
) -> tuple[Header, ...]:
    """The headers of a message as text, in the spelling in which they came."""
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in event.headers.raw_items()
    )


def target_and_headers(event: h11.Request) -> tuple[str, tuple[Header, ...]]:
    """A request's target as path with query string, and its headers; a host in the target takes
    Host's place.

    :raises h11.RemoteProtocolError: the target is none.
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
    """Headers as h11 wants them. Characters that HTTP/1.1 cannot carry become question marks."""
    return [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in headers
    ]


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Response headers without those that concern one connection only."""
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]


def has_body(headers: Iterable[Header]) -> bool:
    """Whether a request with these headers carries a body (RFC 9112 section 6)."""
    names = {name.lower(): value.strip() for name, value in headers}
    return "transfer-encoding" in names or names.get("content-length", "0") != "0"


class RequestAborted(Exception):
    """Whoever sent the request left, or spoke nonsense, before the request was complete."""


async def send_request(
    sink: Http1Connection,
    request: h11.Request,
    *,
    body_from: HttpStream | None,
    patience: float,
    body_patience: float = BODY_PATIENCE,
    max_continues: float = math.inf,
) -> h11.Response | h11.InformationalResponse:
    """Send a request, with the body that `body_from` still has to give, and wait for the head of
    the response.

    A response that comes before the body is through ends the body: HTTP/1.1 has no better use for
    the rest.

    :raises TimeoutError: the request was sent and no response began within `patience` seconds.
    :raises SenderFailed: the body broke off, or its sender paused for `body_patience` seconds (its
    cause says which). :raises h11.RemoteProtocolError: the response is not HTTP/1.1. :raises
    OSError: the other side is gone.
    """
    await sink.send(request)
    if body_from is None:
        await sink.send(h11.EndOfMessage())
        async with asyncio.timeout(patience):
            return await read_response_head(sink, max_continues)
    loop = asyncio.get_running_loop()
    pump = loop.create_task(_relay_request_body(body_from, sink, body_patience))
    head = loop.create_task(read_response_head(sink, max_continues))
    try:
        await asyncio.wait({pump, head}, return_when=asyncio.FIRST_COMPLETED)
        if not head.done():
            await pump
        async with asyncio.timeout(patience):
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
    patience: float | None,
) -> None:
    """Pass a response on with other headers; its body goes through as it comes.

    :raises TimeoutError: the source was silent for `patience` seconds in the middle of it.
    """
    await sink.send(
        h11.Response(
            status_code=head.status_code, headers=encode_headers(headers), reason=head.reason
        )
    )
    while True:
        async with asyncio.timeout(patience):
            event = await source.next_event()
        if isinstance(event, h11.Data):
            await sink.send(h11.Data(data=bytes(event.data)))
        elif isinstance(event, h11.EndOfMessage):
            await sink.send(h11.EndOfMessage())
            return
        else:
            raise ConnectionResetError("the origin left in the middle of its response")


async def read_small_body(source: Http1Connection, most: int, patience: float | None) -> bytes:
    """The body of a response whose head was read, cut after `most` bytes.

    :raises ConnectionResetError: the origin left in the middle of it.
    :raises TimeoutError: the origin was silent for `patience` seconds.
    """
    body = b""
    while len(body) < most:
        async with asyncio.timeout(patience):
            event = await source.next_event()
        if isinstance(event, h11.EndOfMessage):
            return body
        if not isinstance(event, h11.Data):
            raise ConnectionResetError("the origin left in the middle of its response")
        body += bytes(event.data)
    return body[:most]


async def switch_protocols(
    near: Http1Connection,
    far: Http1Connection,
    reply: h11.InformationalResponse,
    headers: Iterable[Header],
) -> None:
    """Pass a 101 on, then what either side already sent in the new protocol."""
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
    """Send a complete answer, dated if it is not yet; only its head if it answers a HEAD
    request.
    """
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
    """The response to a request that was sent: a final one, or 101. Other 1xx are skipped.

    :raises h11.RemoteProtocolError: what came is not HTTP/1.1, or came after more 100s than
    `most_continues`. :raises ConnectionResetError: nothing came before the end.
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


async def _relay_request_body(source: HttpStream, sink: Http1Connection, patience: float) -> None:
    sink_listens = True
    while True:
        try:
            async with asyncio.timeout(patience):
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
                # It may have answered before it closed; the response is read in any case.
                sink_listens = False
        if isinstance(event, h11.EndOfMessage):
            return


def _framed_twice(message: h11.Request | h11.Response) -> bool:
    names = {name for name, _ in message.headers}
    return b"content-length" in names and b"transfer-encoding" in names


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
