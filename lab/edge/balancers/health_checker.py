"""Health checks of targets: asks them as their target groups say, on its own clock.

It carries out checks; `target_health.py` decides what they mean. It must never ask a target of a
group that no load balancer uses, and never cost more than a few connections a second, however many
targets there are.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import h11

from lab.edge.account.load_balancers import (
    HEALTHY,
    HealthCheck,
    LoadBalancer,
    Target,
    TargetGroup,
    target_key,
)
from lab.edge.account.state import State
from lab.edge.balancers.rules.target_health import (
    FAILED,
    GOOD,
    TIMED_OUT,
    Finding,
    Health,
    after,
    interval,
    judge_status,
    timeout,
)
from lab.edge.balancers.target_connections import Errand, TargetConnections, TargetUnreachable
from lab.edge.network.packet_filter import node_address
from lab.edge.wire.connection import Passage
from lab.edge.wire.http1 import Http1, ask

TICK_SECONDS = 0.25
USER_AGENT = "ELB-HealthChecker/2.0"


@dataclass(slots=True)
class _Watched:
    errand: Errand
    check: HealthCheck
    due: float
    health: Health = field(default_factory=Health)
    busy: bool = False


class HealthChecker:
    """Knows the health of every target in use."""

    def __init__(
        self,
        state: Callable[[], State],
        changed: Callable[[], None],
        fell_ill: Callable[[TargetGroup, Target], None],
    ) -> None:
        self._state = state
        self._changed = changed
        self._fell_ill = fell_ill
        self._watched: dict[str, _Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def health_of(self, group: TargetGroup, target: Target) -> str:
        """A target's state: what the checks say, or what the state says of a target that is not
        checked.
        """
        watched = self._watched.get(target_key(group, target))
        return watched.health.state if watched is not None else target.health

    def known(self) -> list[tuple[TargetGroup, Target, Health]]:
        """Every checked target with its health."""
        return [(one.errand.group, one.errand.target, one.health) for one in self._watched.values()]

    def follow(self, state: State) -> None:
        """Check what is in use from now on; what was known of a target that stays is kept."""
        wanted = dict(_errands(state))
        for key in self._watched.keys() - wanted.keys():
            del self._watched[key]
        now = time.monotonic()
        for key, errand in wanted.items():
            check = errand.group.health_check
            if check is None:
                continue
            if key in self._watched:
                self._watched[key].errand, self._watched[key].check = errand, check
            else:
                self._watched[key] = _Watched(errand, check, now)

    async def run(self, targets: TargetConnections) -> None:
        """Check whatever is due, for ever."""
        while True:
            now = time.monotonic()
            scale = self._state().scale
            for watched in list(self._watched.values()):
                if watched.due <= now and not watched.busy:
                    watched.busy = True
                    watched.due = now + interval(watched.check, scale, len(self._watched))
                    task = asyncio.get_running_loop().create_task(self._check(watched, targets))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(TICK_SECONDS)

    async def close(self) -> None:
        """Give up the checks that run."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _check(self, watched: _Watched, targets: TargetConnections) -> None:
        try:
            async with asyncio.timeout(timeout(watched.check, self._state().scale)):
                found = await _ask(watched, targets)
        except TimeoutError:
            found = TIMED_OUT
        finally:
            watched.busy = False
        before = watched.health
        watched.health = after(before, found, watched.check)
        if (before.state, before.reason) != (watched.health.state, watched.health.reason):
            self._changed()
        if before.state == HEALTHY != watched.health.state:
            self._fell_ill(watched.errand.group, watched.errand.target)


async def _ask(watched: _Watched, targets: TargetConnections) -> Finding:
    check = watched.check
    try:
        leg = await targets.connect(watched.errand, check.port)
    except TargetUnreachable as unreachable:
        return TIMED_OUT if unreachable.status == 504 else FAILED
    try:
        if check.protocol not in ("HTTP", "HTTPS"):
            return GOOD
        headers = [
            ("Host", f"{watched.errand.target.id}:{watched.errand.target.port}"),
            ("Connection", "close"),
        ]
        request = h11.Request(
            method="GET", target=check.path, headers=[*headers, ("User-Agent", USER_AGENT)]
        )
        reply = await ask(
            Http1(leg, h11.CLIENT), request, body_from=None, patience=timeout(check, 1.0)
        )
        return judge_status(reply.status_code, check.codes)
    except (OSError, ssl.SSLError, h11.ProtocolError):
        return FAILED
    finally:
        leg.close()


def _errands(state: State) -> list[tuple[str, Errand]]:
    """Every target of every group that a listener names, with the first balancer that uses it."""
    found: dict[str, Errand] = {}
    for balancer in state.load_balancers:
        client = Passage(_address_of(state, balancer), frozenset(balancer.security_groups))
        actions = [
            action
            for listener in balancer.listeners
            for action in (
                *listener.default_actions,
                *(a for rule in listener.rules for a in rule.actions),
            )
        ]
        for arn in dict.fromkeys(arn for action in actions for arn in action.target_group_arns):
            group = state.target_groups.get(arn)
            if group is None or group.health_check is None:
                continue
            for target in group.targets:
                found.setdefault(target_key(group, target), Errand(balancer, group, target, client))
    return list(found.items())


def _address_of(state: State, balancer: LoadBalancer) -> str:
    """Checks come from the balancer's own node."""
    subnet = next(
        (state.network.subnets[id] for id in balancer.subnets if id in state.network.subnets), None
    )
    return node_address(subnet) if subnet is not None else "0.0.0.0"  # noqa: S104 - an address nobody admits by name
