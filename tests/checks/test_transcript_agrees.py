"""A transcript against witnesses that know nothing of it: a capture of the bytes, and the debug log
of `websockets`.

The capture is a proxy that keeps what passes. Its frames are read by `websockets`, never by the
code under test. The log is the server's, of the very same handshake; then that of the `websockets`
client, which asks the same question.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader as Buffer
from websockets.typing import Subprotocol

from checks.probe.prober import probe
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script, parse_script
from checks.protocol.transcript import Transcript
from tests.checks.origins import HOST, network_to

CHAT, ORIGIN = Subprotocol("chat.v1"), f"https://{HOST}"
SAID = "grüße"
SCRIPT = (
    f"expect text welcome within 2\nsend {SAID}\nexpect text {SAID} within 2\nping within "
    "2\nclose 4001 enough"
)


@dataclass
class Seen:
    """What each witness kept of one conversation."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    log: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def watched_server(seen: Seen) -> AsyncIterator[int]:
    """A chat of `websockets` that logs everything, behind a proxy that keeps every byte; the
    proxy's port.
    """
    async with (
        serve(
            chat, "127.0.0.1", 0, compression=None, subprotocols=[CHAT], logger=logger_into(seen)
        ) as server,
        capture(server.sockets[0].getsockname()[1], seen) as port,
    ):
        yield port


async def chat(connection: ServerConnection) -> None:
    await connection.send("welcome")
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def capture(behind: int, seen: Seen) -> AsyncIterator[int]:
    """A TCP proxy that keeps both directions."""

    async def carry(
        source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray
    ) -> None:
        while data := await source.read(65_536):
            kept += data
            sink.write(data)
            await sink.drain()
        sink.close()

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", behind)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(
                carry(reader, back, seen.sent), carry(there, writer, seen.received)
            )

    proxy = await asyncio.start_server(between, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()


def logger_into(seen: Seen) -> logging.Logger:
    """A logger of its own at DEBUG, whose lines go into the list."""
    logger = logging.Logger("witness", logging.DEBUG)
    handler = logging.Handler()
    handler.emit = lambda record: seen.log.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    return logger


def asked_by_prober(seen: Seen) -> Transcript:
    """One conversation of the prober, watched."""

    async def story() -> Transcript:
        async with watched_server(seen) as port:
            target = ProbeTarget(f"ws://{HOST}/ws?room=1", subprotocols=(CHAT,), origin=ORIGIN)
            transcript = await probe(
                target, network=network_to(port), script=Script.of_steps(parse_script(SCRIPT))
            )
            await logged(seen, "= connection is CLOSED")
            return transcript

    return asyncio.run(story())


async def logged(seen: Seen, line: str) -> None:
    """Wait for a line of the log: the server may see the end a moment later."""
    async with asyncio.timeout(5):
        while line not in seen.log:
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def watched() -> tuple[Transcript, Seen]:
    """The prober's conversation, and what the witnesses kept of it."""
    seen = Seen()
    transcript = asked_by_prober(seen)
    assert transcript.live, transcript.failures
    return transcript, seen


def test_request_and_response_are_byte_for_byte_what_passed(
    watched: tuple[Transcript, Seen],
) -> None:
    transcript, seen = watched
    assert transcript.request is not None
    assert transcript.response is not None
    request, response = (
        bytes(kept).partition(b"\r\n\r\n")[0].decode() for kept in (seen.sent, seen.received)
    )
    assert request.split("\r\n") == [
        transcript.request.request_line,
        *(line.raw for line in transcript.request.headers),
    ]
    assert response.split("\r\n") == [
        transcript.response.status_line,
        *(line.raw for line in transcript.response.headers),
    ]


def test_frames_and_close_code_are_those_that_passed(watched: tuple[Transcript, Seen]) -> None:
    transcript, seen = watched
    for direction, kept, masked in (("sent", seen.sent, True), ("received", seen.received, False)):
        passed = frames_of(bytes(kept).partition(b"\r\n\r\n")[2], masked=masked)
        told = [frame for frame in transcript.frames if frame.direction == direction]
        assert [(frame.opcode.name.lower(), len(frame.data)) for frame in passed] == [
            (frame.opcode, frame.size) for frame in told
        ]
        texts = [bytes(frame.data).decode() for frame in passed if frame.opcode is Opcode.TEXT]
        assert texts == [frame.preview for frame in told if frame.opcode == "text"]
        ended = Close.parse(passed[-1].data)
        assert transcript.close is not None
        assert (
            (ended.code, ended.reason)
            == (4001, "enough")
            == (transcript.close.code, transcript.close.reason)
        )


def frames_of(data: bytes, *, masked: bool) -> list[Frame]:
    """The frames of a stream, as `websockets` reads them."""
    buffer = Buffer()
    buffer.feed_data(data)
    buffer.feed_eof()
    found = []
    while not result_of(buffer.at_eof()):
        found.append(result_of(Frame.parse(buffer.read_exact, mask=masked)))
    return found


def result_of(steps: Any) -> Any:
    """What a generator returns that never has to wait."""
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    raise AssertionError("the stream ended within a frame")


def test_the_servers_log_of_the_same_handshake_tells_the_same(
    watched: tuple[Transcript, Seen],
) -> None:
    transcript, seen = watched
    assert transcript.request is not None
    assert transcript.response is not None
    heads = head_lines(seen.log)
    assert heads["<"] == [
        transcript.request.request_line,
        *(line.raw for line in transcript.request.headers),
    ]
    assert heads[">"] == [
        transcript.response.status_line,
        *(line.raw for line in transcript.response.headers),
    ]
    assert f"Sec-WebSocket-Accept: {transcript.request.expected_accept}" in heads[">"]
    mirrored = {"sent": "<", "received": ">"}
    assert logged_frames(seen.log) == [
        (mirrored[frame.direction], frame.opcode) for frame in transcript.frames
    ]
    assert sum("CLOSE 4001 (private use) enough" in line for line in seen.log) == 2


def test_the_librarys_client_hears_the_same_answer_to_the_same_question(
    watched: tuple[Transcript, Seen],
) -> None:
    transcript, _ = watched
    client = Seen()

    async def story() -> None:
        async with watched_server(Seen()) as port:
            url = f"ws://{HOST}/ws?room=1"
            async with connect(
                url, host="127.0.0.1", port=port, logger=logger_into(client), origin=ORIGIN,  # type: ignore[arg-type]
                subprotocols=[CHAT], compression=None, user_agent_header=None, proxy=None,
            ) as socket:  # fmt: skip
                assert await socket.recv() == "welcome"
                await socket.send(SAID)
                assert await socket.recv() == SAID
                await (await socket.ping())
                await socket.close(4001, "enough")

    asyncio.run(story())
    assert transcript.request is not None
    assert transcript.response is not None
    heads = head_lines(client.log)
    assert heads[">"][0] == transcript.request.request_line
    assert heads["<"][0] == transcript.response.status_line
    assert facts(heads[">"]) == facts([line.raw for line in transcript.request.headers])
    assert facts(heads["<"]) == facts([line.raw for line in transcript.response.headers])
    arrows = {"sent": ">", "received": "<"}
    assert logged_frames(client.log) == [
        (arrows[frame.direction], frame.opcode) for frame in transcript.frames
    ]


PER_HANDSHAKE = {"sec-websocket-key", "sec-websocket-accept", "date"}
_HEAD = re.compile(r"([<>]) (GET .*|HTTP/1\.1 .*|[A-Za-z-]+: .*)")
_FRAME = re.compile(r"([<>]) (TEXT|BINARY|PING|PONG|CLOSE)\b")


def head_lines(log: list[str]) -> dict[str, list[str]]:
    """The lines of request and response that a log tells, by the arrow before them."""
    found: dict[str, list[str]] = {"<": [], ">": []}
    for line in log:
        if head := _HEAD.fullmatch(line):
            found[head[1]].append(head[2])
    return found


def logged_frames(log: list[str]) -> list[tuple[str, str]]:
    """Arrow and opcode of each frame that a log tells."""
    return [(frame[1], frame[2].lower()) for line in log if (frame := _FRAME.match(line))]


def facts(lines: list[str]) -> set[tuple[str, str]]:
    """Headers without what differs from one handshake to the next; order and case are each client's
    own.
    """
    pairs = (line.partition(": ") for line in lines if ": " in line)
    return {(name.lower(), value) for name, _, value in pairs if name.lower() not in PER_HANDSHAKE}
