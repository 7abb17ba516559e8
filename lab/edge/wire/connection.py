"""One side of one connection, and two of them joined into a tunnel.

It decides how bytes wait: a leg collects them for the HTTP parser, and after the upgrade a tunnel
hands them to the other leg as they came, unread and unchanged. It must never hold more than the
transport's high-water mark for a slow reader, and must never keep one leg of a tunnel alive without
the other.
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
# How long a closing leg may take to hand over what is still buffered before it is cut.
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
    """What both ends of one of the lab's own connections know of it, beyond its bytes.

    `source` is the simulated address it comes from, `groups` the security groups of whoever made
    it. `cut_by` says, once it is over, which hop further on ended it and why; "" when no hop did.
    """

    source: str
    groups: frozenset[str] = frozenset()
    cut_by: str = ""


class Connection(asyncio.Protocol):
    """A transport with a bounded inbox; becomes a pipe when it joins a tunnel."""

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
        "ended",
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
        self.ended = False
        self.peer_info: PeerInfo | None = None
        self._peer: Connection | None = None
        self._tunnel: Tunnel | None = None
        self.transport: asyncio.Transport
        self.lost = False
        self.received = 0
        self.sent = 0

    def on_close(self, call: Callable[[], None]) -> None:
        """Call this once, when the connection is gone."""
        self._on_close = call

    async def receive(self) -> bytes:
        """The bytes that came since the last call; waits for some. Empty at the end of the
        stream.
        """
        while not self._inbox and not self.ended and not self.lost:
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
        """Write, then wait until the reader keeps up.

        :raises ConnectionResetError: the connection is gone.
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
        """Write without waiting; for tunnels, which stop the other side from reading instead."""
        self.sent += len(data)
        self.transport.write(data)

    def close(self) -> None:
        """Hand over what is buffered, then close; cut the connection if that takes too long."""
        # Once only: a second close() takes asyncio's TLS transport apart while it still delivers.
        if not self.lost and not self._closing:
            self._closing = True
            self.transport.close()
            self._loop.call_later(LINGER_SECONDS, self._cut)

    def reset(self) -> None:
        """Cut the connection with RST, as one that was dropped or refused."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def pause_reading(self) -> None:
        """Take no more bytes from the socket for now."""
        if not self.lost and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the socket again."""
        if not self.lost and not self.transport.is_closing():
            self.transport.resume_reading()

    def finish_writing(self) -> None:
        """Say "no more from here" (FIN) where the transport can; TLS cannot, there it closes."""
        if self.lost or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.close()

    async def lingering_close(self) -> None:
        """Close after an answer to a request that was not read to its end.

        Closing a socket with unread bytes sends RST, which may overtake the answer: so read on for
        a moment first.
        """
        if not self.lost and self.transport.can_write_eof():
            self.transport.write_eof()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(PARTING_SECONDS):
                while await self.receive():
                    pass
        self.close()

    def join(self, tunnel: Tunnel, peer: Connection) -> None:
        """From now on hand every byte to `peer`, first those that are already here."""
        self._tunnel = tunnel
        self._peer = peer
        if self._inbox:
            peer.write(bytes(self._inbox))
        self._inbox = bytearray()
        if peer._can_write:
            self.resume_reading()
        if self.lost:
            tunnel.lost(self)
        elif self.ended:
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
            self._tunnel.heard(self)
            if not self._peer.transport.is_closing():
                self._peer.write(data)
            return
        self._inbox += data
        if len(self._inbox) > MAX_INBOX_BYTES:
            self.pause_reading()
        self._wake(self._inbox_waiter)

    def eof_received(self) -> bool:
        self.ended = True
        self._wake(self._inbox_waiter)
        if self._tunnel is not None:
            self._tunnel.half_closed(self)
        # The other direction may still have something to say; the handler or the tunnel closes. TLS
        # has no half-close.
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
    """Two legs joined: what comes in on one goes out on the other, until either ends or both were
    silent too long.

    `near` is the side the connection came from, `far` the side it was made to. With `far_only`,
    only bytes from `far` count against the idle limit, as CloudFront counts them (its quotas page).
    An idle tunnel is closed without a WebSocket close frame, so both ends see 1006. One timer per
    tunnel, re-armed lazily: a busy socket costs no timer per message. `who` is the hop that holds
    the tunnel and `aws_seconds` its idle limit on AWS, for people.
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
        """Wait until both legs are gone; says what ended them. If the waiter is cancelled, both
        legs are closed.
        """
        try:
            await self._finished
        finally:
            self._timer.cancel()
            self.near.close()
            self.far.close()
        return self.ended_by or TunnelEnd.NEAR

    def cut(self, why: str, end: TunnelEnd = TunnelEnd.CUT) -> None:
        """End it now, as whoever holds it decided; `why` is what people read, here and at the hops
        before.
        """
        if self.ended_by is None:
            self.ended_by = end
            self._record_cut(why)
        self._close_both()

    def quiet_for(self) -> float:
        """Seconds since the last bytes that count."""
        return self._loop.time() - self._last_heard

    def heard(self, connection: Connection) -> None:
        """A leg received bytes."""
        if connection is self.far or not self._far_only:
            self._last_heard = self._loop.time()

    def half_closed(self, connection: Connection) -> None:
        """A leg will send no more: pass that on, and give the other direction a moment to
        finish.
        """
        self._ended(connection)
        self._timer.cancel()
        if self._other(connection).ended:
            self._close_both()
            return
        self._other(connection).finish_writing()
        self._timer = self._loop.call_later(LINGER_SECONDS, self._close_both)

    def lost(self, connection: Connection) -> None:
        """A leg is gone: so is the other."""
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
