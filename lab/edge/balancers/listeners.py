"""Listeners: one listening socket on loopback each, and the connections through it.

A connection from the edge or from another load balancer is recognized by its peer info. Any other
is a client on the internet, and gets in only where the internet would: never to an internal load
balancer.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11

from lab.edge.account.load_balancers import Certificate, Listener, LoadBalancer, target_key
from lab.edge.account.state import State
from lab.edge.balancers.application_balancer import ApplicationBalancer, ConfiguredListener
from lab.edge.balancers.rules.target_choice import HealthLookup, usable_targets
from lab.edge.balancers.target_connections import (
    LOOPBACK,
    MAX_TARGET_WAIT,
    TARGET_CONNECT_SECONDS,
    TLS_SECONDS,
    TargetConnector,
    TargetRoute,
    TargetUnreachable,
    open_connection,
)
from lab.edge.network.origin_resolution import (
    TCP_LISTENERS,
    ResolvedAddress,
    ResolvedListener,
    internet_reaches,
)
from lab.edge.tls.origin_tls import ListenerCertificates, OriginTrust
from lab.edge.wire.connection import Connection, PeerInfo, Tunnel
from lab.edge.wire.open_sockets import OpenSockets
from lab.origin_certificates import Flaw

# ELBv2's default, used only if the attribute is missing.
NLB_IDLE_SECONDS = 350.0
# The simulated address of clients on the internet (TEST-NET-3, RFC 5737).
INTERNET_CLIENT = "203.0.113.77"
# Faults: the certificate that listeners present has this flaw.
FLAW_FAULTS: Mapping[str, Flaw] = {f"origin-certificate-{flaw.value}": flaw for flaw in Flaw}
TLS_HANDSHAKE = 0x16
BACKLOG = 512


@dataclass(slots=True)
class _ListenerSocket:
    """A listener's socket. `server` accepts for a plain one, `acceptor` for one with TLS."""

    port: int
    server: asyncio.Server | None = None
    acceptor: asyncio.Task[None] | None = None
    socket: socket.socket | None = field(default=None)

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
        if self.acceptor is not None:
            self.acceptor.cancel()
        if self.socket is not None:
            self.socket.close()


class ListenerSockets:
    """The listening sockets of all load balancers, kept in step with the account."""

    def __init__(self, state_dir: Path, open_sockets: OpenSockets, health: HealthLookup) -> None:
        self._state = State(version=-1, scale=1.0)
        self._sockets: dict[str, _ListenerSocket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = itertools.count()
        self._open_sockets = open_sockets
        self._health = health
        self._trust = OriginTrust(state_dir)
        self._certificates = ListenerCertificates(state_dir)
        self._server_contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self.targets = TargetConnector(lambda: self._state, self._port_of)
        self._application = ApplicationBalancer(
            lambda: self._state, self.targets, health, open_sockets
        )

    async def follow(self, state: State) -> None:
        """Open sockets for new listeners and close those of deleted ones. Connections stay open."""
        self._state = state
        wanted = {
            listener.arn: listener
            for balancer in state.load_balancers
            for listener in balancer.listeners
            if balancer.type in ("application", "network") and listener.protocol in TCP_LISTENERS
        }
        for arn in list(self._sockets):
            # A listener that gains or loses TLS needs the other kind of socket.
            if arn not in wanted or wanted[arn].terminates_tls != (
                self._sockets[arn].acceptor is not None
            ):
                self._sockets.pop(arn).close()
        for arn in wanted.keys() - self._sockets.keys():
            await self._listen(wanted[arn])
        self._open_sockets.follow(state)

    async def connect(
        self, resolved: ResolvedListener | ResolvedAddress, source: str, server_name: str
    ) -> Connection:
        """Connect CloudFront to an origin, with the simulated source address `source`.

        :raises ssl.SSLError: the TLS handshake failed.
        :raises OSError: nothing listens there, or it hung up.
        """
        protocols = resolved.ssl_protocols
        secure = None if protocols is None else self._trust.context(protocols)
        if isinstance(resolved, ResolvedListener):
            return await self.targets.connect_listener(
                resolved.listener, PeerInfo(source), secure, server_name
            )
        real = self._state.hosts.get(resolved.address)
        if real is None:
            raise ConnectionRefusedError("nothing listens there")
        host, _, port = real.rpartition(":")
        async with asyncio.timeout(MAX_TARGET_WAIT + TLS_SECONDS):
            return await open_connection(host, int(port), secure, server_name)

    def public_addresses(self) -> dict[str, str]:
        """The listeners of internet-facing load balancers: `name:port` to `host:port` on this
        machine.
        """
        return {
            f"{balancer.dns_name}:{listener.port}": f"{LOOPBACK}:{self._sockets[listener.arn].port}"
            for balancer in self._state.load_balancers
            if balancer.internet_facing
            for listener in balancer.listeners
            if listener.arn in self._sockets
        }

    async def close(self) -> None:
        """Stop listening and close every connection."""
        for listening in self._sockets.values():
            listening.close()
        self._open_sockets.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _port_of(self, arn: str) -> int | None:
        listening = self._sockets.get(arn)
        return None if listening is None else listening.port

    async def _listen(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        arn = listener.arn
        if not listener.terminates_tls:
            server = await loop.create_server(
                self._protocol_factory(arn), LOOPBACK, 0, backlog=BACKLOG
            )
            self._sockets[arn] = _ListenerSocket(server.sockets[0].getsockname()[1], server)
            return
        listening = socket.create_server((LOOPBACK, 0), backlog=BACKLOG)
        listening.setblocking(False)
        acceptor = loop.create_task(self._accept(arn, listening))
        self._sockets[arn] = _ListenerSocket(listening.getsockname()[1], None, acceptor, listening)

    def _protocol_factory(self, arn: str, *, without_tls: bool = False) -> Callable[[], Connection]:
        def opened(connection: Connection) -> None:
            self._start_task(
                self._refuse_plain(connection) if without_tls else self._serve(arn, connection)
            )

        return lambda: Connection(opened)

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, arn: str, listening: socket.socket) -> None:
        """Accept connections to a TLS listener. A client that does not start TLS gets a plain
        400.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            self._start_task(self._start_accepted(arn, accepted))

    async def _start_accepted(self, arn: str, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            accepted.setblocking(False)
            async with asyncio.timeout(TLS_SECONDS):
                first = await _peek(accepted)
            secure = bool(first) and first[0] == TLS_HANDSHAKE
            await loop.connect_accepted_socket(
                self._protocol_factory(arn, without_tls=not secure),
                accepted,
                ssl=self._server_context(arn) if secure else None,
                ssl_handshake_timeout=TLS_SECONDS if secure else None,
            )
        except (OSError, ssl.SSLError):
            accepted.close()

    async def _refuse_plain(self, connection: Connection) -> None:
        body = (
            b"<html><head><title>400 The plain HTTP request was sent to HTTPS "
            b"port</title></head></html>\r\n"
        )
        head = (
            b"HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\nContent-Type: "
            b"text/html\r\nConnection: close\r\n"
        )
        try:
            await connection.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await connection.lingering_close()
        except OSError:
            connection.close()

    def _server_context(self, arn: str) -> ssl.SSLContext:
        found = self._configured(arn)
        if found is None:
            raise ConnectionRefusedError("the listener is gone")
        key = (arn, found[1].ssl_policy)
        if key not in self._server_contexts:
            self._server_contexts[key] = self._certificates.server_context(
                found[1].ssl_policy, functools.partial(self._context_for, arn)
            )
        return self._server_contexts[key]

    def _context_for(self, arn: str, name: str | None) -> ssl.SSLContext | None:
        found = self._configured(arn)
        if found is None:
            return None
        _, listener = found
        known: list[Certificate] = [
            self._state.certificates[one]
            for one in listener.certificates
            if one in self._state.certificates
        ]
        flawed = (fault for fault in self._state.faults if fault.listener in ("", listener.arn))
        flaw = next(
            (FLAW_FAULTS[fault.name] for fault in flawed if fault.name in FLAW_FAULTS), None
        )
        return self._certificates.for_name(known, name, flaw)

    def _configured(self, arn: str) -> ConfiguredListener | None:
        """The listener's current configuration; None if it was deleted."""
        for balancer in self._state.load_balancers:
            for listener in balancer.listeners:
                if listener.arn == arn:
                    return balancer, listener
        return None

    async def _serve(self, arn: str, connection: Connection) -> None:
        try:
            found = self._configured(arn)
            if found is None:
                return
            balancer, listener = found
            peer_info = self.targets.peer_info_of(connection)
            if peer_info is None:
                if not internet_reaches(self._state, balancer, listener, INTERNET_CLIENT):
                    # Imitate dropped packets: stay silent, then reset.
                    await asyncio.sleep(
                        min(TARGET_CONNECT_SECONDS / (self._state.scale or 1.0), MAX_TARGET_WAIT)
                    )
                    connection.reset()
                    return
                peer_info = PeerInfo(INTERNET_CLIENT)
            connection.peer_info = peer_info
            if balancer.type == "network":
                await self._forward_tcp(balancer, listener, connection, peer_info)
            else:
                await self._application.serve(lambda: self._configured(arn), connection, peer_info)
        except (OSError, h11.ProtocolError):
            # Either side disconnected or sent garbage; nothing can be answered.
            pass
        finally:
            connection.close()

    async def _forward_tcp(
        self,
        balancer: LoadBalancer,
        listener: Listener,
        connection: Connection,
        peer_info: PeerInfo,
    ) -> None:
        action = listener.default_actions[-1] if listener.default_actions else None
        arn = action.target_group_arns[0] if action is not None and action.target_group_arns else ""
        group = self._state.target_groups.get(arn)
        usable = usable_targets(group, self._health) if group is not None else ()
        if group is None or not usable:
            connection.reset()
            return
        target = usable[next(self._turns) % len(usable)]
        try:
            target_connection = await self.targets.connect(
                TargetRoute(balancer, group, target, peer_info)
            )
        except TargetUnreachable:
            connection.reset()
            return
        idle = float(listener.attributes.get("tcp.idle_timeout.seconds", NLB_IDLE_SECONDS))
        tunnel = Tunnel(
            connection,
            target_connection,
            idle / self._state.socket_scale,
            hop=balancer.label,
            aws_seconds=idle,
        )
        ends = group.attributes.get("deregistration_delay.connection_termination.enabled") == "true"
        await self._open_sockets.track_to_target(
            tunnel,
            peer_info.source,
            group,
            target.id,
            target.port,
            target_key(group, target),
            cut_after=ends,
        )


async def _peek(accepted: socket.socket) -> bytes:
    """Wait for the first byte that a client sends, and leave it in the socket."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return accepted.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            readable: asyncio.Future[None] = loop.create_future()
            loop.add_reader(accepted, _wake, readable)
            try:
                await readable
            finally:
                loop.remove_reader(accepted)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
