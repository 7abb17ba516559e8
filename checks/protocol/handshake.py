"""The opening handshake of RFC 6455, client side, without I/O (PURE).

Which bytes request the upgrade, how the response's head is read, and whether the response keeps
the RFC: each rule is one `if` and one named finding, so that a page can show the rule beside the
line that broke it. Lengths and counts that the server sends are never trusted.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from checks.protocol.deflate import negotiate
from checks.protocol.transcript import Finding, HandshakeRequest, HeaderLine, Reason, ResponseHead
from checks.protocol.urls import AllowedUrl

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The constant that a WebSocket server appends to the key (RFC 6455 1.3)."""

MAX_REQUEST_LINE = 16 * 1024
"""ALB refuses a longer header line with 400 (ELB user guide)."""
MAX_EXTRA_HEADERS = 50
MAX_HEAD_BYTES = 64 * 1024
MAX_HEAD_LINES = 200
MAX_BODY_BYTES = 4 * 1024
MAX_INTERIM = 5


class RequestError(ValueError):
    """A request that must not be sent: which header, and why."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class HeadError(Exception):
    """The response is no HTTP/1.1 head, or exceeds the limits."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


def accept_for(key: str) -> str:
    """The Sec-WebSocket-Accept for a key: base64(SHA-1(key + GUID)), RFC 6455 4.2.2 item 5.4."""
    digest = hashlib.sha1((key + GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def build_request(
    url: AllowedUrl,
    *,
    key_bytes: bytes,
    subprotocols: Sequence[str] = (),
    extensions: Sequence[str] = (),
    origin: str | None = None,
    extra_headers: Sequence[tuple[str, str]] = (),
) -> HandshakeRequest:
    """The upgrade request for a judged URL; `key_bytes` are 16 random bytes. Raises RequestError.

    1. The headers that RFC 6455 4.1 requires, in the order in which browsers send them.
    2. Sec-WebSocket-Protocol, Sec-WebSocket-Extensions (whole offers with parameters) and Origin,
       if given.
    3. Extra headers, each checked: the name is a token, the value has no control character, and it
       is none of the handshake's own or of message framing.
    """
    if len(key_bytes) != 16:
        raise RequestError("Sec-WebSocket-Key", "must be made of 16 bytes (RFC 6455 4.1 item 7)")
    key = base64.b64encode(key_bytes).decode("ascii")
    lines = [
        _line("Host", url.authority),
        _UPGRADE,
        _CONNECTION,
        _line("Sec-WebSocket-Key", key),
        _VERSION,
    ]
    if subprotocols:
        for name in subprotocols:
            if not _TOKEN.fullmatch(name):
                raise RequestError("Sec-WebSocket-Protocol", f"{name!r} is not a token")
        if len(set(subprotocols)) != len(subprotocols):
            raise RequestError(
                "Sec-WebSocket-Protocol", "names must not repeat (RFC 6455 4.1 item 10)"
            )
        lines.append(_line("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if extensions:
        lines.append(
            _line(
                "Sec-WebSocket-Extensions",
                _checked("Sec-WebSocket-Extensions", ", ".join(extensions)),
            )
        )
    if origin is not None:
        lines.append(_line("Origin", _checked("Origin", origin)))
    if len(extra_headers) > MAX_EXTRA_HEADERS:
        raise RequestError("headers", f"{len(extra_headers)} given, {MAX_EXTRA_HEADERS} allowed")
    for name, value in extra_headers:
        if not _TOKEN.fullmatch(name):
            raise RequestError(repr(name), "is not a header name")
        if name.lower() in _OWN_HEADERS:
            raise RequestError(name, "is set by the handshake itself")
        lines.append(_line(name, _checked(name, value)))
    return HandshakeRequest(
        request_line=f"GET {url.resource} HTTP/1.1",
        headers=tuple(lines),
        key=key,
        expected_accept=accept_for(key),
        subprotocols=tuple(subprotocols),
        extensions=tuple(offer.partition(";")[0].strip().lower() for offer in extensions),
        origin=origin,
    )


def build_plain_get(
    url: AllowedUrl, *, origin: str | None = None, extra_headers: Sequence[tuple[str, str]] = ()
) -> HandshakeRequest:
    """A GET of the same address without the handshake, as from a browser's address bar. Raises
    RequestError.
    """
    asked = build_request(url, key_bytes=bytes(16), origin=origin, extra_headers=extra_headers)
    kept = tuple(line for line in asked.headers if line.name.lower() not in _UPGRADE_HEADERS)
    headers = (*kept, _line("Accept", "*/*"), _line("Connection", "close"))
    return replace(asked, headers=headers, key="", expected_accept="", upgrade=False)


class HeadParser:
    """Reads a response head as it arrives. `head` is set once it is complete; `rest` is what came
    after it.

    Every byte is scanned once, so a head that drips costs no more than one that arrives whole.
    """

    def __init__(self, *, max_bytes: int = MAX_HEAD_BYTES, max_lines: int = MAX_HEAD_LINES) -> None:
        self.head: ResponseHead | None = None
        self.rest = b""
        self._max_bytes, self._max_lines = max_bytes, max_lines
        self._pending = bytearray()
        self._searched = 0
        self._taken = 0
        self._total_lines = 0
        self._unfinished_lines = 0
        self._interim: list[int] = []

    @property
    def started(self) -> bool:
        """Some bytes have arrived."""
        return bool(self._pending or self._taken)

    def feed(self, data: bytes) -> None:
        """Add bytes. Raises HeadError for what is no HTTP/1.1 head or exceeds the limits."""
        if self.head is not None:
            self.rest += data
            return
        self._pending += data
        start = bytes(self._pending[:24])
        if self._taken == 0 and _HTTP[: len(start)] != start[: len(_HTTP)]:
            raise HeadError(
                Reason.NOT_HTTP, f"the answer begins with {start!r}, which is not HTTP/1.1"
            )
        while self.head is None and (
            end := _END_OF_HEAD.search(self._pending, max(0, self._searched - 3))
        ):
            lines = self._pending[: end.start()].decode("latin-1").split("\n")
            del self._pending[: end.end()]
            self._searched = 0
            self._taken += end.end()
            self._total_lines += len(lines)
            self._unfinished_lines = 0
            self._check_size(self._taken)
            self._handle_head([line.removesuffix("\r") for line in lines])
        if self.head is not None:
            self.rest = bytes(self._pending)
            self._pending.clear()
            return
        self._unfinished_lines += self._pending.count(b"\n", self._searched)
        self._searched = len(self._pending)
        self._check_size(self._taken + self._searched)

    def _check_size(self, seen: int) -> None:
        if seen > self._max_bytes:
            raise HeadError(
                Reason.HEAD_TOO_LARGE, f"the head is larger than {self._max_bytes:,} bytes"
            )
        if self._total_lines + self._unfinished_lines > self._max_lines:
            raise HeadError(
                Reason.HEAD_TOO_LARGE, f"the head has more than {self._max_lines} lines"
            )

    def _handle_head(self, lines: Sequence[str]) -> None:
        head = _parse_head(lines, tuple(self._interim))
        # A client accepts any number of interim responses before the final one (RFC 9110 15.2); we
        # accept a few.
        if 100 <= head.status < 200 and head.status != 101:
            self._interim.append(head.status)
            if len(self._interim) > MAX_INTERIM:
                raise HeadError(Reason.HEAD_TOO_LARGE, f"more than {MAX_INTERIM} interim answers")
            return
        self.head = head


class RefusedBody:
    """The first bytes of a refusal's body: enough to recognize who wrote it."""

    def __init__(self, head: ResponseHead, *, limit: int = MAX_BODY_BYTES) -> None:
        self._limit = limit
        self._raw = bytearray()
        self._chunked = "chunked" in head.get("transfer-encoding").lower()
        length = head.get("content-length")
        self._length = (
            int(length) if re.fullmatch(r"[0-9]{1,18}", length) and not self._chunked else None
        )
        if head.status in (204, 304):
            self._length = 0

    def feed(self, data: bytes) -> None:
        """Add bytes. Those beyond the limit are dropped, except one as a sign of more."""
        room = self._limit + 1 - len(self._raw)
        if room > 0:
            self._raw += data[:room]

    @property
    def complete(self) -> bool:
        """Nothing more is worth waiting for."""
        if len(self._raw) > self._limit:
            return True
        if self._chunked:
            return _dechunk(bytes(self._raw))[1]
        return self._length is not None and len(self._raw) >= self._length

    @property
    def truncated(self) -> bool:
        """The body has more than was kept."""
        return len(self._raw) > self._limit or (
            self._length is not None and self._length > len(self._raw)
        )

    @property
    def text(self) -> str:
        """The kept part as text, with replacement characters for invalid UTF-8. Not escaped."""
        kept = _dechunk(bytes(self._raw))[0] if self._chunked else bytes(self._raw)
        return kept[: self._limit].decode("utf-8", "replace").replace("\x00", "�")


def judge(request: HandshakeRequest, head: ResponseHead) -> tuple[Finding, ...]:
    """Whether the response opens a WebSocket: a finding per rule, in the order of RFC 6455 4.1
    "server's response".
    """
    if head.status != 101:
        text = (
            f"The answer is {head.status} {head.reason}".rstrip()
            + "; only 101 Switching Protocols opens a WebSocket."
        )
        return (Finding("status", False, text, "RFC 6455 4.1 item 1"),)
    values = head.by_name()
    return (
        Finding(
            "status", True, "101: the server agreed to switch to WebSocket.", "RFC 6455 4.1 item 1"
        ),
        Finding(
            "version",
            head.version == "HTTP/1.1",
            "HTTP/1.1, the only version with this upgrade."
            if head.version == "HTTP/1.1"
            else f"The answer is {head.version}; an upgrade needs HTTP/1.1.",
            "RFC 9110 7.8",
        ),
        _judge_upgrade(", ".join(values.get("upgrade", ()))),
        _judge_connection(", ".join(values.get("connection", ()))),
        _judge_accept(request, values.get("sec-websocket-accept", ())),
        _judge_extensions(request, values.get("sec-websocket-extensions", ())),
        _judge_subprotocol(request, values.get("sec-websocket-protocol", ())),
    )


def annotate_headers(head: ResponseHead, findings: Sequence[Finding]) -> ResponseHead:
    """The same head, with a note beside every header that matters."""
    texts = {finding.rule: finding.text for finding in findings}
    noted = [
        HeaderLine(line.name, line.value, line.raw, _note(line, texts)) for line in head.headers
    ]
    return ResponseHead(
        head.status_line, head.version, head.status, head.reason, tuple(noted), head.interim
    )


def _judge_upgrade(value: str) -> Finding:
    source = "RFC 6455 4.1 item 2"
    if not value:
        return Finding("upgrade", False, "The line 'Upgrade: websocket' is missing.", source)
    if value.strip(_WHITE).lower() != "websocket":
        return Finding("upgrade", False, f"Upgrade says {value!r} and must say websocket.", source)
    return Finding("upgrade", True, "Upgrade names websocket, as it must.", source)


def _judge_connection(value: str) -> Finding:
    source = "RFC 6455 4.1 item 3"
    if "upgrade" not in _tokens(value):
        seen = f"Connection says {value!r}" if value else "The Connection line is missing"
        return Finding("connection", False, f"{seen} and must contain Upgrade.", source)
    return Finding("connection", True, "Connection contains Upgrade, as it must.", source)


def _judge_accept(request: HandshakeRequest, values: Sequence[str]) -> Finding:
    source = "RFC 6455 4.1 item 4 and 4.2.2 item 5.4"
    if not values:
        return Finding(
            "accept",
            False,
            "Sec-WebSocket-Accept is missing: nothing proves the key was read.",
            source,
        )
    if len(values) > 1:
        return Finding(
            "accept",
            False,
            "Sec-WebSocket-Accept appears more than once (RFC 6455 11.3.3).",
            source,
        )
    accept = values[0].strip(_WHITE)
    if accept != request.expected_accept:
        text = f"Accept is {accept!r}, but for the key sent it must be {request.expected_accept!r}"
        return Finding("accept", False, f"{text}: the answer is to another key.", source)
    text = "Accept matches the key sent: base64(SHA-1(key + GUID)), as RFC 6455 4.2.2 requires."
    return Finding("accept", True, text, source)


def _judge_extensions(request: HandshakeRequest, values: Sequence[str]) -> Finding:
    source, value = "RFC 6455 4.1 item 5", ", ".join(values)
    named = [
        item.split(";")[0].strip(_WHITE).lower() for item in value.split(",") if item.strip(_WHITE)
    ]
    if unasked := [name for name in named if name not in request.extensions]:
        text = f"The server switched on {', '.join(unasked)}, which was not asked for"
        return Finding(
            "extensions", False, f"{text}: the two sides would read frames differently.", source
        )
    if values and not named:
        # Chrome and the usual libraries refuse an empty header: 9.1 requires an extension in it.
        text = (
            "The Sec-WebSocket-Extensions line names no extension; without one it must be left out."
        )
        return Finding("extensions", False, text, "RFC 6455 9.1")
    try:
        negotiate(value, 0)
    except ValueError as error:
        return Finding(
            "extensions",
            False,
            f"The terms of the extension cannot be kept: {error}.",
            "RFC 7692 7.1",
        )
    return Finding("extensions", True, "No extension that was not asked for.", source)


def _judge_subprotocol(request: HandshakeRequest, values: Sequence[str]) -> Finding:
    source = "RFC 6455 4.1 item 6"
    asked = ", ".join(request.subprotocols)
    if len(values) > 1:
        return Finding(
            "subprotocol",
            False,
            "Sec-WebSocket-Protocol appears more than once (RFC 6455 11.3.4).",
            source,
        )
    if not values:
        # RFC 6455 lets the server choose none; a browser then fails only if the app insists.
        text = (
            f"Asked for {asked}; the server chose none."
            if asked
            else "None asked for, none chosen."
        )
        return Finding("subprotocol", True, text, source)
    chosen = values[0].strip(_WHITE)
    if chosen not in request.subprotocols:
        text = f"The server chose {chosen!r}, which was not among those asked ({asked or 'none'})."
        return Finding("subprotocol", False, text, source)
    return Finding("subprotocol", True, f"The server chose {chosen!r}, one of those asked.", source)


_HTTP = b"HTTP/1."
_WHITE = " \t"
"""Optional whitespace (RFC 9110 5.6.3). Python's strip() alone removes NBSP and NEL too."""
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS_LINE = re.compile(r"(HTTP/1\.[0-9]) ([1-9][0-9]{2})(?: (.*))?")
_HEADER_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UPGRADE_HEADERS = frozenset(
    {"upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "accept"}
)
_OWN_HEADERS = frozenset(
    {
        "host",
        "upgrade",
        "connection",
        "origin",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "expect",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
    }
)

_REQUEST_NOTES = {
    "host": "The host name. CloudFront uses it to find the distribution.",
    "upgrade": "Asks to switch this connection from HTTP to WebSocket (RFC 6455 4.1).",
    "connection": "Marks Upgrade as meant for the next hop, so that every hop decides on it.",
    "sec-websocket-key": "16 random bytes; the server must prove that it read them. A policy that "
    "drops it causes a 400.",
    "sec-websocket-version": "13 is the only version in use. It must reach the origin too.",
    "sec-websocket-protocol": "The client's subprotocols, best first. The server picks one at most",
    "user-agent": "Identifies the client. Firewalls and bot rules inspect it.",
    "origin": "The page that a browser would have open. Many apps accept only origins they know.",
    "authorization": "Sent, but not stored.",
    "cookie": "Sent, but not stored.",
}
_RESPONSE_RULES = {
    "upgrade": "upgrade",
    "connection": "connection",
    "sec-websocket-accept": "accept",
    "sec-websocket-extensions": "extensions",
    "sec-websocket-protocol": "subprotocol",
}
_RESPONSE_NOTES = {
    "server": "Who wrote this response: CloudFront is the edge, awselb the load balancer, "
    "anything else the app.",
    "via": "The proxies that the response passed through.",
    "x-cache": "Miss: CloudFront forwarded the request to the origin. Error: the origin, or the "
    "way to it, failed.",
    "x-amz-cf-id": "CloudFront's ID for this request: x-edge-request-id in its logs, and what AWS "
    "Support asks for.",
    "x-amz-cf-pop": "The edge location that answered.",
    "x-amz-apigw-id": "API Gateway itself answered, so the request got that far.",
    "x-amzn-errortype": "The kind of error API Gateway reports.",
    "x-amzn-waf-action": "AWS WAF acted on the request.",
    "location": "Where a redirect points. WebSocket clients do not follow redirects, nor does "
    "this check.",
    "content-type": "The type of the body. A WebSocket response has none.",
    "sec-websocket-version": "The server's versions: it did not see the 13 that was sent.",
    "set-cookie": "Received, but its value is not stored.",
    "allow": "Methods that are allowed on this path.",
    "retry-after": "When to try again.",
}


def _line(name: str, value: str) -> HeaderLine:
    raw = f"{name}: {value}"
    if len(raw) > MAX_REQUEST_LINE:
        raise RequestError(
            name, f"longer than {MAX_REQUEST_LINE:,} bytes, which load balancers refuse"
        )
    return HeaderLine(name, value, raw, _REQUEST_NOTES.get(name.lower(), ""))


_UPGRADE = _line("Upgrade", "websocket")
_CONNECTION = _line("Connection", "Upgrade")
_VERSION = _line("Sec-WebSocket-Version", "13")


def _checked(name: str, value: str) -> str:
    if found := _CONTROL.search(value):
        raise RequestError(name, f"the value contains the control character {found.group()!r}")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise RequestError(
            name, "the value contains a character that HTTP/1.1 headers cannot carry"
        ) from None
    return value.strip()


def _parse_head(lines: Sequence[str], interim: tuple[int, ...]) -> ResponseHead:
    status = _STATUS_LINE.fullmatch(lines[0])
    if not status or _CONTROL.search(lines[0]):
        raise HeadError(Reason.HEAD_MALFORMED, f"the status line is {lines[0][:80]!r}")
    headers = []
    for line in lines[1:]:
        header = _HEADER_LINE.fullmatch(line)
        if not header:
            raise HeadError(Reason.HEAD_MALFORMED, f"this line is no header: {line[:80]!r}")
        headers.append(HeaderLine(header[1], header[2].rstrip(" \t"), line))
    return ResponseHead(
        lines[0], status[1], int(status[2]), status[3] or "", tuple(headers), interim
    )


def _dechunk(raw: bytes) -> tuple[bytes, bool]:
    """The data of a chunked body so far, and whether it is complete (RFC 9112 7.1)."""
    data = bytearray()
    position = 0
    while (end := raw.find(b"\r\n", position)) >= 0:
        size = raw[position:end].split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            return bytes(data), True
        length = int(size, 16)
        if length == 0:
            return bytes(data), True
        data += raw[end + 2 : end + 2 + length]
        position = end + 2 + length + 2
    return bytes(data), False


def _tokens(value: str) -> set[str]:
    return {token.strip(_WHITE).lower() for token in value.split(",")}


def _note(line: HeaderLine, texts: dict[str, str]) -> str:
    name = line.name.lower()
    return texts.get(_RESPONSE_RULES.get(name, ""), "") or _RESPONSE_NOTES.get(name, "")
