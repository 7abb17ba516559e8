"""The tunnels that are open: who may look at them, and who ends them.

It keeps one small record for each tunnel and costs nothing for its messages. It decides when the
sockets of a target that left its group are cut. It must never keep a tunnel alive.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.edge.account.load_balancers import Target, TargetGroup, target_key
from lab.edge.account.state import State
from lab.edge.http.messages import Answer, json_answer
from lab.edge.wire.connection import Tunnel

DEFAULT_DELAY_SECONDS = 300.0
# The address of the list, on the edge's plain port.
SOCKETS = "/_lab/sockets"
# A fault of the lab: targets are replaced all the time.
TARGET_CUT = "target-cut"
CUT_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DrainingTarget:
    """A target that was deregistered while sockets to it are open."""

    group: str
    id: str
    port: int


@dataclass(slots=True)
class _OpenSocket:
    tunnel: Tunnel
    leads_from: str
    leads_to: str
    since: float
    target: str = ""
    place: DrainingTarget | None = None
    cut_after: bool = True
    delay: float = 0.0


class OpenSockets:
    """All open tunnels of the edge and its load balancers."""

    def __init__(self) -> None:
        self._open: dict[int, _OpenSocket] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        # host:port of the targets that a fault replaces all the time.
        self._replaced: frozenset[str] = frozenset()

    async def track(self, tunnel: Tunnel, leads_from: str, leads_to: str) -> str:
        """Wait until a tunnel of the edge ends; says which hop cut it and why, "" when a client or
        an app ended it.
        """
        return await self._track(_OpenSocket(tunnel, leads_from, leads_to, time.time()))

    async def track_to_target(
        self,
        tunnel: Tunnel,
        leads_from: str,
        group: TargetGroup,
        id: str,
        port: int,
        key: str,
        *,
        cut_after: bool,
    ) -> None:
        """The same for a load balancer's tunnel to a target; `cut_after` says whether the delay's
        end cuts it.
        """
        delay = group.attributes.get("deregistration_delay.timeout_seconds", "")
        seconds = float(delay) if delay.isdecimal() else DEFAULT_DELAY_SECONDS
        where = DrainingTarget(group.arn, id, port)
        entry = _OpenSocket(
            tunnel, leads_from, f"{id}:{port}", time.time(), key, where, cut_after, seconds
        )
        if entry.leads_to in self._replaced:
            _cut_soon(entry)
        await self._track(entry)

    def open_to(self, key: str) -> int:
        """How many tunnels lead to a target."""
        return sum(1 for entry in self._open.values() if entry.target == key)

    def follow(self, state: State) -> None:
        """Give the sockets of targets that left their group the deregistration delay, then cut
        them.

        A target that comes back in time keeps its sockets. The delay runs with the idle clocks'
        scale.
        """
        replaced = frozenset(
            target for fault in state.faults if fault.name == TARGET_CUT for target in fault.targets
        )
        for entry in self._open.values():
            if entry.place is not None and entry.leads_to in replaced - self._replaced:
                _cut_soon(entry)
        self._replaced = replaced
        present = {
            target_key(group, target)
            for group in state.target_groups.values()
            for target in group.targets
        }
        loop = asyncio.get_running_loop()
        for entry in self._open.values():
            if entry.target and entry.target not in present and entry.target not in self._leaving:
                self._leaving[entry.target] = loop.call_later(
                    entry.delay / state.socket_scale, self._cut, entry.target
                )
        for key in self._leaving.keys() & present:
            self._leaving.pop(key).cancel()

    def cut_unhealthy(self, group: TargetGroup, target: Target) -> None:
        """A target fell ill: a network load balancer ends its connections to it, unless the group
        says otherwise.
        """
        ends = (
            group.attributes.get(
                "target_health_state.unhealthy.connection_termination.enabled", "true"
            )
            == "true"
        )
        if group.protocol not in ("HTTP", "HTTPS") and ends:
            for entry in self._to_target(target_key(group, target)):
                entry.tunnel.cut(f"{entry.tunnel.hop}, because {entry.leads_to} is unhealthy")

    def draining_targets(self) -> list[DrainingTarget]:
        """The targets that are being let go and still have sockets."""
        found = {
            e.target: e.place
            for e in self._open.values()
            if e.target in self._leaving and e.place is not None
        }
        return list(found.values())

    def close(self) -> None:
        """Forget the timers."""
        for timer in self._leaving.values():
            timer.cancel()

    def answer(self) -> Answer:
        """What `GET /_lab/sockets` shows: the open tunnels, oldest first. Seconds are this
        machine's.
        """
        oldest_first = sorted(self._open.values(), key=lambda entry: entry.since)
        return json_answer(200, {"sockets": [_shown(entry) for entry in oldest_first]})

    async def _track(self, entry: _OpenSocket) -> str:
        self._open[id(entry)] = entry
        try:
            await entry.tunnel.finished()
        finally:
            del self._open[id(entry)]
        return entry.tunnel.cut_by

    def _cut(self, key: str) -> None:
        self._leaving.pop(key, None)
        for entry in self._to_target(key):
            if entry.cut_after:
                hop = entry.tunnel.hop
                entry.tunnel.cut(
                    f"{hop}, because {entry.leads_to} was deregistered and its delay was over"
                )

    def _to_target(self, key: str) -> list[_OpenSocket]:
        return [entry for entry in self._open.values() if entry.target == key]


def _cut_soon(entry: _OpenSocket) -> None:
    why = f"{entry.tunnel.hop}, because {entry.leads_to} was replaced"
    asyncio.get_running_loop().call_later(CUT_AFTER_SECONDS, entry.tunnel.cut, why)


def _shown(entry: _OpenSocket) -> dict[str, Any]:
    tunnel = entry.tunnel
    return {
        "hop": tunnel.hop,
        "from": entry.leads_from,
        "to": entry.leads_to,
        "since": datetime.fromtimestamp(entry.since, UTC)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z"),
        "open_seconds": round(time.time() - entry.since, 1),
        "bytes_in": tunnel.near.received,
        "bytes_out": tunnel.far.received,
        "quiet_seconds": round(tunnel.quiet_for(), 1),
        "idle_timeout_seconds": tunnel.idle_seconds,
        "idle_timeout_aws_seconds": tunnel.aws_seconds,
    }
