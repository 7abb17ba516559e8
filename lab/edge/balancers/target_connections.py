"""From a load balancer to one of its targets: address, permission, socket, TLS.

It decides nothing by itself: admission says whether packets travel, the host map says where a
simulated address really listens. It must never connect anywhere else.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from lab.edge.account.load_balancers import Listener, LoadBalancer, Target, TargetGroup
from lab.edge.account.state import State
from lab.edge.network.packet_filter import Caller, admits, target_admits
from lab.edge.tls.origin_tls import careless_context
from lab.edge.wire.connection import Leg, Passage

LOOPBACK = "127.0.0.1"
TARGET_CONNECT_SECONDS = 10.0
LONGEST_TARGET_WAIT = 2.5
TLS_SECONDS = 5.0


class TargetUnreachable(Exception):
    """No connection to the target; `status` is what an Application Load Balancer answers."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Errand:
    """Who wants to connect to a target, and for whom: `client` is who connected to the load
    balancer.
    """

    balancer: LoadBalancer
    group: TargetGroup
    target: Target
    client: Passage


class TargetConnections:
    """Connections from load balancers to targets."""

    def __init__(self, state: Callable[[], State], port_of: Callable[[str], int | None]) -> None:
        self._state = state
        self._port_of = port_of
        self._careless: ssl.SSLContext | None = None
        self._passages: dict[tuple[str, int], Passage] = {}

    def passage_of(self, leg: Leg) -> Passage | None:
        """What the maker of a connection to a listener said of it; None for a client from
        outside.
        """
        name: tuple[str, int] = leg.transport.get_extra_info("peername", ("", 0))[:2]
        return self._passages.get(name)

    async def connect(self, errand: Errand, port: int = 0) -> Leg:
        """Connect to a target, on its own port or, for a health check, on another one.

        :raises TargetUnreachable: 502 when it refuses or fails in TLS, 504 when packets are dropped
        or nobody is there.
        """
        state = self._state()
        group, port = errand.group, port or errand.target.port
        if group.target_type == "alb":
            return await self._connect_balancer(state, errand, port)
        address = self._address(state, errand)
        preserved = _preserved(errand)
        if address is None or not target_admits(
            state.network, errand.balancer, group.vpc_id, address, port, preserved
        ):
            raise await self._dropped(state)
        real = state.hosts.get(f"{address}:{port}")
        if real is None:
            raise await self._dropped(state)
        host, _, real_port = real.rpartition(":")
        if group.speaks_tls:
            self._careless = self._careless or careless_context()
        secure = self._careless if group.speaks_tls else None
        try:
            async with asyncio.timeout(LONGEST_TARGET_WAIT):
                return await open_leg(host, int(real_port), secure, "")
        except TimeoutError:
            raise TargetUnreachable(504) from None
        except OSError:
            raise TargetUnreachable(502) from None

    async def connect_listener(
        self,
        listener: Listener,
        passage: Passage,
        secure: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> Leg:
        """A connection to a load balancer's listener, which finds `passage` at the other end.

        :raises OSError: nothing listens there any more, or TLS failed.
        """
        port = self._port_of(listener.arn)
        if port is None:
            raise ConnectionRefusedError("the listener is gone")
        loop = asyncio.get_running_loop()
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            # Bound before it connects, so that the other side finds the passage however early it
            # looks.
            made.bind((LOOPBACK, 0))
            name: tuple[str, int] = made.getsockname()[:2]
            self._passages[name] = passage
            await loop.sock_connect(made, (LOOPBACK, port))
            _, leg = await loop.create_connection(
                Leg,
                sock=made,
                ssl=secure,
                server_hostname=server_name if secure else None,
                ssl_handshake_timeout=TLS_SECONDS if secure else None,
            )
        except BaseException:
            made.close()
            self._passages.pop(name, None)
            raise
        leg.passage = passage
        leg.on_close(lambda: self._forget(name, passage))
        return leg

    async def _connect_balancer(self, state: State, errand: Errand, port: int) -> Leg:
        """An Application Load Balancer behind a network one: it sees the client's own address."""
        behind = next((one for one in state.load_balancers if one.arn == errand.target.id), None)
        groups = frozenset(errand.balancer.security_groups)
        caller = Caller(errand.client.source, groups | errand.client.groups)
        if behind is None or not admits(state.network, behind.security_groups, port, caller):
            raise await self._dropped(state)
        listener = next((one for one in behind.listeners if one.port == port), None)
        if listener is None:
            raise TargetUnreachable(502)
        try:
            return await self.connect_listener(listener, Passage(errand.client.source, groups))
        except OSError:
            raise TargetUnreachable(502) from None

    @staticmethod
    def _address(state: State, errand: Errand) -> str | None:
        if errand.group.target_type != "instance":
            return errand.target.id
        instance = state.network.instances.get(errand.target.id)
        return instance.private_ip if instance is not None and instance.state == "running" else None

    @staticmethod
    async def _dropped(state: State) -> TargetUnreachable:
        await asyncio.sleep(min(TARGET_CONNECT_SECONDS / (state.scale or 1.0), LONGEST_TARGET_WAIT))
        return TargetUnreachable(504)

    def _forget(self, name: tuple[str, int], passage: Passage) -> None:
        if self._passages.get(name) is passage:
            del self._passages[name]


async def open_leg(host: str, port: int, secure: ssl.SSLContext | None, server_name: str) -> Leg:
    """A connection to a real address, over TLS if `secure` is given."""
    _, leg = await asyncio.get_running_loop().create_connection(
        Leg,
        host,
        port,
        ssl=secure,
        server_hostname=server_name if secure else None,
        ssl_handshake_timeout=TLS_SECONDS if secure else None,
    )
    return leg


def _preserved(errand: Errand) -> Caller | None:
    """A network load balancer keeps the client's address for instances, for other targets only if
    told to.
    """
    if errand.balancer.type != "network":
        return None
    default = "true" if errand.group.target_type == "instance" else "false"
    if errand.group.attributes.get("preserve_client_ip.enabled", default) != "true":
        return None
    return Caller(errand.client.source, errand.client.groups)
