"""An origin that answers a handshake as one of refusals.toml's causes does, and the causes.

What a cause sends is what its framework or proxy sends; nothing here knows how the portal reads it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import struct
import threading
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEAD_WITHIN = 10.0


@dataclass(frozen=True)
class Cause:
    """One row of refusals.toml, whose first lines describe the fields."""

    name: str
    wanted: str
    alone: str = ""
    status: str = ""
    headers: tuple[str, ...] = ()
    body: str = ""
    messages: tuple[str, ...] = ()
    close: int = 0
    reason: str = ""
    opens: str = ""
    get: str = ""

    def right(self, *, looked: bool) -> str:
        """The first verdict that is right, with a look at AWS or without one."""
        # Without AWS nobody knows the distribution's other names.
        return self.wanted if looked else self.alone or self.wanted


def _causes() -> tuple[Cause, ...]:
    text = Path(__file__).with_name("refusals.toml").read_text(encoding="utf-8")
    loaded = []
    for row in tomllib.loads(text)["cause"]:
        fields: dict[str, Any] = dict(row)
        for name in ("headers", "messages"):
            fields[name] = tuple(fields.get(name, ()))
        loaded.append(Cause(**fields))
    return tuple(loaded)


CAUSES = _causes()


class CannedOrigin:
    """Answers every request on loopback as `cause` says. `alias` is the Host that it likes better
    than others, `host` the one that it sees where CloudFront does not forward the viewer's. With
    `signed` it adds what CloudFront adds to an answer.
    """

    def __init__(
        self, cause: Cause, *, alias: str = "", host: str = "", signed: bool = False
    ) -> None:
        self.cause = cause
        self._alias, self._host, self._signed = alias, host, signed

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one answer, then the WebSocket if it opened."""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_WITHIN)
            lines = head.decode("latin-1").split("\r\n")
            await self._answer(_headers(lines), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _answer(
        self,
        request: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if request.get("user-agent", "").startswith("ELB-HealthChecker"):
            writer.write(self._response("200 OK", ()))
            await writer.drain()
            return
        cause, key = self.cause, request.get("sec-websocket-key")
        gets_in = self._gets_in(request)
        if key is None:
            ok = gets_in or not cause.status
            status = cause.get or ("200 OK" if ok else cause.status)
            writer.write(self._response(status, () if ok or cause.get else cause.headers))
            await writer.drain()
        elif gets_in or not cause.status:
            writer.write(_switching(key))
            if not gets_in:
                for text in cause.messages:
                    writer.write(_frame(1, text.encode()))
                reason = struct.pack("!H", cause.close) + cause.reason.encode()
                writer.write(_frame(8, reason))
            await writer.drain()
            await _converse(reader, writer)
        else:
            writer.write(self._response(cause.status, cause.headers, cause.body))
            await writer.drain()

    def _gets_in(self, request: Mapping[str, str]) -> bool:
        match self.cause.opens:
            case "without origin":
                return "origin" not in request
            case "host alias":
                return bool(self._alias) and request.get("host") == self._alias
            case "user agent":
                return bool(request.get("user-agent"))
            case "origin as host":
                return request.get("origin") == f"https://{self._host}"
            case _:
                return False

    def _response(self, status: str, headers: tuple[str, ...], body: str = "") -> bytes:
        content = body.encode()
        lines = [line for line in headers if not line.lower().startswith("content-length")]
        names = {line.partition(":")[0].lower() for line in lines}
        if self._signed:
            lines += [] if "server" in names else ["Server: CloudFront"]
            lines += ["X-Cache: Error from cloudfront", "X-Amz-Cf-Id: abc=="]
        lines += [f"Content-Length: {len(content)}", "Connection: close"]
        return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1") + content


@contextlib.contextmanager
def serving(origin: CannedOrigin) -> Iterator[int]:
    """The origin on a port of loopback, in a thread of its own: probes block. Yields the port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(origin.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines[1:] if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _switching(key: str) -> bytes:
    digest = hashlib.sha1((key + ACCEPT).encode(), usedforsecurity=False).digest()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
    ).encode()


def _frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) > 125:
        return struct.pack("!BBH", 0x80 | opcode, 126, len(payload)) + payload
    return bytes((0x80 | opcode, len(payload))) + payload


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo messages, answer pings and a close (RFC 6455 5.2); fragments are echoed as they come."""
    while True:
        first, second = await reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        mask = await reader.readexactly(4)
        sent = await reader.readexactly(size)
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(sent))
        opcode = first & 0x0F
        writer.write(_frame(10 if opcode == 9 else opcode, payload))
        await writer.drain()
        if opcode == 8:
            return
