"""Further probes of an endpoint: which sockets each kind opens, and the report it makes (asyncio).

Every socket goes through `prober`, so its address guard and limits hold. Addresses come from the
endpoint and the operator's settings only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from checks.aws_view import AwsView
from checks.diagnosis.idle_timeout import usual_timeouts
from checks.diagnosis.probe_kinds import ProbeKind
from checks.output.reports import (
    Report,
    arrived_headers,
    broadcast_report,
    crowd_report,
    idle_report,
    journey_report,
    negotiation_report,
    plain_get_report,
    reconnect_report,
    routes_report,
)
from checks.probe.limits import Limits
from checks.probe.multi_socket import gather_broadcast, gather_crowd, measure_idle, reconnect
from checks.probe.probe_request import HEARS_WITHIN, ProbeRequest, Route, routes_of
from checks.probe.prober import ProbeNetwork, probe
from checks.protocol.deflate import OFFER
from checks.protocol.handshake_options import HandshakeOptions, ProbeTarget
from checks.protocol.script import ExpectText, Heartbeat, Script, Step
from checks.protocol.transcript import Transcript

BEATS = 12
"""How often the talking sockets beside a silent one send something."""


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What a further probe is made with; `routes` are the operator's routes to endpoint `name`."""

    network: ProbeNetwork
    limits: Limits
    view: AwsView = field(default_factory=AwsView)
    routes: tuple[Route, ...] = ()
    name: str = ""
    idle_pace: float = 1.0
    opening: tuple[Step, ...] = ()
    """The first steps that the app needs on an open socket."""
    heartbeat: Heartbeat | None = None
    """What keeps an open socket, in the app's own protocol."""


async def make_report(asked: ProbeRequest, usual: ProbeTarget, context: ProbeContext) -> Report:
    """Make the probe, in at most `longest(asked, …)` seconds; `usual` is the clients' handshake."""
    target = HandshakeOptions(path=asked.path).target(usual.url, usual)
    network = context.network
    match asked.kind:
        case ProbeKind.PLAIN_GET:
            both = (("handshake", target), ("plain GET", replace(target, upgrade=False)))
            (_, handshake), (_, plain) = await _all(both, context)
            return plain_get_report(handshake, plain)
        case ProbeKind.ROUTES:
            return routes_report(await _all(_compared(asked, usual, context), context))
        case ProbeKind.NEGOTIATION:
            bare = replace(target, subprotocols=(), extensions=())
            offers = [("nothing", bare), ("compression", replace(bare, extensions=(OFFER,)))]
            if target.subprotocols:
                named = replace(bare, subprotocols=target.subprotocols)
                offers.insert(1, ("subprotocols", named))
                offers.append(("both", replace(target, extensions=(OFFER,))))
            return negotiation_report(await _all(offers, context))
        case ProbeKind.JOURNEY:
            # With a path that reports headers we see what arrived; without one, only the policy.
            step = _ExpectHeaders("the header lines that arrived", HEARS_WITHIN)
            script = Script.of_steps((step,)) if asked.path else Script.handshake_only()
            target = replace(target, extensions=(OFFER,))
            seen = await probe(target, network=network, script=script, limits=context.limits)
            arrived = step.found[0] if step.found else None
            return journey_report(seen, context.view.behavior, arrived, asked=bool(asked.path))
        case ProbeKind.RECONNECT:
            return reconnect_report(
                await reconnect(
                    target,
                    network=network,
                    times=asked.number,
                    limits=context.limits,
                    opening=context.opening,
                )
            )
        case ProbeKind.CROWD:
            return crowd_report(
                await gather_crowd(
                    target,
                    network=network,
                    clients=asked.number,
                    opening=context.opening,
                    heartbeat=context.heartbeat,
                )
            )
        case ProbeKind.BROADCAST:
            return broadcast_report(
                await gather_broadcast(
                    target,
                    network=network,
                    clients=asked.number,
                    within_s=HEARS_WITHIN,
                    opening=context.opening,
                    heartbeat=context.heartbeat,
                )
            )
        case ProbeKind.IDLE:
            held = await measure_idle(
                target,
                network=network,
                seconds=asked.number,
                every=asked.number / BEATS,
                opening=context.opening,
                heartbeat=context.heartbeat,
            )
            timeouts = context.view.idle_timeouts or usual_timeouts(pace=context.idle_pace)
            return idle_report(held.readings, timeouts, held.seen)
        case _:
            raise ValueError(f"{asked.kind} opens no socket")


async def _all(
    routes: Sequence[tuple[str, ProbeTarget]], context: ProbeContext
) -> tuple[tuple[str, Transcript], ...]:
    seen = await asyncio.gather(
        *(probe(target, network=context.network, limits=context.limits) for _, target in routes)
    )
    return tuple((name, transcript) for (name, _), transcript in zip(routes, seen, strict=True))


def _compared(
    asked: ProbeRequest, usual: ProbeTarget, context: ProbeContext
) -> list[tuple[str, ProbeTarget]]:
    routes = [("through the edge", usual)]
    if usual.origin is not None:
        routes.append(("without Origin", replace(usual, origin=None)))
    routes.append(("with compression", replace(usual, extensions=(OFFER,))))
    if asked.path:
        routes.append(
            (f"path {asked.path}", HandshakeOptions(path=asked.path).target(usual.url, usual))
        )
    return [*routes, *routes_of(usual, context.routes, context.name).items()]


@dataclass(frozen=True, slots=True)
class _ExpectHeaders(ExpectText):
    """Waits for the message in which the app reports the headers it received, and keeps them."""

    found: list[tuple[tuple[str, str], ...]] = field(default_factory=list)

    def matches(self, message: str, nonce: str) -> bool:
        """This is the message."""
        arrived = arrived_headers(message)
        if arrived is not None:
            self.found.append(arrived)
        return arrived is not None
