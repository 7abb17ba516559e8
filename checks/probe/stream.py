"""One connection's bytes, plain or through TLS, handed over when asked for (asyncio).

Decides when reading pauses and when a wait ends. It must never hold more than its limit, and never
say what bytes mean. The socket is read straight from the event loop: a check is a handful of small
packets, and asyncio's streams of TLS records cost more than those do.
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

LONGEST_SLEEP_S = 0.25
"""How long one timer runs. It serves every wait that begins meanwhile, so that a quick check needs
a single one.
"""
READ_SIZE = 64 * 1024
"""More than the 16 KiB of a TLS record (RFC 8446 5.1): none of it stays behind in OpenSSL, where no
loop sees it.
"""


class Stream:
    """Bytes of one connection, handed over when asked for; reading pauses beyond `limit`."""

    def __init__(self, limit: int) -> None:
        self.eof = False
        self.error: OSError | None = None
        self.made = 0.0
        """perf_counter when the connection stood and the opening went out."""
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
        """Take over a connected socket that does not block, and say `opening`."""
        self._take_over(sock, opening)
        self._stand(sock)

    async def open_tls(
        self,
        sock: socket.socket,
        opening: bytes,
        *,
        context: ssl.SSLContext,
        server_name: str,
        deadline: float,
    ) -> ssl.SSLSocket:
        """The same through TLS; the socket tells what was agreed on.

        `opening` goes out in the same packet as the end of the handshake, so that neither side is
        woken once more than needed. Raises TimeoutError at `deadline` (perf_counter), ssl.SSLError
        or another OSError.
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
        """Queue bytes; a connection that is already gone shows at the next wait."""
        if data and self._sock is not None and not self.eof:
            self._unsent += data
            if not self._writing:
                self._write(self._sock)

    @property
    def was_reset(self) -> bool:
        """Did the connection end by a reset, and not in order?"""
        return isinstance(self.error, ConnectionResetError | BrokenPipeError)

    def abort(self) -> None:
        """End the connection; the socket is closed in the loop's next round, so that nobody waits
        for the system.
        """
        self._stop_timer()
        if self._sock is not None:
            self._leave()
            self._loop.call_soon(self._sock.close)
            self._sock = None

    async def wait(self, deadline: float) -> bool:
        """Wait until there are bytes or the end of the stream: True; or until `deadline`
        (perf_counter): False.
        """
        if not (self._buffer or self.eof):
            await self._sleep(deadline)
        return bool(self._buffer) or self.eof

    def read(self) -> bytes:
        """Everything that has arrived."""
        data = bytes(self._buffer)
        self._buffer.clear()
        if not self._reading and not self.eof and self._sock is not None:
            self._read_with(functools.partial(self._read, self._sock))
        return data

    def _take_over(self, sock: socket.socket, opening: bytes) -> None:
        self._sock, self._fd, self._opening = sock, sock.fileno(), opening

    def _shake_hands(self, secured: ssl.SSLSocket) -> None:
        """One step of the TLS handshake, as far as the other side has spoken."""
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
            self._stand(secured)
            self._wake()

    def _stand(self, sock: socket.socket) -> None:
        """The connection stands: say the opening and listen."""
        self.made = time.perf_counter()
        self._read_with(functools.partial(self._read, sock))
        self.send(self._opening)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._end(_truth_of(error, sock))
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
            # What the other side said before it stopped listening is still to be read; reading
            # finds the end.
            self.error = error
            self._unsent.clear()
        self._write_with(functools.partial(self._write, sock) if self._unsent else None)

    def _end(self, error: OSError | None) -> None:
        """Nothing more will arrive, and nothing more is said."""
        self.eof, self.error = True, error or self.error
        self._leave()
        self._wake()

    def _leave(self) -> None:
        self._read_with(None)
        self._write_with(None)

    def _read_with(self, callback: Callable[[], None] | None) -> None:
        """What the loop calls when bytes have come; None pauses."""
        if callback is not None:
            self._loop.add_reader(self._fd, callback)
        elif self._reading:
            self._loop.remove_reader(self._fd)
        self._reading = callback is not None

    def _write_with(self, callback: Callable[[], None] | None) -> None:
        """What the loop calls when there is room for bytes; None when nothing waits for it."""
        if callback is not None:
            self._loop.add_writer(self._fd, callback)
        elif self._writing:
            self._loop.remove_writer(self._fd)
        self._writing = callback is not None

    async def _sleep(self, deadline: float) -> None:
        """Until something happens or `deadline` is over."""
        self._waiter = self._loop.create_future()
        self._deadline = deadline
        self._set_timer()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self) -> None:
        """Have a timer that ends at the deadline or before; one that runs already is kept where it
        does.
        """
        now = time.perf_counter()
        wanted = min(self._deadline, now + LONGEST_SLEEP_S)
        if self._timer is not None and self._timer_at <= wanted:
            return
        self._stop_timer()
        self._timer_at = wanted
        self._timer = self._loop.call_later(max(0.0, wanted - now), self._look_at_deadline)

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


def _truth_of(error: OSError, sock: socket.socket) -> OSError | None:
    """What an error in reading means; None for an end without TLS's own goodbye, which many servers
    leave out.

    Python 3.11 and 3.12 say a reset within TLS as such an end too. OpenSSL 3 gives a real one its
    reason; where there is none, a connection that has lost its other side was reset.
    """
    if not isinstance(error, ssl.SSLEOFError):
        return error
    if error.reason is None:
        try:
            sock.getpeername()
        except OSError:
            return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return None
