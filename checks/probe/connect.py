"""Resolves a name to addresses, and connects to an address (asyncio).

Connecting never looks up a name: the address that was judged is the one that is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses; raises OSError when there are none."""


async def resolve_with_getaddrinfo(host: str, port: int) -> Sequence[str]:
    """The system's resolver, in a daemon thread: a lookup that hangs delays the end of neither the
    event loop nor the process.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def deliver(found: list[str] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def resolve() -> None:
        found: list[str] | Exception
        try:
            found = [
                str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            ]
        except Exception as error:
            found = error
        # The loop may have ended before the resolver did.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, found)

    threading.Thread(target=resolve, name=f"probe-dns {host}", daemon=True).start()
    return await answer


async def connect_tcp(address: str, port: int, seconds: float) -> socket.socket:
    """A non-blocking TCP connection to an IP address. Raises TimeoutError after `seconds`, or
    another OSError.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.connect((address, port))
        except BlockingIOError:
            # The socket is writable once it is connected, or has failed to.
            loop, ready, fd = asyncio.get_running_loop(), asyncio.Event(), sock.fileno()
            loop.add_writer(fd, ready.set)
            try:
                async with asyncio.timeout(max(0.0, seconds)):
                    await ready.wait()
            finally:
                loop.remove_writer(fd)
            if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error)) from None
    except BaseException:
        sock.close()
        raise
    return sock
