"""Connections, and tunnels that join two of them.

A connection buffers bytes for the HTTP parser. After an upgrade, a tunnel passes them on to the
other connection unread and unchanged. Buffers are bounded: a slow reader pauses the other side.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import cast

MAX_INBOX_BYTES = 64 * 1024
# How long a closing connection may take to flush its buffer before it is aborted.
LINGER_SECONDS = 3.0
PARTING_SECONDS = 0.5


class TunnelEnd(Enum):
    """What ended a tunnel."""

    NEAR = "near"
    FAR = "far"
    IDLE = "idle"
    CUT = "cut"


@dataclass(slots=True)
class PeerInfo:
    """What both ends of a connection inside the lab know about it, besides its bytes.

    `source` is its simulated source address, `groups` the security groups of the connecting side.
    `cut_by` says, after it ended, which hop downstream cut it and why; "" if none did.
    """

    source: str
    groups: frozenset[str] = frozenset()
    cut_by: str = ""


class Connection(asyncio.Protocol):
    """A transport with a bounded inbox. In a tunnel it passes every byte to its peer."""

    __slots__ = (
        "_can_write",
        "_closing",
        "_inbox",
        "_inbox_waiter",
        "_loop",
        "_on_close",
        "_on_open",
        "_peer",
        "_tls",
        "_tunnel",
        "_write_waiter",
        "at_eof",
        "lost",
        "peer_info",
        "received",
        "sent",
        "transport",
    )

    def __init__(self, on_open: Callable[[Connection], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_open = on_open
        self._on_close: Callable[[], None] | None = None
        self._inbox = bytearray()
        self._inbox_waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._can_write = True
        self._closing = False
        self._tls = False
        self.at_eof = False
        self.peer_info: PeerInfo | None = None
        self._peer: Connection | None = None
        self._tunnel: Tunnel | None = None
        self.transport: asyncio.Transport
        self.lost = False
        self.received = 0
        self.sent = 0

    def on_close(self, call: Callable[[], None]) -> None:
        """Call this once, when the connection is lost."""
        self._on_close = call

    async def receive(self) -> bytes:
        """Wait for bytes, and return all that have arrived. Empty at the end of the stream."""
        while not self._inbox and not self.at_eof and not self.lost:
            self._inbox_waiter = self._loop.create_future()
            try:
                await self._inbox_waiter
            finally:
                self._inbox_waiter = None
        data = bytes(self._inbox)
        self._inbox.clear()
        self.resume_reading()
        return data

    async def send(self, data: bytes) -> None:
        """Write, then wait until the transport's buffer has room.

        :raises ConnectionResetError: the connection is lost.
        """
        if self.lost or self.transport.is_closing():
            raise ConnectionResetError("connection lost")
        self.write(data)
        while not self._can_write and not self.lost:
            self._write_waiter = self._loop.create_future()
            try:
                await self._write_waiter
            finally:
                self._write_waiter = None

    def write(self, data: bytes) -> None:
        """Write without waiting. Tunnels use it; they pause reading on the other side instead."""
        self.sent += len(data)
        self.transport.write(data)

    def close(self) -> None:
        """Flush the buffer, then close. Abort if that takes too long."""
        # Only once: a second close() breaks asyncio's TLS transport while it still flushes.
        if not self.lost and not self._closing:
            self._closing = True
            self.transport.close()
            self._loop.call_later(LINGER_SECONDS, self._cut)

    def reset(self) -> None:
        """Close with RST."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def pause_reading(self) -> None:
        """Stop reading from the socket."""
        if not self.lost and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the socket again."""
        if not self.lost and not self.transport.is_closing():
            self.transport.resume_reading()

    def write_eof(self) -> None:
        """Send FIN; over TLS, which has no half-close, close."""
        if self.lost or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.close()

    async def lingering_close(self) -> None:
        """Close after answering a request that was not read to its end.

        Closing a socket with unread bytes sends RST, which can overtake the answer. So keep reading
        for a moment first.
        """
        if not self.lost and self.transport.can_write_eof():
            self.transport.write_eof()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(PARTING_SECONDS):
                while await self.receive():
                    pass
        self.close()

    def join(self, tunnel: Tunnel, peer: Connection) -> None:
        """From now on pass every byte to `peer`, beginning with the inbox."""
        self._tunnel = tunnel
        self._peer = peer
        if self._inbox:
            peer.write(bytes(self._inbox))
        self._inbox = bytearray()
        if peer._can_write:
            self.resume_reading()
        if self.lost:
            tunnel.lost(self)
        elif self.at_eof:
            tunnel.half_closed(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._tls = transport.get_extra_info("sslcontext") is not None
        if self._on_open is not None:
            self._on_open(self)
            self._on_open = None

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._peer is not None and self._tunnel is not None:
            self._tunnel.data_received_from(self)
            if not self._peer.transport.is_closing():
                self._peer.write(data)
            return
        self._inbox += data
        if len(self._inbox) > MAX_INBOX_BYTES:
            self.pause_reading()
        self._wake(self._inbox_waiter)

    def eof_received(self) -> bool:
        self.at_eof = True
        self._wake(self._inbox_waiter)
        if self._tunnel is not None:
            self._tunnel.half_closed(self)
        # Keep the transport open: the other direction may still send, and the handler or the tunnel
        # closes. TLS has no half-close.
        return not self._tls

    def pause_writing(self) -> None:
        self._can_write = False
        if self._peer is not None:
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        self._can_write = True
        self._wake(self._write_waiter)
        if self._peer is not None:
            self._peer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._wake(self._inbox_waiter)
        self._wake(self._write_waiter)
        if self._on_close is not None:
            self._on_close()
            self._on_close = None
        if self._tunnel is not None:
            self._tunnel.lost(self)
            self._tunnel = self._peer = None

    def _cut(self) -> None:
        if not self.lost:
            self.transport.abort()

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Tunnel:
    """Two connections joined: bytes from one go to the other, until either ends or both stay silent
    for the idle timeout.

    `near` is the accepted connection, `far` the one made for it. With `far_only`, only bytes from
    `far` reset the idle timeout, as on CloudFront (its quotas page). An idle tunnel is closed
    without a WebSocket close frame, so both ends see 1006. It has one timer, re-armed only when it
    fires: messages cost no timer. `hop` names the hop that
    holds the tunnel, `aws_seconds` is its idle timeout on AWS; both are shown to people.
    """

    __slots__ = (
        "_far_only",
        "_finished",
        "_last_heard",
        "_loop",
        "_timer",
        "aws_seconds",
        "cut_by",
        "ended_by",
        "far",
        "hop",
        "idle_seconds",
        "near",
        "opened",
    )

    def __init__(
        self,
        near: Connection,
        far: Connection,
        idle_seconds: float,
        *,
        far_only: bool = False,
        hop: str = "",
        aws_seconds: float = 0.0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.near = near
        self.far = far
        self.idle_seconds = idle_seconds
        self.aws_seconds = aws_seconds or idle_seconds
        self.hop = hop
        self._far_only = far_only
        self.opened = self._last_heard = self._loop.time()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self.ended_by: TunnelEnd | None = None
        self.cut_by = ""
        self._timer: asyncio.TimerHandle = self._loop.call_later(idle_seconds, self._check_idle)
        near.join(self, far)
        far.join(self, near)

    async def finished(self) -> TunnelEnd:
        """Wait until both connections are lost. Returns what ended the tunnel; if the waiter is
        cancelled, both connections are closed.
        """
        try:
            await self._finished
        finally:
            self._timer.cancel()
            self.near.close()
            self.far.close()
        return self.ended_by or TunnelEnd.NEAR

    def cut(self, why: str, end: TunnelEnd = TunnelEnd.CUT) -> None:
        """End the tunnel. `why` is shown to people, here and at the hops upstream."""
        if self.ended_by is None:
            self.ended_by = end
            self._record_cut(why)
        self._close_both()

    def idle_for(self) -> float:
        """Seconds since the last bytes that reset the idle timeout."""
        return self._loop.time() - self._last_heard

    def data_received_from(self, connection: Connection) -> None:
        """A connection received bytes."""
        if connection is self.far or not self._far_only:
            self._last_heard = self._loop.time()

    def half_closed(self, connection: Connection) -> None:
        """A connection sent FIN: pass it on, and give the other direction a moment to finish."""
        self._ended(connection)
        self._timer.cancel()
        if self._other(connection).at_eof:
            self._close_both()
            return
        self._other(connection).write_eof()
        self._timer = self._loop.call_later(LINGER_SECONDS, self._close_both)

    def lost(self, connection: Connection) -> None:
        """A connection is lost: close the other."""
        self._ended(connection)
        self._timer.cancel()
        other = self._other(connection)
        if other.lost:
            if not self._finished.done():
                self._finished.set_result(None)
        else:
            other.close()

    def _ended(self, connection: Connection) -> None:
        if self.ended_by is None:
            self.ended_by = TunnelEnd.NEAR if connection is self.near else TunnelEnd.FAR
            if (
                connection is self.far
                and connection.peer_info is not None
                and connection.peer_info.cut_by
            ):
                self._record_cut(connection.peer_info.cut_by)

    def _record_cut(self, why: str) -> None:
        self.cut_by = why
        if self.near.peer_info is not None:
            self.near.peer_info.cut_by = why

    def _other(self, connection: Connection) -> Connection:
        return self.far if connection is self.near else self.near

    def _check_idle(self) -> None:
        remaining = self._last_heard + self.idle_seconds - self._loop.time()
        if remaining > 0:
            self._timer = self._loop.call_later(remaining, self._check_idle)
            return
        lab = f" (lab: {self.idle_seconds:g} s)" if self.aws_seconds != self.idle_seconds else ""
        self.cut(
            f"the idle timeout of {self.hop or 'this hop'}, {self.aws_seconds:g} s{lab}",
            TunnelEnd.IDLE,
        )

    def _close_both(self) -> None:
        self.near.close()
        self.far.close()
