"""A name to addresses, an address to a TCP connection (asyncio).

Decides nothing about which addresses are allowed. Connecting never looks up a name: what was judged
is what is used.
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
    """The system's resolver, in a thread that nobody waits for: a lookup that hangs holds up
    neither the end of an event loop nor that of the process.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def tell(found: list[str] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def look() -> None:
        found: list[str] | Exception
        try:
            found = [
                str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            ]
        except Exception as error:
            found = error
        # The loop may have ended before the resolver did.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=look, name=f"probe-dns {host}", daemon=True).start()
    return await answer


async def connect_tcp(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to one IP address, not blocking. Raises TimeoutError after `seconds`, or
    another OSError.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.connect((address, port))
        except BlockingIOError:
            async with asyncio.timeout(max(0.0, seconds)):
                await _writable(sock)
            if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error)) from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _writable(sock: socket.socket) -> None:
    """Until a connection under way stands or has failed."""
    loop, ready, fd = asyncio.get_running_loop(), asyncio.Event(), sock.fileno()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)
