"""permessage-deflate for a client that trusts no server (RFC 7692, PURE).

What is offered, whether a server's answer is one that the offer allows, and how much a message may
inflate: never more than the limit, however few bytes arrived.
"""

from __future__ import annotations

import re
import zlib

NAME = "permessage-deflate"
OFFER = f"{NAME}; client_max_window_bits"
"""As browsers send it."""

_KNOWN = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)
_BITS = re.compile(r'(?P<quote>"?)(?P<bits>[89]|1[0-5])(?P=quote)')
"""A window size in an answer: no leading zeroes (RFC 7692 7.1.2), a token or a quoted string."""
_WHITE = " \t"
"""Optional whitespace around a parameter (RFC 9110 5.6.3)."""
_TAIL = b"\x00\x00\xff\xff"
"""What a sender removes from the end of a message, and a receiver appends (RFC 7692 7.2)."""


class MessageTooBig(Exception):
    """A message inflates to more than the limit."""


class BoundedDeflate:
    """Both directions of a connection; a received message inflates to at most `max_bytes`.

    `client_bits` and `server_bits` are the window sizes (8 to 15); a side that is `fresh`
    compresses each message by itself ("no context takeover").
    """

    def __init__(
        self,
        max_bytes: int,
        *,
        client_bits: int = 15,
        server_bits: int = 15,
        client_fresh: bool = False,
        server_fresh: bool = False,
    ) -> None:
        self.sends_compressed = client_bits > 8
        """zlib cannot compress with a window of 256 bytes; messages then go out uncompressed."""
        self._max_bytes = max_bytes
        # A stream of the smallest window can be read with a larger one.
        self._client_bits, self._server_bits = max(9, client_bits), max(9, server_bits)
        self._client_fresh, self._server_fresh = client_fresh, server_fresh
        self._compressor = zlib.compressobj(wbits=-self._client_bits)
        self._decompressor = zlib.decompressobj(wbits=-self._server_bits)
        self._inflated = 0

    def deflate(self, message: bytes) -> bytes:
        """The payload of the frame that carries this message."""
        payload = self._compressor.compress(message) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        if self._client_fresh:
            self._compressor = zlib.compressobj(wbits=-self._client_bits)
        return payload.removesuffix(_TAIL)

    def inflate(self, payload: bytes, *, last: bool) -> bytes:
        """What one frame adds to its message; `last` is the message's last frame.

        :raises MessageTooBig: the message has more than `max_bytes`.
        :raises zlib.error: the payload is not deflated data.
        """
        # One byte more than allowed tells "exactly full" from "too much".
        data, room = payload + _TAIL if last else payload, self._max_bytes - self._inflated
        out = self._decompressor.decompress(data, room + 1)
        self._inflated += len(out)
        if self._inflated > self._max_bytes:
            raise MessageTooBig
        if last:
            self._inflated = 0
            # A sender may end its stream with a message; the next message then begins a new one
            # (RFC 7692 7.2.3.4).
            if self._server_fresh or self._decompressor.eof:
                self._decompressor = zlib.decompressobj(wbits=-self._server_bits)
        return out


def negotiate(answer: str, max_bytes: int) -> BoundedDeflate | None:
    """The extension that an answer's Sec-WebSocket-Extensions enables; None without
    permessage-deflate.

    :raises ValueError: parameters that RFC 7692 7.1 does not allow in an answer to `OFFER`.
    """
    named = [
        item for item in answer.split(",") if item.partition(";")[0].strip(_WHITE).lower() == NAME
    ]
    if not named:
        return None
    if len(named) > 1:
        raise ValueError(f"{NAME} appears more than once")
    seen: dict[str, str] = {}
    for parameter in named[0].split(";")[1:]:
        name, equals, value = (part.strip(_WHITE) for part in parameter.partition("="))
        if name not in _KNOWN or name in seen:
            raise ValueError(f"{NAME} has the parameter {name!r}, which is unknown or repeated")
        bits = _BITS.fullmatch(value)
        fits = bits is not None if name.endswith("_bits") else not equals
        if not fits:
            raise ValueError(
                f"{NAME} has {parameter.strip(_WHITE)!r}, which RFC 7692 does not allow"
            )
        seen[name] = bits["bits"] if bits else ""
    return BoundedDeflate(
        max_bytes,
        client_bits=int(seen.get("client_max_window_bits", 15)),
        server_bits=int(seen.get("server_max_window_bits", 15)),
        client_fresh="client_no_context_takeover" in seen,
        server_fresh="server_no_context_takeover" in seen,
    )
