"""Probes of more than one socket: an idle meter, a crowd that talks to each other, a reconnect
drill (asyncio).

Each is a few scripts run by `prober` at once or in turn, so its guard and limits hold for every
socket. Decides only how many and what they say; what was seen is judged by PURE modules. It must
never open more sockets than its limits.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from checks.diagnosis.idle_timeout import VARIANTS, Reading, reading_of, steps_for
from checks.output.reports import Crowd
from checks.probe.limits import Limits
from checks.probe.probe_request import HEARS_WITHIN, JOINS_WITHIN, OPENING_SECONDS
from checks.probe.prober import ProbeNetwork, probe
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import ExpectText, Gather, Hold, Script, Send
from checks.protocol.transcript import Transcript

MOST_IDLE_SECONDS = 900.0
MOST_BEATS = 1000
MOST_CLIENTS = 20
MOST_RECONNECTS = 50


@dataclass(frozen=True, slots=True)
class Silence:
    """How each socket ended that opened, and what all of them saw, the silent one first."""

    readings: tuple[Reading, ...]
    seen: tuple[Transcript, ...]


async def measure_idle(
    target: ProbeTarget, *, network: ProbeNetwork, seconds: float, every: float
) -> Silence:
    """Hold one socket of each variant for at most so many seconds, with a word every `every`
    seconds.
    """
    seconds = min(seconds, MOST_IDLE_SECONDS)
    every = max(every, seconds / MOST_BEATS)
    limits = Limits(total_s=seconds + OPENING_SECONDS, frames_in=4096)
    seen = await asyncio.gather(
        *(
            probe(
                target,
                network=network,
                script=Script.of_steps(steps_for(variant, seconds, every)),
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
    within_s: float = HEARS_WITHIN,
) -> Crowd:
    """The test with several browser windows: all join, each says one line, each must hear every
    other's, all leave.

    Nobody speaks before each is in or has failed to get in; those who keep everybody waiting are
    waited for `join_s`.
    """
    clients = max(2, min(clients, MOST_CLIENTS))
    mark = secrets.token_hex(6)
    # What follows the number keeps the line of client 1 from being found in that of client 12.
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

        # Whoever leaves first must not be missed by those who still listen.
        return Script.of_steps((Gather(arrive, join_s), Send(lines[mine]), ears[mine], Hold(0.2)))

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
    return Crowd(clients, opened, heard_all, tuple(missing), tuple(seen))


async def reconnect(
    target: ProbeTarget, *, network: ProbeNetwork, times: int = 5, limits: Limits | None = None
) -> tuple[Transcript, ...]:
    """Connect, close and connect again; what a client does after a deployment or a change of
    network.
    """
    once = limits or Limits()
    seen: list[Transcript] = []
    for _ in range(max(1, min(times, MOST_RECONNECTS))):
        seen.append(
            await probe(target, network=network, script=Script.handshake_only(), limits=once)
        )
    return tuple(seen)


@dataclass(frozen=True, slots=True)
class _EveryOther(ExpectText):
    """Waits until the lines of all others have come, in any order, and keeps whose did: whom it
    misses is told of each, not of the first one only.
    """

    mine: int = 0
    lines: Mapping[int, str] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)

    @property
    def missing(self) -> tuple[int, ...]:
        """The others whose lines did not come."""
        return tuple(number for number in self.lines if number not in (self.mine, *self.heard))

    def matches(self, message: str, nonce: str) -> bool:
        """Is this the last message that was missing?"""
        self.heard.update(number for number, line in self.lines.items() if line in message)
        return not self.missing
