"""Responses, frames and messages of RFC 6455, right or deliberately wrong (PURE)."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
CONTINUATION = 0x0
RSV1 = 0x4
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# RFC 7692 section 7.2.1: the sender strips these from the end of a message, the receiver appends
# them.
_DEFLATE_TAIL = b"\x00\x00\xff\xff"


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request. Header names are in lower case; the first of a name counts."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def offers_deflate(self) -> bool:
        return "permessage-deflate" in self.headers.get("sec-websocket-extensions", "")


def parse_request(head: bytes) -> Request:
    """Parse a request's head, up to its empty line.

    :raises ValueError: it is not HTTP.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"not HTTP/1: {version!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return Request(method, target, headers)


def response(status: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """A complete response that closes the connection. `status` is like "403 Forbidden"."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def switching(accept: str | None, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A 101 with this Sec-WebSocket-Accept, or with none."""
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    if accept is not None:
        lines.append(f"Sec-WebSocket-Accept: {accept}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def accept_for(key: str) -> str:
    """The Sec-WebSocket-Accept for a key (section 4.2.2)."""
    return base64.b64encode(
        hashlib.sha1(key.encode() + _GUID.encode(), usedforsecurity=False).digest()
    ).decode()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """One frame. `mask` is four bytes; `length_bytes` (0, 2 or 8) forces a longer encoding of the
    length than needed.
    """
    size = len(payload)
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    made = frame_head(
        opcode, size, fin=fin, rsv=rsv, masked=mask is not None, length_bytes=length_bytes
    )
    if mask is None:
        return made + payload
    return made + mask + masked(payload, mask)


def frame_head(
    opcode: int,
    size: int,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = False,
    length_bytes: int = 8,
) -> bytes:
    """The head of a frame with a payload of `size` bytes."""
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    short = size if length_bytes == 0 else 126 if length_bytes == 2 else 127
    length = b"" if length_bytes == 0 else struct.pack("!H" if length_bytes == 2 else "!Q", size)
    return bytes((first, (0x80 if masked else 0) | short)) + length


class CloseFinder:
    """Finds a client's close frame in the bytes it sends."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skip = 0

    def found_in(self, data: bytes) -> bool:
        """Whether a close frame has started by the end of `data`. Call it with every piece, in
        order.
        """
        data = self._buffer + data
        while True:
            data, self._skip = data[self._skip :], max(0, self._skip - len(data))
            if len(data) < 2:
                self._buffer = data
                return False
            if data[0] & 0x0F == CLOSE:
                return True
            short = data[1] & 0x7F
            head = 2 + {126: 2, 127: 8}.get(short, 0)
            if len(data) < head:
                self._buffer = data
                return False
            size = short if head == 2 else int.from_bytes(data[2:head], "big")
            self._skip = head + (4 if data[1] & 0x80 else 0) + size


def masked(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask a payload (section 5.3)."""
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(
        len(payload), "big"
    )


def close(code: int | None = 1000, reason: str = "") -> bytes:
    """A server's close frame; without a code its payload is empty."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


def deflated(message: bytes) -> bytes:
    """A message's payload under permessage-deflate (RFC 7692)."""
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_DEFLATE_TAIL)


def deflated_zeros(mebibytes: int) -> bytes:
    """A payload that decompresses to so many MiB of zeros; they are never held in memory."""
    packer = zlib.compressobj(wbits=-15, level=9)
    # After a full flush blocks are independent, so one can be repeated.
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return (block * mebibytes).removesuffix(_DEFLATE_TAIL)
