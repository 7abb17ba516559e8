"""Which further probes can be requested, their limits, and the operator's other routes (PURE).

Page and API word their faults alike.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
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

MAX_ROUTES = 4
HEARS_WITHIN = 5.0
"""Seconds in which each client of a broadcast must receive all lines, once it has sent its own."""
JOINS_WITHIN = 10.0
"""Seconds that clients of a crowd or broadcast wait for those that have not joined."""
TOGETHER_SECONDS = 3.0
"""Seconds that all clients of a crowd stay connected side by side."""
OPENING_SECONDS = 15.0
"""Seconds for opening the sockets, beside what a probe measures."""


REQUESTABLE = tuple(kind for kind in ProbeKind if kind not in INTERNAL)
"""The kinds that a person can ask for. With LOG_ROWS a check is analyzed again."""
BOUNDS: Mapping[ProbeKind, tuple[int, int]] = MappingProxyType(
    {
        ProbeKind.RECONNECT: (1, 10),
        ProbeKind.CROWD: (2, 12),
        ProbeKind.BROADCAST: (2, 12),
        ProbeKind.IDLE: (2, 120),
    }
)
"""Minimum and maximum of a kind's number: times, clients, seconds. The command line allows more."""
WITH_AWS = frozenset({ProbeKind.JOURNEY, ProbeKind.IDLE, ProbeKind.LOG_ROWS})
"""Kinds whose reports need AWS's side."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A further probe as requested: `number` within BOUNDS, `path` another path of the endpoint."""

    kind: ProbeKind
    number: int = 0
    path: str = ""


def usual_silence(pace: float) -> int:
    """Seconds of silence that reach AWS's shortest idle timeout; `pace`: AWS's seconds for
    one here.
    """
    least, most = BOUNDS[ProbeKind.IDLE]
    return max(least, min(most, math.ceil(ALB_SECONDS * 1.25 / pace)))


def usual_number(kind: ProbeKind, *, idle_pace: float) -> int:
    """The default number of a kind; 0 for a kind without one."""
    return {
        ProbeKind.RECONNECT: 5,
        ProbeKind.CROWD: 3,
        ProbeKind.BROADCAST: 3,
        ProbeKind.IDLE: usual_silence(idle_pace),
    }.get(kind, 0)


class ProbeRequestError(ValueError):
    """A probe that cannot be requested: field to message."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(dict(faults))
        self.faults = dict(faults)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {fault}" for name, fault in self.faults.items())


def parse_probe_request(
    kind: ProbeKind,
    number: int | None,
    path: str,
    *,
    url: str,
    idle_pace: float,
    stored_secrets: Collection[str] = (),
) -> ProbeRequest:
    """A probe of the endpoint at `url`: its kind takes either a number (None for the default) or a
    path, which can refer to `stored_secrets`. Raises ProbeRequestError.
    """
    faults = {}
    if kind in BOUNDS:
        least, most = BOUNDS[kind]
        if number is not None and not least <= number <= most:
            faults["number"] = f"A whole number from {least} to {most}. More: manage.py probe."
        if path:
            faults["path"] = f"A probe of kind {kind} takes a number, not a path. Remove the path."
    else:
        if number is not None:
            faults["number"] = f"A probe of kind {kind} takes no number. Remove it."
        try:
            parse_handshake_options({"path": path}, url=url, stored_secrets=stored_secrets)
        except HandshakeOptionsError as error:
            faults["path"] = "; ".join(error.faults.values())
    if faults:
        raise ProbeRequestError(faults)
    return ProbeRequest(
        kind, usual_number(kind, idle_pace=idle_pace) if number is None else number, path
    )


@dataclass(frozen=True, slots=True)
class Route:
    """Another route to the app, from the operator: `url` may contain {name} (of the endpoint)
    and {path}.
    """

    name: str
    url: str


class RoutesError(ValueError):
    """PROBE_ROUTES cannot be read."""


def parse_routes(texts: Sequence[str]) -> tuple[Route, ...]:
    """Read PROBE_ROUTES: `name=wss://{name}.internal.example.com{path}` each. Raises
    RoutesError.
    """
    routes = []
    for text in texts:
        name, separator, url = (part.strip() for part in text.partition("="))
        if not separator or not name or not url.startswith(("ws://", "wss://")):
            raise RoutesError(
                f"{text!r} is not a route. Write name=wss://host{{path}}; {{name}} is the endpoint."
            )
        routes.append(Route(name, url))
    if len(routes) > MAX_ROUTES:
        raise RoutesError(
            f"At most {MAX_ROUTES} routes can be compared, but {len(routes)} are given."
        )
    return tuple(routes)


def routes_of(usual: ProbeTarget, routes: Sequence[Route], name: str) -> dict[str, ProbeTarget]:
    """The same handshake by each route, for the endpoint of this name."""
    resource = urlsplit(usual.url)
    path = f"{resource.path}?{resource.query}" if resource.query else resource.path
    return {
        route.name: replace(usual, url=route.url.replace("{name}", name).replace("{path}", path))
        for route in routes
    }


def longest(asked: ProbeRequest, socket_seconds: float) -> float:
    """The most seconds that a probe can take; `socket_seconds` is the limit of one socket."""
    match asked.kind:
        case ProbeKind.RECONNECT:
            return asked.number * socket_seconds
        case ProbeKind.CROWD:
            return OPENING_SECONDS + JOINS_WITHIN + TOGETHER_SECONDS
        case ProbeKind.BROADCAST:
            return OPENING_SECONDS + JOINS_WITHIN + HEARS_WITHIN * asked.number
        case ProbeKind.IDLE:
            return OPENING_SECONDS + asked.number
        case _:
            return socket_seconds
