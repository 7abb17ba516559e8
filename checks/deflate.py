"""permessage-deflate for a client that trusts nobody (RFC 7692), on wsproto's (PURE).

Decides which offer is made, whether an agreed set of parameters is one the offer allows, and how much a message may
grow: wsproto would inflate whatever comes. It must never hold more than its limit, however small the wire bytes were.
"""

from __future__ import annotations

import zlib

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

NAME = "permessage-deflate"
OFFER = f"{NAME}; client_max_window_bits"
"""As browsers make it."""

_KNOWN = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)


class BoundedDeflate(PerMessageDeflate):
    """Inflates at most `max_bytes` for a message; `burst` is True once one wanted more."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._grown = 0
        self.burst = False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """A frame begins. A control frame says nothing of the message beside it (RFC 7692 6.1)."""
        compressed = self._inbound_compressed
        answer = super().frame_inbound_header(proto, opcode, rsv, payload_length)
        if opcode.iscontrol():
            self._inbound_compressed = compressed
        return answer

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """A piece of a frame, inflated."""
        if not self._inbound_compressed or not self._inbound_is_compressible:
            return data
        return self._inflate(bytes(data))

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        """The end of a frame; at the end of a message what was held back comes out."""
        if not fin or not self._inbound_is_compressible:
            return None
        compressed, self._inbound_compressed = self._inbound_compressed, None
        if not compressed:
            return None
        rest = self._inflate(b"\x00\x00\xff\xff")
        self._grown = 0
        if self.server_no_context_takeover:
            self._decompressor = None
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        if self._decompressor is None:
            return CloseReason.PROTOCOL_ERROR
        try:
            # One byte more than allowed tells "exactly full" from "too much".
            out = self._decompressor.decompress(data, self._max_bytes - self._grown + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._grown += len(out)
        if self._grown > self._max_bytes:
            self.burst = True
            return CloseReason.MESSAGE_TOO_BIG
        return out


def agreed(answer: str, max_bytes: int) -> BoundedDeflate | None:
    """The extension that an answer's Sec-WebSocket-Extensions switched on; None when it names no permessage-deflate.

    :raises ValueError: parameters that RFC 7692 7.1 does not allow in an answer to `OFFER`.
    """
    named = [item.strip() for item in answer.split(",") if item.partition(";")[0].strip().lower() == NAME]
    if not named:
        return None
    if len(named) > 1:
        raise ValueError(f"{NAME} appears more than once")
    seen: set[str] = set()
    for parameter in named[0].split(";")[1:]:
        name, _, value = (part.strip() for part in parameter.partition("="))
        value = value.strip('"')
        if name not in _KNOWN or name in seen:
            raise ValueError(f"{NAME} has the parameter {name!r}, which is unknown or repeated")
        seen.add(name)
        needs_bits = name.endswith("_bits")
        if needs_bits != bool(value) or (needs_bits and not (value.isdecimal() and 8 <= int(value) <= 15)):
            raise ValueError(f"{NAME} has {parameter.strip()!r}, which RFC 7692 does not allow")
    extension = BoundedDeflate(max_bytes)
    # zlib makes no raw stream of 256 bytes of window; one of 512 reads it as well.
    extension.finalize(named[0].replace('"', "").replace("max_window_bits=8", "max_window_bits=9"))
    return extension
