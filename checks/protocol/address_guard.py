"""Addresses that a probe (or a callback) may contact (PURE).

The table is our own: `ipaddress.is_global` calls NAT64, 6to4 and multicast addresses global. Every
address that a name resolves to is judged before any of them is contacted; nothing here resolves or
connects.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class AllowedAddress:
    """An address that may be contacted; `because` names the setting that admits a non-public
    one.
    """

    address: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class RefusedAddress:
    """An address that must not be contacted: a stable code, and the reason for people."""

    code: Literal["not_an_address", "no_address", "network"]
    reason: str


@functools.lru_cache(maxsize=4096)
def judge_address(
    address: str, allowed_networks: tuple[IPNetwork, ...] = ()
) -> AllowedAddress | RefusedAddress:
    """Whether this address may be contacted.

    `allowed_networks` admits addresses that are not public (the lab's 127.0.0.1/32). An address
    that embeds another one (mapped, NAT64, 6to4, Teredo) is judged by what it embeds.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return RefusedAddress("not_an_address", f"{address!r} is not an IP address.")
    for network in allowed_networks:
        if ip.version == network.version and ip in network:
            return AllowedAddress(str(ip), f"{network} is allowed by setting")
    if isinstance(ip, ipaddress.IPv6Address):
        for kind, inside in _embedded(ip):
            verdict = judge_address(str(inside), allowed_networks)
            if isinstance(verdict, RefusedAddress):
                return RefusedAddress(
                    "network", f"{ip} is {inside} in the form of {kind}: {verdict.reason}"
                )
        if ip.ipv4_mapped is not None:
            return AllowedAddress(str(ip))
        if ip not in _GLOBAL_UNICAST and not any(ip in network for network in _NAT64_NETWORKS):
            return RefusedAddress(
                "network", _not_public(ip, _name_of(ip) or "outside the public range 2000::/3")
            )
    if name := _name_of(ip):
        return RefusedAddress("network", _not_public(ip, name))
    return AllowedAddress(str(ip))


def judge_addresses(
    addresses: Iterable[str], allowed_networks: tuple[IPNetwork, ...] = ()
) -> tuple[AllowedAddress, ...] | RefusedAddress:
    """Judge all addresses of a name. One refused address refuses the name: the next attempt might
    get it.
    """
    judged = [judge_address(address, allowed_networks) for address in dict.fromkeys(addresses)]
    for verdict in judged:
        if isinstance(verdict, RefusedAddress):
            return verdict
    allowed = tuple(verdict for verdict in judged if isinstance(verdict, AllowedAddress))
    return allowed or RefusedAddress("no_address", "The name resolves to no address.")


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """Read PROBE_ALLOWED_NETWORKS: CIDRs separated by commas. Raises ValueError for anything
    else.
    """
    return tuple(ipaddress.ip_network(piece.strip()) for piece in text.split(",") if piece.strip())


_DENIED: tuple[tuple[IPNetwork, str], ...] = tuple(
    (ipaddress.ip_network(network), name)
    for network, name in (
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
