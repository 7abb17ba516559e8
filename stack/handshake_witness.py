"""A second pair of eyes: one WebSocket handshake and echo over a plain socket, with every line as
sent and received.

It decides by RFC 6455 whether the answer is right and shares no code with the portal's own check,
so that a mistake in the one does not hide in the other. It must never accept what it cannot show.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TIMEOUT_SECONDS = 10.0
LONGEST_HEAD = 65_536
TEXT, CLOSE = 1, 8


class NotProven(Exception):
    """The handshake or the echo was not as it has to be; says what was seen instead."""


@dataclass
class Witness:
    """What was seen: lines as they crossed the wire, `>` sent and `<` received."""

    lines: list[str] = field(default_factory=list)

    def testify(self, *, address: tuple[str, int], host: str, path: str, ca_file: Path) -> None:
        """Shake hands with `host` at `address`, take the greeting, get an echo, close.

        :raises NotProven: no 101, a wrong Sec-WebSocket-Accept, or another message than the one
        sent.
        """
        context = ssl.create_default_context(cafile=str(ca_file))
        context.set_alpn_protocols(["http/1.1"])
        with (
            socket.create_connection(address, timeout=TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as wire,
        ):
            self._say(
                f"* {address[0]}:{address[1]} as {host}: {wire.version()}, ALPN "
                f"{wire.selected_alpn_protocol()}"
            )
            self.converse(wire, host=host, path=path)

    def converse(self, wire: socket.socket, *, host: str, path: str) -> None:
        """The same over a connection that exists.

        :raises NotProven: as `testify`.
        """
        begun = time.monotonic()
        rest = self._shake_hands(wire, host, path)
        self._say(f"* 101 and the right accept after {_milliseconds_since(begun)} ms")
        frames = _frames(wire, rest)
        self._expect(frames, {"type": "welcome"})
        asked = time.monotonic()
        self._send(wire, TEXT, b"rehearsal")
        self._expect(frames, {"type": "echo"}, containing="rehearsal")
        self._say(f"* echo after {_milliseconds_since(asked)} ms")
        self._send(wire, CLOSE, (1000).to_bytes(2, "big"))
        for opcode, payload in frames:
            if opcode == CLOSE:
                self._say(f"< close {int.from_bytes(payload[:2], 'big')}")
                break

    def _shake_hands(self, wire: socket.socket, host: str, path: str) -> bytes:
        """Returns the bytes after the head."""
        key = base64.b64encode(os.urandom(16)).decode()
        head = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            f"Origin: https://{host}",
        ]
        self.lines += [f"> {line}" for line in head]
        wire.sendall("\r\n".join([*head, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = wire.recv(4096)
            if not piece or len(answer) > LONGEST_HEAD:
                raise NotProven(
                    f"the connection ended in the middle of the answer: {answer[:200]!r}"
                )
            answer += piece
        received, _, rest = answer.partition(b"\r\n\r\n")
        lines = received.decode("latin-1").split("\r\n")
        self.lines += [f"< {line}" for line in lines]
        if lines[0].split(" ")[:2] != ["HTTP/1.1", "101"]:
            raise NotProven(f"the answer is {lines[0]!r}, not 101")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        expected = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()  # noqa: S324 - RFC 6455 4.2.2
        accept = headers.get("sec-websocket-accept")
        self._say(
            f"* expected Sec-WebSocket-Accept {expected}: "
            f"{'equal' if accept == expected else 'NOT equal'}"
        )
        if accept != expected:
            raise NotProven(f"Sec-WebSocket-Accept is {accept!r}, not {expected!r}")
        if (
            headers.get("upgrade", "").lower() != "websocket"
            or "upgrade" not in headers.get("connection", "").lower()
        ):
            raise NotProven("the 101 lacks Upgrade: websocket or Connection: Upgrade")
        return rest

    def _send(self, wire: socket.socket, opcode: int, payload: bytes) -> None:
        """One short masked frame (RFC 6455 5.2)."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        wire.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)
        self._say(
            f"> {payload.decode()}"
            if opcode == TEXT
            else f"> close {int.from_bytes(payload[:2], 'big')}"
        )

    def _expect(
        self, frames: Iterator[tuple[int, bytes]], wanted: dict[str, Any], containing: str = ""
    ) -> None:
        for opcode, payload in frames:
            if opcode != TEXT:
                continue
            text = payload.decode(errors="replace")
            self._say(f"< {text}")
            try:
                said = json.loads(text)
            except ValueError:
                said = {}
            if wanted.items() <= said.items() and containing in text:
                return
            # Others who join or leave are told to everybody; only the answer to us is awaited.
            if said.get("type") not in ("broadcast", "join", "leave", "count"):
                raise NotProven(f"expected {wanted} {containing}, received {text[:200]}")
        raise NotProven(f"the connection ended before {wanted} came")

    def _say(self, line: str) -> None:
        self.lines.append(line)


def _milliseconds_since(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.1f}"


def _frames(wire: socket.socket, buffered: bytes) -> Iterator[tuple[int, bytes]]:
    """Unmasked frames until the peer ends. Servers must not mask, and nothing here is
    fragmented.
    """
    buffer = bytearray(buffered)

    def need(count: int) -> bytes:
        while len(buffer) < count:
            piece = wire.recv(4096)
            if not piece:
                raise EOFError
            buffer.extend(piece)
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    try:
        while True:
            first, length = need(2)
            if first & 0x70 or not first & 0x80 or length & 0x80:
                raise NotProven(
                    f"a frame with bits that nobody negotiated: {first:#04x} {length:#04x}"
                )
            if length == 126:
                length = int.from_bytes(need(2), "big")
            elif length == 127:
                length = int.from_bytes(need(8), "big")
            yield first & 0x0F, need(length)
    except (EOFError, ConnectionError):
        return
