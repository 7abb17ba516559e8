"""uvicorn's HTTP protocol, with an end to what a client may leave unfinished.

uvicorn bounds how long an idle connection is kept, but neither how long a request's head may take
nor how long a response may go unread. Both cost a socket and memory for as long as a client likes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_SECONDS = 15.0
UNREAD_FOR_SECONDS = 30.0
"""How long a reader may take nothing while more than the socket's buffers hold is waiting."""

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedH11Protocol(H11Protocol):
    """Answers 408 to a head that does not arrive, and drops a connection that is not read."""

    head_within: float = HEAD_WITHIN_SECONDS
    unread_for: float = UNREAD_FOR_SECONDS
    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_protocol() is not self or self.conn.their_state is not h11.IDLE:
            self._stop_timers()
        elif self._head_timer is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self._unread_timer or self.loop.call_later(
            self.unread_for, self.transport.abort
        )

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_within, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
            self.transport.close()

    def _stop_timers(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
