"""Apps that answer a handshake wrongly, byte by byte; each is one small handler (see addresses.py).

They keep nothing between connections, and end only because their client does.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from lab.apps import rfc6455
from lab.apps.rfc6455 import BINARY, RSV1, TEXT, Request

MAX_HEAD_BYTES = 128 * 1024
SLOW_ACCEPT_SECONDS = 35.0
HTML = ("Content-Type", "text/html; charset=utf-8")
JSON = ("Content-Type", "application/json")
PLAIN = ("Content-Type", "text/plain; charset=utf-8")
SINGLE_PAGE = (
    b"<!doctype html><html><head><title>App</title></head><body><div id=root></div></body></html>\n"
)
WELCOME = b'{"type":"welcome","id":"app","clientCount":1}'


class AppConnection:
    """One connection whose request head was read."""

    def __init__(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send, and wait until the send buffer drains."""
        self.writer.write(data)
        await self.writer.drain()

    async def accept(self, *headers: tuple[str, str]) -> None:
        """Accept the handshake correctly, with additional headers."""
        key = self.request.headers.get("sec-websocket-key", "")
        await self.send(rfc6455.switching(rfc6455.accept_for(key), headers))

    async def read_until_close(self) -> None:
        """Read until the client disconnects or sends a close frame."""
        finder = rfc6455.CloseFinder()
        while data := await self.reader.read(65536):
            if finder.found_in(data):
                return

    async def read_until_disconnect(self) -> None:
        """Read until the client disconnects."""
        while await self.reader.read(65536):
            pass

    async def repeat(self, data: bytes, pause: float) -> None:
        """Send the same data until the client disconnects or sends a close frame."""
        closed = asyncio.ensure_future(self.read_until_close())
        try:
            while not closed.done():
                await self.send(data)
                await asyncio.sleep(pause)
        finally:
            closed.cancel()

    def reset(self) -> None:
        """Close the TCP connection with RST."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Handler = Callable[[AppConnection], Awaitable[None]]


async def serve(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Read a request's head and run the handler. Nothing that the client does is logged."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        await handler(AppConnection(rfc6455.parse_request(head), reader, writer))
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        pass
    except asyncio.CancelledError:
        # The process is shutting down. Python 3.11's stream protocol would log the exception.
        pass
    finally:
        writer.close()


def answers(status: str, *headers: tuple[str, str], body: bytes = b"") -> Handler:
    """An app that gives the same answer to every request."""

    async def handle(client: AppConnection) -> None:
        await client.send(rfc6455.response(status, headers, body))

    return handle


HANDLERS: dict[str, Handler] = {
    "no-websocket": answers("426 Upgrade Required", PLAIN, body=b"no WebSocket here\n"),
    "old-version": answers("426 Upgrade Required", ("Sec-WebSocket-Version", "8")),
    "ignores-upgrade": answers(
        "200 OK", JSON, body=json.dumps({"service": "orders", "ok": True}).encode()
    ),
    "single-page": answers("200 OK", HTML, body=SINGLE_PAGE),
    "not-found": answers("404 Not Found", PLAIN, body=b"no such path\n"),
    "breaks": answers("500 Internal Server Error", PLAIN, body=b"Traceback: KeyError\n"),
    "overloaded": answers(
        "503 Service Unavailable", ("Retry-After", "30"), PLAIN, body=b"too busy\n"
    ),
}


def _app(name: str) -> Callable[[Handler], Handler]:
    """Register the decorated handler as the app of that name."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


@_app("redirects-to-https")
async def redirects_to_https(client: AppConnection) -> None:
    host = client.request.headers.get("host", "localhost")
    location = ("Location", f"https://{host}{client.request.target}")
    await client.send(rfc6455.response("301 Moved Permanently", [location]))


@_app("slow-accept")
async def slow_accept(client: AppConnection) -> None:
    await asyncio.sleep(SLOW_ACCEPT_SECONDS)
    await client.accept()
    await client.send(rfc6455.frame(TEXT, WELCOME))
    await client.read_until_close()


@_app("deflates-unasked")
async def deflates_unasked(client: AppConnection) -> None:
    await client.accept()
    await client.send(rfc6455.frame(TEXT, rfc6455.deflated(WELCOME), rsv=RSV1))
    await client.read_until_close()


@_app("deflates-badly")
async def deflates_badly(client: AppConnection) -> None:
    if not client.request.offers_deflate:
        await client.accept()
        await client.send(rfc6455.frame(TEXT, WELCOME))
    else:
        await client.accept(("Sec-WebSocket-Extensions", "permessage-deflate"))
        await client.send(rfc6455.frame(TEXT, b"\xff" * 40, rsv=RSV1))
    await client.read_until_close()


@_app("resets")
async def resets(client: AppConnection) -> None:
    client.reset()


@_app("wrong-accept")
async def wrong_accept(client: AppConnection) -> None:
    await client.send(rfc6455.switching(rfc6455.accept_for("c29tZWJvZHkgZWxzZSdzIQ==")))
    await client.read_until_close()


@_app("no-accept")
async def no_accept(client: AppConnection) -> None:
    await client.send(rfc6455.switching(None))
    await client.read_until_close()


@_app("silent")
async def silent(client: AppConnection) -> None:
    await client.accept()
    await client.read_until_disconnect()


@_app("closes")
async def closes(client: AppConnection) -> None:
    """Close with 1011, or with the code in ?code=."""
    asked = parse_qs(urlsplit(client.request.target).query).get("code", ["1011"])[0]
    code = int(asked) if asked.isdecimal() and 1000 <= int(asked) < 5000 else 1011
    await client.accept()
    await client.send(rfc6455.close(code, "the app says so"))
    await client.read_until_close()


@_app("drops")
async def drops(client: AppConnection) -> None:
    await client.accept()


@_app("not-http")
async def not_http(client: AppConnection) -> None:
    await client.send(b"220 mail.example ESMTP ready\r\n")


@_app("never-answers")
async def never_answers(client: AppConnection) -> None:
    await client.read_until_disconnect()


@_app("hangs-up")
async def hangs_up(client: AppConnection) -> None:
    await client.send(b"HTTP/1.1 101 Switch")


@_app("deflate-bomb")
async def deflate_bomb(client: AppConnection) -> None:
    if client.request.offers_deflate:
        await client.accept(("Sec-WebSocket-Extensions", "permessage-deflate"))
        await client.send(rfc6455.frame(BINARY, rfc6455.deflated_zeros(256), rsv=RSV1))
    else:
        await client.accept()
    await client.read_until_close()


@_app("endless-headers")
async def endless_headers(client: AppConnection) -> None:
    await client.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    await client.repeat(b"X-More: and more\r\n" * 200, 0)


@_app("drips")
async def drips(client: AppConnection) -> None:
    await client.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
    await client.repeat(b"a", 0.05)


@_app("huge-frame")
async def huge_frame(client: AppConnection) -> None:
    await client.accept()
    await client.send(rfc6455.frame_head(BINARY, 2**63 - 1))
    await client.repeat(bytes(4096), 0.05)


@_app("endless-fragments")
async def endless_fragments(client: AppConnection) -> None:
    await client.accept()
    await client.send(rfc6455.frame(TEXT, b"and ", fin=False))
    await client.repeat(rfc6455.frame(rfc6455.CONTINUATION, b"so on and ", fin=False) * 1000, 0.01)


@_app("floods")
async def floods(client: AppConnection) -> None:
    await client.accept()
    await client.repeat(rfc6455.frame(TEXT, b"x" * 16384), 0)


@_app("masked-frames")
async def masked_frames(client: AppConnection) -> None:
    await client.accept()
    await client.send(rfc6455.frame(TEXT, WELCOME, mask=b"mask"))
    await client.read_until_close()


def redirects_inside(address: str) -> Handler:
    """An app that redirects its clients to the lab's own AWS endpoint."""
    return answers("302 Found", ("Location", f"http://{address}/_lab/state"))
