"""The edge process: waits for the account's state, opens the viewer listeners, serves until it is
told to end.

It decides only how the parts are put together. It must never listen on anything but loopback.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from asyncio import sslproto

from lab.config import LOOPBACK, LabConfig
from lab.edge.account.distributions import Distribution
from lab.edge.account.state import State
from lab.edge.balancers.health_checker import HealthChecker
from lab.edge.balancers.listeners import Balancers
from lab.edge.cdn.request_pipeline import EdgePorts
from lab.edge.cdn.routing import find_distribution
from lab.edge.control_plane.reporter import EdgeReport
from lab.edge.control_plane.state_poller import StateSource
from lab.edge.logs.log_store import LogShelf
from lab.edge.origins.api_gateway import Gateways
from lab.edge.origins.nested_distribution import EdgeAsOrigin
from lab.edge.origins.origin_fetch import OriginFetch
from lab.edge.tls.viewer_tls import TlsProtocol, tls_context
from lab.edge.viewers.exchange import Exchanges
from lab.edge.viewers.viewer_connections import Viewers
from lab.edge.wire.open_sockets import Live

TLS_SHUTDOWN_SECONDS = 2.0
BACKLOG = 1024
MOST_SOCKETS = 65536


def run(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises SystemExit: a port is taken.
    """
    try:
        asyncio.run(_serve(config))
    except OSError as error:
        raise SystemExit(f"edge: {error}") from error


async def _serve(config: LabConfig) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    _allow_many_sockets()
    sslproto.SSLProtocol = TlsProtocol  # type: ignore[misc]
    edge = _Edge(config)
    following = [
        loop.create_task(work)
        for work in (
            edge.source.follow(edge.first_state),
            edge.health.run(edge.balancers.targets),
            edge.report.run(edge.tell),
        )
    ]
    try:
        if await _first_of(edge.first_state, ended):
            await edge.listen()
            print(
                f"ready edge https://{LOOPBACK}:{config.edge_tls_port} "
                f"http://{LOOPBACK}:{config.edge_port}",
                flush=True,
            )
            await ended.wait()
    finally:
        for task in following:
            task.cancel()
        await edge.close()


class _Edge:
    """The parts of the process and what they share: the newest state."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._state = State(version=-1, scale=1.0)
        self._servers: list[asyncio.Server] = []
        self.first_state = asyncio.Event()
        self.live = Live()
        self.report = EdgeReport(config.aws_url)
        self.health = HealthChecker(lambda: self._state, self.tell, self.live.drop)
        self.balancers = Balancers(config.state_dir, self.live, self.health.health_of)
        self.source = StateSource(config.aws_url, self._take_over)
        self.gateways = Gateways(lambda: self._state)
        # What was served before the newest change, by distribution id: an edge that lags behind
        # still has it.
        self._former: dict[str, Distribution] = {}
        ports = EdgePorts(config.edge_port, config.edge_tls_port)
        origins = OriginFetch(self.balancers, self.gateways, EdgeAsOrigin(ports, config.state_dir))
        exchanges = Exchanges(lambda: self._state, self._former, origins, ports)
        log = LogShelf(lambda: self._state.settings.log_delay_seconds)
        self.viewers = Viewers(
            exchanges, log, self.live, lambda address: self._state.settings.country_of(address)
        )

    async def listen(self) -> None:
        # Only now: the AWS process has answered, so it will not be making certificates at the same
        # moment.
        context = tls_context(self._config.state_dir, self._distribution_of)
        loop = asyncio.get_running_loop()
        await self.gateways.listen()
        self._servers = [
            await loop.create_server(
                self.viewers.leg,
                LOOPBACK,
                self._config.edge_tls_port,
                ssl=context,
                ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS,
                backlog=BACKLOG,
            ),
            await loop.create_server(
                self.viewers.leg, LOOPBACK, self._config.edge_port, backlog=BACKLOG
            ),
        ]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await self.viewers.close()
        await self.gateways.close()
        await self.health.close()
        await self.balancers.close()

    def tell(self) -> None:
        """Show the AWS process what only this one knows."""
        self.report.publish(
            self.health.known(), self.live.draining(), self.balancers.public_addresses()
        )

    async def _take_over(self, state: State) -> None:
        # Sockets first: no request may be routed to a listener that is not there yet.
        await self.balancers.follow(state)
        served = {distribution.id: distribution for distribution in self._state.distributions}
        for distribution in state.distributions:
            before = served.get(distribution.id)
            if before is not None and before != distribution:
                self._former[distribution.id] = before
        for gone in self._former.keys() - {distribution.id for distribution in state.distributions}:
            del self._former[gone]
        self._state = state
        self.health.follow(state)
        self.tell()

    def _distribution_of(self, name: str) -> Distribution | None:
        return find_distribution(self._state.distributions, name)


async def _first_of(awaited: asyncio.Event, ended: asyncio.Event) -> bool:
    """Wait for either; whether it was the first."""
    waiting = [asyncio.create_task(event.wait()) for event in (awaited, ended)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return not ended.is_set()


def _allow_many_sockets() -> None:
    """One WebSocket needs four descriptors here; the usual soft limit of 1024 would be 250 of
    them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_SOCKETS if hard == resource.RLIM_INFINITY else min(hard, MOST_SOCKETS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
