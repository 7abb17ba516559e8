"""The edge process: waits for the account's state, listens for viewers on loopback, serves until
SIGTERM.
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

    :raises SystemExit: a port is in use.
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
    tasks = [
        loop.create_task(work)
        for work in (
            edge.poller.follow(edge.first_state),
            edge.health.run(edge.listeners.targets),
            edge.reporter.run(edge.publish_report),
        )
    ]
    waiting = [loop.create_task(event.wait()) for event in (edge.first_state, ended)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not ended.is_set():
            await edge.listen()
            print(
                f"ready edge https://{LOOPBACK}:{config.edge_tls_port} "
                f"http://{LOOPBACK}:{config.edge_port}",
                flush=True,
            )
            await ended.wait()
    finally:
        for task in (*tasks, *waiting):
            task.cancel()
        await edge.close()


class _Edge:
    """The parts of the process, and the state that they share."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._state = State(version=-1, scale=1.0)
        self._servers: list[asyncio.Server] = []
        self.first_state = asyncio.Event()
        self.open_sockets = OpenSockets()
        self.reporter = EdgeReporter(config.aws_url)
        self.health = HealthChecker(
            lambda: self._state, self.publish_report, self.open_sockets.cut_unhealthy
        )
        self.listeners = ListenerSockets(config.state_dir, self.open_sockets, self.health.health_of)
        self.poller = StatePoller(config.aws_url, self._apply)
        self.api_gateway = ApiGatewayEndpoint(lambda: self._state)
        # The previous configuration by distribution id: an edge that lags behind still serves it.
        self._former: dict[str, Distribution] = {}
        ports = EdgePorts(config.edge_port, config.edge_tls_port)
        origins = OriginFetcher(
            self.listeners, self.api_gateway, NestedDistributions(ports, config.state_dir)
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
        # Only now: the AWS process is up, so both do not create certificates at the same time.
        context = tls_context(
            self._config.state_dir,
            lambda name: find_distribution(self._state.distributions, name),
        )
        loop = asyncio.get_running_loop()
        await self.api_gateway.listen()
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
        await self.api_gateway.close()
        await self.health.close()
        await self.listeners.close()

    def publish_report(self) -> None:
        """Publish health and addresses for the AWS process."""
        self.reporter.publish(
            self.health.known(),
            self.open_sockets.draining_targets(),
            self.listeners.public_addresses(),
        )

    async def _apply(self, state: State) -> None:
        # Sockets first: no request may go to a listener that does not exist yet.
        await self.listeners.follow(state)
        served = {distribution.id: distribution for distribution in self._state.distributions}
        for distribution in state.distributions:
            before = served.get(distribution.id)
            if before is not None and before != distribution:
                self._former[distribution.id] = before
        for gone in self._former.keys() - {distribution.id for distribution in state.distributions}:
            del self._former[gone]
        self._state = state
        self.health.follow(state)
        self.publish_report()


def _allow_many_sockets() -> None:
    """Raise the descriptor limit: a WebSocket needs four here, and the usual 1024 allow 250."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_SOCKETS if hard == resource.RLIM_INFINITY else min(hard, MAX_SOCKETS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
