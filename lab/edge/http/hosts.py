"""Host headers and request targets (PURE)."""

from __future__ import annotations

import re

CLOUDFRONT_SUFFIX = ".cloudfront.net"
LOCAL_SUFFIX = ".edge.localhost"
# RFC 3986 section 3.2.2, without userinfo.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[-A-Za-z0-9._~%!$&'()*+,;=]*)(:[0-9]*)?")


def split_host(host: str) -> tuple[str, str]:
    """`Name:8002` → `("name", "8002")`. The port is "" when none was given."""
    name, _, port = host.strip().lower().partition(":")
    return name.rstrip("."), port


def split_target(method: str, target: str) -> tuple[str, str] | None:
    """Split a request target into host ("" if it has none) and path with query string. None if it
    is malformed.

    `/path` is the usual form. `http://host/path`, as sent to a proxy, overrides the Host header;
    `*` is only for OPTIONS and `host:port` only for CONNECT (RFC 9112 section 3.2).
    """
    if target.startswith("/"):
        return "", target
    if (method, target) == ("OPTIONS", "*") or method == "CONNECT":
        return "", "/"
    scheme, separator, rest = target.partition("://")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if not separator or scheme.lower() not in ("http", "https") or not authority:
        return None
    path = rest[len(authority) :]
    return authority, path if path.startswith("/") else f"/{path}"


def is_host(host: str) -> bool:
    """Whether a Host header is a name or an address, with an optional port (RFC 9110, 7.2)."""
    return _HOST.fullmatch(host.strip()) is not None
