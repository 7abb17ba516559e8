"""Health checks: sends them as the target groups say, in real time.

Only targets in use are checked, and never more than a few per second, however many there are.
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
    Target,
    TargetGroup,
    target_key,
)
from lab.edge.account.state import State
from lab.edge.balancers.rules.target_health import (
    FAILED,
    GOOD,
    TIMED_OUT,
    CheckResult,
    TargetHealth,
    apply_check,
    check_interval,
    check_timeout,
    judge_status,
)
from lab.edge.balancers.target_connections import TargetConnector, TargetRoute, TargetUnreachable
from lab.edge.network.packet_filter import node_address
from lab.edge.wire.connection import PeerInfo
from lab.edge.wire.http1 import Http1Connection, send_request

TICK_SECONDS = 0.25
USER_AGENT = "ELB-HealthChecker/2.0"


@dataclass(slots=True)
class _CheckedTarget:
    route: TargetRoute
    check: HealthCheck
    due: float
    health: TargetHealth = field(default_factory=TargetHealth)
    busy: bool = False


class HealthChecker:
    """Checks the health of every target in use."""

    def __init__(
        self,
        state: Callable[[], State],
        changed: Callable[[], None],
        became_unhealthy: Callable[[TargetGroup, Target], None],
    ) -> None:
        self._state = state
        self._changed = changed
        self._became_unhealthy = became_unhealthy
        self._watched: dict[str, _CheckedTarget] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def health_of(self, group: TargetGroup, target: Target) -> str:
        """A target's health state: from checks, or from the account if it is not checked."""
        watched = self._watched.get(target_key(group, target))
        return watched.health.state if watched is not None else target.health

    def known(self) -> list[tuple[TargetGroup, Target, TargetHealth]]:
        """All checked targets with their health."""
        return [(one.route.group, one.route.target, one.health) for one in self._watched.values()]

    def follow(self, state: State) -> None:
        """Check the targets that are in use now. The health of those that stay is kept."""
        wanted = dict(_routes_in_use(state))
        for key in self._watched.keys() - wanted.keys():
            del self._watched[key]
        now = time.monotonic()
        for key, route in wanted.items():
            check = route.group.health_check
            if check is None:
                continue
            if key in self._watched:
                self._watched[key].route, self._watched[key].check = route, check
            else:
                self._watched[key] = _CheckedTarget(route, check, now)

    async def run(self, targets: TargetConnector) -> None:
        """Run checks that are due, for ever."""
        while True:
            now = time.monotonic()
            scale = self._state().scale
            for watched in list(self._watched.values()):
                if watched.due <= now and not watched.busy:
                    watched.busy = True
                    watched.due = now + check_interval(watched.check, scale, len(self._watched))
                    task = asyncio.get_running_loop().create_task(self._check(watched, targets))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(TICK_SECONDS)

    async def close(self) -> None:
        """Cancel running checks."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _check(self, watched: _CheckedTarget, targets: TargetConnector) -> None:
        try:
            async with asyncio.timeout(check_timeout(watched.check, self._state().scale)):
                found = await _send_check(watched, targets)
        except TimeoutError:
            found = TIMED_OUT
        finally:
            watched.busy = False
        before = watched.health
        watched.health = apply_check(before, found, watched.check)
        if (before.state, before.reason) != (watched.health.state, watched.health.reason):
            self._changed()
        if before.state == HEALTHY != watched.health.state:
            self._became_unhealthy(watched.route.group, watched.route.target)


async def _send_check(watched: _CheckedTarget, targets: TargetConnector) -> CheckResult:
    check = watched.check
    try:
        connection = await targets.connect(watched.route, check.port)
    except TargetUnreachable as unreachable:
        return TIMED_OUT if unreachable.status == 504 else FAILED
    try:
        if check.protocol not in ("HTTP", "HTTPS"):
            return GOOD
        headers = [
            ("Host", f"{watched.route.target.id}:{watched.route.target.port}"),
            ("Connection", "close"),
        ]
        request = h11.Request(
            method="GET", target=check.path, headers=[*headers, ("User-Agent", USER_AGENT)]
        )
        reply = await send_request(
            Http1Connection(connection, h11.CLIENT),
            request,
            body_from=None,
            timeout=check_timeout(check, 1.0),
        )
        return judge_status(reply.status_code, check.codes)
    except (OSError, ssl.SSLError, h11.ProtocolError):
        return FAILED
    finally:
        connection.close()


def _routes_in_use(state: State) -> list[tuple[str, TargetRoute]]:
    """All targets of all groups that a listener uses, by key, with the first balancer that does."""
    found: dict[str, TargetRoute] = {}
    for balancer in state.load_balancers:
        # Checks come from the balancer's own node.
        nodes = [
            state.network.subnets[id] for id in balancer.subnets if id in state.network.subnets
        ]
        address = node_address(nodes[0]) if nodes else "0.0.0.0"  # noqa: S104 - matches no rule
        client = PeerInfo(address, frozenset(balancer.security_groups))
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
                found.setdefault(
                    target_key(group, target), TargetRoute(balancer, group, target, client)
                )
    return list(found.items())
