"""One connection's bytes, handed over when asked for (asyncio).

Decides when reading pauses and when a wait ends. It must never hold more than its limit, and never say what bytes mean.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

LONGEST_SLEEP_S = 0.25
"""How long one timer runs. It serves every wait that begins meanwhile, so that a quick check needs a single one."""


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
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
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
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    async def wait(self, deadline: float) -> bool:
        """Wait until there are bytes or the end of the stream: True; or until `deadline` (perf_counter): False."""
        if not (self._buffer or self.eof):
            self._waiter = asyncio.get_running_loop().create_future()
            self._deadline = deadline
            self._set_timer()
            try:
                await self._waiter
            finally:
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

    def _set_timer(self) -> None:
        """Have a timer that ends at the deadline or before; one that runs already is kept where it does."""
        now = time.perf_counter()
        wanted = min(self._deadline, now + LONGEST_SLEEP_S)
        if self._timer is not None and self._timer_at <= wanted:
            return
        self._stop_timer()
        self._timer_at = wanted
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wanted - now), self._look_at_deadline)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_deadline(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if time.perf_counter() >= self._deadline:
            self._wake()
        else:
            self._set_timer()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
