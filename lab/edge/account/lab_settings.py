"""The lab's own settings and active faults, as in `/_lab/state` (PURE).

Unreadable entries are skipped: a fault meant for another part of the lab, or a typo in a setting,
must not take the edge down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

Json = Mapping[str, Any]

DEFAULT_COUNTRY = "US"

EDGE_STALE = "edge-stale"
EDGE_CAPACITY = "edge-capacity"
WRONG_ACCEPT = "wrong-accept"


@dataclass(frozen=True, slots=True)
class LabSettings:
    """Where viewers are, and how late log rows arrive (in real seconds).

    `places` are tried in order; an address in none of them is in `country`.
    """

    country: str = DEFAULT_COUNTRY
    places: tuple[tuple[IPv4Network | IPv6Network, str], ...] = ()
    log_delay_seconds: float = 0.0

    def country_of(self, address: str) -> str:
        """The country (ISO 3166-1 alpha-2) that CloudFront would find for a viewer's address."""
        try:
            ip = ip_address(address)
        except ValueError:
            return self.country
        return next((country for network, country in self.places if ip in network), self.country)


@dataclass(frozen=True, slots=True)
class EdgeFault:
    """An active fault, for one distribution or, if `distribution` is "", for all.

    `listener` (an ARN) and `targets` (host:port) limit it to these; empty means all.
    """

    name: str
    distribution: str = ""
    detail: str = ""
    listener: str = ""
    targets: tuple[str, ...] = ()


def parse_settings(given: Json) -> LabSettings:
    """`viewer_country`, `viewer_countries` (address or network to country) and
    `log_delay_seconds`; each is optional.
    """
    places = []
    for where, country in (given.get("viewer_countries") or {}).items():
        try:
            places.append((ip_network(where, strict=False), str(country).upper()))
        except ValueError:
            continue
    delay = given.get("log_delay_seconds") or 0
    return LabSettings(
        country=str(given.get("viewer_country") or DEFAULT_COUNTRY).upper(),
        # Longest prefix first: the most specific network wins.
        places=tuple(sorted(places, key=lambda place: -place[0].prefixlen)),
        log_delay_seconds=float(delay) if isinstance(delay, int | float) and delay > 0 else 0.0,
    )


def parse_faults(entries: Iterable[Any]) -> tuple[EdgeFault, ...]:
    """All entries that have a name."""
    return tuple(
        EdgeFault(
            str(entry["name"]),
            str(entry.get("distribution") or ""),
            str(entry.get("detail") or ""),
            str(entry.get("listener") or ""),
            tuple(map(str, entry.get("targets") or ())),
        )
        for entry in entries
        if isinstance(entry, Mapping) and entry.get("name")
    )


def find_fault(faults: Iterable[EdgeFault], name: str, distribution_id: str) -> EdgeFault | None:
    """The first active fault of that name that affects the distribution."""
    return next(
        (f for f in faults if f.name == name and f.distribution in ("", distribution_id)), None
    )
