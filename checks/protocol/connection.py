"""An open WebSocket from the client's side, without I/O (PURE).

Bytes in, events out: messages, pings, pongs, the close, and the rules that the server broke. What
is buffered is bounded, whatever the server claims.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from checks.protocol.deflate import BoundedDeflate, MessageTooBig
from checks.protocol.frames import (
    MAX_CONTROL_PAYLOAD,
    Frame,
    FrameReader,
    Opcode,
    Violation,
    client_frame,
)
from checks.protocol.transcript import FrameSeen, Reason

PREVIEW = 160
"""Characters of a payload kept in a transcript."""

NO_STATUS = 1005
"""Means a close frame without a code; it is never sent (RFC 6455 7.4.1)."""
_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
"""Codes a close frame may carry: RFC 6455 7.4 and IANA's list of WebSocket close codes."""


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A whole text message."""

    data: str


@dataclass(frozen=True, slots=True)
class BinaryMessage:
    """A whole binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping, to be answered by a pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong: the answer to our ping if the payload is ours."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame; 1005 when it carried no code."""

    code: int
    reason: str


WebSocketEvent = TextMessage | BinaryMessage | Ping | Pong | Close | Violation


class ClientConnection:
    """A client's side of an open WebSocket; `frames` records both directions.

    `masking_key` returns four fresh random bytes.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        max_frames: int,
        masking_key: Callable[[], bytes],
        deflate: BoundedDeflate | None = None,
    ) -> None:
        self.frames: list[FrameSeen] = []
        self.close_sent = False
        """Our close frame was sent."""
        self._max_bytes, self._max_frames = max_bytes, max_frames
        self._masking_key = masking_key
        self._deflate = deflate
        self._reader = FrameReader(max_bytes, compression=deflate is not None)
        self._bytes_in = 0
        self._frames_in = 0
        self._text: codecs.IncrementalDecoder | None = None
        """Decodes the text message under way; None for a binary one."""
        self._pieces: list[str] = []
        self._binary = bytearray()
        self._over = False

    @property
    def can_send(self) -> bool:
        """Messages can still be sent."""
        return not self._over and not self.close_sent

    @property
    def unread(self) -> bytes:
        """The bytes from a Violation on."""
        return self._reader.unread

    def receive(self, data: bytes, at_ms: float) -> list[WebSocketEvent]:
        """The events in these bytes, in order. After a Violation or a Close there are none."""
        if self._over or not data:
            return []
        self._bytes_in += len(data)
        if self._bytes_in > self._max_bytes:
            self._over = True
            return [
                Violation(Reason.TOO_MUCH_DATA, f"more than {self._max_bytes:,} bytes came", 1009)
            ]
        events = list(self._events(data, at_ms))
        self._over = bool(events) and isinstance(events[-1], Violation | Close)
        return events

    def send_text(self, text: str, at_ms: float) -> bytes:
        """The bytes of a text message."""
        return self._sent("text", text.encode(), at_ms)

    def send_binary(self, data: bytes, at_ms: float) -> bytes:
        """The bytes of a binary message."""
        return self._sent("binary", data, at_ms)

    def send_ping(self, payload: bytes, at_ms: float) -> bytes:
        """The bytes of a ping."""
        return self._sent("ping", payload, at_ms)

    def send_pong(self, payload: bytes, at_ms: float) -> bytes:
        """The bytes of the pong that answers a ping (RFC 6455 5.5.3)."""
        return self._sent("pong", payload, at_ms)

    def send_close(self, code: int, reason: str, at_ms: float) -> bytes:
        """The bytes of a close frame; 1005 sends one without a code. A long reason is cut."""
        payload = b""
        if code != NO_STATUS:
            kept = reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode("utf-8", "ignore")
            payload = code.to_bytes(2, "big") + kept.encode()
        wire = self._sent("close", payload, at_ms)
        self.close_sent = True
        return wire

    def _sent(self, opcode: Opcode, payload: bytes, at_ms: float) -> bytes:
        """Nothing goes out after a close frame (RFC 6455 5.5.1)."""
        if self.close_sent:
            return b""
        compressed = (
            opcode == "text" and self._deflate is not None and self._deflate.sends_compressed
        )
        preview = preview_of(opcode, payload)
        self.frames.append(
            FrameSeen("sent", opcode, len(payload), at_ms, preview, compressed=compressed)
        )
        if compressed and self._deflate is not None:
            payload = self._deflate.deflate(payload)
        return client_frame(opcode, payload, key=self._masking_key(), compressed=compressed)

    def _events(self, data: bytes, at_ms: float) -> Iterator[WebSocketEvent]:
        for frame in self._reader.feed(data, at_ms):
            if isinstance(frame, Violation):
                yield frame
                return
            self._frames_in += 1
            if self._frames_in > self._max_frames:
                yield Violation(
                    Reason.TOO_MANY_FRAMES, f"more than {self._max_frames} frames came", 1008
                )
                return
            preview = "" if frame.compressed else preview_of(frame.opcode, frame.payload)
            size, sent_at = len(frame.payload), frame.at_ms
            self.frames.append(
                FrameSeen(
                    "received", frame.opcode, size, sent_at, preview, frame.final, frame.compressed
                )
            )
            event = self._event_of(frame)
            if event is not None:
                yield event
            if isinstance(event, Violation):
                return

    def _event_of(self, frame: Frame) -> WebSocketEvent | None:
        """The event of a control frame, or of a message's last frame; None for its other frames."""
        if frame.opcode == "close":
            return _close(frame.payload)
        if frame.opcode == "ping":
            return Ping(frame.payload)
        if frame.opcode == "pong":
            return Pong(frame.payload)
        if frame.opcode == "text":
            self._text = codecs.getincrementaldecoder("utf-8")()
        elif frame.opcode == "binary":
            self._text = None
        payload = frame.payload
        if frame.compressed and self._deflate is not None:
            try:
                payload = self._deflate.inflate(payload, last=frame.final)
            except MessageTooBig:
                text = f"a compressed message inflates to more than {self._max_bytes:,} bytes"
                return Violation(Reason.TOO_MUCH_DATA, text, 1009)
            except zlib.error as error:
                return Violation(
                    Reason.FRAME_VIOLATION,
                    f"a compressed message cannot be inflated: {error}",
                    1007,
                )
        if self._text is None:
            self._binary += payload
        else:
            try:
                self._pieces.append(self._text.decode(payload, frame.final))
            except UnicodeDecodeError as error:
                text = f"a text message is not UTF-8: {error} (RFC 6455 8.1)"
                return Violation(Reason.FRAME_VIOLATION, text, 1007)
        if not frame.final:
            return None
        message: TextMessage | BinaryMessage
        if self._text is None:
            message = BinaryMessage(bytes(self._binary))
            self._binary.clear()
        else:
            message = TextMessage("".join(self._pieces))
            self._pieces.clear()
        return message


def preview_of(opcode: Opcode, payload: bytes) -> str:
    """The start of a payload: text as text, a close as code and reason, the rest as hex."""
    if opcode == "close":
        if len(payload) < 2:
            return ""
        return (
            f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode('utf-8', 'replace')}".strip()
        )
    if opcode in ("text", "continuation"):
        return payload[: PREVIEW * 4].decode("utf-8", "replace")[:PREVIEW].replace("\x00", "�")
    return payload[: PREVIEW // 4].hex(" ")


def _close(payload: bytes) -> Close | Violation:
    """A close frame is empty, or carries a valid code and a reason in UTF-8 (RFC 6455 5.5.1,
    7.4).
    """
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        return Violation(
            Reason.FRAME_VIOLATION,
            "a close frame has one byte; a code has two (RFC 6455 5.5.1)",
            1002,
        )
    code = int.from_bytes(payload[:2], "big")
    if code not in _CODES:
        return Violation(
            Reason.FRAME_VIOLATION, f"a close frame carries {code}, which must not be sent", 1002
        )
    try:
        return Close(code, payload[2:].decode("utf-8"))
    except UnicodeDecodeError as error:
        return Violation(
            Reason.FRAME_VIOLATION, f"the reason of a close is not UTF-8: {error}", 1007
        )
