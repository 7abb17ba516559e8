"""What becomes of the headers of an origin's response (PURE).

It decides as the Developer Guide has it under "HTTP response headers that CloudFront removes or
replaces" and "Understand response headers policies": remove, then CORS, then add. It must never be
applied to an answer that the edge makes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.edge.account.distributions import Behavior
from lab.edge.account.policies import Cors, ResponseHeadersPolicy
from lab.edge.cdn.forwarding import forwards_cookies, forwards_header
from lab.edge.http.messages import Header, ViewerRequest

ALWAYS_IN_VARY = frozenset({"*", "accept-encoding", "cookie"})
DEVICE_HEADERS = tuple(
    f"cloudfront-is-{device}-viewer" for device in ("desktop", "mobile", "smarttv", "tablet")
)
ALL_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")


def strip_unforwarded(headers: Iterable[Header], behavior: Behavior) -> tuple[Header, ...]:
    """The origin's response headers without what the behavior keeps from viewers.

    1. Set-Cookie goes with the cookies: it is removed where none is forwarded.
    2. Of Vary stay `*`, Accept-Encoding, Cookie, and the names of headers that the behavior
       forwards.
    """
    kept: list[Header] = []
    for name, value in headers:
        if name.lower() == "set-cookie" and not forwards_cookies(behavior):
            continue
        if name.lower() == "vary":
            value = ", ".join(
                part for part in map(str.strip, value.split(",")) if _varies(part.lower(), behavior)
            )
            if not value:
                continue
        kept.append((name, value))
    return tuple(kept)


def apply_policy(
    headers: Iterable[Header], policy: ResponseHeadersPolicy | None, request: ViewerRequest
) -> tuple[Header, ...]:
    """The origin's response headers after the behavior's policy.

    1. Headers that the policy removes go.
    2. A request with an Origin gets the CORS headers; those that only a preflight asks for come
       only to a preflight.
    3. Added headers: with Override they replace the origin's, without it they come only where the
       origin has none.
    """
    kept = list(headers)
    if policy is None:
        return tuple(kept)
    kept = [(name, value) for name, value in kept if name.lower() not in policy.removed]
    added = [(added.name, added.value, added.override) for added in policy.added]
    if policy.cors is not None and request.header("origin"):
        added += [
            (name, value, policy.cors.override) for name, value in _cors(policy.cors, request)
        ]
    for name, value, override in added:
        if override:
            kept = [(other, has) for other, has in kept if other.lower() != name.lower()]
        elif any(other.lower() == name.lower() for other, _ in kept):
            continue
        kept.append((name, value))
    return tuple(kept)


def _varies(name: str, behavior: Behavior) -> bool:
    if name in ALWAYS_IN_VARY or forwards_header(behavior, name):
        return True
    return name == "user-agent" and any(
        forwards_header(behavior, device) for device in DEVICE_HEADERS
    )


def _cors(cors: Cors, request: ViewerRequest) -> list[Header]:
    origin = request.header("origin")
    if not any(_matches(pattern, origin) for pattern in cors.origins):
        return []
    everybody = "*" in cors.origins and not cors.credentials
    made = [("Access-Control-Allow-Origin", "*" if everybody else origin)]
    if not everybody:
        made.append(("Vary", "Origin"))
    if cors.credentials:
        made.append(("Access-Control-Allow-Credentials", "true"))
    if request.method == "OPTIONS" and request.header("access-control-request-method"):
        methods = ALL_METHODS if "ALL" in cors.methods else cors.methods
        made.append(("Access-Control-Allow-Methods", ", ".join(methods)))
        if cors.headers:
            made.append(("Access-Control-Allow-Headers", ", ".join(cors.headers)))
        if cors.max_age is not None:
            made.append(("Access-Control-Max-Age", str(cors.max_age)))
    elif cors.exposed:
        made.append(("Access-Control-Expose-Headers", ", ".join(cors.exposed)))
    return made


def _matches(pattern: str, origin: str) -> bool:
    """`*`, `https://a.example` with or without scheme, or `*.example` for every name below it."""
    if pattern == "*":
        return True
    scheme, separator, host = origin.partition("://")
    wanted_scheme, wanted_separator, wanted = pattern.rpartition("://")
    if wanted_separator and wanted_scheme not in ("*", "http*", scheme):
        return False
    host = host if separator else origin
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted
