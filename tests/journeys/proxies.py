"""TCP proxies on loopback between the portal and its services, which misbehave when told to."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stack.ports import LOOPBACK

CHUNK = 65_536
BEGIN, COMMIT = b"Q\x00\x00\x00\x0aBEGIN\x00", b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""Query messages of PostgreSQL's protocol, as psycopg sends them around a transaction."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Accepts on `port` and leads to what `upstream` opens, until told otherwise."""

    def __init__(self, port: int, upstream: Callable[[], Awaitable[Streams]]) -> None:
        self.port = port
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._silent = False
        self._open: set[asyncio.StreamWriter] = set()
        self._cuts: list[bytes] = []
        self.cut: list[bytes] = []
        """What was being written in the transactions whose answer was cut."""
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"proxy-{port}", daemon=True
        )

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *problem: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Meanwhile it accepts, reads and says nothing. Who waited by then is cut off."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False
            self._call(self._drop_all())

    def cut_commits(self, *of: bytes) -> None:
        """For each of these words, cut one connection whose transaction has it, when PostgreSQL has
        carried out the COMMIT and before the client hears of that.
        """
        self._loop.call_soon_threadsafe(self._cuts.extend, of)

    @property
    def cuts_left(self) -> int:
        """How many cuts that were asked for did not happen yet."""
        return len(self._cuts)

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def _stop(self) -> None:
        self._server.close()
        await self._drop_all()

    async def _drop_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError):
            if self._silent:
                while await reader.read(CHUNK):
                    pass
            else:
                server = await self._upstream()
                self._open.add(server[1])
                await _Link(self, (reader, writer), server).carry()
                self._close(server[1])
        self._close(writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()


class _Link:
    """One connection through a proxy."""

    def __init__(self, proxy: Proxy, client: Streams, server: Streams) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.transaction = b""
        self.deaf: bytes | None = None
        """The word for which the answer to the COMMIT that is under way is cut."""

    async def carry(self) -> None:
        """Both ways, until either end is closed."""
        ways = [asyncio.create_task(self._forth()), asyncio.create_task(self._back())]
        _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in left:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _forth(self) -> None:
        while sent := await self.client[0].read(CHUNK):
            if self.proxy._silent:
                continue
            if self.proxy._cuts:
                self._watch(sent)
            self.server[1].write(sent)
            await self.server[1].drain()

    async def _back(self) -> None:
        while said := await self.server[0].read(CHUNK):
            if self.deaf is not None:
                self.proxy.cut.append(self.deaf)
                return
            if not self.proxy._silent:
                self.client[1].write(said)
                await self.client[1].drain()

    def _watch(self, sent: bytes) -> None:
        self.transaction = sent if BEGIN in sent else self.transaction + sent
        if COMMIT not in sent:
            return
        wanted = next((word for word in self.proxy._cuts if word in self.transaction), None)
        self.transaction = b""
        if wanted is not None:
            self.proxy._cuts.remove(wanted)
            self.deaf = wanted
