"""Cross-site request forgery: whether a browser sends a request for the lab's own page or for
another site (PURE).

Checks Origin, Sec-Fetch-Site and Host, as OWASP's cheat sheet recommends. Programs send none of
these and are never refused. Enough for a lab on loopback only.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_NAMES = ("127.0.0.1", "localhost", "::1")


def refuse_foreign(method: str, headers: Mapping[str, str]) -> str | None:
    """Why a request is refused; None if it is not. `headers` have lower-case names.

    1. Safe methods are always answered, since another site cannot read the answer.
    2. A browser that says that another site sent the request is believed.
    3. Origin must be this host and port, and the host must be a name of this machine: any other
       name may point at 127.0.0.1 (DNS rebinding).
    """
    if method in _SAFE:
        return None
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "Another site sent this request. Use the lab's own page, or a program."
    origin = headers.get("origin")
    if origin is None:
        return None
    host = headers.get("host", "")
    if urlsplit(origin).netloc != host or not _is_own(host):
        return (
            f"A page of {origin[:100]} sent this request. Open the lab's page by 127.0.0.1 or "
            "localhost."
        )
    return None


def _is_own(host: str) -> bool:
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    return name in _OWN_NAMES or name.endswith(".localhost")
