"""Probes of several sockets: an idle meter, a silent crowd, a broadcast whose clients message each
other, a reconnect drill (asyncio).

Each runs a few scripts through `prober`, at the same time or in turn, so its address guard and
limits hold for every socket.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from checks.diagnosis.idle_timeout import VARIANTS, Reading, reading_of, steps_for
from checks.output.reports import Broadcast
from checks.probe.limits import Limits
from checks.probe.probe_request import (
    HEARS_WITHIN,
    JOINS_WITHIN,
    OPENING_SECONDS,
    TOGETHER_SECONDS,
)
from checks.probe.prober import ProbeNetwork, probe
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import ExpectText, Gather, Heartbeat, Hold, Script, Send, Step
from checks.protocol.transcript import Transcript

MAX_IDLE_SECONDS = 900.0
MAX_BEATS = 1000
MAX_CLIENTS = 20
MAX_RECONNECTS = 50


@dataclass(frozen=True, slots=True)
class Silence:
    """How each socket that opened ended, and all transcripts, the silent one's first."""

    readings: tuple[Reading, ...]
    seen: tuple[Transcript, ...]


async def measure_idle(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    seconds: float,
    every: float,
    opening: tuple[Step, ...] = (),
    heartbeat: Heartbeat | None = None,
) -> Silence:
    """Hold one socket of each variant for `seconds`, after the `opening` steps that the app needs;
    those that talk do so every `every` seconds. A `heartbeat` is answered, but none is begun.
    """
    if heartbeat is not None and heartbeat.every:
        heartbeat = None
    seconds = min(seconds, MAX_IDLE_SECONDS)
    every = max(every, seconds / MAX_BEATS)
    opens = OPENING_SECONDS + sum(step.seconds for step in opening)
    limits = Limits(total_s=seconds + opens, frames_in=4096)
    seen = await asyncio.gather(
        *(
            probe(
                target,
                network=network,
                script=Script.of_steps((*opening, *steps_for(variant, seconds, every)), heartbeat),
                limits=limits,
            )
            for variant in VARIANTS
        )
    )
    readings = (
        reading_of(variant, transcript) for variant, transcript in zip(VARIANTS, seen, strict=True)
    )
    return Silence(tuple(reading for reading in readings if reading is not None), tuple(seen))


async def gather_crowd(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    clients: int = 3,
    join_s: float = JOINS_WITHIN,
    together_s: float = TOGETHER_SECONDS,
    opening: tuple[Step, ...] = (),
    heartbeat: Heartbeat | None = None,
) -> tuple[Transcript, ...]:
    """Several clients side by side: each connects, takes the `opening` steps, waits until all have
    joined or `join_s` is over, and stays for `together_s`. Nothing else is sent.
    """
    clients = max(2, min(clients, MAX_CLIENTS))
    waits = join_s + together_s + sum(step.seconds for step in opening)
    limits = Limits(total_s=OPENING_SECONDS + waits, frames_in=4096)
    settled: set[int] = set()

    async def take_part(mine: int) -> Transcript:
        def arrive() -> bool:
            settled.add(mine)
            return len(settled) == clients

        part = Script.of_steps((*opening, Gather(arrive, join_s), Hold(together_s)), heartbeat)
        try:
            return await probe(target, network=network, script=part, limits=limits)
        finally:
            settled.add(mine)

    return tuple(await asyncio.gather(*map(take_part, range(clients))))


async def gather_broadcast(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    clients: int = 3,
    join_s: float = JOINS_WITHIN,
    within_s: float = HEARS_WITHIN,
    opening: tuple[Step, ...] = (),
    heartbeat: Heartbeat | None = None,
) -> Broadcast:
    """The test with several browser windows: all join, each sends one line and must receive every
    other's, all leave.

    Nobody sends before everybody has joined or failed to join, or after `join_s`.
    """
    clients = max(2, min(clients, MAX_CLIENTS))
    mark = secrets.token_hex(6)
    # The words after the number keep client 1's line from being found in client 12's.
    lines = {
        number: f"crowd {mark} client {number} of {clients}" for number in range(1, clients + 1)
    }
    ears = {
        mine: _EveryOther(f"every other client of crowd {mark}", within_s, mine, lines)
        for mine in lines
    }
    limits = Limits(total_s=OPENING_SECONDS + join_s + within_s, frames_in=64 + 8 * clients)
    settled: set[int] = set()

    def part(mine: int) -> Script:
        def arrive() -> bool:
            settled.add(mine)
            return len(settled) == clients

        # The first to leave must not take its line away from those who still listen.
        said = (Gather(arrive, join_s), Send(lines[mine]), ears[mine], Hold(0.2))
        return Script.of_steps((*opening, *said), heartbeat)

    async def take_part(mine: int) -> Transcript:
        try:
            return await probe(target, network=network, script=part(mine), limits=limits)
        finally:
            settled.add(mine)

    seen = await asyncio.gather(*map(take_part, lines))
    listened = [
        ear
        for ear, transcript in zip(ears.values(), seen, strict=True)
        if any(step.text == str(ear) for step in transcript.steps)
    ]
    missing = [
        f"client {ear.mine} did not hear client {other}"
        for ear in listened
        for other in ear.missing
    ]
    heard_all = sum(1 for ear in listened if not ear.missing)
    opened = sum(1 for transcript in seen if transcript.upgraded)
    return Broadcast(clients, opened, heard_all, tuple(missing), tuple(seen))


async def reconnect(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    times: int = 5,
    limits: Limits | None = None,
    opening: tuple[Step, ...] = (),
) -> tuple[Transcript, ...]:
    """Connect, close and connect again, as a client does after a deployment or a network change."""
    once = limits or Limits()
    seen: list[Transcript] = []
    for _ in range(max(1, min(times, MAX_RECONNECTS))):
        seen.append(
            await probe(target, network=network, script=Script.of_steps(opening), limits=once)
        )
    return tuple(seen)


@dataclass(frozen=True, slots=True)
class _EveryOther(ExpectText):
    """Waits for the lines of all other clients, in any order, and keeps whose arrived: the report
    names every missing one, not just the first.
    """

    mine: int = 0
    lines: Mapping[int, str] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)

    @property
    def missing(self) -> tuple[int, ...]:
        """The clients whose lines did not arrive."""
        return tuple(number for number in self.lines if number not in (self.mine, *self.heard))

    def matches(self, message: str, nonce: str) -> bool:
        """This is the last missing message."""
        self.heard.update(number for number, line in self.lines.items() if line in message)
        return not self.missing
