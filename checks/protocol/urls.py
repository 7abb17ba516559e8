"""URLs that a probe may request, judged as characters before anything parses them (PURE).

Parsers disagree about odd URLs, and getaddrinfo reads `127.1`, `2130706433` and full-width digits
as loopback. So a URL is either plainly right or refused with a code and a reason; it is never
repaired.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
ALLOWED_SCHEMES = frozenset(DEFAULT_PORTS)
Ports = frozenset[int] | range | tuple[int, ...]
ALLOWED_PORTS: Ports = frozenset({80, 443})
MAX_URL = 8192
"""CloudFront refuses a longer URL with 414 (quotas page)."""


@dataclass(frozen=True, slots=True)
class AllowedUrl:
    """A URL in parts: `host` in lower case and without brackets, `resource` is path and query as
    they go onto the wire.
    """

    scheme: str
    host: str
    port: int
    resource: str

    @property
    def secure(self) -> bool:
        """The URL asks for TLS."""
        return self.scheme in ("https", "wss")

    @property
    def authority(self) -> str:
        """The Host header: with the port unless it is the scheme's default (RFC 6455 4.1 item
        4).
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.resource}"


@dataclass(frozen=True, slots=True)
class RefusedUrl:
    """A URL that must not be requested: a stable code, and the reason for people."""

    code: Literal[
        "url_too_long",
        "bad_character",
        "bad_scheme",
        "userinfo",
        "bad_host",
        "ip_literal",
        "bad_port",
        "port_not_allowed",
        "fragment",
    ]
    reason: str


# Cached: the same few endpoints are checked over and over.
@functools.lru_cache(maxsize=1024)
def judge_url(
    url: str,
    *,
    schemes: frozenset[str] | tuple[str, ...] = ALLOWED_SCHEMES,
    ports: Ports = ALLOWED_PORTS,
    allow_ip_literals: bool = False,
) -> AllowedUrl | RefusedUrl:
    """Whether this URL may be requested, as far as its characters tell.

    1. Length, then characters: printable ASCII only, no space, no backslash (parsers disagree on
       what it means).
    2. Scheme, then authority up to the first `/` or `?`; no userinfo, no fragment (RFC 6455 3).
    3. Host: letters, digits and hyphens in labels; not an address in any notation.
    4. Port: decimal, on the list.
    """
    if len(url) > MAX_URL:
        return RefusedUrl(
            "url_too_long",
            f"The URL has {len(url):,} characters; CloudFront takes {MAX_URL:,} at most.",
        )
    if strange := _NOT_URL.search(url):
        return RefusedUrl(
            "bad_character", f"The URL contains {strange.group()!r}, which a URL must not contain."
        )
    found = _URL.fullmatch(url)
    scheme = found["scheme"].lower() if found else ""
    if not found or scheme not in DEFAULT_PORTS or scheme not in schemes:
        wanted = ", ".join(sorted(f"{name}://" for name in schemes))
        return RefusedUrl("bad_scheme", f"The URL must start with one of {wanted}")
    if "#" in url:
        return RefusedUrl("fragment", "A WebSocket URL has no #fragment (RFC 6455 section 3).")
    authority, resource = found["authority"], found["resource"]
    if "@" in authority:
        return RefusedUrl(
            "userinfo", "The URL must not contain a user name or password before the host."
        )
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        return RefusedUrl("bad_host", f"{authority!r} is not a host name with an optional port.")
    port = _port(parts["port"], DEFAULT_PORTS[scheme])
    if port is None:
        return RefusedUrl("bad_port", f"{parts['port']!r} is not a port number.")
    if port not in ports:
        listed = ", ".join(str(number) for number in sorted(ports))
        return RefusedUrl(
            "port_not_allowed", f"Port {port} is not on the list of allowed ports ({listed})."
        )
    host = _host(parts["host"], allow_ip_literals)
    if isinstance(host, RefusedUrl):
        return host
    resource = resource if resource.startswith("/") else f"/{resource}"
    return AllowedUrl(scheme, host, port, resource)


_NOT_URL = re.compile(r"[^\x21-\x7e]|[\\^`{|}<>\"]")
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<resource>[^#]*)(#.*)?"
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:(?P<port>.*))?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# A name whose last label is a number in any base is read as an IPv4 address by some resolver or
# browser.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def _port(text: str | None, default: int) -> int | None:
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        return None
    return int(text)


def _host(text: str, allow_ip_literals: bool) -> str | RefusedUrl:
    host = text.lower()
    with contextlib.suppress(ValueError):
        literal = str(ipaddress.ip_address(host.strip("[]")))
        if allow_ip_literals:
            return literal
        return RefusedUrl(
            "ip_literal",
            f"{text} is an address; use the host name, so that its certificate can be checked.",
        )
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return RefusedUrl(
            "ip_literal",
            f"{text} can be read as an address written in another notation; use a host name.",
        )
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return RefusedUrl(
            "bad_host",
            f"{text!r} is not a host name: letters, digits and hyphens between single dots.",
        )
    return host
