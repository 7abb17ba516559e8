"""The bytes of one connection, plain or through TLS (asyncio).

Reading pauses beyond a limit, so memory is bounded. The socket is read straight from the event
loop: a check is a handful of small packets, and asyncio's TLS streams cost more than they do.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import ssl
import time
from collections.abc import Callable

from checks.protocol.handshake import RefusedBody

LONGEST_SLEEP_S = 0.25
"""How long one timer runs. It serves every wait that begins meanwhile, so a quick check sets one.
"""
READ_SIZE = 64 * 1024
"""More than a TLS record's 16 KiB (RFC 8446 5.1): nothing stays behind in OpenSSL, where the event
loop cannot see it.
"""


class Stream:
    """The bytes of one connection; reading pauses beyond `limit` unread bytes."""

    def __init__(self, limit: int) -> None:
        self.eof = False
        self.error: OSError | None = None
        self.made = 0.0
        """perf_counter when the connection was open and the opening went out."""
        self.arrived = 0.0
        """perf_counter of the newest bytes."""
        self.first_arrived = 0.0
        self._limit = limit
        self._opening = b""
        self._buffer = bytearray()
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._fd = -1
        self._reading = False
        self._writing = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def open_plain(self, sock: socket.socket, opening: bytes) -> None:
        """Use a connected non-blocking socket, and send `opening`."""
        self._take_over(sock, opening)
        self._opened(sock)

    async def open_tls(
        self,
        sock: socket.socket,
        opening: bytes,
        *,
        context: ssl.SSLContext,
        server_name: str,
        deadline: float,
    ) -> ssl.SSLSocket:
        """The same through TLS; returns the socket, which knows what was negotiated.

        `opening` goes out in the same packet as the end of the handshake, which saves each side a
        wake-up. Raises TimeoutError at `deadline` (perf_counter), ssl.SSLError or another OSError.
        """
        try:
            secured = context.wrap_socket(
                sock,
                server_hostname=server_name,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
        except BaseException:
            sock.close()
            raise
        self._take_over(secured, opening)
        self._read_with(functools.partial(self._shake_hands, secured))
        self._shake_hands(secured)
        while not (self.made or self.eof):
            if time.perf_counter() >= deadline:
                raise TimeoutError
            await self._sleep(deadline)
        if self.error is not None and not self.made:
            raise self.error
        return secured

    def send(self, data: bytes) -> None:
        """Queue bytes. A connection that is already gone shows at the next wait."""
        if data and self._sock is not None and not self.eof:
            self._unsent += data
            if not self._writing:
                self._write(self._sock)

    async def read_body(self, body: RefusedBody, rest: bytes, until: float) -> None:
        """Fill the body of a response, of which `rest` has come, until it is complete or `until`
        (perf_counter).
        """
        body.feed(rest)
        while not body.complete and time.perf_counter() < until and await self.wait(until):
            data = self.read()
            if not data:
                break
            body.feed(data)

    @property
    def was_reset(self) -> bool:
        """The connection ended with a reset."""
        return isinstance(self.error, ConnectionResetError | BrokenPipeError)

    def abort(self) -> None:
        """End the connection. The socket is closed in the loop's next round: the caller need not
        wait for the system call.
        """
        self._stop_timer()
        if self._sock is not None:
            self._stop_io()
            self._loop.call_soon(self._sock.close)
            self._sock = None

    async def wait(self, deadline: float) -> bool:
        """Wait for bytes or the end of the stream; False at `deadline` (perf_counter)."""
        if not (self._buffer or self.eof):
            await self._sleep(deadline)
        return bool(self._buffer) or self.eof

    def read(self) -> bytes:
        """Everything that arrived since the last read."""
        data = bytes(self._buffer)
        self._buffer.clear()
        if not self._reading and not self.eof and self._sock is not None:
            self._read_with(functools.partial(self._read, self._sock))
        return data

    def _take_over(self, sock: socket.socket, opening: bytes) -> None:
        self._sock, self._fd, self._opening = sock, sock.fileno(), opening

    def _shake_hands(self, secured: ssl.SSLSocket) -> None:
        """Advance the TLS handshake as far as the peer's bytes allow."""
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            self._write_with(None)
        except ssl.SSLWantWriteError:
            self._write_with(functools.partial(self._shake_hands, secured))
        except OSError as error:
            self._end(error)
        else:
            self._write_with(None)
            self._opened(secured)
            self._wake()

    def _opened(self, sock: socket.socket) -> None:
        """The connection is open: send the opening and listen."""
        self.made = time.perf_counter()
        self._read_with(functools.partial(self._read, sock))
        self.send(self._opening)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._end(_read_error(error, sock))
            return
        if not data:
            self._end(None)
            return
        self.arrived = time.perf_counter()
        self.first_arrived = self.first_arrived or self.arrived
        self._buffer += data
        if len(self._buffer) > self._limit:
            self._read_with(None)
        self._wake()

    def _write(self, sock: socket.socket) -> None:
        try:
            del self._unsent[: sock.send(self._unsent)]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            # The peer may have sent an answer before it stopped reading; reading finds the end.
            self.error = error
            self._unsent.clear()
        self._write_with(functools.partial(self._write, sock) if self._unsent else None)

    def _end(self, error: OSError | None) -> None:
        """Nothing more arrives, and nothing more is sent."""
        self.eof, self.error = True, error or self.error
        self._stop_io()
        self._wake()

    def _stop_io(self) -> None:
        self._read_with(None)
        self._write_with(None)

    def _read_with(self, callback: Callable[[], None] | None) -> None:
        """Have the loop call this when bytes arrive; None pauses."""
        if callback is not None:
            self._loop.add_reader(self._fd, callback)
        elif self._reading:
            self._loop.remove_reader(self._fd)
        self._reading = callback is not None

    def _write_with(self, callback: Callable[[], None] | None) -> None:
        """Have the loop call this when the socket is writable; None stops."""
        if callback is not None:
            self._loop.add_writer(self._fd, callback)
        elif self._writing:
            self._loop.remove_writer(self._fd)
        self._writing = callback is not None

    async def _sleep(self, deadline: float) -> None:
        """Until something happens, or until `deadline`."""
        self._waiter = self._loop.create_future()
        self._deadline = deadline
        self._set_timer()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self) -> None:
        """Make sure that a timer fires at the deadline or before; one that does is kept."""
        now = time.perf_counter()
        latest = min(self._deadline, now + LONGEST_SLEEP_S)
        if self._timer is not None and self._timer_at <= latest:
            return
        self._stop_timer()
        self._timer_at = latest
        self._timer = self._loop.call_later(max(0.0, latest - now), self._check_deadline)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_deadline(self) -> None:
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


def _read_error(error: OSError, sock: socket.socket) -> OSError | None:
    """What a read error means: None for an end without TLS close_notify, which many servers omit.

    Python 3.11 and 3.12 report a reset within TLS as such an end too. OpenSSL 3 sets a reason for
    a real one; without a reason, a socket that has lost its peer was reset.
    """
    if not isinstance(error, ssl.SSLEOFError):
        return error
    if error.reason is None:
        try:
            sock.getpeername()
        except OSError:
            return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return None
