"""HTTP/2 with viewers: each stream is served through the same h11 events as an HTTP/1.1 request.

Flow control bounds how much of a request body is buffered. WebSockets over HTTP/2 (RFC 8441) are
not offered: CloudFront does not offer them either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import h11
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from lab.edge.wire.connection import Connection
from lab.edge.wire.http1 import HOP_BY_HOP

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# How long a connection without open streams, or without a preface, may stay silent.
IDLE_TIMEOUT = 60.0


class NotHttp2(Exception):
    """The viewer negotiated HTTP/2 and then sent something else."""


class Http2Connection:
    """One HTTP/2 connection, as server."""

    def __init__(
        self, connection: Connection, serve_stream: Callable[[Http2Stream], Awaitable[None]]
    ) -> None:
        self.connection = connection
        self._serve_stream = serve_stream
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._writing = asyncio.Lock()
        self._streams: dict[int, Http2Stream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Serve streams until the connection ends.

        :raises NotHttp2: the connection does not begin with HTTP/2's preface (RFC 9113 section
        3.4).
        """
        try:
            data = await self._preface()
            self.h2.initiate_connection()
            await self.flush()
            while data:
                try:
                    events = self.h2.receive_data(data)
                except ProtocolError:
                    await self.flush()
                    return
                for event in events:
                    self._handle(event)
                await self.flush()
                if any(isinstance(event, ConnectionTerminated) for event in events):
                    return
                data = await self._receive()
        except TimeoutError:
            return
        finally:
            for task in list(self._tasks.values()):
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def flush(self) -> None:
        """Send pending frames; one writer at a time, so that they keep their order."""
        async with self._writing:
            data = self.h2.data_to_send()
            if data:
                await self.connection.send(data)

    async def _preface(self) -> bytes:
        data = b""
        async with asyncio.timeout(IDLE_TIMEOUT):
            while len(data) < len(PREFACE):
                piece = await self.connection.receive()
                data += piece
                if not PREFACE.startswith(data[: len(PREFACE)]) or (not piece and data):
                    raise NotHttp2
                if not piece:
                    break
        return data

    async def _receive(self) -> bytes:
        async with asyncio.timeout(None if self._tasks else IDLE_TIMEOUT):
            return await self.connection.receive()

    def _handle(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            self._open_stream(event)
        elif isinstance(event, DataReceived):
            stream = self._streams.get(event.stream_id)
            if stream is None:
                # The handler has ended and reads no more, but the connection's flow control window
                # must not run dry.
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                stream.queue(h11.Data(data=event.data), event.flow_controlled_length)
        elif isinstance(event, StreamEnded):
            if event.stream_id in self._streams:
                self._streams[event.stream_id].queue(h11.EndOfMessage(), 0)
        elif isinstance(event, StreamReset):
            if event.stream_id in self._tasks:
                self._tasks[event.stream_id].cancel()
        elif isinstance(event, WindowUpdated):
            for stream in (
                self._streams.values()
                if event.stream_id == 0
                else [self._streams.get(event.stream_id)]
            ):
                if stream is not None:
                    stream.may_send.set()

    def _open_stream(self, event: RequestReceived) -> None:
        try:
            request = _request(event.headers, ended=event.stream_ended is not None)
        except h11.LocalProtocolError:
            self.h2.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        stream = Http2Stream(
            self,
            event.stream_id,
            request,
            sum(len(name) + len(value) for name, value in event.headers),
        )
        self._streams[event.stream_id] = stream
        self._tasks[event.stream_id] = asyncio.get_running_loop().create_task(self._serve(stream))

    async def _serve(self, stream: Http2Stream) -> None:
        try:
            await self._serve_stream(stream)
            if not stream.answered:
                self.h2.reset_stream(stream.id, ErrorCodes.REFUSED_STREAM)
        except (OSError, h11.ProtocolError, ProtocolError):
            # The origin or the viewer broke off: only this stream fails.
            with contextlib.suppress(ProtocolError):
                self.h2.reset_stream(stream.id, ErrorCodes.INTERNAL_ERROR)
        finally:
            del self._streams[stream.id], self._tasks[stream.id]
        if not self.connection.lost:
            with contextlib.suppress(OSError):
                await self.flush()


class Http2Stream:
    """One request and its response. `sent` and `received` count payload bytes of its frames."""

    def __init__(
        self, http2: Http2Connection, id: int, request: h11.Request, received: int
    ) -> None:
        self.connection = http2.connection
        self.id = id
        self.request = request
        self.answered = False
        self.sent = 0
        self.received = received
        self.may_send = asyncio.Event()
        self._http2 = http2
        self._events: deque[tuple[h11.Event, int]] = deque()
        self._queued = asyncio.Event()
        self._began = False

    @property
    def gone(self) -> bool:
        """Whether the connection is lost."""
        return self.connection.lost

    @property
    def can_answer(self) -> bool:
        """Whether a response can still be started."""
        return not self._began

    def queue(self, event: h11.Event, flow_controlled: int) -> None:
        """Queue a part of the request; `flow_controlled` bytes of it count against the window."""
        self.received += flow_controlled
        self._events.append((event, flow_controlled))
        self._queued.set()

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        """Wait for the next part of the request body, or its end. Reading it opens the window for
        more.
        """
        while not self._events:
            self._queued.clear()
            await self._queued.wait()
        event, flow_controlled = self._events.popleft()
        if flow_controlled:
            self._http2.h2.acknowledge_received_data(flow_controlled, self.id)
            await self._http2.flush()
        return event

    async def send(self, event: h11.Event) -> None:
        """Send one event of the response; data waits for the viewer's flow control window.

        :raises h2.exceptions.ProtocolError: the stream or the connection is closed.
        :raises ConnectionResetError: the connection is lost.
        """
        if isinstance(event, h11.Response):
            self._began = True
            headers = [(b":status", str(event.status_code).encode())]
            headers += [
                (name, value) for name, value in event.headers if name.decode() not in HOP_BY_HOP
            ]
            self.sent += sum(len(name) + len(value) for name, value in headers)
            self._http2.h2.send_headers(self.id, headers)
        elif isinstance(event, h11.Data):
            await self._send_data(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._http2.h2.end_stream(self.id)
            self.answered = True
        await self._http2.flush()

    async def _send_data(self, data: bytes) -> None:
        h2 = self._http2.h2
        while data:
            room = min(h2.local_flow_control_window(self.id), h2.max_outbound_frame_size)
            if room <= 0:
                self.may_send.clear()
                await self.may_send.wait()
                continue
            h2.send_data(self.id, data[:room])
            self.sent += len(data[:room])
            data = data[room:]
            await self._http2.flush()


def _request(headers: Iterable[tuple[bytes, bytes]], *, ended: bool) -> h11.Request:
    """Translate a request to HTTP/1.1 (RFC 9113 section 8.3.1).

    :raises h11.LocalProtocolError: it is malformed.
    """
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    kept = [
        (name, value)
        for name, value in headers
        if not name.startswith(b":") and name not in (b"host", b"cookie")
    ]
    hosts = [value for name, value in headers if name == b"host"]
    cookies = [value for name, value in headers if name == b"cookie"]
    made = [(b"host", pseudo.get(b":authority") or (hosts[0] if hosts else b"")), *kept]
    if cookies:
        made.append((b"cookie", b"; ".join(cookies)))
    if not ended and all(name != b"content-length" for name, _ in kept):
        made.append((b"transfer-encoding", b"chunked"))
    return h11.Request(
        method=pseudo.get(b":method", b""),
        target=pseudo.get(b":path", b"/"),
        headers=made,
        http_version=b"2.0",
    )
