"""Frames after the 101: what is heard, what is recorded, and what is broken."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto import events
from wsproto.connection import Connection, ConnectionState, ConnectionType

from checks.protocol.connection import (
    BinaryMessage,
    ClientConnection,
    Close,
    Ping,
    Pong,
    TextMessage,
    WebSocketEvent,
)
from checks.protocol.deflate import negotiate
from checks.protocol.frames import Violation
from checks.protocol.transcript import Reason


def conversation(
    max_bytes: int = 65_536, max_frames: int = 64, *, terms: str = ""
) -> ClientConnection:
    deflate = negotiate(terms, max_bytes)
    return ClientConnection(
        max_bytes=max_bytes,
        max_frames=max_frames,
        masking_key=lambda: b"\x01\x02\x03\x04",
        deflate=deflate,
    )


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = False
) -> bytes:
    first = (0x80 if fin else 0) | rsv | opcode
    size = len(payload)
    if size < 126:
        head = bytes((first, size | (0x80 if mask else 0)))
    elif size < 65_536:
        head = bytes((first, 126)) + struct.pack("!H", size)
    else:
        head = bytes((first, 127)) + struct.pack("!Q", size)
    return head + (b"\x00\x00\x00\x00" if mask else b"") + payload


def close(code: int, reason: str = "") -> bytes:
    return frame(8, struct.pack("!H", code) + reason.encode())


def test_messages_pings_and_the_close_are_heard_in_order() -> None:
    talk = conversation()
    wire = (
        frame(1, b"welcome")
        + frame(2, b"\x00\x01")
        + frame(9, b"p")
        + frame(10, b"q")
        + close(1001, "bye")
    )
    assert talk.receive(wire, 1.0) == [
        TextMessage("welcome"),
        BinaryMessage(b"\x00\x01"),
        Ping(b"p"),
        Pong(b"q"),
        Close(1001, "bye"),
    ]
    assert [(seen.opcode, seen.size, seen.preview) for seen in talk.frames] == [
        ("text", 7, "welcome"),
        ("binary", 2, "00 01"),
        ("ping", 1, "70"),
        ("pong", 1, "71"),
        ("close", 5, "1001 bye"),
    ]
    assert not talk.can_send


def test_fragments_are_one_message_and_as_many_frames() -> None:
    talk = conversation()
    wire = (
        frame(1, b"wel", fin=False)
        + frame(9, b"between")
        + frame(0, b"", fin=False)
        + frame(0, b"come")
    )
    assert talk.receive(wire, 1.0) == [Ping(b"between"), TextMessage("welcome")]
    assert [(seen.opcode, seen.final) for seen in talk.frames] == [
        ("text", False),
        ("ping", True),
        ("continuation", False),
        ("continuation", True),
    ]


@given(st.lists(st.text(max_size=300), max_size=6), st.integers(min_value=1, max_value=50))
def test_messages_are_the_same_however_the_bytes_are_cut(texts: list[str], size: int) -> None:
    wire = b"".join(frame(1, text.encode()) for text in texts) + close(1000)
    talk = conversation()
    heard = [
        thing
        for start in range(0, len(wire), size)
        for thing in talk.receive(wire[start : start + size], 1.0)
    ]
    assert heard == [*(TextMessage(text) for text in texts), Close(1000, "")]
    assert [seen.size for seen in talk.frames] == [*(len(text.encode()) for text in texts), 2]


def test_a_close_without_a_code_is_1005_and_is_answered_without_one() -> None:
    talk = conversation()
    assert talk.receive(frame(8), 1.0) == [Close(1005, "")]
    assert talk.send_close(1005, "", 2.0)[1] & 0x7F == 0


def test_what_comes_after_a_close_is_ignored() -> None:
    talk = conversation()
    assert talk.receive(close(1000) + b"\xff\xff garbage", 1.0) == [Close(1000, "")]
    assert talk.receive(b"more", 2.0) == []


@pytest.mark.parametrize(
    ("wire", "reason", "code"),
    [
        (bytes((0x81, 127)) + struct.pack("!Q", 2**62), Reason.TOO_MUCH_DATA, 1009),
        (bytes((0x82, 127)) + struct.pack("!Q", 65_537), Reason.TOO_MUCH_DATA, 1009),
        (frame(1, b"x" * 65_000) + frame(1, b"y" * 1000), Reason.TOO_MUCH_DATA, 1009),
        (frame(1, fin=False) + frame(0, fin=False) * 64, Reason.TOO_MANY_FRAMES, 1008),
        (frame(9) * 65, Reason.TOO_MANY_FRAMES, 1008),
        (frame(3), Reason.FRAME_VIOLATION, 1002),
        (frame(11), Reason.FRAME_VIOLATION, 1002),
        (frame(1, b"x", rsv=0x40), Reason.FRAME_VIOLATION, 1002),
        (frame(1, b"x", rsv=0x10), Reason.FRAME_VIOLATION, 1002),
        (frame(1, b"x", mask=True), Reason.FRAME_VIOLATION, 1002),
        (frame(9, b"x", fin=False), Reason.FRAME_VIOLATION, 1002),
        (frame(9, b"x" * 126), Reason.FRAME_VIOLATION, 1002),
        (frame(1, b"\xff\xfe"), Reason.FRAME_VIOLATION, 1007),
        (frame(1, b"x", fin=False) + frame(1, b"y"), Reason.FRAME_VIOLATION, 1002),
        (frame(0, b"x"), Reason.FRAME_VIOLATION, 1002),
        (bytes((0x81, 126, 0, 5)) + b"hello", Reason.FRAME_VIOLATION, 1002),
        (frame(8, b"\x03"), Reason.FRAME_VIOLATION, 1002),
        (close(0), Reason.FRAME_VIOLATION, 1002),
        (close(999), Reason.FRAME_VIOLATION, 1002),
        (close(1004), Reason.FRAME_VIOLATION, 1002),
        (close(1005), Reason.FRAME_VIOLATION, 1002),
        (close(1006), Reason.FRAME_VIOLATION, 1002),
        (frame(8, struct.pack("!H", 1000) + b"\xff"), Reason.FRAME_VIOLATION, 1007),
    ],
)
def test_broken_rules_and_limits_are_named_with_the_code_to_close_with(
    wire: bytes, reason: Reason, code: int
) -> None:
    talk = conversation()
    *before, last = talk.receive(wire, 1.0)
    assert isinstance(last, Violation), last
    assert (last.reason, last.close_code) == (reason, code), last
    assert last.detail
    assert not before or not isinstance(before[-1], Violation)
    assert not talk.can_send
    assert talk.receive(frame(1, b"after"), 2.0) == []
    assert talk.send_close(last.close_code, "", 3.0)


@pytest.mark.parametrize("before", [b"", frame(1, b"hello")])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_an_http_response_in_place_of_a_frame_is_named_and_kept(before: bytes, size: int) -> None:
    wire = before + b"HTTP/1.1 401 Unauthorized\r\n\r\n"
    talk = conversation()
    heard: list[WebSocketEvent] = []
    for start in range(0, len(wire), size):
        heard += talk.receive(wire[start : start + size], 1.0)
    assert isinstance(heard[-1], Violation)
    assert heard[-1].reason is Reason.LATE_RESPONSE
    assert talk.unread.startswith(b"HTTP/1.")
    (other,) = conversation().receive(b"HTTP is no frame", 1.0)
    assert isinstance(other, Violation)
    assert other.reason is Reason.FRAME_VIOLATION


def test_a_claim_that_is_too_large_is_refused_before_its_bytes_are_taken() -> None:
    talk = conversation()
    (refused,) = talk.receive(bytes((0x82, 127)) + struct.pack("!Q", 1 << 62), 1.0)
    assert isinstance(refused, Violation)
    assert talk.frames == []


def test_exactly_the_limits_are_taken() -> None:
    talk = conversation(max_bytes=10, max_frames=2)
    assert talk.receive(frame(1, b"abc") + frame(1, b"abc"), 1.0) == [
        TextMessage("abc"),
        TextMessage("abc"),
    ]
    assert isinstance(talk.receive(b"\x89\x00", 2.0)[-1], Violation)


FRAMES = st.builds(
    frame,
    st.sampled_from((0, 0, 1, 1, 2, 8, 9, 10, 3)),
    st.text(max_size=60).map(str.encode)
    | st.binary(max_size=130)
    | st.integers(min_value=990, max_value=5010).map(lambda code: struct.pack("!H", code) + b"why"),
    fin=st.booleans(),
    rsv=st.sampled_from((0, 0, 0, 0, 0, 0x40)),
    mask=st.sampled_from((False,) * 9 + (True,)),
)
"""A server's frames, many of them broken and mostly in no good order."""


@example([frame(1, "é".encode()[:1], fin=False), frame(0, "é".encode()[1:]), close(3000)], 3)
@example([frame(1, "é".encode()[:1], fin=False), frame(0, b"x")], 1)
@given(st.lists(FRAMES, max_size=6), st.integers(min_value=1, max_value=40))
def test_an_independent_reader_hears_the_same(frames: list[bytes], size: int) -> None:
    """wsproto is the judge, of messages and of what is broken by which code."""
    wire = b"".join(frames)
    talk = conversation()
    heard = [
        thing
        for start in range(0, len(wire), size)
        for thing in talk.receive(wire[start : start + size], 1.0)
    ]
    ours = [thing.close_code if isinstance(thing, Violation) else thing for thing in heard]
    assert ours == by_wsproto(wire)


def by_wsproto(wire: bytes) -> list[WebSocketEvent | int]:
    """Things heard; the code to close with, last, where a rule was broken."""
    connection = Connection(ConnectionType.CLIENT)
    connection.receive_data(wire)
    text, binary = "", b""
    heard: list[WebSocketEvent | int] = []
    for event in connection.events():
        if isinstance(event, events.TextMessage):
            text += event.data
            if event.message_finished:
                heard.append(TextMessage(text))
                text = ""
        elif isinstance(event, events.BytesMessage):
            binary += event.data
            if event.message_finished:
                heard.append(BinaryMessage(binary))
                binary = b""
        elif isinstance(event, events.Ping):
            heard.append(Ping(bytes(event.payload)))
        elif isinstance(event, events.Pong):
            heard.append(Pong(bytes(event.payload)))
        elif isinstance(event, events.CloseConnection):
            closed = connection.state is ConnectionState.REMOTE_CLOSING
            heard.append(Close(int(event.code), event.reason or "") if closed else int(event.code))
            break
    return heard


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_no_bytes_ever_raise(pieces: list[bytes]) -> None:
    talk = conversation()
    for piece in pieces:
        talk.receive(piece, 1.0)
    assert sum(seen.size for seen in talk.frames) <= sum(map(len, pieces))


def test_what_we_send_is_recorded_and_masked() -> None:
    talk = conversation()
    wire = talk.send_text("hello", 1.0)
    assert wire[0] == 0x81
    assert wire[1] == 0x80 | 5
    assert (
        bytes(byte ^ key for byte, key in zip(wire[6:], b"\x01\x02\x03\x04\x01", strict=True))
        == b"hello"
    )
    talk.send_ping(b"p", 2.0)
    talk.send_pong(b"q", 3.0)
    talk.send_close(1000, "done", 4.0)
    assert [(seen.direction, seen.opcode, seen.size) for seen in talk.frames] == [
        ("sent", "text", 5),
        ("sent", "ping", 1),
        ("sent", "pong", 1),
        ("sent", "close", 6),
    ]
    assert talk.close_sent
    assert talk.receive(close(1000), 5.0) == [Close(1000, "")]


@pytest.mark.parametrize("pieces", [1, 2], ids=["before the message", "between its fragments"])
def test_a_pong_beside_a_compressed_message_does_not_garble_it(pieces: int) -> None:
    """LabApi frames may come anywhere; they say nothing of whether a message is compressed."""
    squeeze = zlib.compressobj(wbits=-15)
    whole = (squeeze.compress(b"hello hello") + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
    half = len(whole) // 2
    if pieces == 1:
        wire = frame(10) + frame(1, whole, rsv=0x40)
    else:
        wire = frame(1, whole[:half], fin=False, rsv=0x40) + frame(10) + frame(0, whole[half:])
    talk = conversation(1024, terms="permessage-deflate")
    assert [heard.data for heard in talk.receive(wire, 1.0) if isinstance(heard, TextMessage)] == [
        "hello hello"
    ]


@pytest.mark.parametrize("terms", ["", "; client_no_context_takeover; server_no_context_takeover"])
@pytest.mark.parametrize("bits", [8, 9, 15])
def test_compressed_both_ways_with_every_window(terms: str, bits: int) -> None:
    answer = (
        f"permessage-deflate; client_max_window_bits={bits}; server_max_window_bits={bits}{terms}"
    )
    talk = conversation(4096, terms=answer)
    server = negotiate(answer, 4096)
    assert server
    for _ in range(2):
        sent = talk.send_text("hello hello hello", 1.0)
        assert bool(sent[0] & 0x40) is (bits > 8), "zlib cannot keep to a window of 256 bytes"
        (heard,) = talk.receive(frame(1, server.deflate(b"hello hello hello"), rsv=0x40), 1.0)
        assert heard == TextMessage("hello hello hello")


def test_a_stream_that_the_sender_ended_is_followed_by_another() -> None:
    talk = conversation(1024, terms="permessage-deflate")
    for _ in range(2):
        ended = zlib.compress(b"hello", wbits=-15) + b"\x00"
        assert talk.receive(frame(1, ended, rsv=0x40), 1.0) == [TextMessage("hello")]


def test_what_cannot_be_inflated_is_named() -> None:
    talk = conversation(1024, terms="permessage-deflate")
    (broken,) = talk.receive(frame(1, b"\xff\xff\xff", rsv=0x40), 1.0)
    assert isinstance(broken, Violation)
    assert broken.close_code == 1007


def test_a_reason_that_is_too_long_is_cut_between_characters() -> None:
    talk = conversation()
    assert len(talk.send_close(1000, "é" * 100, 1.0)) == 6 + 2 + 122
    assert talk.send_text("after", 2.0) == b"", "nothing follows a close frame"
