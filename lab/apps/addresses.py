"""The apps behind the load balancers by name, and where each is: in the simulated network and on
this machine (PURE).

It decides addresses only. All apps listen on LAB_APP_PORT; each that misbehaves has a loopback
address of its own, so that it needs no port that somebody else may hold. It must never name an
address outside 127.0.0.0/8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIMULATED_PORT = 8080


@dataclass(frozen=True, slots=True)
class App:
    """One app that misbehaves; `number` is the last part of both its addresses, `what` one sentence
    for people.
    """

    number: int
    name: str
    what: str

    @property
    def simulated(self) -> str:
        """host:port as a target group would register it."""
        return f"10.66.0.{self.number}:{SIMULATED_PORT}"

    @property
    def loopback(self) -> str:
        """The address on which it listens."""
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
    App(
        4, "subprotocol-ignored", "Opens the WebSocket, but never says which subprotocol it chose."
    ),
    App(
        5,
        "subprotocol-closes",
        "Opens the WebSocket and closes it with 1002 unless the client offered chat.v1.",
    ),
    App(6, "no-websocket", "Answers every WebSocket handshake with 426."),
    App(
        7,
        "old-version",
        "Speaks only version 8 of the WebSocket protocol: 426 with Sec-WebSocket-Version: 8.",
    ),
    App(8, "ignores-upgrade", "Answers 200 with JSON, as if nobody had asked for an upgrade."),
    App(9, "redirects-to-https", "Answers everything with 301 to the same address with https."),
    App(10, "single-page", "Answers everything with 200 and the same web page."),
    App(11, "slow-accept", "Opens the WebSocket after 20 seconds."),
    App(12, "deflates-unasked", "Sends compressed frames although nobody agreed to compression."),
    App(
        13,
        "deflates-badly",
        "Agrees to permessage-deflate and then sends frames that do not decompress.",
    ),
    App(14, "resets", "Resets the TCP connection when it has read the request."),
    App(15, "wrong-accept", "Answers 101 with a Sec-WebSocket-Accept that belongs to another key."),
    App(16, "no-accept", "Answers 101 without a Sec-WebSocket-Accept."),
    App(17, "silent", "Opens the WebSocket and never says or answers anything, pings included."),
    App(18, "closes", "Opens the WebSocket and closes it with 1011, or with the code in ?code=."),
    App(19, "drops", "Opens the WebSocket and ends the TCP connection without a close frame."),
    App(20, "needs-login", "Answers 401 unless the request carries Authorization: Bearer letmein."),
    App(21, "sends-to-login", "Answers 302 to /login unless the request carries a session cookie."),
    App(22, "not-found", "Answers everything with 404, as an app does that has no such path."),
    App(23, "breaks", "Answers everything with 500."),
    App(24, "overloaded", "Answers everything with 503 and Retry-After."),
    App(25, "not-http", "Answers with bytes that are not HTTP."),
    App(26, "never-answers", "Takes the connection and the request, and never says a word."),
    App(27, "hangs-up", "Closes the TCP connection in the middle of the status line."),
    App(
        28,
        "health-fails",
        "A chat app like the well-behaved one, but its health check answers 500.",
    ),
    App(
        40,
        "deflate-bomb",
        "Agrees to permessage-deflate; its first message is small and decompresses to 256 MiB.",
    ),
    App(41, "endless-headers", "Answers with header lines that never end."),
    App(42, "drips", "Answers one byte at a time, one each 50 ms, for ever."),
    App(43, "huge-frame", "Opens the WebSocket and announces a frame of 2^63 - 1 bytes."),
    App(
        44,
        "endless-fragments",
        "Opens the WebSocket and sends a message whose fragments never end.",
    ),
    App(
        45,
        "redirects-inside",
        "Answers 302 to the AWS endpoint of this lab, as an attacker points inside.",
    ),
    App(46, "floods", "Opens the WebSocket and sends messages as fast as the client takes them."),
    App(
        47, "masked-frames", "Opens the WebSocket and sends masked frames, which servers must not."
    ),
)

BY_NAME: Mapping[str, App] = {app.name: app for app in MISBEHAVING}


def hosts(app_port: int) -> dict[str, str]:
    """Simulated address -> where it really listens, for every app that misbehaves."""
    return {app.simulated: f"{app.loopback}:{app_port}" for app in MISBEHAVING}


def listing() -> list[dict[str, str]]:
    """What `GET /apps` says of each."""
    return [
        {"name": app.name, "simulated": app.simulated, "loopback": app.loopback, "what": app.what}
        for app in MISBEHAVING
    ]
