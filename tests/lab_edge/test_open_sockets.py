"""Sockets to targets that leave their group, come back, or become unhealthy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.edge.account.load_balancers import TargetGroup, target_key
from lab.edge.account.state import State, parse_state
from lab.edge.wire.connection import Connection, PeerInfo, Tunnel
from lab.edge.wire.open_sockets import OpenSockets

from .account import Json, account, target_group
from .stepped_loop import run_stepped, settle, step

ADDRESS = "10.0.0.1:80"
# Six of AWS's seconds are one real second at the greatest scale of idle timeouts.
DELAY = {"deregistration_delay.timeout_seconds": "60"}
DELAY_SECONDS = 10.0


@dataclass
class Carried:
    """An open tunnel to the group's only target."""

    open_sockets: OpenSockets
    tunnel: Tunnel
    group: TargetGroup
    over: asyncio.Task[None]
    upstream: PeerInfo

    @property
    def cut(self) -> str:
        """Why it was cut, as the hop upstream learns it."""
        return self.upstream.cut_by


def state(*targets: str, faults: list[Json] | None = None, **more: Any) -> State:
    group = {**target_group("t", *targets), "attributes": DELAY, **more}
    return parse_state({**account(target_groups=[group], scale=1000), "faults": faults or []})


def with_socket(
    known: State, test: Callable[[Carried], Awaitable[None]], *, cut_after: bool = True
) -> None:
    """Run a test with an open tunnel, on a loop whose clock it steps."""

    async def run() -> None:
        with contextlib.ExitStack() as stack:
            connections = []
            for _ in range(2):
                mine, theirs = stack.enter_context(pair())
                mine.setblocking(False)
                connections.append(
                    (await asyncio.get_running_loop().create_connection(Connection, sock=theirs))[1]
                )
            peer_info = connections[0].peer_info = PeerInfo("130.176.14.52")
            open_sockets, group = OpenSockets(), known.target_groups["arn:tg/t"]
            open_sockets.follow(known)
            tunnel = Tunnel(connections[0], connections[1], 10 * DELAY_SECONDS, hop="ALB t")
            key = target_key(group, group.targets[0])
            tracking = open_sockets.track_to_target(
                tunnel, "130.176.14.52", group, "10.0.0.1", 80, key, cut_after=cut_after
            )
            over = asyncio.create_task(tracking)
            await settle()
            await test(Carried(open_sockets, tunnel, group, over, peer_info))
            tunnel.cut("the end of the test")
            await over
            open_sockets.close()

    run_stepped(run())


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    mine, theirs = socket.socketpair()
    with mine:
        yield mine, theirs


@pytest.mark.rule("timeout/deregistration")
def test_a_target_that_leaves_is_draining_and_cut_after_the_delay() -> None:
    async def test(carried: Carried) -> None:
        carried.open_sockets.follow(state())
        (draining,) = carried.open_sockets.draining_targets()
        assert (draining.id, draining.port) == ("10.0.0.1", 80)
        await step(DELAY_SECONDS - 1)
        assert not carried.over.done()
        await step(1)
        await carried.over
        assert carried.cut == "ALB t, because 10.0.0.1:80 was deregistered and its delay was over"
        assert carried.open_sockets.draining_targets() == []

    with_socket(state(ADDRESS), test)


def test_one_that_comes_back_keeps_its_sockets() -> None:
    async def test(carried: Carried) -> None:
        carried.open_sockets.follow(state())
        carried.open_sockets.follow(state(ADDRESS))
        assert carried.open_sockets.draining_targets() == []
        await step(2 * DELAY_SECONDS)
        assert not carried.over.done()

    with_socket(state(ADDRESS), test)


def test_a_network_balancer_leaves_them_alone_unless_configured() -> None:
    async def test(carried: Carried) -> None:
        carried.open_sockets.follow(state())
        await step(2 * DELAY_SECONDS)
        assert not carried.over.done()

    with_socket(state(ADDRESS), test, cut_after=False)


@pytest.mark.parametrize(
    ("group", "cut"),
    [
        ({"protocol": "TCP"}, True),
        ({"protocol": "HTTP"}, False),
        (
            {
                "protocol": "TCP",
                "attributes": {
                    "target_health_state.unhealthy.connection_termination.enabled": "false"
                },
            },
            False,
        ),
    ],
)
def test_an_unhealthy_target_loses_the_sockets_of_a_network_balancer(
    group: Json, cut: bool
) -> None:
    async def test(carried: Carried) -> None:
        carried.open_sockets.cut_unhealthy(carried.group, carried.group.targets[0])
        await settle()
        assert carried.over.done() is cut
        assert carried.cut == ("ALB t, because 10.0.0.1:80 is unhealthy" if cut else "")

    with_socket(state(ADDRESS, **group), test)


def test_the_list_of_sockets_and_how_many_lead_to_a_target() -> None:
    async def test(carried: Carried) -> None:
        assert (
            carried.open_sockets.open_to(target_key(carried.group, carried.group.targets[0])) == 1
        )
        assert carried.open_sockets.open_to("another") == 0
        assert (
            b'"hop": "ALB t", "from": "130.176.14.52", "to": "10.0.0.1:80"'
            in carried.open_sockets.answer().body
        )

    with_socket(state(ADDRESS), test)
