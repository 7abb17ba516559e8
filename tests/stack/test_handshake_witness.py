"""The second pair of eyes believes a right handshake and echo, and nothing less."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable

import pytest

from stack.handshake_witness import GUID, NotProven, Witness

WELCOME = b'{"type":"welcome","id":"1","clientCount":1}'
ECHO = b'{"type":"echo","from":"1","message":"rehearsal"}'
BROADCAST = b'{"type":"broadcast","from":"2","message":"others talk, too"}'


def accept_of(head: bytes) -> str:
    key = next(
        line for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key:")
    ).split(b": ")[1]
    return base64.b64encode(hashlib.sha1(key + GUID.encode()).digest()).decode()  # noqa: S324


def right_answer(head: bytes) -> bytes:
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept_of(head)}", "", ""]).encode()


def text(payload: bytes) -> bytes:
    return bytes([0x81, len(payload)]) + payload


def witness_of(answer: Callable[[bytes], bytes], *messages: bytes) -> Witness:
    """A witness's conversation with a server that answers so, then sends these bytes and hangs
    up.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(5)

    def serve() -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += theirs.recv(4096)
        theirs.sendall(answer(head) + b"".join(messages))
        theirs.shutdown(socket.SHUT_WR)

    server = threading.Thread(target=serve)
    server.start()
    witness = Witness()
    try:
        with ours:
            witness.converse(ours, host="d1.cloudfront.net", path="/ws")
    finally:
        server.join(5)
        theirs.close()
    return witness


def test_a_right_handshake_and_echo_are_believed_and_shown() -> None:
    witness = witness_of(
        right_answer, text(WELCOME), text(BROADCAST), text(ECHO), b"\x88\x02\x03\xe8"
    )
    assert "> GET /ws HTTP/1.1" in witness.lines
    assert "< HTTP/1.1 101 Switching Protocols" in witness.lines
    assert f"< {ECHO.decode()}" in witness.lines
    assert witness.lines[-1] == "< close 1000"


def test_frames_may_come_in_the_same_packet_as_the_answer_and_long() -> None:
    long_welcome = WELCOME[:-1] + b',"motd":"' + b"x" * 300 + b'"}'
    long_frame = b"\x81\x7e" + len(long_welcome).to_bytes(2, "big") + long_welcome
    witness = witness_of(right_answer, long_frame, text(ECHO))
    assert f"< {long_welcome.decode()}" in witness.lines
    assert f"< {ECHO.decode()}" in witness.lines


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            lambda head: b"HTTP/1.1 502 Bad Gateway\r\nX-Cache: Error from cloudfront\r\n\r\n",
            "502 Bad Gateway",
        ),
        (lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK"),
        (
            lambda head: right_answer(head).replace(accept_of(head).encode(), b"AAAA"),
            "Sec-WebSocket-Accept is 'AAAA'",
        ),
        (
            lambda head: right_answer(head).replace(b"Sec-WebSocket-Accept", b"X-Accept"),
            "Sec-WebSocket-Accept is None",
        ),
        (lambda head: right_answer(head).replace(b"Upgrade: websocket\r\n", b""), "lacks Upgrade"),
        (lambda head: b"HTTP/1.1 101 Switch", "ended in the middle"),
    ],
)
def test_a_wrong_answer_is_not_believed(answer: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(NotProven, match=reason):
        witness_of(answer, text(WELCOME), text(ECHO))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "before .*welcome.* came"),
        ([text(WELCOME)], "before .*echo.* came"),
        (
            [text(WELCOME), text(ECHO.replace(b"rehearsal", b"parrot"))],
            "expected .*rehearsal, received .*parrot",
        ),
        ([text(b"hello")], "received hello"),
        ([bytes([0xC1, 2]) + b"hi"], "nobody negotiated"),
        ([bytes([0x81, 0x82]) + b"maskhi"], "nobody negotiated"),
    ],
)
def test_another_message_than_the_echo_is_not_believed(messages: list[bytes], reason: str) -> None:
    with pytest.raises(NotProven, match=reason):
        witness_of(right_answer, *messages)
