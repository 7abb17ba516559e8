"""The frames after a 101, client side, without I/O (PURE).

Decides what each arriving byte means by two readers of the same bytes: wsproto judges the protocol and gives messages,
and a small scanner of frame heads (RFC 6455 5.2) gives what wsproto hides: every frame with its size, and a claim that
is too large before one byte of it has been taken. It must never hold more than its limits, whatever the other side
claims, and never touch a socket or the clock (`at_ms` is an argument).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from checks.deflate import BoundedDeflate
from checks.transcript import FrameSeen, Reason

PREVIEW = 160
"""Characters of a payload kept in a transcript."""

Opcode = Literal["continuation", "text", "binary", "close", "ping", "pong"]
_OPCODES: dict[int, Opcode] = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


@dataclass(frozen=True, slots=True)
class Text:
    """A whole text message."""

    data: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A whole binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PingHeard:
    """A ping; it wants a pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PongHeard:
    """A pong; the answer to our ping when the payload is ours."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class CloseHeard:
    """A close frame; 1005 when it carried no code."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The other side broke RFC 6455 or a limit; `close_code` is the code to close with."""

    reason: Reason
    detail: str
    close_code: int


Heard = Text | Binary | PingHeard | PongHeard | CloseHeard | Violation


class Conversation:
    """One client's view of an open WebSocket: bytes in, things heard out; `frames` records both directions."""

    def __init__(self, *, max_bytes: int, max_frames: int, deflate: BoundedDeflate | None = None) -> None:
        self.frames: list[FrameSeen] = []
        self._max_frames = max_frames
        self._deflate = deflate
        self._wire = Connection(ConnectionType.CLIENT, extensions=[deflate] if deflate else [])
        self._scanner = _FrameScanner(max_bytes, compressed=deflate is not None)
        self._max_bytes = max_bytes
        self._bytes_in = 0
        self._frames_in = 0
        self._text: list[str] = []
        self._binary = bytearray()
        self._over = False

    @property
    def can_send(self) -> bool:
        """May a message still be sent?"""
        return not self._over and self._wire.state is ConnectionState.OPEN

    @property
    def close_sent(self) -> bool:
        """Has our close frame gone out?"""
        return self._wire.state in (ConnectionState.LOCAL_CLOSING, ConnectionState.CLOSED)

    def receive(self, data: bytes, at_ms: float) -> list[Heard]:
        """Everything these bytes say, in order; after a Violation or a CloseHeard nothing more is heard."""
        if self._over or not data:
            return []
        self._bytes_in += len(data)
        if self._bytes_in > self._max_bytes:
            return [self._end(Violation(Reason.TOO_MUCH_DATA, f"more than {self._max_bytes:,} bytes came", 1009))]
        for frame in self._scanner.feed(data, at_ms):
            if isinstance(frame, Violation):
                return [self._end(frame)]
            self._frames_in += 1
            if self._frames_in > self._max_frames:
                return [self._end(Violation(Reason.TOO_MANY_FRAMES, f"more than {self._max_frames} frames came", 1008))]
            self.frames.append(frame)
        self._wire.receive_data(data)
        return list(self._heard())

    def send_text(self, text: str, at_ms: float) -> bytes:
        """The bytes of a text message."""
        return self._sent("text", text.encode(), self._wire.send(TextMessage(text)), at_ms)

    def send_ping(self, payload: bytes, at_ms: float) -> bytes:
        """The bytes of a ping."""
        return self._sent("ping", payload, self._wire.send(Ping(payload)), at_ms)

    def send_pong(self, payload: bytes, at_ms: float) -> bytes:
        """The bytes of the pong that a ping wants (RFC 6455 5.5.3)."""
        return self._sent("pong", payload, self._wire.send(Pong(payload)), at_ms)

    def send_close(self, code: int, reason: str, at_ms: float) -> bytes:
        """The bytes of a close frame; 1005 sends one without a code."""
        if code == CloseReason.NO_STATUS_RCVD:
            # By identity: wsproto turns an equal integer into 1000.
            return self._sent("close", b"", self._wire.send(CloseConnection(CloseReason.NO_STATUS_RCVD)), at_ms)
        payload = struct.pack("!H", code) + reason.encode()
        return self._sent("close", payload, self._wire.send(CloseConnection(code, reason or None)), at_ms)

    def _sent(self, opcode: Opcode, payload: bytes, wire: bytes, at_ms: float) -> bytes:
        squeezed = self._deflate is not None and opcode == "text"
        self.frames.append(
            FrameSeen("sent", opcode, len(payload), at_ms, preview_of(opcode, payload), compressed=squeezed)
        )
        return bytes(wire)

    def _end(self, violation: Violation) -> Violation:
        self._over = True
        return violation

    def _heard(self) -> Iterator[Heard]:
        for event in self._wire.events():
            if isinstance(event, TextMessage):
                self._text.append(event.data)
                if event.message_finished:
                    yield Text("".join(self._text))
                    self._text.clear()
            elif isinstance(event, BytesMessage):
                self._binary += event.data
                if event.message_finished:
                    yield Binary(bytes(self._binary))
                    self._binary.clear()
            elif isinstance(event, Ping):
                yield PingHeard(bytes(event.payload))
            elif isinstance(event, Pong):
                yield PongHeard(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                self._over = True
                # wsproto reports broken rules as the close it proposes, without having heard a close frame.
                if self._wire.state in (ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED):
                    yield CloseHeard(int(event.code), event.reason or "")
                elif self._deflate is not None and self._deflate.burst:
                    text = f"a compressed message inflates to more than {self._max_bytes:,} bytes"
                    yield Violation(Reason.TOO_MUCH_DATA, text, 1009)
                else:
                    yield Violation(Reason.FRAME_VIOLATION, event.reason or "broken frame", int(event.code))


def preview_of(opcode: Opcode, payload: bytes) -> str:
    """The start of a payload, readable: text as text, a close as code and reason, the rest as hex."""
    if opcode == "close":
        if len(payload) < 2:
            return ""
        return f"{struct.unpack('!H', payload[:2])[0]} {payload[2:].decode('utf-8', 'replace')}".strip()
    if opcode in ("text", "continuation"):
        return payload[: PREVIEW * 4].decode("utf-8", "replace")[:PREVIEW].replace("\x00", "�")
    return payload[: PREVIEW // 4].hex(" ")


class _FrameScanner:
    """Reads frame heads only; of payloads it keeps a preview."""

    def __init__(self, max_size: int, *, compressed: bool) -> None:
        self._max_size = max_size
        self._may_compress = compressed
        self._head = bytearray()
        self._left = 0
        self._open: tuple[Opcode, int, bool, float] | None = None
        self._start = bytearray()
        self._squeezed = False
        """Is the message under way compressed? Its continuation frames are, too."""
        self._closed = False

    def feed(self, data: bytes, at_ms: float) -> Iterator[FrameSeen | Violation]:
        position = 0
        # What follows a close frame is to be ignored (RFC 6455 5.5.1).
        while not self._closed and (position < len(data) or (self._open is not None and self._left == 0)):
            if self._open is None:
                self._head.append(data[position])
                position += 1
                violation = self._read_head(at_ms)
                if violation:
                    yield violation
                    return
                continue
            taken = data[position : position + self._left]
            position += len(taken)
            self._left -= len(taken)
            self._start += taken[: PREVIEW * 4 - len(self._start)]
            if self._left == 0:
                opcode, size, final, since = self._open
                squeezed = self._squeezed and opcode in ("text", "binary", "continuation")
                preview = "" if squeezed else preview_of(opcode, bytes(self._start))
                yield FrameSeen("received", opcode, size, since, preview, final, squeezed)
                self._closed = opcode == "close"
                self._open = None
                self._start.clear()

    def _read_head(self, at_ms: float) -> Violation | None:
        """Take one more byte of the head; opens the frame once the head is whole."""
        head = self._head
        if len(head) < 2:
            return None
        short = head[1] & 0x7F
        wanted = 2 + {126: 2, 127: 8}.get(short, 0)
        if len(head) < wanted:
            return None
        size = int.from_bytes(head[2:wanted], "big") if wanted > 2 else short
        opcode = _OPCODES.get(head[0] & 0x0F)
        if opcode is None:
            return Violation(Reason.FRAME_VIOLATION, f"unknown opcode {head[0] & 0x0F:#x} (RFC 6455 5.2)", 1002)
        if head[1] & 0x80:
            return Violation(Reason.FRAME_VIOLATION, "the server masked a frame (RFC 6455 5.1)", 1002)
        # RSV1 marks a compressed message, on its first frame only (RFC 7692 6).
        squeezed = self._may_compress and opcode in ("text", "binary") and bool(head[0] & 0x40)
        if head[0] & (0x30 if squeezed else 0x70):
            text = "a reserved bit is set: the frame is compressed or otherwise extended, which was not agreed"
            return Violation(Reason.FRAME_VIOLATION, text, 1002)
        if size > self._max_size:
            return Violation(Reason.TOO_MUCH_DATA, f"a frame claims {size:,} bytes, {self._max_size:,} are taken", 1009)
        if opcode in ("text", "binary"):
            self._squeezed = squeezed
        self._open = (opcode, size, bool(head[0] & 0x80), at_ms)
        self._left = size
        head.clear()
        return None
