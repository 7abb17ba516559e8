"""Two legs joined: bytes unchanged, memory bounded, idle clocks, and ends that end both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from lab.edge.wire.connection import Connection, Tunnel, TunnelEnd


@dataclass
class Joined:
    """A tunnel and the two sockets at its ends."""

    tunnel: Tunnel
    near: socket.socket
    far: socket.socket


def story(
    tell: Callable[[Joined], Awaitable[None]], idle: float = 30.0, *, far_only: bool = False
) -> None:
    async def told() -> None:
        loop = asyncio.get_running_loop()
        ends, connections = [], []
        for _ in range(2):
            mine, theirs = socket.socketpair()
            mine.setblocking(False)
            _, connection = await loop.create_connection(Connection, sock=theirs)
            ends.append(mine)
            connections.append(connection)
        joined = Joined(Tunnel(connections[0], connections[1], idle, far_only=far_only), *ends)
        try:
            await asyncio.wait_for(tell(joined), 15)
        finally:
            for end in ends:
                end.close()
            await joined.tunnel.finished()

    asyncio.run(told())


async def read(end: socket.socket, size: int = 65536) -> bytes:
    return await asyncio.get_running_loop().sock_recv(end, size)


async def write(end: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(end, data)


@pytest.mark.rule("websocket/bytes-unchanged")
def test_bytes_pass_both_ways_unchanged() -> None:
    async def tell(joined: Joined) -> None:
        every = bytes(range(256)) * 4
        await write(joined.near, every)
        assert await read(joined.far) == every
        await write(joined.far, every[::-1])
        assert await read(joined.near) == every[::-1]

    story(tell)


def test_a_slow_reader_stops_the_writer_instead_of_filling_memory() -> None:
    async def tell(joined: Joined) -> None:
        sent = 0

        async def write_on() -> None:
            nonlocal sent
            while True:
                await asyncio.wait_for(write(joined.near, b"x" * 65536), 0.3)
                sent += 65536

        with pytest.raises(TimeoutError):
            await write_on()
        assert sent < 8 * 1024 * 1024
        received = 0
        while received < sent:
            received += len(await read(joined.far, 1 << 20))

    story(tell)


def test_what_the_closing_side_said_last_still_arrives() -> None:
    async def tell(joined: Joined) -> None:
        await write(joined.far, b"last words" * 1000)
        joined.far.close()
        heard = b""
        while piece := await read(joined.near):
            heard += piece
        assert heard == b"last words" * 1000
        joined.near.close()
        assert await joined.tunnel.finished() is TunnelEnd.FAR

    story(tell)


def test_a_half_closed_side_may_still_get_its_answer() -> None:
    async def tell(joined: Joined) -> None:
        await write(joined.near, b"question")
        joined.near.shutdown(socket.SHUT_WR)
        assert await read(joined.far) == b"question"
        assert await read(joined.far) == b""
        await write(joined.far, b"answer")
        assert await read(joined.near) == b"answer"
        joined.far.close()
        assert await read(joined.near) == b""

    story(tell)


def test_silence_ends_both_sides() -> None:
    async def tell(joined: Joined) -> None:
        assert await read(joined.near) == b""
        assert await read(joined.far) == b""
        joined.near.close()
        joined.far.close()
        assert await joined.tunnel.finished() is TunnelEnd.IDLE

    story(tell, idle=0.2)


@pytest.mark.parametrize("talker", ["near", "far"])
def test_any_byte_in_either_direction_postpones_a_load_balancers_idle_limit(talker: str) -> None:
    async def tell(joined: Joined) -> None:
        for _ in range(8):
            await write(getattr(joined, talker), b".")
            await asyncio.sleep(0.1)
        assert joined.tunnel.ended_by is None

    story(tell, idle=0.4)


@pytest.mark.rule("timeout/websocket-idle", "timeout/client-bytes-do-not-count")
def test_cloudfront_counts_only_what_the_origin_says() -> None:
    async def origin_talks(joined: Joined) -> None:
        for _ in range(8):
            await write(joined.far, b".")
            await asyncio.sleep(0.1)
        assert joined.tunnel.ended_by is None

    async def only_the_viewer_talks(joined: Joined) -> None:
        for _ in range(20):
            if joined.tunnel.ended_by is not None:
                break
            await write(joined.near, b".")
            await asyncio.sleep(0.1)
        assert joined.tunnel.ended_by is TunnelEnd.IDLE

    story(origin_talks, idle=0.4, far_only=True)
    story(only_the_viewer_talks, idle=0.4, far_only=True)


def test_a_leg_holds_what_came_before_the_tunnel() -> None:
    async def told() -> None:
        loop = asyncio.get_running_loop()
        near, near_theirs = socket.socketpair()
        far, far_theirs = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
        _, near_leg = await loop.create_connection(Connection, sock=near_theirs)
        _, far_leg = await loop.create_connection(Connection, sock=far_theirs)
        await write(near, b"early")
        await asyncio.sleep(0.05)
        tunnel = Tunnel(near_leg, far_leg, 30)
        assert await read(far) == b"early"
        near.close()
        assert await read(far) == b""
        far.close()
        assert await tunnel.finished() is TunnelEnd.NEAR

    asyncio.run(told())
