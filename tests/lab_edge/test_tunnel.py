"""Two connections joined: bytes unchanged, memory bounded, idle timeouts, and how both end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from lab.edge.wire.connection import Connection, Tunnel, TunnelEnd

from .stepped_loop import run_stepped, step

IDLE = 30.0
ALMOST_IDLE = 29.0


@dataclass
class Joined:
    """A tunnel and the two sockets at its ends."""

    tunnel: Tunnel
    near: socket.socket
    far: socket.socket


def with_tunnel(test: Callable[[Joined], Awaitable[None]], *, far_only: bool = False) -> None:
    """Run a test with a tunnel, on a loop whose clock it steps."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        ends, connections = [], []
        for _ in range(2):
            mine, theirs = socket.socketpair()
            mine.setblocking(False)
            _, connection = await loop.create_connection(Connection, sock=theirs)
            ends.append(mine)
            connections.append(connection)
        joined = Joined(Tunnel(connections[0], connections[1], IDLE, far_only=far_only), *ends)
        try:
            await test(joined)
        finally:
            for end in ends:
                end.close()
            await joined.tunnel.finished()

    run_stepped(run())


async def read(end: socket.socket, size: int = 65536) -> bytes:
    return await asyncio.get_running_loop().sock_recv(end, size)


async def write(end: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(end, data)


@pytest.mark.rule("websocket/bytes-unchanged")
def test_bytes_pass_both_ways_unchanged() -> None:
    async def test(joined: Joined) -> None:
        every = bytes(range(256)) * 4
        await write(joined.near, every)
        assert await read(joined.far) == every
        await write(joined.far, every[::-1])
        assert await read(joined.near) == every[::-1]

    with_tunnel(test)


def test_a_slow_reader_stops_the_writer_instead_of_filling_memory() -> None:
    async def test(joined: Joined) -> None:
        sent = 0
        while True:
            try:
                sent += joined.near.send(b"x" * 65536)
            except BlockingIOError:
                if not joined.tunnel.near.transport.is_reading():
                    break
            await asyncio.sleep(0)
        assert sent < 8 * 1024 * 1024
        received = 0
        while received < sent:
            received += len(await read(joined.far, 1 << 20))

    with_tunnel(test)


def test_the_last_bytes_of_the_closing_side_still_arrive() -> None:
    async def test(joined: Joined) -> None:
        await write(joined.far, b"last words" * 1000)
        joined.far.close()
        heard = b""
        while piece := await read(joined.near):
            heard += piece
        assert heard == b"last words" * 1000
        joined.near.close()
        assert await joined.tunnel.finished() is TunnelEnd.FAR

    with_tunnel(test)


def test_a_half_closed_side_may_still_get_its_answer() -> None:
    async def test(joined: Joined) -> None:
        await write(joined.near, b"question")
        joined.near.shutdown(socket.SHUT_WR)
        assert await read(joined.far) == b"question"
        assert await read(joined.far) == b""
        await write(joined.far, b"answer")
        assert await read(joined.near) == b"answer"
        joined.far.close()
        assert await read(joined.near) == b""

    with_tunnel(test)


def test_silence_ends_both_sides() -> None:
    async def test(joined: Joined) -> None:
        await step(ALMOST_IDLE)
        assert joined.tunnel.ended_by is None
        await step(IDLE - ALMOST_IDLE)
        assert await read(joined.near) == b""
        assert await read(joined.far) == b""
        joined.near.close()
        joined.far.close()
        assert await joined.tunnel.finished() is TunnelEnd.IDLE

    with_tunnel(test)


@pytest.mark.parametrize("talker", ["near", "far"])
def test_any_byte_in_either_direction_resets_a_load_balancers_idle_timeout(talker: str) -> None:
    async def test(joined: Joined) -> None:
        listener = {"near": joined.far, "far": joined.near}[talker]
        for _ in range(8):
            await write(getattr(joined, talker), b".")
            assert await read(listener) == b"."
            await step(ALMOST_IDLE)
            assert joined.tunnel.ended_by is None
        await step(IDLE)
        assert joined.tunnel.ended_by is TunnelEnd.IDLE

    with_tunnel(test)


@pytest.mark.rule("timeout/websocket-idle", "timeout/client-bytes-do-not-count")
def test_only_bytes_from_the_origin_reset_cloudfronts_idle_timeout() -> None:
    async def origin_talks(joined: Joined) -> None:
        for _ in range(8):
            await write(joined.far, b".")
            assert await read(joined.near) == b"."
            await step(ALMOST_IDLE)
            assert joined.tunnel.ended_by is None

    async def only_the_viewer_talks(joined: Joined) -> None:
        await step(ALMOST_IDLE)
        await write(joined.near, b".")
        assert await read(joined.far) == b"."
        assert joined.tunnel.ended_by is None
        await step(IDLE - ALMOST_IDLE)
        assert joined.tunnel.ended_by is TunnelEnd.IDLE

    with_tunnel(origin_talks, far_only=True)
    with_tunnel(only_the_viewer_talks, far_only=True)


def test_a_connection_keeps_the_bytes_that_came_before_the_tunnel() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        near, near_theirs = socket.socketpair()
        far, far_theirs = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
        _, near_connection = await loop.create_connection(Connection, sock=near_theirs)
        _, far_connection = await loop.create_connection(Connection, sock=far_theirs)
        await write(near, b"early")
        while near_connection.received < len(b"early"):
            await asyncio.sleep(0)
        tunnel = Tunnel(near_connection, far_connection, IDLE)
        assert await read(far) == b"early"
        near.close()
        assert await read(far) == b""
        far.close()
        assert await tunnel.finished() is TunnelEnd.NEAR

    run_stepped(run())
