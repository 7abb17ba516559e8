"""The open tunnels: listed for people, and cut when their target leaves or becomes unhealthy."""

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
# The path of the list, on the edge's plain port.
SOCKETS = "/_lab/sockets"
# A fault: targets are replaced continually.
TARGET_CUT = "target-cut"
CUT_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DrainingTarget:
    """A deregistered target that still has open sockets."""

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
    """All open tunnels of the edge and of the load balancers."""

    def __init__(self) -> None:
        self._open: dict[int, _OpenSocket] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        # host:port of the targets that the fault `target-cut` replaces.
        self._replaced: frozenset[str] = frozenset()

    async def track(self, tunnel: Tunnel, leads_from: str, leads_to: str) -> str:
        """Wait until a tunnel of the edge ends. Returns which hop cut it and why, "" if a client or
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
        """Wait until a load balancer's tunnel to a target ends. `cut_after`: it is cut when the
        deregistration delay is over.
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
        """The number of tunnels to a target."""
        return sum(1 for entry in self._open.values() if entry.target == key)

    def follow(self, state: State) -> None:
        """Cut the sockets of targets that left their group after the deregistration delay.

        A target that returns in time keeps its sockets. The delay is scaled like idle timeouts.
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
        """Cut a Network Load Balancer's connections to an unhealthy target, unless its group says
        otherwise.
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
        """The deregistered targets that still have sockets."""
        found = {
            e.target: e.place
            for e in self._open.values()
            if e.target in self._leaving and e.place is not None
        }
        return list(found.values())

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._leaving.values():
            timer.cancel()

    def answer(self) -> Answer:
        """The answer to `GET /_lab/sockets`: open tunnels, oldest first. Times are real seconds."""
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
        "quiet_seconds": round(tunnel.idle_for(), 1),
        "idle_timeout_seconds": tunnel.idle_seconds,
        "idle_timeout_aws_seconds": tunnel.aws_seconds,
    }
