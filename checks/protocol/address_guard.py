"""Which URLs and addresses a probe (or a callback) may contact (PURE).

Decides by our own table, because `ipaddress.is_global` calls NAT64, 6to4 and multicast addresses
global and getaddrinfo turns `127.1`, `2130706433` and full-width digits into loopback. A URL is
judged as characters, before anything parses it, and every address a name resolves to is judged
before one of them is connected to. It must never resolve, connect or repair: what is not plainly
right is refused with a code and a reason a person can read.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
ALLOWED_SCHEMES = frozenset(DEFAULT_PORTS)
Ports = frozenset[int] | range | tuple[int, ...]
ALLOWED_PORTS: Ports = frozenset({80, 443})
MAX_URL = 8192
"""CloudFront refuses a longer URL with 414 (quotas page)."""

RefusedCode = Literal[
    "url_too_long",
    "bad_character",
    "bad_scheme",
    "userinfo",
    "bad_host",
    "ip_literal",
    "bad_port",
    "port_not_allowed",
    "fragment",
    "not_an_address",
    "no_address",
    "network",
]


@dataclass(frozen=True, slots=True)
class AllowedUrl:
    """A URL taken apart; `host` is lower case without brackets, `resource` is path and query as
    they go on the wire.
    """

    scheme: str
    host: str
    port: int
    resource: str

    @property
    def secure(self) -> bool:
        """Does this URL ask for TLS?"""
        return self.scheme in ("https", "wss")

    @property
    def authority(self) -> str:
        """Host header value: the port only where it is not the scheme's own (RFC 6455 4.1 item
        4).
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.resource}"


@dataclass(frozen=True, slots=True)
class AllowedAddress:
    """An address that may be connected to; `because` names the allowed network that admitted a
    non-public one.
    """

    address: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Not to be contacted: a stable code, and the reason in words for people."""

    code: RefusedCode
    reason: str


# Kept, because the same few endpoints are checked again and again.
@functools.lru_cache(maxsize=1024)
def judge_url(
    url: str,
    *,
    schemes: frozenset[str] | tuple[str, ...] = ALLOWED_SCHEMES,
    ports: Ports = ALLOWED_PORTS,
    allow_ip_literals: bool = False,
) -> AllowedUrl | Refused:
    """May a request be made to this URL, as far as its characters tell?

    1. Length, then characters: printable ASCII only, no space, no backslash (parsers disagree on
       what it means).
    2. Scheme, then authority up to the first `/` or `?`; no userinfo, no fragment (RFC 6455 3).
    3. Host: letters, digits and hyphens in labels; not an address in any notation.
    4. Port: decimal, on the list.
    """
    if len(url) > MAX_URL:
        return Refused(
            "url_too_long",
            f"The URL has {len(url):,} characters; CloudFront takes {MAX_URL:,} at most.",
        )
    if strange := _NOT_URL.search(url):
        return Refused(
            "bad_character", f"The URL contains {strange.group()!r}, which a URL must not contain."
        )
    found = _URL.fullmatch(url)
    scheme = found["scheme"].lower() if found else ""
    if not found or scheme not in DEFAULT_PORTS or scheme not in schemes:
        wanted = ", ".join(sorted(f"{name}://" for name in schemes))
        return Refused("bad_scheme", f"The URL must start with one of {wanted}")
    if "#" in url:
        return Refused("fragment", "A WebSocket URL has no #fragment (RFC 6455 section 3).")
    authority, resource = found["authority"], found["resource"]
    if "@" in authority:
        return Refused(
            "userinfo", "The URL must not contain a user name or password before the host."
        )
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        return Refused("bad_host", f"{authority!r} is not a host name with an optional port.")
    port = _port(parts["port"], DEFAULT_PORTS[scheme])
    if port is None:
        return Refused("bad_port", f"{parts['port']!r} is not a port number.")
    if port not in ports:
        listed = ", ".join(str(number) for number in sorted(ports))
        return Refused(
            "port_not_allowed", f"Port {port} is not on the list of allowed ports ({listed})."
        )
    host = _host(parts["host"], allow_ip_literals)
    if isinstance(host, Refused):
        return host
    resource = resource if resource.startswith("/") else f"/{resource}"
    return AllowedUrl(scheme, host, port, resource)


@functools.lru_cache(maxsize=4096)
def judge_address(
    address: str, allowed_networks: tuple[IPNetwork, ...] = ()
) -> AllowedAddress | Refused:
    """May this address be connected to?

    `allowed_networks` admits addresses although they are not public (the lab's 127.0.0.1/32); an
    address that merely embeds an allowed one (mapped, NAT64, 6to4, Teredo) is judged by what it
    embeds and stays refused unless that is allowed too.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return Refused("not_an_address", f"{address!r} is not an IP address.")
    for network in allowed_networks:
        if ip.version == network.version and ip in network:
            return AllowedAddress(str(ip), f"{network} is allowed by setting")
    if isinstance(ip, ipaddress.IPv6Address):
        for kind, inside in _embedded(ip):
            verdict = judge_address(str(inside), allowed_networks)
            if isinstance(verdict, Refused):
                return Refused(
                    "network", f"{ip} is {inside} in the form of {kind}: {verdict.reason}"
                )
        if ip.ipv4_mapped is not None:
            return AllowedAddress(str(ip))
        if ip not in _GLOBAL_UNICAST and not any(ip in network for network in _NAT64_NETWORKS):
            return Refused(
                "network", _not_public(ip, _name_of(ip) or "outside the public range 2000::/3")
            )
    if name := _name_of(ip):
        return Refused("network", _not_public(ip, name))
    return AllowedAddress(str(ip))


def judge_addresses(
    addresses: Iterable[str], allowed_networks: tuple[IPNetwork, ...] = ()
) -> tuple[AllowedAddress, ...] | Refused:
    """Judge all answers of one resolution: a single refused one refuses the name, because the next
    try might get it.
    """
    judged = [judge_address(address, allowed_networks) for address in dict.fromkeys(addresses)]
    for verdict in judged:
        if isinstance(verdict, Refused):
            return verdict
    allowed = tuple(verdict for verdict in judged if isinstance(verdict, AllowedAddress))
    return allowed or Refused("no_address", "The name resolves to no address.")


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """Read PROBE_ALLOWED_NETWORKS: CIDRs separated by commas. Raises ValueError for one that is
    none.
    """
    return tuple(ipaddress.ip_network(piece.strip()) for piece in text.split(",") if piece.strip())


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


def _host(text: str, allow_ip_literals: bool) -> str | Refused:
    host = text.lower()
    literal = _ip_literal(host)
    if literal is not None:
        if allow_ip_literals:
            return literal
        return Refused(
            "ip_literal",
            f"{text} is an address; use the host name, so that its certificate can be checked.",
        )
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return Refused(
            "ip_literal",
            f"{text} can be read as an address written in another notation; use a host name.",
        )
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return Refused(
            "bad_host",
            f"{text!r} is not a host name: letters, digits and hyphens between single dots.",
        )
    return host


def _ip_literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def _table(*rows: tuple[str, str]) -> tuple[tuple[IPNetwork, str], ...]:
    return tuple((ipaddress.ip_network(network), name) for network, name in rows)


_DENIED = _table(
    ("169.254.169.254/32", "the instance metadata service"),
    ("169.254.170.2/32", "the container credentials service"),
    ("fd00:ec2::/32", "the instance metadata service"),
    ("0.0.0.0/8", "this network (RFC 1122)"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "shared by carrier NAT (RFC 6598)"),
    ("127.0.0.0/8", "this machine (loopback)"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "reserved for protocols (RFC 6890)"),
    ("192.0.2.0/24", "for documentation (RFC 5737)"),
    ("192.31.196.0/24", "AS112 sink"),
    ("192.52.193.0/24", "AMT relays"),
    ("192.88.99.0/24", "6to4 relays (RFC 7526)"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("192.175.48.0/24", "AS112 sink"),
    ("198.18.0.0/15", "for benchmarks (RFC 2544)"),
    ("198.51.100.0/24", "for documentation (RFC 5737)"),
    ("203.0.113.0/24", "for documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, or broadcast"),
    ("::/128", "the unspecified address"),
    ("::1/128", "this machine (loopback)"),
    ("64:ff9b:1::/48", "local NAT64 (RFC 8215)"),
    ("100::/64", "discarded (RFC 6666)"),
    ("2001::/23", "reserved for protocols (RFC 2928)"),
    ("2001:db8::/32", "for documentation (RFC 3849)"),
    ("2002::/16", "6to4 (RFC 3056)"),
    ("2620:4f:8000::/48", "AS112 sink"),
    ("3fff::/20", "for documentation (RFC 9637)"),
    ("5f00::/16", "segment routing (RFC 9602)"),
    ("fc00::/7", "private (unique local, RFC 4193)"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private (site-local, RFC 3879)"),
    ("ff00::/8", "multicast"),
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_NETWORKS = (_NAT64,)
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def _name_of(ip: IPAddress) -> str:
    return next(
        (name for network, name in _DENIED if ip.version == network.version and ip in network), ""
    )


def _not_public(ip: IPAddress, name: str) -> str:
    return f"{ip} is not public: {name}."


def _embedded(ip: ipaddress.IPv6Address) -> list[tuple[str, ipaddress.IPv4Address]]:
    """The IPv4 addresses an IPv6 address stands for, with the name of the form."""
    inside: list[tuple[str, ipaddress.IPv4Address]] = []
    if ip.ipv4_mapped is not None:
        inside.append(("IPv4-mapped", ip.ipv4_mapped))
    if ip.sixtofour is not None:
        inside.append(("6to4", ip.sixtofour))
    if ip.teredo is not None:
        inside += [("Teredo (server)", ip.teredo[0]), ("Teredo (client)", ip.teredo[1])]
    if ip in _NAT64:
        inside.append(("NAT64", ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    if ip in _COMPATIBLE and int(ip) > 1:
        inside.append(("IPv4-compatible", ipaddress.IPv4Address(int(ip))))
    return inside
