"""The lab's misbehaving apps: name, description, and address in the simulated network and on this
machine (PURE).

All listen on LAB_APP_PORT. Each has a loopback address of its own, so that none needs a port that
another process may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIMULATED_PORT = 8080


@dataclass(frozen=True, slots=True)
class App:
    """One misbehaving app. `number` is the last octet of both its addresses."""

    number: int
    name: str
    description: str

    @property
    def simulated(self) -> str:
        """host:port in the simulated network, as registered in a target group."""
        return f"10.66.0.{self.number}:{SIMULATED_PORT}"

    @property
    def loopback(self) -> str:
        """The loopback address on which it listens."""
        return f"127.0.66.{self.number}"


MISBEHAVING: tuple[App, ...] = (
    App(1, "origin-check", "Answers 403 unless the Origin header is https://app.allowed.example."),
    App(
        2,
        "host-check",
        "Answers 400 unless the Host header is app.allowed.example, as Django's "
        "ALLOWED_HOSTS does.",
    ),
    App(3, "subprotocol-required", "Answers 400 unless the client offers the subprotocol chat.v1."),
    App(4, "subprotocol-ignored", "Opens the WebSocket without selecting a subprotocol."),
    App(
        5,
        "subprotocol-closes",
        "Opens the WebSocket and closes it with 1002 unless the client offered chat.v1.",
    ),
    App(6, "no-websocket", "Answers every WebSocket handshake with 426."),
    App(
        7,
        "old-version",
        "Supports only version 8 of the WebSocket protocol: 426 with Sec-WebSocket-Version: 8.",
    ),
    App(8, "ignores-upgrade", "Ignores the upgrade and answers 200 with JSON."),
    App(9, "redirects-to-https", "Redirects everything to the same URL with https (301)."),
    App(10, "single-page", "Answers everything with 200 and the same web page."),
    App(11, "slow-accept", "Opens the WebSocket after 35 seconds."),
    App(12, "deflates-unasked", "Sends compressed frames without having negotiated compression."),
    App(
        13,
        "deflates-badly",
        "Accepts permessage-deflate and then sends frames that do not decompress.",
    ),
    App(14, "resets", "Resets the TCP connection after reading the request."),
    App(15, "wrong-accept", "Answers 101 with a Sec-WebSocket-Accept for another key."),
    App(16, "no-accept", "Answers 101 without a Sec-WebSocket-Accept."),
    App(17, "silent", "Opens the WebSocket and never sends anything, not even pongs."),
    App(18, "closes", "Opens the WebSocket and closes it with 1011, or with the code in ?code=."),
    App(19, "drops", "Opens the WebSocket and closes the TCP connection without a close frame."),
    App(20, "needs-login", "Answers 401 unless the request has Authorization: Bearer letmein."),
    App(21, "sends-to-login", "Redirects to /login (302) unless the request has a session cookie."),
    App(22, "not-found", "Answers everything with 404."),
    App(23, "breaks", "Answers everything with 500."),
    App(24, "overloaded", "Answers everything with 503 and Retry-After."),
    App(25, "not-http", "Answers with bytes that are not HTTP."),
    App(26, "never-answers", "Accepts the connection and the request, and never answers."),
    App(27, "hangs-up", "Closes the TCP connection in the middle of the status line."),
    App(
        28,
        "health-fails",
        "Works like the chat app, but answers health checks with 500.",
    ),
    App(
        40,
        "deflate-bomb",
        "Accepts permessage-deflate; its first message is small and decompresses to 256 MiB.",
    ),
    App(41, "endless-headers", "Answers with endless header lines."),
    App(42, "drips", "Answers one byte every 50 ms, for ever."),
    App(43, "huge-frame", "Opens the WebSocket and starts a frame of 2^63 - 1 bytes."),
    App(
        44,
        "endless-fragments",
        "Opens the WebSocket and sends a message of endless fragments.",
    ),
    App(
        45,
        "redirects-inside",
        "Redirects to the lab's AWS endpoint (302), like an SSRF attack.",
    ),
    App(46, "floods", "Opens the WebSocket and sends messages as fast as the client reads."),
    App(
        47,
        "masked-frames",
        "Opens the WebSocket and sends masked frames, which servers must not do.",
    ),
)

BY_NAME: Mapping[str, App] = {app.name: app for app in MISBEHAVING}


def hosts(app_port: int) -> dict[str, str]:
    """Simulated address to real address, for every misbehaving app."""
    return {app.simulated: f"{app.loopback}:{app_port}" for app in MISBEHAVING}


def listing() -> list[dict[str, str]]:
    """The answer to `GET /apps`."""
    return [
        {
            "name": app.name,
            "simulated": app.simulated,
            "loopback": app.loopback,
            "description": app.description,
        }
        for app in MISBEHAVING
    ]
