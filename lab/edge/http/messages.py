"""Requests and answers as frozen values (PURE)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

Header = tuple[str, str]

POP = "LAB50-P1"
# Not registered with IANA: nginx invented it, and CloudFront uses it too.
UNREGISTERED_REASONS = {494: "Request Header Too Large"}


@dataclass(frozen=True, slots=True)
class ViewerRequest:
    """A request as the viewer sent it. `target` is path and query string, as on the request line.

    `server_name` is the SNI of the viewer's TLS handshake, `country` the location of its address;
    `tls` is "version:cipher". Each is "" if unknown.
    """

    method: str
    target: str
    headers: tuple[Header, ...]
    scheme: str
    http_version: str
    address: str
    port: int
    tls: str = ""
    server_name: str = ""
    country: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """All values of a header (name in lower case), joined with commas; "" if absent."""
        return ", ".join(value for key, value in self.headers if key.lower() == name)

    @property
    def is_websocket_handshake(self) -> bool:
        """GET over HTTP/1.1 that asks to upgrade to websocket (RFC 6455 section 4.1)."""
        return (
            self.method == "GET"
            and self.http_version == "1.1"
            and "websocket" in _tokens(self.header("upgrade"))
            and "upgrade" in _tokens(self.header("connection"))
        )


@dataclass(frozen=True, slots=True)
class EdgeIdentity:
    """How the edge identifies itself in one request: its name in Via, and the request id."""

    via_name: str
    request_id: str

    @property
    def via(self) -> str:
        return f"1.1 {self.via_name} (CloudFront)"


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """The request that the edge sends to an origin."""

    method: str
    target: str
    headers: tuple[Header, ...]

    @property
    def host(self) -> str:
        """The Host header."""
        return next((value for name, value in self.headers if name.lower() == "host"), "")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response that the edge generates itself.

    `result_type` and `detail` are the log's x-edge-result-type and x-edge-detailed-result-type;
    `why` is the sentence shown on the page. With a `code`, the page is AWS's XML error document.
    `pageable`: a custom error response may replace it. `logged`: CloudFront writes a log row.
    `unconnected`: the edge had no connection to the origin.
    """

    status: int
    detail: str
    why: str
    result_type: str = "Error"
    location: str = ""
    code: str = ""
    headers: tuple[Header, ...] = ()
    pageable: bool = False
    logged: bool = True
    unconnected: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def reason_phrase(status: int) -> str:
    """The standard reason phrase, or "" for a number without one."""
    if status in UNREGISTERED_REASONS:
        return UNREGISTERED_REASONS[status]
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def json_answer(status: int, document: Mapping[str, object]) -> Answer:
    """A JSON document about the lab itself."""
    body = json.dumps(document).encode()
    return Answer(
        status, (("Content-Type", "application/json"), ("Content-Length", str(len(body)))), body
    )


def _tokens(value: str) -> Iterable[str]:
    return [token.strip().lower() for token in value.split(",")]
