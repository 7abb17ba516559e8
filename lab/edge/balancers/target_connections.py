"""Connections from a load balancer to its targets.

Packet filters decide whether packets pass; the host map says where a simulated address really
listens. Nothing else is ever connected to.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from lab.edge.account.load_balancers import Listener, LoadBalancer, Target, TargetGroup
from lab.edge.account.state import State
from lab.edge.network.packet_filter import PacketSource, groups_admit, target_admits
from lab.edge.tls.origin_tls import unverified_context
from lab.edge.wire.connection import Connection, PeerInfo

LOOPBACK = "127.0.0.1"
TARGET_CONNECT_SECONDS = 10.0
MAX_TARGET_WAIT = 2.5
TLS_SECONDS = 5.0


class TargetUnreachable(Exception):
    """No connection to the target. An Application Load Balancer answers with `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class TargetRoute:
    """Which balancer connects to which target, on behalf of `client`, its own client."""

    balancer: LoadBalancer
    group: TargetGroup
    target: Target
    client: PeerInfo


class TargetConnector:
    """Connects load balancers to targets."""

    def __init__(self, state: Callable[[], State], port_of: Callable[[str], int | None]) -> None:
        self._state = state
        self._port_of = port_of
        self._unverified: ssl.SSLContext | None = None
        self._peer_infos: dict[tuple[str, int], PeerInfo] = {}

    def peer_info_of(self, connection: Connection) -> PeerInfo | None:
        """The peer info of an accepted connection; None for a client from outside the lab."""
        name: tuple[str, int] = connection.transport.get_extra_info("peername", ("", 0))[:2]
        return self._peer_infos.get(name)

    async def connect(self, route: TargetRoute, port: int = 0) -> Connection:
        """Connect to a target, on its own port or, for a health check, on another.

        :raises TargetUnreachable: 502 if it refuses or TLS fails; 504 if packets are dropped or
            nothing has that address.
        """
        state = self._state()
        group, port = route.group, port or route.target.port
        if group.target_type == "alb":
            return await self._connect_balancer(state, route, port)
        address: str | None = route.target.id
        if group.target_type == "instance":
            instance = state.network.instances.get(route.target.id)
            running = instance is not None and instance.state == "running"
            address = instance.private_ip if instance is not None and running else None
        # A Network Load Balancer preserves the client's address for instances, for other targets
        # only if configured.
        default = "true" if group.target_type == "instance" else "false"
        preserved = None
        if (
            route.balancer.type == "network"
            and group.attributes.get("preserve_client_ip.enabled", default) == "true"
        ):
            preserved = PacketSource(route.client.source, route.client.groups)
        if address is None or not target_admits(
            state.network, route.balancer, group.vpc_id, address, port, preserved
        ):
            raise await self._dropped(state)
        real = state.hosts.get(f"{address}:{port}")
        if real is None:
            raise await self._dropped(state)
        host, _, real_port = real.rpartition(":")
        if group.speaks_tls:
            self._unverified = self._unverified or unverified_context()
        context = self._unverified if group.speaks_tls else None
        try:
            async with asyncio.timeout(MAX_TARGET_WAIT):
                return await open_connection(host, int(real_port), context, "")
        except TimeoutError:
            raise TargetUnreachable(504) from None
        except OSError:
            raise TargetUnreachable(502) from None

    async def connect_listener(
        self,
        listener: Listener,
        peer_info: PeerInfo,
        context: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> Connection:
        """Connect to a load balancer's listener, which will find `peer_info` for the connection.

        :raises OSError: nothing listens there, or TLS failed.
        """
        port = self._port_of(listener.arn)
        if port is None:
            raise ConnectionRefusedError("the listener is gone")
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            # Bind first: the peer info must be registered before the other side can accept.
            sock.bind((LOOPBACK, 0))
            name: tuple[str, int] = sock.getsockname()[:2]
            self._peer_infos[name] = peer_info
            await loop.sock_connect(sock, (LOOPBACK, port))
            _, connection = await loop.create_connection(
                Connection,
                sock=sock,
                ssl=context,
                server_hostname=server_name if context else None,
                ssl_handshake_timeout=TLS_SECONDS if context else None,
            )
        except BaseException:
            sock.close()
            self._peer_infos.pop(name, None)
            raise
        connection.peer_info = peer_info
        connection.on_close(lambda: self._forget(name, peer_info))
        return connection

    async def _connect_balancer(self, state: State, route: TargetRoute, port: int) -> Connection:
        """An Application Load Balancer behind a Network one. It sees the client's address."""
        inner = next((one for one in state.load_balancers if one.arn == route.target.id), None)
        groups = frozenset(route.balancer.security_groups)
        caller = PacketSource(route.client.source, groups | route.client.groups)
        if inner is None or not groups_admit(state.network, inner.security_groups, port, caller):
            raise await self._dropped(state)
        listener = next((one for one in inner.listeners if one.port == port), None)
        if listener is None:
            raise TargetUnreachable(502)
        try:
            return await self.connect_listener(listener, PeerInfo(route.client.source, groups))
        except OSError:
            raise TargetUnreachable(502) from None

    @staticmethod
    async def _dropped(state: State) -> TargetUnreachable:
        await asyncio.sleep(min(TARGET_CONNECT_SECONDS / (state.scale or 1.0), MAX_TARGET_WAIT))
        return TargetUnreachable(504)

    def _forget(self, name: tuple[str, int], peer_info: PeerInfo) -> None:
        if self._peer_infos.get(name) is peer_info:
            del self._peer_infos[name]


async def open_connection(
    host: str, port: int, context: ssl.SSLContext | None, server_name: str
) -> Connection:
    """Connect to a real address, over TLS if `context` is given."""
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection,
        host,
        port,
        ssl=context,
        server_hostname=server_name if context else None,
        ssl_handshake_timeout=TLS_SECONDS if context else None,
    )
    return connection
