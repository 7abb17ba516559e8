"""One connection's bytes, handed over when asked for (asyncio).

Decides when reading pauses and when a wait ends. It must never hold more than its limit, and never say what bytes mean.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast


class Wire(asyncio.Protocol):
    """Bytes of one connection, handed over when asked for; reading pauses beyond `limit`.

    `opening` goes out the moment the connection stands: with TLS in the same packet as the end of its handshake, so
    that neither side is woken once more than needed.
    """

    def __init__(self, limit: int, opening: bytes = b"") -> None:
        self.eof = False
        self.error: BaseException | None = None
        self.made = 0.0
        """perf_counter when the connection stood and the opening went out."""
        self.arrived = 0.0
        """perf_counter of the newest bytes."""
        self.first_arrived = 0.0
        self._limit = limit
        self._opening = opening
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.made = time.perf_counter()
        self.send(self._opening)

    def data_received(self, data: bytes) -> None:
        self.arrived = time.perf_counter()
        self.first_arrived = self.first_arrived or self.arrived
        self._buffer += data
        if len(self._buffer) > self._limit and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.eof = True
        self._wake()
        # Nothing is left to say to a side that has stopped listening; without this TLS would answer and wait.
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof, self.error = True, exc
        self._wake()

    def send(self, data: bytes) -> None:
        """Queue bytes; a connection that is already gone shows at the next wait."""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    async def wait(self, deadline: float) -> bool:
        """Wait until there are bytes or the end of the stream: True; or until `deadline` (perf_counter): False."""
        if not (self._buffer or self.eof):
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(max(0.0, deadline - time.perf_counter()), self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return bool(self._buffer) or self.eof

    def take(self) -> bytes:
        """Everything that has arrived."""
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
