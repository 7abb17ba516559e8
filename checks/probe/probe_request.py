"""Which further probes can be asked for, what bounds them, and which ways the operator allows
(PURE).

Decides the kinds, their numbers, the longest each may take, and how a fault is worded, so that page
and API refuse alike. It must never open anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from checks.diagnosis.idle_timeout import ALB_SECONDS
from checks.diagnosis.probe_kinds import INTERNAL, ProbeKind
from checks.protocol.handshake_options import (
    HandshakeOptionsError,
    ProbeTarget,
    parse_handshake_options,
)

MOST_WAYS = 4
HEARS_WITHIN = 5.0
"""Seconds in which each of a crowd must hear all others, once it has spoken."""
JOINS_WITHIN = 10.0
"""Seconds that those of a crowd who are in wait for those who are not."""
OPENING_SECONDS = 15.0
"""What opening the sockets of a meter may take beside what it measures."""


REQUESTABLE = tuple(kind for kind in ProbeKind if kind not in INTERNAL)
"""The kinds that a person can ask for. With LOG_ROWS a check is analyzed again."""
BOUNDS: Mapping[ProbeKind, tuple[int, int]] = MappingProxyType(
    {ProbeKind.RECONNECT: (1, 10), ProbeKind.CROWD: (2, 12), ProbeKind.IDLE: (2, 120)}
)
"""The least and the most of the number that a kind takes: times, clients, seconds. More is for the
command line.
"""
WITH_AWS = frozenset({ProbeKind.JOURNEY, ProbeKind.IDLE, ProbeKind.LOG_ROWS})
"""Those that are told better when AWS has been looked at."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One further probe as somebody wants it: `number` as BOUNDS says, `path` another path of the
    endpoint.
    """

    kind: ProbeKind
    number: int = 0
    path: str = ""


def usual_silence(pace: float) -> int:
    """Seconds that show the shortest of AWS's idle clocks; `pace`: its seconds for one here."""
    least, most = BOUNDS[ProbeKind.IDLE]
    return max(least, min(most, math.ceil(ALB_SECONDS * 1.25 / pace)))


def usual_number(kind: ProbeKind, *, idle_pace: float) -> int:
    """What a kind takes when nobody says: enough to show something; 0 for a kind without a
    number.
    """
    return {
        ProbeKind.RECONNECT: 5,
        ProbeKind.CROWD: 3,
        ProbeKind.IDLE: usual_silence(idle_pace),
    }.get(kind, 0)


class ProbeRequestError(ValueError):
    """What cannot be asked for: field to message."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(dict(faults))
        self.faults = dict(faults)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {fault}" for name, fault in self.faults.items())


def parse_probe_request(
    kind: ProbeKind, number: int | None, path: str, *, url: str, idle_pace: float
) -> ProbeRequest:
    """The probe of an endpoint at `url` with what its kind takes: a number (its usual one for
    None), or a path that the handshake bench would take. Raises AskedError.
    """
    faults = {}
    if kind in BOUNDS:
        least, most = BOUNDS[kind]
        if number is not None and not least <= number <= most:
            faults["number"] = f"A whole number from {least} to {most}. More: manage.py probe."
        if path:
            faults["path"] = f"A probe of kind {kind} takes a number and no path. Leave it out."
    else:
        if number is not None:
            faults["number"] = f"A probe of kind {kind} takes no number. Leave it out."
        try:
            parse_handshake_options({"path": path}, url=url)
        except HandshakeOptionsError as error:
            faults["path"] = "; ".join(error.faults.values())
    if faults:
        raise ProbeRequestError(faults)
    return ProbeRequest(
        kind, usual_number(kind, idle_pace=idle_pace) if number is None else number, path
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A way that the operator allows: `url` may contain {name} (of the endpoint) and {path}."""

    name: str
    url: str


class RoutesError(ValueError):
    """A setting that names no way."""


def parse_routes(texts: Sequence[str]) -> tuple[Route, ...]:
    """Read `name=wss://{name}.internal.example.com{path}`, one for each way. Raises WaysError."""
    ways = []
    for text in texts:
        name, separator, url = (part.strip() for part in text.partition("="))
        if not separator or not name or not url.startswith(("ws://", "wss://")):
            raise RoutesError(
                f"{text!r} is no way; write name=wss://host{{path}}, where {{name}} is the "
                "endpoint's."
            )
        ways.append(Route(name, url))
    if len(ways) > MOST_WAYS:
        raise RoutesError(
            f"At most {MOST_WAYS} further ways can be compared, {len(ways)} are named."
        )
    return tuple(ways)


def routes_of(usual: ProbeTarget, ways: Sequence[Route], name: str) -> dict[str, ProbeTarget]:
    """The same handshake by each way, for the endpoint of this name."""
    resource = urlsplit(usual.url)
    path = f"{resource.path}?{resource.query}" if resource.query else resource.path
    return {
        way.name: replace(usual, url=way.url.replace("{name}", name).replace("{path}", path))
        for way in ways
    }


def longest(asked: ProbeRequest, socket_seconds: float) -> float:
    """The most seconds that a probe of this kind takes; `socket_seconds` is what one socket may
    take.
    """
    match asked.kind:
        case ProbeKind.RECONNECT:
            return asked.number * socket_seconds
        case ProbeKind.CROWD:
            return OPENING_SECONDS + JOINS_WITHIN + HEARS_WITHIN * asked.number
        case ProbeKind.IDLE:
            return OPENING_SECONDS + asked.number
        case _:
            return socket_seconds
