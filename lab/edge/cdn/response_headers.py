"""The response headers that a viewer gets (PURE).

Developer Guide, "HTTP response headers that CloudFront removes or replaces" and "Understand
response headers policies": remove, then CORS, then add. Responses that the edge generates get none
of this.
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.edge.account.distributions import Behavior
from lab.edge.account.policies import Cors, ResponseHeadersPolicy
from lab.edge.cdn.forwarding import forwards_cookies, forwards_header
from lab.edge.http.messages import POP, EdgeIdentity, Header, ViewerRequest

ALWAYS_IN_VARY = frozenset({"*", "accept-encoding", "cookie"})
DEVICE_HEADERS = tuple(
    f"cloudfront-is-{device}-viewer" for device in ("desktop", "mobile", "smarttv", "tablet")
)
REPLACED_BY_EDGE = frozenset({"x-cache", "x-amz-cf-id", "x-amz-cf-pop", "via"})
# Correct only for the sample key of RFC 6455 section 1.3.
WRONG_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ALL_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")


def strip_unforwarded(headers: Iterable[Header], behavior: Behavior) -> tuple[Header, ...]:
    """Remove what the behavior does not forward to the origin from its response headers.

    1. Set-Cookie, if the behavior forwards no cookies.
    2. From Vary all but `*`, Accept-Encoding, Cookie and the headers that the behavior forwards.
    """
    kept: list[Header] = []
    for name, value in headers:
        if name.lower() == "set-cookie" and not forwards_cookies(behavior):
            continue
        if name.lower() == "vary":
            by_device = any(forwards_header(behavior, device) for device in DEVICE_HEADERS)
            kept_names = ALWAYS_IN_VARY | ({"user-agent"} if by_device else set())
            value = ", ".join(
                part
                for part in map(str.strip, value.split(","))
                if part.lower() in kept_names or forwards_header(behavior, part.lower())
            )
            if not value:
                continue
        kept.append((name, value))
    return tuple(kept)


def apply_policy(
    headers: Iterable[Header], policy: ResponseHeadersPolicy | None, request: ViewerRequest
) -> tuple[Header, ...]:
    """Apply the behavior's response headers policy to an origin's response headers.

    1. Drop the headers that the policy removes.
    2. Add CORS headers if the request has an Origin; preflight headers only to a preflight.
    3. Add the policy's headers. With Override they replace the origin's; without it they are added
       only if the origin has none.
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


def relayed_headers(
    headers: Iterable[Header], error: bool, edge: EdgeIdentity
) -> tuple[Header, ...]:
    """An origin's response headers with CloudFront's own added. An origin's error is marked as an
    error from CloudFront.

    `error` is also true for a custom error response, whatever its status.
    """
    kept = [(name, value) for name, value in headers if name.lower() not in REPLACED_BY_EDGE]
    earlier = ", ".join(value for name, value in headers if name.lower() == "via")
    return (
        *kept,
        *edge_headers(edge, "Error from cloudfront" if error else "Miss from cloudfront", earlier),
    )


def edge_headers(edge: EdgeIdentity, cache: str, earlier_via: str) -> tuple[Header, ...]:
    """The headers that CloudFront adds to every response."""
    return (
        ("X-Cache", cache),
        ("Via", f"{earlier_via}, {edge.via}" if earlier_via else edge.via),
        ("X-Amz-Cf-Pop", POP),
        ("X-Amz-Cf-Id", edge.request_id),
    )


def with_wrong_accept(headers: Iterable[Header]) -> tuple[Header, ...]:
    """A 101's headers as from a proxy that never saw the key: the fault `wrong-accept`."""
    return tuple(
        (name, WRONG_ACCEPT if name.lower() == "sec-websocket-accept" else value)
        for name, value in headers
    )


def _cors(cors: Cors, request: ViewerRequest) -> list[Header]:
    origin = request.header("origin")
    if not any(_matches(pattern, origin) for pattern in cors.origins):
        return []
    any_origin = "*" in cors.origins and not cors.credentials
    made = [("Access-Control-Allow-Origin", "*" if any_origin else origin)]
    if not any_origin:
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
    """Whether an origin matches `*`, `https://a.example` (scheme optional) or `*.example`."""
    if pattern == "*":
        return True
    scheme, separator, host = origin.partition("://")
    wanted_scheme, wanted_separator, wanted = pattern.rpartition("://")
    if wanted_separator and wanted_scheme not in ("*", "http*", scheme):
        return False
    host = host if separator else origin
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted
