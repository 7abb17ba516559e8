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
from lab.edge.balancers.listeners import ListenerSockets
from lab.edge.cdn.request_pipeline import EdgePorts
from lab.edge.cdn.routing import find_distribution
from lab.edge.control_plane.reporter import EdgeReporter
from lab.edge.control_plane.state_poller import StatePoller
from lab.edge.logs.log_store import LogStore
from lab.edge.origins.api_gateway import ApiGatewayEndpoint
from lab.edge.origins.nested_distribution import NestedDistributions
from lab.edge.origins.origin_fetch import OriginFetcher
from lab.edge.tls.viewer_tls import TlsProtocol, tls_context
from lab.edge.viewers.exchange import Exchanges
from lab.edge.viewers.viewer_connections import ViewerConnections
from lab.edge.wire.open_sockets import OpenSockets

TLS_SHUTDOWN_SECONDS = 2.0
BACKLOG = 1024
MAX_SOCKETS = 65536


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
            edge.report.run(edge.report_now),
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
        self.open_sockets = OpenSockets()
        self.report = EdgeReporter(config.aws_url)
        self.health = HealthChecker(
            lambda: self._state, self.report_now, self.open_sockets.cut_unhealthy
        )
        self.balancers = ListenerSockets(config.state_dir, self.open_sockets, self.health.health_of)
        self.source = StatePoller(config.aws_url, self._apply)
        self.websocket_apis = ApiGatewayEndpoint(lambda: self._state)
        # What was served before the newest change, by distribution id: an edge that lags behind
        # still has it.
        self._former: dict[str, Distribution] = {}
        ports = EdgePorts(config.edge_port, config.edge_tls_port)
        origins = OriginFetcher(
            self.balancers, self.websocket_apis, NestedDistributions(ports, config.state_dir)
        )
        exchanges = Exchanges(lambda: self._state, self._former, origins, ports)
        log = LogStore(lambda: self._state.settings.log_delay_seconds)
        self.viewers = ViewerConnections(
            exchanges,
            log,
            self.open_sockets,
            lambda address: self._state.settings.country_of(address),
        )

    async def listen(self) -> None:
        # Only now: the AWS process has answered, so it will not be making certificates at the same
        # moment.
        context = tls_context(self._config.state_dir, self._distribution_of)
        loop = asyncio.get_running_loop()
        await self.websocket_apis.listen()
        self._servers = [
            await loop.create_server(
                self.viewers.new_connection,
                LOOPBACK,
                self._config.edge_tls_port,
                ssl=context,
                ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS,
                backlog=BACKLOG,
            ),
            await loop.create_server(
                self.viewers.new_connection, LOOPBACK, self._config.edge_port, backlog=BACKLOG
            ),
        ]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await self.viewers.close()
        await self.websocket_apis.close()
        await self.health.close()
        await self.balancers.close()

    def report_now(self) -> None:
        """Show the AWS process what only this one knows."""
        self.report.publish(
            self.health.known(),
            self.open_sockets.draining_targets(),
            self.balancers.public_addresses(),
        )

    async def _apply(self, state: State) -> None:
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
        self.report_now()

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
    wanted = MAX_SOCKETS if hard == resource.RLIM_INFINITY else min(hard, MAX_SOCKETS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
