"""permessage-deflate for a client that trusts nobody (RFC 7692, PURE).

Decides which offer is made, whether an agreed set of parameters is one the offer allows, and how
much a message may grow. It must never hold more than its limit, however small the wire bytes were.
"""

from __future__ import annotations

import re
import zlib

NAME = "permessage-deflate"
OFFER = f"{NAME}; client_max_window_bits"
"""As browsers make it."""

_KNOWN = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)
_BITS = re.compile(r'(?P<quote>"?)(?P<bits>[89]|1[0-5])(?P=quote)')
"""A window as an answer names it: without leading zeroes (RFC 7692 7.1.2), as a token or a quoted
string.
"""
_WHITE = " \t"
"""What may surround a parameter (RFC 9110 5.6.3)."""
_TAIL = b"\x00\x00\xff\xff"
"""What a sender cuts off the end of a message, and a receiver puts back (RFC 7692 7.2)."""


class MessageTooBig(Exception):
    """A message wants to grow beyond the limit."""


class BoundedDeflate:
    """Both directions of a connection; a received message inflates to at most `max_bytes`.

    `client_bits` and `server_bits` are the windows (8 to 15); a side that is `fresh` begins each
    message without what it remembers of earlier ones ("no context takeover").
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
        """zlib cannot keep to a window of 256 bytes, so under such terms messages go out as they
        are.
        """
        self._max_bytes = max_bytes
        # A stream made with the smallest window can be read with a larger one.
        self._client_bits, self._server_bits = max(9, client_bits), max(9, server_bits)
        self._client_fresh, self._server_fresh = client_fresh, server_fresh
        self._squeeze = zlib.compressobj(wbits=-self._client_bits)
        self._swell = zlib.decompressobj(wbits=-self._server_bits)
        self._grown = 0

    def deflate(self, message: bytes) -> bytes:
        """The payload of the frame that carries this message."""
        payload = self._squeeze.compress(message) + self._squeeze.flush(zlib.Z_SYNC_FLUSH)
        if self._client_fresh:
            self._squeeze = zlib.compressobj(wbits=-self._client_bits)
        return payload.removesuffix(_TAIL)

    def inflate(self, payload: bytes, *, last: bool) -> bytes:
        """What one frame of a message adds to it; `last` says that the message ends with it.

        :raises MessageTooBig: the message has more than `max_bytes`.
        :raises zlib.error: the payload is not deflated data.
        """
        out = self._swelled(payload + _TAIL if last else payload)
        if last:
            self._grown = 0
            # A sender may end its stream with a message; the next one then begins another (RFC 7692
            # 7.2.3.4).
            if self._server_fresh or self._swell.eof:
                self._swell = zlib.decompressobj(wbits=-self._server_bits)
        return out

    def _swelled(self, data: bytes) -> bytes:
        # One byte more than allowed tells "exactly full" from "too much".
        out = self._swell.decompress(data, self._max_bytes - self._grown + 1)
        self._grown += len(out)
        if self._grown > self._max_bytes:
            raise MessageTooBig
        return out


def negotiate(answer: str, max_bytes: int) -> BoundedDeflate | None:
    """The extension that an answer's Sec-WebSocket-Extensions switched on; None when it names no
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
