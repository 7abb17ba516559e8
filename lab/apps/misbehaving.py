"""Apps that answer a handshake in some wrong way, byte by byte, each one small handler (see
addresses.py).

They decide what goes over the wire when it is not what RFC 6455 or the edge expects. None may keep
anything between two connections, and none may end for another reason than its client's.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from lab.apps import rfc6455
from lab.apps.rfc6455 import BINARY, RSV1, TEXT, Request

MOST_HEAD_BYTES = 128 * 1024
SLOW_ACCEPT_SECONDS = 35.0
HTML = ("Content-Type", "text/html; charset=utf-8")
JSON = ("Content-Type", "application/json")
PLAIN = ("Content-Type", "text/plain; charset=utf-8")
SINGLE_PAGE = (
    b"<!doctype html><html><head><title>App</title></head><body><div id=root></div></body></html>\n"
)
WELCOME = b'{"type":"welcome","id":"app","clientCount":1}'


class Visit:
    """One connection whose request has been read."""

    def __init__(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        """Send, and wait until the client has taken most of it."""
        self.writer.write(data)
        await self.writer.drain()

    async def open(self, *headers: tuple[str, str]) -> None:
        """Answer the handshake correctly, with further headers."""
        key = self.request.headers.get("sec-websocket-key", "")
        await self.say(rfc6455.switching(rfc6455.accept_for(key), headers))

    async def until_closed(self) -> None:
        """Take what the client sends, until it leaves or closes."""
        finder = rfc6455.CloseFinder()
        while data := await self.reader.read(65536):
            if finder.found_in(data):
                return

    async def until_gone(self) -> None:
        """Take what the client sends, until it leaves."""
        while await self.reader.read(65536):
            pass

    async def repeat(self, data: bytes, pause: float) -> None:
        """Send the same again and again, until the client leaves or closes."""
        closed = asyncio.ensure_future(self.until_closed())
        try:
            while not closed.done():
                await self.say(data)
                await asyncio.sleep(pause)
        finally:
            closed.cancel()

    def reset(self) -> None:
        """End the TCP connection with RST."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Handler = Callable[[Visit], Awaitable[None]]


async def serve(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Read a request's head, then let the handler do its worst; whatever the client does ends here
    quietly.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        await handler(Visit(rfc6455.parse_request(head), reader, writer))
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        pass
    except asyncio.CancelledError:
        # The process ends. Passed on, Python 3.11's stream protocol would complain of it.
        pass
    finally:
        writer.close()


def answers(status: str, *headers: tuple[str, str], body: bytes = b"") -> Handler:
    """An app that gives every request the same answer."""

    async def handle(visit: Visit) -> None:
        await visit.say(rfc6455.response(status, headers, body))

    return handle


async def redirects_to_https(visit: Visit) -> None:
    host = visit.request.headers.get("host", "localhost")
    location = ("Location", f"https://{host}{visit.request.target}")
    await visit.say(rfc6455.response("301 Moved Permanently", [location]))


async def slow_accept(visit: Visit) -> None:
    await asyncio.sleep(SLOW_ACCEPT_SECONDS)
    await visit.open()
    await visit.say(rfc6455.frame(TEXT, WELCOME))
    await visit.until_closed()


async def deflates_unasked(visit: Visit) -> None:
    await visit.open()
    await visit.say(rfc6455.frame(TEXT, rfc6455.deflated(WELCOME), rsv=RSV1))
    await visit.until_closed()


async def deflates_badly(visit: Visit) -> None:
    if not visit.request.offers_deflate:
        await visit.open()
        await visit.say(rfc6455.frame(TEXT, WELCOME))
    else:
        await visit.open(("Sec-WebSocket-Extensions", "permessage-deflate"))
        await visit.say(rfc6455.frame(TEXT, b"\xff" * 40, rsv=RSV1))
    await visit.until_closed()


async def resets(visit: Visit) -> None:
    visit.reset()


async def wrong_accept(visit: Visit) -> None:
    await visit.say(rfc6455.switching(rfc6455.accept_for("c29tZWJvZHkgZWxzZSdzIQ==")))
    await visit.until_closed()


async def no_accept(visit: Visit) -> None:
    await visit.say(rfc6455.switching(None))
    await visit.until_closed()


async def silent(visit: Visit) -> None:
    await visit.open()
    await visit.until_gone()


async def closes(visit: Visit) -> None:
    """1011, or the code in ?code=."""
    asked = parse_qs(urlsplit(visit.request.target).query).get("code", ["1011"])[0]
    code = int(asked) if asked.isdecimal() and 1000 <= int(asked) < 5000 else 1011
    await visit.open()
    await visit.say(rfc6455.close(code, "the app says so"))
    await visit.until_closed()


async def drops(visit: Visit) -> None:
    await visit.open()


async def not_http(visit: Visit) -> None:
    await visit.say(b"220 mail.example ESMTP ready\r\n")


async def never_answers(visit: Visit) -> None:
    await visit.until_gone()


async def hangs_up(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 101 Switch")


async def deflate_bomb(visit: Visit) -> None:
    if visit.request.offers_deflate:
        await visit.open(("Sec-WebSocket-Extensions", "permessage-deflate"))
        await visit.say(rfc6455.frame(BINARY, rfc6455.deflated_zeros(256), rsv=RSV1))
    else:
        await visit.open()
    await visit.until_closed()


async def endless_headers(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 101 Switching Protocols\r\n")
    await visit.repeat(b"X-More: and more\r\n" * 200, 0)


async def drips(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
    await visit.repeat(b"a", 0.05)


async def huge_frame(visit: Visit) -> None:
    await visit.open()
    await visit.say(rfc6455.frame_head(BINARY, 2**63 - 1))
    await visit.repeat(bytes(4096), 0.05)


async def endless_fragments(visit: Visit) -> None:
    await visit.open()
    await visit.say(rfc6455.frame(TEXT, b"and ", fin=False))
    await visit.repeat(rfc6455.frame(rfc6455.CONTINUATION, b"so on and ", fin=False) * 1000, 0.01)


async def floods(visit: Visit) -> None:
    await visit.open()
    await visit.repeat(rfc6455.frame(TEXT, b"x" * 16384), 0)


async def masked_frames(visit: Visit) -> None:
    await visit.open()
    await visit.say(rfc6455.frame(TEXT, WELCOME, mask=b"mask"))
    await visit.until_closed()


def redirects_inside(address: str) -> Handler:
    """An app that points its clients at a server of ours."""
    return answers("302 Found", ("Location", f"http://{address}/_lab/state"))


HANDLERS: Mapping[str, Handler] = {
    "no-websocket": answers("426 Upgrade Required", PLAIN, body=b"no WebSocket here\n"),
    "old-version": answers("426 Upgrade Required", ("Sec-WebSocket-Version", "8")),
    "ignores-upgrade": answers(
        "200 OK", JSON, body=json.dumps({"service": "orders", "ok": True}).encode()
    ),
    "redirects-to-https": redirects_to_https,
    "single-page": answers("200 OK", HTML, body=SINGLE_PAGE),
    "slow-accept": slow_accept,
    "deflates-unasked": deflates_unasked,
    "deflates-badly": deflates_badly,
    "resets": resets,
    "wrong-accept": wrong_accept,
    "no-accept": no_accept,
    "silent": silent,
    "closes": closes,
    "drops": drops,
    "not-found": answers("404 Not Found", PLAIN, body=b"no such path\n"),
    "breaks": answers("500 Internal Server Error", PLAIN, body=b"Traceback: KeyError\n"),
    "overloaded": answers(
        "503 Service Unavailable", ("Retry-After", "30"), PLAIN, body=b"too busy\n"
    ),
    "not-http": not_http,
    "never-answers": never_answers,
    "hangs-up": hangs_up,
    "deflate-bomb": deflate_bomb,
    "endless-headers": endless_headers,
    "drips": drips,
    "huge-frame": huge_frame,
    "endless-fragments": endless_fragments,
    "floods": floods,
    "masked-frames": masked_frames,
}
