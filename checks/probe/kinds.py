"""Further probes of an endpoint: what each one opens, and the report it makes (asyncio).

Whoever awaits a report holds no thread meanwhile. Decides how many sockets a kind opens, and at
which addresses. Every socket goes through `prober`, so its guard and limits hold. It must never
change anything, and never ask for a way that the operator's settings do not name.
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
    crowd_report,
    idle_report,
    journey_report,
    negotiation_report,
    plain_get_report,
    reconnect_report,
    ways_report,
)
from checks.probe.limits import Limits
from checks.probe.multi_socket import gather_crowd, measure_idle, reconnect
from checks.probe.probe_request import HEARS_WITHIN, ProbeRequest, Route, routes_of
from checks.probe.prober import ProbeNetwork, probe
from checks.protocol.deflate import OFFER
from checks.protocol.handshake_options import HandshakeOptions, ProbeTarget
from checks.protocol.script import ExpectText, Script
from checks.protocol.transcript import Transcript

BEATS = 12
"""How often the talking sockets beside a silent one say something."""


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What a further probe is made with; `ways` are the operator's, of endpoint `name`."""

    network: ProbeNetwork
    limits: Limits
    view: AwsView = field(default_factory=AwsView)
    ways: tuple[Route, ...] = ()
    name: str = ""
    idle_pace: float = 1.0


async def make_report(asked: ProbeRequest, usual: ProbeTarget, around: ProbeContext) -> Report:
    """Make the probe; at most `longest(asked, …)` seconds. `usual` is the handshake that clients
    make.
    """
    target = HandshakeOptions(path=asked.path).target(usual.url, usual)
    network = around.network
    match asked.kind:
        case ProbeKind.PLAIN_GET:
            both = (("handshake", target), ("plain GET", replace(target, upgrade=False)))
            (_, handshake), (_, plain) = await _all(both, around)
            return plain_get_report(handshake, plain)
        case ProbeKind.WAYS:
            return ways_report(await _all(_ways(asked, usual, around), around))
        case ProbeKind.NEGOTIATION:
            return negotiation_report(await _all(_offers(target), around))
        case ProbeKind.JOURNEY:
            return await _journey(asked, target, around)
        case ProbeKind.RECONNECT:
            return reconnect_report(
                await reconnect(target, network=network, times=asked.number, limits=around.limits)
            )
        case ProbeKind.CROWD:
            return crowd_report(
                await gather_crowd(
                    target, network=network, clients=asked.number, within_s=HEARS_WITHIN
                )
            )
        case ProbeKind.IDLE:
            held = await measure_idle(
                target, network=network, seconds=asked.number, every=asked.number / BEATS
            )
            clocks = around.view.idle_timeouts or usual_timeouts(pace=around.idle_pace)
            return idle_report(held.readings, clocks, held.seen)
        case _:
            raise ValueError(f"{asked.kind} opens no socket")


async def _all(
    ways: Sequence[tuple[str, ProbeTarget]], around: ProbeContext
) -> tuple[tuple[str, Transcript], ...]:
    seen = await asyncio.gather(
        *(probe(target, network=around.network, limits=around.limits) for _, target in ways)
    )
    return tuple((name, transcript) for (name, _), transcript in zip(ways, seen, strict=True))


def _ways(
    asked: ProbeRequest, usual: ProbeTarget, around: ProbeContext
) -> list[tuple[str, ProbeTarget]]:
    ways = [("through the edge", usual)]
    if usual.origin is not None:
        ways.append(("without Origin", replace(usual, origin=None)))
    ways.append(("with compression", replace(usual, extensions=(OFFER,))))
    if asked.path:
        ways.append(
            (f"path {asked.path}", HandshakeOptions(path=asked.path).target(usual.url, usual))
        )
    return [*ways, *routes_of(usual, around.ways, around.name).items()]


def _offers(usual: ProbeTarget) -> list[tuple[str, ProbeTarget]]:
    bare = replace(usual, subprotocols=(), extensions=())
    offers = [("nothing", bare), ("compression", replace(bare, extensions=(OFFER,)))]
    if usual.subprotocols:
        offers.insert(1, ("subprotocols", replace(bare, subprotocols=usual.subprotocols)))
        offers.append(("both", replace(usual, extensions=(OFFER,))))
    return offers


@dataclass(frozen=True, slots=True)
class _Overhear(ExpectText):
    """Waits for the message in which the app tells which headers arrived, and keeps them."""

    found: list[tuple[tuple[str, str], ...]] = field(default_factory=list)

    def matches(self, message: str, nonce: str) -> bool:
        """Is this the message?"""
        arrived = arrived_headers(message)
        if arrived is not None:
            self.found.append(arrived)
        return arrived is not None


async def _journey(asked: ProbeRequest, target: ProbeTarget, around: ProbeContext) -> Report:
    """With a path that tells, what arrived is measured; without one only the policy is read."""
    step = _Overhear("the header lines that arrived", HEARS_WITHIN)
    target = replace(target, extensions=(OFFER,))
    script = Script.of_steps((step,)) if asked.path else Script.handshake_only()
    seen = await probe(target, network=around.network, script=script, limits=around.limits)
    arrived = step.found[0] if step.found else None
    return journey_report(seen, around.view.behavior, arrived, asked=bool(asked.path))
