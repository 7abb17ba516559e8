"""Clients that read nothing, send half a head, or say two lengths, against a real uvicorn: none
costs a thread, and none stays for ever.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from typing import Any, cast

import pytest
import uvicorn
from a2wsgi import WSGIMiddleware

from portal.body_buffering import arriving_whole, sending_aside
from portal.http_protocol import BoundedH11Protocol

PATIENCE = 30.0
LARGE = b"x" * 4_000_000
THREADS = 2


class Quick(BoundedH11Protocol):
    """As in production, with shorter bounds."""

    head_within = 1.0
    unread_for = 1.5


def pages(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A large download, and a page that says how long it waited for a thread."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [LARGE] if environ["PATH_INFO"] == "/large" else [b"here"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    django = WSGIMiddleware(cast("Any", pages), workers=THREADS)
    application = arriving_whole(sending_aside(cast("Any", django)))
    config = uvicorn.Config(
        cast("Any", application), port=0, http=Quick, lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE)


def opened(port: int, head: bytes) -> socket.socket:
    """A connection that has sent this and takes little at a time."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(PATIENCE)
    made.connect(("127.0.0.1", port))
    made.sendall(head)
    return made


def get(port: int, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
        client.request("GET", path)
        return client.getresponse().read()


def ended(connection: socket.socket) -> bytes:
    """What came until the server ended the connection."""
    came = b""
    try:
        while piece := connection.recv(65536):
            came += piece
    except ConnectionResetError:
        pass
    return came


def test_readers_that_take_nothing_hold_no_thread_and_are_dropped(port: int) -> None:
    request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(opened(port, request))) for _ in range(3 * THREADS)]
        for connection in slow:
            assert connection.recv(1)
        assert get(port, "/") == b"here"
        time.sleep(2 * Quick.unread_for)
        assert all(len(ended(connection)) < len(LARGE) for connection in slow)
    assert get(port, "/large") == LARGE, "who reads gets everything"


def test_half_a_head_is_answered_and_ended(port: int) -> None:
    for half in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nA: b"):
        with closing(opened(port, half)) as connection:
            assert ended(connection).startswith(b"HTTP/1.1 408 ")
    with closing(opened(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")) as connection:
        answer = b""
        while not answer.endswith(b"\r\n0\r\n\r\n"):
            answer += connection.recv(4096)
        connection.sendall(b"GET / HTTP/1.1\r\nHos")
        assert b" 408 " in ended(connection), "the second head of a connection too"


def test_a_head_that_arrives_in_pieces_but_in_time_is_served(port: int) -> None:
    with closing(opened(port, b"GET / HTTP/1.1\r\n")) as connection:
        connection.sendall(b"Host: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("lengths", "status"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\n", b"200"),
    ],
)
def test_two_lengths_are_refused_and_the_connection_ends(
    port: int, lengths: bytes, status: bytes
) -> None:
    body = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /api/ HTTP/1.1\r\nHost: x\r\n" + lengths + b"\r\n"
    with closing(opened(port, head + body)) as connection:
        came = ended(connection)
        assert came.startswith(b"HTTP/1.1 " + status)
        assert came.count(b"HTTP/1.1 200") == (0 if status == b"400" else 2)


def test_an_answer_larger_than_memory_shall_hold_waits_for_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portal.body_buffering.LARGEST_UNSENT", 10)
    sent: list[int] = []
    reading = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for size in (8, 8, 8):
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
            sent.append(size)

    async def send(message: Any) -> None:
        await reading.wait()

    async def talk() -> None:
        running = asyncio.create_task(
            cast("Any", sending_aside(application)({}, cast("Any", None), send))
        )
        for _ in range(20):
            await asyncio.sleep(0)
        assert sent == [8, 8]
        reading.set()
        await running
        assert sent == [8, 8, 8]

    asyncio.run(talk())
