"""Chat apps that are right but choosy: whom they refuse, and with what words (PURE).

They decide on a request's head alone; everybody they let in has the same conversation as at the
well-behaved app. They must never let in what they say they refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

ALLOWED_ORIGIN = "https://app.allowed.example"
ALLOWED_HOST = "app.allowed.example"
TOKEN = "letmein"  # noqa: S105 - the word on everybody's doormat
SUBPROTOCOL = "chat.v1"
HEALTH_PATHS = ("/healthz", "/health")


@dataclass(frozen=True, slots=True)
class Refused:
    """What the app answers instead of opening the WebSocket."""

    status: int
    text: str
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


# Path without query, and headers by lower-case name, to a refusal; None lets in.
Choice = Callable[[str, Mapping[str, str]], Refused | None]


def checks_origin(path: str, headers: Mapping[str, str]) -> Refused | None:
    if headers.get("origin") == ALLOWED_ORIGIN or path in HEALTH_PATHS:
        return None
    return Refused(403, f"Origin {headers.get('origin', '(none)')} is not allowed\n")


def checks_host(path: str, headers: Mapping[str, str]) -> Refused | None:
    """Refuse in the words of Django's DisallowedHost."""
    host = headers.get("host", "")
    if host.partition(":")[0] == ALLOWED_HOST or path in HEALTH_PATHS:
        return None
    text = (
        "<h1>DisallowedHost</h1><p>Invalid HTTP_HOST header: You may need to add "
        f"{ALLOWED_HOST!r} to ALLOWED_HOSTS."
    )
    return Refused(400, text, "text/html; charset=utf-8")


def requires_subprotocol(path: str, headers: Mapping[str, str]) -> Refused | None:
    offered = [each.strip() for each in headers.get("sec-websocket-protocol", "").split(",")]
    if SUBPROTOCOL in offered or path in HEALTH_PATHS:
        return None
    return Refused(400, f"this WebSocket speaks {SUBPROTOCOL} only\n")


def needs_login(path: str, headers: Mapping[str, str]) -> Refused | None:
    if headers.get("authorization") == f"Bearer {TOKEN}" or path in HEALTH_PATHS:
        return None
    return Refused(401, "who are you?\n", headers=(("WWW-Authenticate", 'Bearer realm="chat"'),))


def sends_to_login(path: str, headers: Mapping[str, str]) -> Refused | None:
    cookies = [each.strip().partition("=")[0] for each in headers.get("cookie", "").split(";")]
    if "session" in cookies or path in (*HEALTH_PATHS, "/login"):
        return None
    return Refused(302, "", headers=(("Location", "/login"),))


def fails_its_health_check(path: str, headers: Mapping[str, str]) -> Refused | None:
    return Refused(500, "the database is away\n") if path in HEALTH_PATHS else None


def lets_everybody_in(path: str, headers: Mapping[str, str]) -> Refused | None:
    return None


@dataclass(frozen=True, slots=True)
class Choosy:
    """A chat app: whom it refuses, the subprotocols it knows, and whether a client must offer one
    to stay.
    """

    refuses: Choice
    subprotocols: tuple[str, ...] = (SUBPROTOCOL,)
    closes_without_subprotocol: bool = False


CHOOSY: Mapping[str, Choosy] = {
    "origin-check": Choosy(checks_origin),
    "host-check": Choosy(checks_host),
    "subprotocol-required": Choosy(requires_subprotocol),
    "subprotocol-ignored": Choosy(lets_everybody_in, subprotocols=()),
    "subprotocol-closes": Choosy(lets_everybody_in, closes_without_subprotocol=True),
    "needs-login": Choosy(needs_login),
    "sends-to-login": Choosy(sends_to_login),
    "health-fails": Choosy(fails_its_health_check),
}
