"""A name to addresses, an address to a TCP connection (asyncio).

Decides nothing about which addresses are allowed. Connecting never looks up a name: what was judged is what is used.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses; raises OSError when there are none."""

_resolving = ThreadPoolExecutor(max_workers=16, thread_name_prefix="probe-dns")


async def resolve_with_getaddrinfo(host: str, port: int) -> Sequence[str]:
    """The system's resolver, in threads of our own: a lookup that hangs must not hold up the end of an event loop."""
    lookup = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    answers = await asyncio.get_running_loop().run_in_executor(_resolving, lookup)
    return [str(answer[4][0]) for answer in answers]


async def connected(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to one IP address, not blocking. Raises TimeoutError after `seconds`, or another OSError."""
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
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(sock)
