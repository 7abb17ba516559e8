"""HTTP/1.1 connections of the AWS endpoint: keep-alive, framing of bodies, replies that break off.

It never interprets a request, and never leaves part of one unread on a connection that stays open.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.serving import WSGIRequestHandler

from lab.aws.replies import HttpReply, error_reply
from lab.faults.call_faults import BrokenReply

MAX_BODY = 16 * 1024 * 1024
# Longer than any client of AWS waits for an answer.
LONGEST_SILENCE = 120.0
CONNECTION = "lab.connection"
_REASONS = {status.value: status.phrase for status in HTTPStatus}
# Seconds for which a client may keep sending a body that is not read.
_PATIENCE = 2.0
_LONGEST_LINE = 8192
_MAX_TRAILERS = 100
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


class Handler(WSGIRequestHandler):
    """One connection with any number of requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    timeout = 60
    _resets = False

    def make_environ(self) -> dict[str, Any]:
        """Adds this connection, for replies that break off. A repeated Content-Length is made
        invalid.
        """
        environ = {**super().make_environ(), CONNECTION: self}
        if len({*self.headers.get_all("Content-Length", ())}) > 1:
            environ["CONTENT_LENGTH"] = "several"
        return environ

    def handle_expect_100(self) -> bool:
        """Flushed immediately: the client waits for it before it sends the body."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def run_wsgi(self) -> None:
        """Answers one request. werkzeug's own method closes every connection; ours has read the
        whole request.
        """
        application: Any = self.server.app
        reply: HttpReply | BrokenReply = application(self.make_environ())
        if isinstance(reply, BrokenReply):
            self._break_off(reply)
            return
        unread = ("Connection", "close") in reply.headers
        self.close_connection = (
            self.close_connection or unread or self.request_version == "HTTP/1.0"
        )
        body = b"" if self.command == "HEAD" or reply.status == 204 else reply.body
        self.wfile.write(self._head(reply) + body)
        self.wfile.flush()
        if unread:
            self._read_over()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers malformed HTTP with an error in AWS's form, and closes the connection."""
        reason = _REASONS.get(code, "Bad Request")
        reply = error_reply("", code, re.sub(r"[^A-Za-z]", "", reason), f"{message or reason}.")
        self.close_connection = True
        self.wfile.write(self._head(reply) + reply.body)
        self.wfile.flush()

    def _break_off(self, broken: BrokenReply) -> None:
        """End the connection as a fault requires."""
        self.close_connection = True
        if broken.ending == "half":
            self.wfile.write(
                self._head(broken.reply) + broken.reply.body[: len(broken.reply.body) // 2]
            )
            return
        self._resets = True
        deadline = time.monotonic() + (LONGEST_SILENCE if broken.ending == "silence" else 0)
        while time.monotonic() < deadline and broken.wanted() and not self._left(0.2):
            pass

    def _head(self, reply: HttpReply) -> bytes:
        """Status line and headers."""
        lines = [
            f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}",
            f"Date: {self.date_time_string()}",
            *(f"{name}: {text}" for name, text in reply.headers if name != "Connection"),
            *([] if reply.status == 204 else [f"Content-Length: {len(reply.body)}"]),
            *(["Connection: close"] if self.close_connection else []),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _read_over(self) -> None:
        """Read the rest of what the client sends: if the connection is closed earlier, it is reset
        and the reply is lost.
        """
        deadline = time.monotonic() + _PATIENCE
        self.connection.settimeout(_PATIENCE / 4)
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline and self.connection.recv(1 << 16):
                pass

    def finish(self) -> None:
        """For a reset, close with a linger time of zero, so that an RST is sent instead of
        a FIN.
        """
        super().finish()
        if self._resets:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _left(self, seconds: float) -> bool:
        """Wait; whether the client has disconnected."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the edge alone polls several times a second."""

    def log_error(self, format: str, *args: Any) -> None:
        """Nothing: clients may disconnect at any time."""

    def address_string(self) -> str:
        """Without a DNS lookup."""
        return str(self.client_address[0])


def target_of(environ: dict[str, Any]) -> tuple[str, str]:
    """Path and query as sent, still escaped. A target may also have scheme and host (RFC 9112,
    3.2.2).
    """
    path, _, query = re.sub(r"^https?://[^/?]*", "", str(environ["RAW_URI"])).partition("?")
    return path or "/", query


def headers_of(environ: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """(Name in title case, value) of every header."""
    for name, text in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").title(), str(text)
    if environ.get("CONTENT_TYPE"):
        yield "Content-Type", str(environ["CONTENT_TYPE"])


def read_body(environ: dict[str, Any]) -> bytes | None:
    """The whole body, None if it is too long. It must always be read, or the connection's next
    request is garbled.

    :raises OSError: it is cut short, or its framing is malformed.
    """
    if environ.get("wsgi.input_terminated"):
        return _read_chunks(environ[CONNECTION].rfile)
    stream = environ["wsgi.input"]
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or not length.isascii():
        raise OSError("Content-Length is no number")
    if len(length) > 12 or int(length) > MAX_BODY:
        return None
    body = bytes(stream.read(int(length)))
    if len(body) < int(length):
        raise OSError("the client left in the middle of the body")
    return body


def _read_chunks(stream: Any) -> bytes | None:
    """A chunked body. Chunk extensions and trailers are ignored (RFC 9112, 7.1)."""
    body = bytearray()
    while True:
        line = bytes(stream.readline(_LONGEST_LINE))
        size = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not _CHUNK_SIZE.fullmatch(size):
            raise OSError("a chunk without a size")
        length = int(size, 16)
        if not length:
            break
        if len(body) + length > MAX_BODY:
            return None
        chunk = stream.read(length)
        if len(chunk) < length or stream.readline(_LONGEST_LINE) not in (b"\r\n", b"\n"):
            raise OSError("a chunk that is shorter or longer than its size")
        body += chunk
    for _ in range(_MAX_TRAILERS):
        line = stream.readline(_LONGEST_LINE)
        if line in (b"\r\n", b"\n"):
            return bytes(body)
        if not line.endswith(b"\n"):
            break
    raise OSError("a chunked body without an end")
