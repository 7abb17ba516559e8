"""What one probe saw, as frozen values that can be stored, shown and judged again later (PURE).

Which facts are recorded, how they become JSON and come back, and how credentials are masked.
`handshake` judges the protocol, `checks.diagnosis` the cause.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum, StrEnum
from typing import Any, Literal, TypeVar

from provisioning.redaction.masking import (
    KnownSecrets,
    mask_header,
    mask_subprotocols,
    mask_text,
    mask_url,
)

SCHEMA = 1
"""Version of the stored JSON; `from_dict` refuses any other."""


class Phase(StrEnum):
    """The phases of a probe, in the order in which they happen."""

    URL = "url"
    DNS = "dns"
    GUARD = "guard"
    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    FIRST_FRAME = "first_frame"
    ECHO = "echo"
    PING = "ping"
    SCRIPT = "script"
    CLOSE = "close"


class Reason(StrEnum):
    """Why a phase failed. Stable: stored in transcripts, matched by the diagnosis."""

    BAD_URL = "bad_url"
    BAD_REQUEST = "bad_request"
    DNS_FAILURE = "dns_failure"
    DNS_TIMEOUT = "dns_timeout"
    ADDRESS_REFUSED = "address_refused"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_UNREACHABLE = "connect_unreachable"
    TLS_NAME_MISMATCH = "tls_name_mismatch"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_SELF_SIGNED = "tls_self_signed"
    TLS_UNKNOWN_CA = "tls_unknown_ca"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_PROTOCOL = "tls_protocol"
    TLS_TIMEOUT = "tls_timeout"
    RESET = "reset"
    CLOSED_EARLY = "closed_early"
    HEAD_TOO_LARGE = "head_too_large"
    HEAD_MALFORMED = "head_malformed"
    NOT_HTTP = "not_http"
    UPGRADE_TIMEOUT = "upgrade_timeout"
    UPGRADE_REFUSED = "upgrade_refused"
    BAD_HANDSHAKE = "bad_handshake"
    NO_ECHO = "no_echo"
    NO_PONG = "no_pong"
    UNEXPECTED = "unexpected"
    FRAME_VIOLATION = "frame_violation"
    LATE_RESPONSE = "late_response"
    TOO_MUCH_DATA = "too_much_data"
    TOO_MANY_FRAMES = "too_many_frames"
    CLOSED_BY_PEER = "closed_by_peer"
    ABNORMAL_CLOSE = "abnormal_close"
    TOTAL_TIMEOUT = "total_timeout"
    PROBE_ERROR = "probe_error"
    CREDENTIAL_UNAVAILABLE = "credential_unavailable"


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """One header line; `raw` is the line as it was on the wire (without CRLF), `note` explains it
    in plain words.
    """

    name: str
    value: str
    raw: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """The request as sent, in order, and the Accept value an upgrade must be answered with (RFC
    6455 4.1).

    A plain GET (`upgrade` False) asks for the same address without any of the handshake's lines; it
    has no key.
    """

    request_line: str
    headers: tuple[HeaderLine, ...]
    key: str
    expected_accept: str
    subprotocols: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    origin: str | None = None
    upgrade: bool = True

    @property
    def websocket_only(self) -> bool:
        """Engine.IO answers a plain GET of this address with 400 in any case: its query asks for
        the WebSocket transport.
        """
        return "transport=websocket" in self.request_line

    def to_bytes(self) -> bytes:
        """The request exactly as it goes onto the wire."""
        lines = [self.request_line, *[line.raw for line in self.headers], "", ""]
        return "\r\n".join(lines).encode("latin-1")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status line and header lines as received; `interim` lists 1xx answers (other than 101) that
    came before it.
    """

    status_line: str
    version: str
    status: int
    reason: str
    headers: tuple[HeaderLine, ...] = ()
    interim: tuple[int, ...] = ()

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order of arrival; names compare case-insensitively (RFC 9110
        5.1).
        """
        return tuple(self.by_name().get(name.lower(), ()))

    def by_name(self) -> dict[str, list[str]]:
        """Every header's values, in order of arrival, by its name in lower case."""
        found: dict[str, list[str]] = {}
        for line in self.headers:
            found.setdefault(line.name.lower(), []).append(line.value)
        return found

    def get(self, name: str) -> str:
        """The values of a header joined as one list (RFC 9110 5.3), or an empty string."""
        return ", ".join(self.all(name))


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule of the RFC, judged: `rule` is its stable name, `text` says in plain words what was
    found.
    """

    rule: str
    ok: bool
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds per phase; None where the phase did not finish.

    dns: name to addresses. tcp: connect. tls: TLS handshake. first_byte: request sent → first byte
    of the answer. upgrade: request sent → end of the answer's head. first_frame: 101 → first frame
    from the other side. echo: message sent → message containing the nonce. ping: ping → its pong.
    close: our close frame → theirs. total: start → end of the probe, whatever happened.
    """

    dns: float | None = None
    tcp: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    upgrade: float | None = None
    first_frame: float | None = None
    echo: float | None = None
    ping: float | None = None
    close: float | None = None
    total: float | None = None

    @property
    def connect(self) -> float | None:
        """What a client waits for an open WebSocket: name, connection, TLS and handshake; None
        without a handshake.
        """
        if self.upgrade is None:
            return None
        return (self.dns or 0.0) + (self.tcp or 0.0) + (self.tls or 0.0) + self.upgrade


@dataclass(frozen=True, slots=True)
class FrameSeen:
    """One WebSocket frame; `size` is the payload in bytes, `at_ms` counts from the start of the
    probe.

    A `compressed` frame that was received has its size on the wire and no preview; one that was
    sent has those of the message.
    """

    direction: Literal["sent", "received"]
    opcode: Literal["continuation", "text", "binary", "close", "ping", "pong"]
    size: int
    at_ms: float
    preview: str = ""
    final: bool = True
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One step of a script as it went: `text` is its line, `took_ms` how long it took, `detail`
    what was heard.
    """

    text: str
    ok: bool
    at_ms: float
    took_ms: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CloseSeen:
    """How the WebSocket ended: 1005 is a close frame without code, 1006 no close frame at all (RFC
    6455 7.4.1).
    """

    code: int
    reason: str
    clean: bool
    by: Literal["us", "peer", "nobody"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Facts of the certificate the other side presented; times are ISO 8601 in UTC."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: str
    not_after: str
    self_signed: bool
    fingerprint_sha256: str


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the TLS handshake agreed on; `trusted` is False when only a second look, without trust,
    showed the facts.
    """

    server_name: str
    version: str = ""
    cipher: str = ""
    alpn: str = ""
    trusted: bool = False
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to connect to one checked address."""

    address: str
    outcome: str
    ms: float


@dataclass(frozen=True, slots=True)
class NetworkRoute:
    """Where the URL's host really led: `override` is the connect-to rule that was applied, empty
    without one.
    """

    host: str
    port: int
    connect_host: str
    connect_port: int
    override: str = ""
    addresses: tuple[str, ...] = ()
    connected: str = ""
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """The network did something that ends a phase: expected, recorded, never raised."""

    phase: Phase
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything one probe saw. `failures` is in order of happening; the first one decides. `late`
    is an HTTP response that came after the 101, where a frame belongs; `body` is that of a refusal.
    """

    url: str
    started_at: str = ""
    route: NetworkRoute | None = None
    tls: TlsFacts | None = None
    request: HandshakeRequest | None = None
    response: ResponseHead | None = None
    late: ResponseHead | None = None
    findings: tuple[Finding, ...] = ()
    body: str = ""
    body_truncated: bool = False
    frames: tuple[FrameSeen, ...] = ()
    steps: tuple[StepSeen, ...] = ()
    close: CloseSeen | None = None
    timing: Timing = field(default_factory=Timing)
    failures: tuple[Failure, ...] = ()
    nonce: str = ""
    asked_echo: bool = False

    @property
    def failure(self) -> Failure | None:
        """The failure that decides, or None."""
        return self.failures[0] if self.failures else None

    @property
    def answer(self) -> ResponseHead | None:
        """The response that decides: some servers say 101 before they refuse."""
        return self.late or self.response

    @property
    def upgraded(self) -> bool:
        """True after a 101 that keeps every rule of RFC 6455 4.1."""
        switched = self.response is not None and self.response.status == 101
        return switched and bool(self.findings) and all(finding.ok for finding in self.findings)

    @property
    def live(self) -> bool:
        """True when the handshake is right and everything the script asked for was answered."""
        return self.upgraded and not self.failures

    @property
    def edge_request_id(self) -> str:
        """`x-amz-cf-id` of the answer: the `x-edge-request-id` of CloudFront's log row, or
        empty.
        """
        return self.response.get("x-amz-cf-id") if self.response else ""

    def masked(self, known: KnownSecrets | None = None) -> Transcript:
        """The same without credentials: what is stored and shown.

        1. What stands where credentials do, both in what was sent and in what came back.
        2. `known` values and those of step 1, wherever else they are, also spread over frames.
        """
        found: list[str] = []
        once: Transcript = _mask_places(self, found)
        known = KnownSecrets(found).with_all(known)
        everywhere: Transcript = _mask_known(once, known) if known else once
        return everywhere

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, credentials masked and texts `storable`; otherwise `from_dict` reads
        back an equal one.
        """
        return {"schema": SCHEMA, **_to_plain(self.masked())}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Transcript:
        """Read a stored transcript. Raises ValueError for another schema, an unknown field or a
        wrong type.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"transcript schema {data.get('schema')!r}, expected {SCHEMA}")
        body = {name: value for name, value in data.items() if name != "schema"}
        return _from_plain(cls, body, "transcript")


ECHOED = 16
"""The least length of a value in a message from the app that is looked for elsewhere: shorter ones
can be words, as in {"auth": "failed"}."""


def _mask_places(value: Any, found: list[str]) -> Any:
    """Each header by its name, URLs, the query of the request line, and texts."""
    match value:
        case HeaderLine():
            shown = mask_header(value.name, value.value, found, guess=False)
            if shown == value.value:
                return value
            return replace(value, value=shown, raw=f"{value.name}: {shown}")
        case HandshakeRequest():
            offered = mask_subprotocols(value.subprotocols, found)
            line = " ".join(mask_url(part, found) for part in value.request_line.split(" "))
            value = replace(value, request_line=line, subprotocols=offered)
        case Transcript():
            value = replace(
                value,
                url=mask_url(value.url, found),
                frames=_mask_fragments(value.frames, found),
            )
        case ResponseHead():
            heard: list[str] = []
            lines = _mask_places(value.headers, heard)
            found += filter(_worth_looking_for, heard)
            value = replace(value, headers=lines)
        case tuple():
            return tuple(_mask_places(item, found) for item in value)
        case str() if not isinstance(value, Enum):
            return _mask_message(value, found)
        case _ if not is_dataclass(value):
            return value
    changed: dict[str, Any] = {}
    for name in _texts(_class_of(value)):
        text = getattr(value, name)
        if (masked := _mask_message(text, found)) != text:
            changed[name] = masked
    for name in _nested(_class_of(value)):
        inner = getattr(value, name)
        if (shown := _mask_places(inner, found)) != inner:
            changed[name] = shown
    return replace(value, **changed) if changed else value


def _mask_message(text: str, found: list[str]) -> str:
    heard: list[str] = []
    masked = mask_text(text, heard)
    found += filter(_worth_looking_for, heard)
    return masked


def _worth_looking_for(heard: str) -> bool:
    return len(heard) >= ECHOED and not heard.isalpha()


def _mask_fragments(frames: tuple[FrameSeen, ...], found: list[str]) -> tuple[FrameSeen, ...]:
    """Frames of one direction after the other as one text: a message can be in several."""
    for direction in ("sent", "received"):
        at = [
            index
            for index, frame in enumerate(frames)
            if frame.direction == direction and frame.opcode in ("text", "continuation")
        ]
        if not any(not frames[index].final for index in at):
            continue
        heard: list[str] = []
        texts = [frames[index].preview for index in at]
        mask_text("".join(texts), heard)
        shown = dict(zip(at, KnownSecrets(heard).mask_all(texts), strict=True))
        frames = tuple(
            replace(frame, preview=shown[index]) if index in shown else frame
            for index, frame in enumerate(frames)
        )
        found += filter(_worth_looking_for, heard)
    return frames


def _mask_known(value: Any, known: KnownSecrets) -> Any:
    """The values wherever they are, in each text by itself and in the frames of each direction."""
    if isinstance(value, tuple):
        return tuple(_mask_known(item, known) for item in value)
    if isinstance(value, str) and not isinstance(value, Enum):
        return known.mask(value)
    if not is_dataclass(value):
        return value
    changed: dict[str, Any] = {}
    if isinstance(value, Transcript):
        frames = list(value.frames)
        for direction in ("sent", "received"):
            at = [index for index, one in enumerate(frames) if one.direction == direction]
            shown = known.mask_all([frames[index].preview for index in at])
            for index, text in zip(at, shown, strict=True):
                frames[index] = replace(frames[index], preview=text)
        value = replace(value, frames=tuple(frames))
    for name in _texts(_class_of(value)):
        text = getattr(value, name)
        if (masked := known.mask(text)) != text:
            changed[name] = masked
    for name in _nested(_class_of(value)):
        changed[name] = _mask_known(getattr(value, name), known)
    return replace(value, **changed) if changed else value


def _class_of(value: Any) -> Hashable:
    return typing.cast("Hashable", type(value))


@functools.cache
def _texts(cls: Hashable) -> tuple[str, ...]:
    """The fields that are texts: neither enums nor one of a few words."""
    return tuple(name for name, hint in _hints(cls).items() if hint is str)


@functools.cache
def _nested(cls: Hashable) -> tuple[str, ...]:
    """The fields that hold texts further down."""
    plain = (str, int, float, bool)
    return tuple(
        name
        for name, hint in _hints(cls).items()
        if hint not in plain
        and typing.get_origin(hint) is not Literal
        and not (isinstance(hint, type) and issubclass(hint, Enum))
    )


def _to_plain(value: Any) -> Any:
    if is_dataclass(value):
        return {spec.name: _to_plain(getattr(value, spec.name)) for spec in fields(value)}
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return storable(value) if isinstance(value, str) else value


def storable(text: str) -> str:
    """Text as PostgreSQL's JSON takes it: no NUL, no half of a surrogate pair; both can come from
    the other side.
    """
    if "\x00" in text:
        text = text.replace("\x00", "�")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


T = TypeVar("T")


@functools.cache
def _hints(cls: Hashable) -> dict[str, Any]:
    """Cached per class: resolving annotations costs more than reading a transcript."""
    return typing.get_type_hints(cls)


def _from_plain(cls: type[T], value: Any, where: str) -> T:
    """Build a dataclass from plain JSON, strictly by its annotations."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: expected an object, got {type(value).__name__}")
    hints = _hints(typing.cast("Hashable", cls))
    if unknown := value.keys() - hints.keys():
        raise ValueError(f"{where}: unknown {', '.join(sorted(unknown))}")
    arguments = {name: _value(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if value is None:
            return None
        (hint,) = (choice for choice in choices if choice is not types.NoneType)
        return _value(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list")
        return tuple(
            _value(choices[0], item, f"{where}[{index}]") for index, item in enumerate(value)
        )
    if origin is Literal:
        if value not in choices:
            raise ValueError(f"{where}: {value!r} is none of {choices}")
        return value
    if is_dataclass(hint):
        return _from_plain(typing.cast("type[Any]", hint), value, where)
    if issubclass(hint, Enum):
        return hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where}: expected {hint.__name__}, got {type(value).__name__}")
    return value
