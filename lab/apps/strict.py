"""Chat apps that are correct but strict: which requests they refuse, and how (PURE).

A rule decides on the head of a request. Accepted clients get the same conversation as at the plain
chat app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

ALLOWED_ORIGIN = "https://app.allowed.example"
ALLOWED_HOST = "app.allowed.example"
TOKEN = "letmein"  # noqa: S105 - not a secret
SUBPROTOCOL = "chat.v1"
HEALTH_PATHS = ("/healthz", "/health")


@dataclass(frozen=True, slots=True)
class AppRefusal:
    """What the app answers instead of opening the WebSocket."""

    status: int
    text: str
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


# (path without query, headers by lower-case name) -> a refusal, or None to accept.
RefusalRule = Callable[[str, Mapping[str, str]], AppRefusal | None]


@dataclass(frozen=True, slots=True)
class ChatApp:
    """A chat app: its refusal rule, its subprotocols, and whether it closes WebSockets that
    negotiated none.
    """

    refuse: RefusalRule = lambda path, headers: None
    subprotocols: tuple[str, ...] = (SUBPROTOCOL,)
    closes_without_subprotocol: bool = False


STRICT_APPS: dict[str, ChatApp] = {
    "subprotocol-ignored": ChatApp(subprotocols=()),
    "subprotocol-closes": ChatApp(closes_without_subprotocol=True),
}


def _app(name: str) -> Callable[[RefusalRule], RefusalRule]:
    """Register the decorated rule as the app of that name."""

    def register(refuse: RefusalRule) -> RefusalRule:
        STRICT_APPS[name] = ChatApp(refuse)
        return refuse

    return register


@_app("origin-check")
def check_origin(path: str, headers: Mapping[str, str]) -> AppRefusal | None:
    if headers.get("origin") == ALLOWED_ORIGIN or path in HEALTH_PATHS:
        return None
    return AppRefusal(403, f"Origin {headers.get('origin', '(none)')} is not allowed\n")


@_app("host-check")
def check_host(path: str, headers: Mapping[str, str]) -> AppRefusal | None:
    """Refuse like Django's DisallowedHost."""
    host = headers.get("host", "")
    if host.partition(":")[0] == ALLOWED_HOST or path in HEALTH_PATHS:
        return None
    text = (
        "<h1>DisallowedHost</h1><p>Invalid HTTP_HOST header: You may need to add "
        f"{ALLOWED_HOST!r} to ALLOWED_HOSTS."
    )
    return AppRefusal(400, text, "text/html; charset=utf-8")


@_app("subprotocol-required")
def require_subprotocol(path: str, headers: Mapping[str, str]) -> AppRefusal | None:
    offered = [each.strip() for each in headers.get("sec-websocket-protocol", "").split(",")]
    if SUBPROTOCOL in offered or path in HEALTH_PATHS:
        return None
    return AppRefusal(400, f"the subprotocol {SUBPROTOCOL} is required\n")


@_app("needs-login")
def require_token(path: str, headers: Mapping[str, str]) -> AppRefusal | None:
    if headers.get("authorization") == f"Bearer {TOKEN}" or path in HEALTH_PATHS:
        return None
    challenge = ("WWW-Authenticate", 'Bearer realm="chat"')
    return AppRefusal(401, "authentication required\n", headers=(challenge,))


@_app("sends-to-login")
def redirect_to_login(path: str, headers: Mapping[str, str]) -> AppRefusal | None:
    cookies = [each.strip().partition("=")[0] for each in headers.get("cookie", "").split(";")]
    if "session" in cookies or path in (*HEALTH_PATHS, "/login"):
        return None
    return AppRefusal(302, "", headers=(("Location", "/login"),))


@_app("health-fails")
def fail_health_checks(path: str, headers: Mapping[str, str]) -> AppRefusal | None:
    return AppRefusal(500, "database unavailable\n") if path in HEALTH_PATHS else None
