"""Frames of RFC 6455 section 5, as a client writes and reads them, without I/O (PURE).

Where a frame begins and ends, and which frames a server must not send: each rule is one `if` that
names its section. A frame that is too large or broken is refused by its head, without its payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from checks.protocol.transcript import Reason

Opcode = Literal["continuation", "text", "binary", "close", "ping", "pong"]

_NAMES: dict[int, Opcode] = {
    0: "continuation",
    1: "text",
    2: "binary",
    8: "close",
    9: "ping",
    10: "pong",
}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_FINAL, _RSV1, _RSV2_AND_3, _CONTROL = 0x80, 0x40, 0x30, 0x08
_MASKED, _TWO_BYTES, _EIGHT_BYTES = 0x80, 126, 127

_HTTP = b"HTTP/1."
"""As a frame, it is a close frame with a reserved bit: no server may send that."""

MAX_CONTROL_PAYLOAD = 125
"""Bytes; control frames are never fragmented and carry no more (RFC 6455 5.5)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A received frame: `payload` as on the wire, `at_ms` when its head was complete."""

    opcode: Opcode
    payload: bytes
    final: bool
    compressed: bool
    at_ms: float


@dataclass(frozen=True, slots=True)
class Violation:
    """The server broke RFC 6455 or exceeded a limit; `close_code` is the code to close with."""

    reason: Reason
    detail: str
    close_code: int


def client_frame(opcode: Opcode, payload: bytes, *, key: bytes, compressed: bool = False) -> bytes:
    """The bytes of a whole frame, masked with a key of four random bytes (RFC 6455 5.3)."""
    first = _FINAL | (_RSV1 if compressed else 0) | _NUMBERS[opcode]
    size = len(payload)
    if size < _TWO_BYTES:
        head = bytes((first, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((first, _MASKED | _TWO_BYTES)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, _MASKED | _EIGHT_BYTES)) + size.to_bytes(8, "big")
    repeated = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + key + masked.to_bytes(size, "big")


class FrameReader:
    """Reads a server's frames from bytes that arrive in any pieces, until a Violation or a close.

    `compression` says that permessage-deflate was negotiated, which gives RSV1 a meaning. An
    incomplete frame is buffered, so the caller bounds how many bytes it feeds.
    """

    def __init__(self, max_payload: int, *, compression: bool) -> None:
        self._max_payload = max_payload
        self._compression = compression
        self._buffer = bytearray()
        self._payload_at = 0
        """Where the payload of the current frame begins; 0 while its head is incomplete."""
        self._payload_size = 0
        self._head_at_ms = 0.0
        self._in_message = False
        self._message_compressed = False
        self._ended = False

    @property
    def unread(self) -> bytes:
        """What came after the last frame."""
        return bytes(self._buffer)

    def feed(self, data: bytes, at_ms: float) -> Iterator[Frame | Violation]:
        """The frames that these bytes complete; a Violation is the last."""
        self._buffer += data
        while not self._ended:
            if not self._payload_at and (violation := self._read_head(at_ms)):
                self._ended = True
                yield violation
                return
            end = self._payload_at + self._payload_size
            if not self._payload_at or len(self._buffer) < end:
                return
            first, payload = self._buffer[0], bytes(self._buffer[self._payload_at : end])
            opcode, final = _NAMES[first & 0x0F], bool(first & _FINAL)
            compressed = False
            if not first & _CONTROL:
                if opcode != "continuation":
                    self._message_compressed = bool(first & _RSV1)
                self._in_message, compressed = not final, self._message_compressed
            del self._buffer[:end]
            self._payload_at = 0
            # What follows a close frame is ignored (RFC 6455 5.5.1).
            self._ended = opcode == "close"
            yield Frame(opcode, payload, final, compressed, self._head_at_ms)

    def _read_head(self, at_ms: float) -> Violation | None:
        """Judge the head as far as it has arrived; `_payload_at` is set once it is complete."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[: len(_HTTP)] == _HTTP[: len(buffer)]:
            if len(buffer) < len(_HTTP):
                return None
            detail = "an HTTP response came after the 101, where a frame belongs"
            return Violation(Reason.LATE_RESPONSE, detail, 1002)
        opcode, short = _NAMES.get(buffer[0] & 0x0F), buffer[1] & 0x7F
        if violation := self._broken_head(opcode, buffer[0], buffer[1]):
            return violation
        head = 2 + {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(short, 0)
        if len(buffer) < head:
            return None
        size = int.from_bytes(buffer[2:head], "big") if head > 2 else short
        if size > self._max_payload:
            detail = f"a frame claims {size:,} bytes, {self._max_payload:,} are taken"
            return Violation(Reason.TOO_MUCH_DATA, detail, 1009)
        if head > 2 and size < {_TWO_BYTES: 126, _EIGHT_BYTES: 1 << 16}[short]:
            return _broken(
                f"a size of {size} is written in {head - 2} bytes, not in the fewest (RFC 6455 5.2)"
            )
        self._payload_at, self._payload_size, self._head_at_ms = head, size, at_ms
        return None

    def _broken_head(self, opcode: Opcode | None, first: int, second: int) -> Violation | None:
        """The rules that the first two bytes can break."""
        if opcode is None:
            return _broken(f"unknown opcode {first & 0x0F:#x} (RFC 6455 5.2)")
        if second & _MASKED:
            return _broken("the server masked a frame (RFC 6455 5.1)")
        starts_message = opcode in ("text", "binary")
        # RSV1 marks a compressed message, on its first frame only (RFC 7692 6).
        if first & _RSV2_AND_3 or (first & _RSV1 and not (self._compression and starts_message)):
            return _broken(
                "a reserved bit is set: the frame is compressed or otherwise extended, "
                "which was not negotiated"
            )
        if first & _CONTROL:
            if not first & _FINAL:
                return _broken(f"a {opcode} frame is fragmented (RFC 6455 5.5)")
            if second > MAX_CONTROL_PAYLOAD:
                return _broken(
                    f"a {opcode} frame has more than {MAX_CONTROL_PAYLOAD} bytes (RFC 6455 5.5)"
                )
        elif starts_message and self._in_message:
            return _broken(
                f"a {opcode} frame comes before the message under way has ended (RFC 6455 5.4)"
            )
        elif opcode == "continuation" and not self._in_message:
            return _broken("a continuation frame continues nothing (RFC 6455 5.4)")
        return None


def _broken(detail: str) -> Violation:
    return Violation(Reason.FRAME_VIOLATION, detail, 1002)
