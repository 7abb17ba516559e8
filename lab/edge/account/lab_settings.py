"""What only a lab can be told: where viewers are, how late log rows come, which faults the edge has
(PURE).

It decides how `settings` and `faults` of `/_lab/state` are read. What it cannot read it leaves out,
so that a fault for another part of the lab, or a slip in a setting, never takes the edge away. It
must never do I/O.
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
    """`places` are tried in order; an address in none of them is in `country`. The delay is in real
    seconds.
    """

    country: str = DEFAULT_COUNTRY
    places: tuple[tuple[IPv4Network | IPv6Network, str], ...] = ()
    log_delay_seconds: float = 0.0

    def country_of(self, address: str) -> str:
        """The country (ISO 3166, two letters) that CloudFront would look up for a viewer's
        address.
        """
        try:
            ip = ip_address(address)
        except ValueError:
            return self.country
        return next((country for network, country in self.places if ip in network), self.country)


@dataclass(frozen=True, slots=True)
class EdgeFault:
    """A named misbehaviour for one distribution, or for all of them if `distribution` is "".

    `listener` (an ARN) and `targets` (host:port) are what it hits behind the edge, "" and none if
    it hits all.
    """

    name: str
    distribution: str = ""
    detail: str = ""
    listener: str = ""
    targets: tuple[str, ...] = ()


def parse_settings(given: Json) -> LabSettings:
    """`viewer_country`, `viewer_countries` (address or network: country) and `log_delay_seconds`,
    each optional.
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
        # The narrowest network says most about an address.
        places=tuple(sorted(places, key=lambda place: -place[0].prefixlen)),
        log_delay_seconds=float(delay) if isinstance(delay, int | float) and delay > 0 else 0.0,
    )


def parse_faults(entries: Iterable[Any]) -> tuple[EdgeFault, ...]:
    """The entries that have a name."""
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
    """The fault of that name that concerns the distribution."""
    return next(
        (f for f in faults if f.name == name and f.distribution in ("", distribution_id)), None
    )
