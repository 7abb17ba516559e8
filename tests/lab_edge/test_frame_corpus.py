"""Frames right and wrong (RFC 6455, RFC 7692): the app answers the same through the edge as
straight.
"""

from __future__ import annotations

import json
import socket
import struct
import zlib
from dataclasses import dataclass

import pytest

from lab.apps.rfc6455 import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    TEXT,
    deflated,
    frame,
    frame_head,
)

from .stage import Stage

MASK = b"\x37\xfa\x21\x3d"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
EURO = "€".encode()


def sent(opcode: int, payload: bytes = b"", **form: int | bool | None) -> bytes:
    """A client's frame."""
    return frame(opcode, payload, mask=MASK, **form)  # type: ignore[arg-type]


def closing(code: int, reason: bytes = b"") -> bytes:
    return sent(CLOSE, struct.pack("!H", code) + reason)


@dataclass(frozen=True)
class Case:
    """What a client sends, and what RFC 6455 lets it hear: messages, pongs and the code of the
    close at the end.

    `live` ones are answered first, and ended by the client; the others end by what they are.
    """

    name: str
    wire: bytes
    heard: tuple[str, ...] = ()
    code: int | None = 1000
    deflate: bool = False
    piecewise: bool = False
    live: bool = False


def echoes(
    name: str, wire: bytes, *heard: str, deflate: bool = False, piecewise: bool = False
) -> Case:
    """A right one: it is answered, and the connection lives until the client ends it."""
    return Case(name, wire, heard, 1000, deflate, piecewise, live=True)


def fails(name: str, wire: bytes, code: int = 1002, *heard: str, deflate: bool = False) -> Case:
    """A wrong one: the app fails the connection with this code, whatever follows."""
    return Case(name, wire, heard, code, deflate)


CORPUS = [
    # Every way to write a length; the payloads are ASCII so that an echo can be compared.
    *(
        echoes(f"{size} bytes", sent(TEXT, b"a" * size), "a" * size)
        for size in (0, 1, 125, 126, 127, 65535, 65536)
    ),
    echoes("binary", sent(BINARY, b"\x00\xff"), "\x00\ufffd"),
    echoes("a short length in 16 bits", sent(TEXT, b"short", length_bytes=2), "short"),
    echoes("a short length in 64 bits", sent(TEXT, b"short", length_bytes=8), "short"),
    fails("a length of 2^63", frame_head(BINARY, 2**63, masked=True) + MASK, 1009),
    fails("a message that is too long", frame_head(TEXT, 5 << 20, masked=True) + MASK, 1009),
    echoes(
        "byte by byte", sent(PING, b"?") + sent(TEXT, EURO * 20), "pong ?", "€" * 20, piecewise=True
    ),
    echoes("many frames at once", sent(TEXT, b"a") * 100, *["a"] * 100),
    # Masks.
    echoes("a mask of zeros", frame(TEXT, b"plain", mask=bytes(4)), "plain"),
    fails("an unmasked frame", frame(TEXT, b"naked")),
    fails("an unmasked ping", frame(PING)),
    # Reserved bits and opcodes.
    *(fails(f"reserved bits {bits:03b}", sent(TEXT, b"a", rsv=bits)) for bits in range(1, 8)),
    *(
        fails(f"opcode {opcode:#x}", sent(opcode, b"a"))
        for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)
    ),
    # LabApi frames.
    echoes("a ping without payload", sent(PING), "pong "),
    echoes("a ping of 125 bytes", sent(PING, b"p" * 125), "pong " + "p" * 125),
    fails("a ping of 126 bytes", sent(PING, b"p" * 126)),
    fails("a fragmented ping", sent(PING, b"p", fin=False)),
    echoes("a pong nobody asked for", sent(PONG, b"me!") + sent(TEXT, b"still here"), "still here"),
    fails("a pong with a reserved bit", sent(PONG, rsv=2)),
    # Fragments.
    echoes(
        "fragments with pings between",
        sent(TEXT, b"one ", fin=False)
        + sent(PING, b"1")
        + sent(CONTINUATION, b"two ", fin=False)
        + sent(PING, b"2")
        + sent(CONTINUATION, b"three"),
        "pong 1",
        "pong 2",
        "one two three",
    ),
    echoes(
        "empty fragments",
        sent(TEXT, fin=False) + sent(CONTINUATION, fin=False) * 3 + sent(CONTINUATION, b"a"),
        "a",
    ),
    echoes(
        "a thousand fragments",
        sent(TEXT, fin=False) + sent(CONTINUATION, b"a", fin=False) * 999 + sent(0),
        "a" * 999,
    ),
    fails("a continuation of nothing", sent(CONTINUATION, b"a")),
    fails("a message inside a message", sent(TEXT, b"a", fin=False) + sent(TEXT, b"b")),
    # RFC 6455 does not say; `websockets`, which the app is made with, takes it amiss.
    fails("a close inside a message", sent(TEXT, b"a", fin=False) + closing(1000)),
    # UTF-8.
    echoes(
        "a character in two fragments",
        sent(TEXT, EURO[:1], fin=False) + sent(CONTINUATION, EURO[1:]),
        "€",
    ),
    *(
        fails(f"bad UTF-8: {name}", sent(TEXT, text), 1007)
        for name, text in {
            "a lone continuation": b"\x80",
            "cut short": EURO[:2],
            "overlong": b"\xc0\xaf",
            "a surrogate": b"\xed\xa0\x80",
            "above U+10FFFF": b"\xf4\x90\x80\x80",
            "0xff": b"ok\xff",
        }.items()
    ),
    fails(
        "bad UTF-8 in a later fragment",
        sent(TEXT, b"ok", fin=False) + sent(CONTINUATION, b"\xff"),
        1007,
    ),
    echoes("the last character there is", sent(TEXT, "\U0010ffff".encode()), "\U0010ffff"),
    # Closing.
    Case("a close without code", sent(CLOSE), (), None),
    Case("1000 with a reason", closing(1000, "adieu ✓".encode()), (), 1000),
    *(
        Case(f"{code}", closing(code), (), code)
        for code in (1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999)
    ),
    *(
        fails(f"{code}", closing(code))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    fails("half a code", sent(CLOSE, b"\x03")),
    fails("a reason that is no UTF-8", closing(1000, b"\xff"), 1007),
    fails("a reason that is too long", closing(1000, b"r" * 124)),
    fails("a fragmented close", sent(CLOSE, fin=False)),
    Case("words after the close", closing(1000) + sent(TEXT, b"wait"), (), 1000),
    # permessage-deflate.
    echoes("compressed", sent(TEXT, deflated(b"a" * 1000), rsv=RSV1), "a" * 1000, deflate=True),
    echoes("not compressed although agreed", sent(TEXT, b"plain"), "plain", deflate=True),
    echoes(
        "compressed in fragments",
        sent(TEXT, deflated(b"hello")[:3], rsv=RSV1, fin=False)
        + sent(CONTINUATION, deflated(b"hello")[3:]),
        "hello",
        deflate=True,
    ),
    fails(
        "compressed continuation",
        sent(TEXT, b"a", fin=False) + sent(CONTINUATION, deflated(b"a"), rsv=RSV1),
        deflate=True,
    ),
    fails("a compressed ping", sent(PING, deflated(b"a"), rsv=RSV1), deflate=True),
    fails("compressed garbage", sent(TEXT, b"\xff\xff\xff\xff", rsv=RSV1), 1002, deflate=True),
    fails("compressed and bad UTF-8", sent(TEXT, deflated(b"\xff"), rsv=RSV1), 1007, deflate=True),
    fails(
        "too long when decompressed",
        sent(BINARY, deflated(bytes(5 << 20)), rsv=RSV1),
        1009,
        deflate=True,
    ),
    fails("compressed without agreement", sent(TEXT, deflated(b"a"), rsv=RSV1)),
]


@pytest.mark.rule("websocket/bytes-unchanged", "websocket/one-to-one")
@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_the_edge_changes_nothing(stage: Stage, case: Case) -> None:
    straight = conversation(socket.create_connection(("127.0.0.1", stage.app_port), 5), case)
    assert straight == (list(case.heard), case.code)
    through = conversation(stage.raw("dchat.cloudfront.net"), case)
    assert through == straight


def conversation(connection: socket.socket, case: Case) -> tuple[list[str], int | None]:
    """Open, send the case's bytes, and hear everything until the connection ends: messages and the
    close code.

    0 stands for an end without a close frame, None for one without a code.
    """
    with connection:
        offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if case.deflate else ""
        connection.sendall(
            "GET /ws/corpus HTTP/1.1\r\nHost: dchat.cloudfront.net\r\nConnection: "
            "Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n".encode()
        )
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += connection.recv(65536)
        head, _, heard = heard.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert (b"permessage-deflate" in head) == case.deflate
        for at in range(len(case.wire) if case.piecewise else 1):
            connection.sendall(case.wire[at : at + 1] if case.piecewise else case.wire)
        if case.live:
            heard = hear(connection, heard, len(case.heard))
            connection.sendall(closing(1000, b"end"))
        return understood(hear(connection, heard))


def hear(connection: socket.socket, heard: bytes, messages: int | None = None) -> bytes:
    """Read on, until so many answers are there, or everything."""
    while messages is None or len(understood(heard)[0]) < messages:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        heard += piece
    return heard


def understood(wire: bytes) -> tuple[list[str], int | None]:
    """What a server's whole frames say: pongs, echoed messages, and the close code."""
    unpack = zlib.decompressobj(wbits=-15)
    said: list[str] = []
    while len(wire) >= 2:
        first, size = wire[0], wire[1]
        extended = {126: 2, 127: 8}.get(size, 0)
        if extended:
            size = int.from_bytes(wire[2 : 2 + extended], "big")
        payload, wire = wire[2 + extended : 2 + extended + size], wire[2 + extended + size :]
        if len(payload) < size:
            break
        if first & 0x0F == CLOSE:
            return said, int.from_bytes(payload[:2], "big") if payload else None
        if first & 0x0F == PONG:
            said.append(f"pong {payload.decode()}")
            continue
        assert first & 0x8F == 0x80 | TEXT
        if first & 0x40:
            payload = unpack.decompress(payload + b"\x00\x00\xff\xff")
        message = json.loads(payload)
        if message["type"] == "echo":
            said.append(message["message"])
    return said, 0
