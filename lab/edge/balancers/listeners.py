"""Load balancers as sockets: one listening socket on loopback per listener, and the connections
through them.

It moves bytes as the deciding modules say. A connection that the edge or another balancer makes is
known by its passage; any other comes from outside, and gets in only where the internet would
(`origin_resolution.call_directly`). It must never let a client reach an internal load balancer.
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
from lab.edge.balancers.application_balancer import ApplicationBalancer, Found
from lab.edge.balancers.rules.target_choice import Health, usable_targets
from lab.edge.balancers.target_connections import (
    LONGEST_TARGET_WAIT,
    LOOPBACK,
    TARGET_CONNECT_SECONDS,
    TLS_SECONDS,
    Errand,
    TargetConnections,
    TargetUnreachable,
    open_leg,
)
from lab.edge.network.origin_resolution import TCP_LISTENERS, Reached, ReachedAddress, call_directly
from lab.edge.tls.origin_tls import ListenerCertificates, OriginTrust
from lab.edge.wire.connection import Leg, Passage, Tunnel
from lab.edge.wire.open_sockets import Live
from lab.origin_certificates import Flaw

# The default of ELBv2: the lab's AWS gives attributes as the API would, so it rarely speaks.
NLB_IDLE_SECONDS = 350.0
# Whoever connects to a public load balancer himself seems to come from here (TEST-NET-3, RFC 5737).
INTERNET_CLIENT = "203.0.113.77"
# A fault of the lab: what listeners show has this flaw.
FLAW_FAULTS: Mapping[str, Flaw] = {f"origin-certificate-{flaw.value}": flaw for flaw in Flaw}
TLS_HANDSHAKE = 0x16
BACKLOG = 512


@dataclass(slots=True)
class _Front:
    """A listener's socket; `server` takes what comes over it, `greeter` does where TLS may
    begin.
    """

    port: int
    server: asyncio.Server | None = None
    greeter: asyncio.Task[None] | None = None
    socket: socket.socket | None = field(default=None)

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
        if self.greeter is not None:
            self.greeter.cancel()
        if self.socket is not None:
            self.socket.close()


class Balancers:
    """All listening sockets of all load balancers; follows the state."""

    def __init__(self, state_dir: Path, live: Live, health: Health) -> None:
        self._state = State(version=-1, scale=1.0)
        self._fronts: dict[str, _Front] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = itertools.count()
        self._live = live
        self._health = health
        self._trust = OriginTrust(state_dir)
        self._certificates = ListenerCertificates(state_dir)
        self._front_contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self.targets = TargetConnections(lambda: self._state, self._port_of)
        self._application = ApplicationBalancer(lambda: self._state, self.targets, health, live)

    async def follow(self, state: State) -> None:
        """Open sockets for new listeners, close those of listeners that are gone. Open connections
        stay.
        """
        self._state = state
        wanted = {
            listener.arn: listener
            for balancer in state.load_balancers
            for listener in balancer.listeners
            if balancer.type in ("application", "network") and listener.protocol in TCP_LISTENERS
        }
        for arn in list(self._fronts):
            # A listener that begins or ceases to decrypt needs the other kind of socket.
            if arn not in wanted or wanted[arn].terminates_tls != (
                self._fronts[arn].greeter is not None
            ):
                self._fronts.pop(arn).close()
        for arn in wanted.keys() - self._fronts.keys():
            await self._listen(wanted[arn])
        self._live.follow(state)

    async def connect(
        self, reached: Reached | ReachedAddress, source: str, server_name: str
    ) -> Leg:
        """A connection of CloudFront's to an origin, which looks as if it came from `source`; over
        TLS if it must be.

        :raises ssl.SSLError: the TLS handshake failed.
        :raises OSError: nothing listens there any more, or it hung up.
        """
        protocols = reached.ssl_protocols
        secure = None if protocols is None else self._trust.context(protocols)
        if isinstance(reached, Reached):
            return await self.targets.connect_listener(
                reached.listener, Passage(source), secure, server_name
            )
        real = self._state.hosts.get(reached.address)
        if real is None:
            raise ConnectionRefusedError("nothing listens there")
        host, _, port = real.rpartition(":")
        async with asyncio.timeout(LONGEST_TARGET_WAIT + TLS_SECONDS):
            return await open_leg(host, int(port), secure, server_name)

    def public_addresses(self) -> dict[str, str]:
        """Where this machine reaches the listeners of internet-facing load balancers: `name:port`
        to `host:port`.
        """
        return {
            f"{balancer.dns_name}:{listener.port}": f"{LOOPBACK}:{self._fronts[listener.arn].port}"
            for balancer in self._state.load_balancers
            if balancer.internet_facing
            for listener in balancer.listeners
            if listener.arn in self._fronts
        }

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        for front in self._fronts.values():
            front.close()
        self._live.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _port_of(self, arn: str) -> int | None:
        front = self._fronts.get(arn)
        return None if front is None else front.port

    async def _listen(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        arn = listener.arn
        if not listener.terminates_tls:
            server = await loop.create_server(self._leg_of(arn), LOOPBACK, 0, backlog=BACKLOG)
            self._fronts[arn] = _Front(server.sockets[0].getsockname()[1], server)
            return
        listening = socket.create_server((LOOPBACK, 0), backlog=BACKLOG)
        listening.setblocking(False)
        greeter = loop.create_task(self._greet(arn, listening))
        self._fronts[arn] = _Front(listening.getsockname()[1], None, greeter, listening)

    def _leg_of(self, arn: str, *, without_tls: bool = False) -> Callable[[], Leg]:
        def opened(leg: Leg) -> None:
            self._start(self._answer_plain(leg) if without_tls else self._serve(arn, leg))

        return lambda: Leg(opened)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, arn: str, listening: socket.socket) -> None:
        """Take connections to a listener that decrypts: whoever begins with anything but TLS is
        told so in plain.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            self._start(self._begin(arn, accepted))

    async def _begin(self, arn: str, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            accepted.setblocking(False)
            async with asyncio.timeout(TLS_SECONDS):
                first = await _peek(accepted)
            secure = bool(first) and first[0] == TLS_HANDSHAKE
            await loop.connect_accepted_socket(
                self._leg_of(arn, without_tls=not secure),
                accepted,
                ssl=self._front_context(arn) if secure else None,
                ssl_handshake_timeout=TLS_SECONDS if secure else None,
            )
        except (OSError, ssl.SSLError):
            accepted.close()

    async def _answer_plain(self, leg: Leg) -> None:
        body = (
            b"<html><head><title>400 The plain HTTP request was sent to HTTPS "
            b"port</title></head></html>\r\n"
        )
        head = (
            b"HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\nContent-Type: "
            b"text/html\r\nConnection: close\r\n"
        )
        try:
            await leg.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await leg.part()
        except OSError:
            leg.close()

    def _front_context(self, arn: str) -> ssl.SSLContext:
        found = self._find(arn)
        if found is None:
            raise ConnectionRefusedError("the listener is gone")
        key = (arn, found[1].ssl_policy)
        if key not in self._front_contexts:
            self._front_contexts[key] = self._certificates.front_context(
                found[1].ssl_policy, functools.partial(self._context_for, arn)
            )
        return self._front_contexts[key]

    def _context_for(self, arn: str, name: str | None) -> ssl.SSLContext | None:
        found = self._find(arn)
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

    def _find(self, arn: str) -> Found | None:
        """The listener as it is configured now."""
        for balancer in self._state.load_balancers:
            for listener in balancer.listeners:
                if listener.arn == arn:
                    return balancer, listener
        return None

    async def _serve(self, arn: str, leg: Leg) -> None:
        try:
            found = self._find(arn)
            if found is None:
                return
            balancer, listener = found
            passage = self.targets.passage_of(leg)
            if passage is None:
                if not call_directly(self._state, balancer, listener, INTERNET_CLIENT):
                    # A dropped packet, as well as this machine can show it: no word, and in the end
                    # no connection.
                    await asyncio.sleep(
                        min(
                            TARGET_CONNECT_SECONDS / (self._state.scale or 1.0), LONGEST_TARGET_WAIT
                        )
                    )
                    leg.reset()
                    return
                passage = Passage(INTERNET_CLIENT)
            leg.passage = passage
            if balancer.type == "network":
                await self._forward_tcp(balancer, listener, leg, passage)
            else:
                await self._application.serve(lambda: self._find(arn), leg, passage)
        except (OSError, h11.ProtocolError):
            # Either side left or spoke nonsense in the middle; there is nobody to tell.
            pass
        finally:
            leg.close()

    async def _forward_tcp(
        self, balancer: LoadBalancer, listener: Listener, leg: Leg, passage: Passage
    ) -> None:
        action = listener.default_actions[-1] if listener.default_actions else None
        arn = action.target_group_arns[0] if action is not None and action.target_group_arns else ""
        group = self._state.target_groups.get(arn)
        usable = usable_targets(group, self._health) if group is not None else ()
        if group is None or not usable:
            leg.reset()
            return
        target = usable[next(self._turns) % len(usable)]
        try:
            far = await self.targets.connect(Errand(balancer, group, target, passage))
        except TargetUnreachable:
            leg.reset()
            return
        idle = float(listener.attributes.get("tcp.idle_timeout.seconds", NLB_IDLE_SECONDS))
        tunnel = Tunnel(
            leg, far, idle / self._state.socket_scale, who=balancer.label, aws_seconds=idle
        )
        ends = group.attributes.get("deregistration_delay.connection_termination.enabled") == "true"
        await self._live.carry_to_target(
            tunnel,
            passage.source,
            group,
            target.id,
            target.port,
            target_key(group, target),
            cut_after=ends,
        )


async def _peek(accepted: socket.socket) -> bytes:
    """The first byte that a client sends, which stays in the socket; waits for it."""
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
