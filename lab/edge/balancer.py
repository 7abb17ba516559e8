"""Load balancers as sockets: one listening socket on loopback per listener, and the connections through them.

It moves bytes as `balancing.py` decides. It must never be reached by a viewer without passing `reaching.py`, and must
never close an idle WebSocket with a close frame: the real one just drops it, and clients see 1006.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from dataclasses import dataclass

import h11

from lab.edge.answers import Answer, balancer_answer
from lab.edge.balancing import (
    MAX_HEADER_BYTES,
    MAX_LINE_BYTES,
    FrontRequest,
    candidates,
    choose_action,
    redirect_location,
    target_headers,
)
from lab.edge.forwarding import ViewerRequest
from lab.edge.http1 import (
    Http1,
    SenderFailed,
    ask,
    end_to_end,
    give,
    has_body,
    relay_response,
    switch_protocols,
    text_headers,
    wire_headers,
)
from lab.edge.leg import Leg, Tunnel
from lab.edge.network_facts import Action, Listener, LoadBalancer, Target
from lab.edge.state import State

LOOPBACK = "127.0.0.1"
# Defaults of ELBv2: the lab's AWS gives attributes as the API would, so these rarely speak.
ALB_IDLE_SECONDS = 60.0
NLB_IDLE_SECONDS = 350.0
TARGET_CONNECT_SECONDS = 10.0
LONGEST_TARGET_WAIT = 2.5


class TargetUnreachable(Exception):
    """No connection to the target; `status` is what the load balancer answers."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class _Front:
    server: asyncio.Server
    port: int


class Balancers:
    """All listening sockets of all load balancers; follows the state."""

    def __init__(self) -> None:
        self._state = State(version=-1, scale=1.0)
        self._fronts: dict[str, _Front] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = itertools.count()
        self._sources: dict[tuple[str, int], str] = {}

    async def follow(self, state: State) -> None:
        """Open sockets for new listeners, close those of listeners that are gone. Open connections stay."""
        self._state = state
        wanted = {
            listener.arn: (balancer, listener)
            for balancer in state.load_balancers
            for listener in balancer.listeners
            if (balancer.type, listener.protocol) in (("application", "HTTP"), ("network", "TCP"))
        }
        for arn in self._fronts.keys() - wanted.keys():
            self._fronts.pop(arn).server.close()
        for arn in wanted.keys() - self._fronts.keys():
            await self._listen(arn)

    async def connect(self, listener: Listener, source: str) -> Leg:
        """A connection to a listener that looks to it as if it came from `source`.

        :raises OSError: nothing listens there any more.
        """
        front = self._fronts.get(listener.arn)
        if front is None:
            raise ConnectionRefusedError("the listener is gone")
        _, leg = await asyncio.get_running_loop().create_connection(Leg, LOOPBACK, front.port)
        name: tuple[str, int] = leg.transport.get_extra_info("sockname")[:2]
        self._sources[name] = source
        leg.on_close(lambda: self._forget(name))
        return leg

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        for front in self._fronts.values():
            front.server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, name: tuple[str, int]) -> None:
        self._sources.pop(name, None)

    async def _listen(self, arn: str) -> None:
        def opened(leg: Leg) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(arn, leg))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Leg(opened), LOOPBACK, 0, backlog=512)
        self._fronts[arn] = _Front(server, server.sockets[0].getsockname()[1])

    def _find(self, arn: str) -> tuple[LoadBalancer, Listener] | None:
        """The listener as it is configured now."""
        for balancer in self._state.load_balancers:
            for listener in balancer.listeners:
                if listener.arn == arn:
                    return balancer, listener
        return None

    async def _serve(self, arn: str, leg: Leg) -> None:
        tunnel: Tunnel | None = None
        try:
            found = self._find(arn)
            if found is None:
                return
            balancer, listener = found
            if balancer.type == "network":
                tunnel = await self._forward_tcp(balancer, listener, leg)
            else:
                tunnel = await self._serve_http(arn, leg)
            if tunnel is not None:
                await tunnel.finished()
        except (OSError, h11.ProtocolError):
            # Either side left or spoke nonsense in the middle; there is nobody to tell.
            pass
        finally:
            leg.close()

    async def _forward_tcp(self, balancer: LoadBalancer, listener: Listener, leg: Leg) -> Tunnel | None:
        action = listener.default_actions[-1] if listener.default_actions else None
        targets = candidates(action, self._state.target_groups) if action else ()
        if not targets:
            return None
        try:
            far = await self._connect_target(targets[next(self._turns) % len(targets)])
        except TargetUnreachable:
            return None
        idle = float(listener.attributes.get("tcp.idle_timeout.seconds", NLB_IDLE_SECONDS))
        return Tunnel(leg, far, idle / self._state.socket_scale)

    async def _serve_http(self, arn: str, leg: Leg) -> Tunnel | None:
        """Requests on one connection, one after the other, until it closes or becomes a tunnel."""
        http = Http1(leg, h11.SERVER)
        while True:
            try:
                event = await http.next_event()
            except h11.RemoteProtocolError:
                if http.may_answer:
                    await give(http, balancer_answer(400))
                return None
            found = self._find(arn)
            if not isinstance(event, h11.Request) or found is None:
                return None
            tunnel = await self._exchange(*found, http, event)
            if tunnel is not None or not http.ready_for_next():
                return tunnel

    async def _exchange(
        self, balancer: LoadBalancer, listener: Listener, http: Http1, event: h11.Request
    ) -> Tunnel | None:
        peer: tuple[str, int] = http.leg.transport.get_extra_info("peername")[:2]
        headers = text_headers(event)
        request = FrontRequest(
            method=event.method.decode(),
            target=event.target.decode("latin-1"),
            headers=headers,
            source=self._sources.get(peer, peer[0]),
        )
        head = request.method == "HEAD"
        body_from = http if has_body(headers) else None
        if body_from is None:
            await http.next_event()  # the end of the request
        sizes = [len(name) + len(value) + 4 for name, value in headers]
        if (
            max(sizes, default=0) > MAX_LINE_BYTES
            or len(event.target) > MAX_LINE_BYTES
            or sum(sizes) > MAX_HEADER_BYTES
        ):
            await give(http, balancer_answer(400), head=head)
            return None
        action = choose_action(listener, request)
        if action is None or action.type != "forward":
            await give(http, _own_answer(action, request, listener), head=head)
            return None
        targets = candidates(action, self._state.target_groups)
        if not targets:
            await give(http, balancer_answer(503), head=head)
            return None
        idle = (
            float(balancer.attributes.get("idle_timeout.timeout_seconds", ALB_IDLE_SECONDS)) / self._state.socket_scale
        )
        try:
            far = await self._connect_target(targets[next(self._turns) % len(targets)])
        except TargetUnreachable as unreachable:
            await give(http, balancer_answer(unreachable.status), head=head)
            return None
        try:
            return await self._forward(http, event, request, listener, far, body_from, idle)
        except BaseException:
            far.close()
            raise

    async def _forward(
        self,
        http: Http1,
        event: h11.Request,
        request: FrontRequest,
        listener: Listener,
        far: Leg,
        body_from: Http1 | None,
        idle: float,
    ) -> Tunnel | None:
        """Pass a request to the target and its answer back; a tunnel if the answer is 101."""
        websocket = _asks_for_websocket(request, event)
        target = Http1(far, h11.CLIENT)
        sent = wire_headers(target_headers(request, listener, _trace_id(), websocket))
        to_target = h11.Request(method=event.method, target=event.target, headers=sent)
        try:
            reply = await ask(target, to_target, body_from=body_from, patience=idle)
        except (TimeoutError, SenderFailed, h11.ProtocolError, OSError) as error:
            far.close()
            if http.may_answer:
                status = 504 if isinstance(error, TimeoutError) else 400 if isinstance(error, SenderFailed) else 502
                await give(http, balancer_answer(status), head=request.method == "HEAD")
            return None
        if isinstance(reply, h11.Response):
            await relay_response(target, http, reply, end_to_end(text_headers(reply)))
        elif websocket:
            await switch_protocols(http, target, reply, text_headers(reply))
            return Tunnel(http.leg, far, idle)
        else:
            await give(http, balancer_answer(502))
        far.close()
        return None

    async def _connect_target(self, target: Target) -> Leg:
        """Connect to a target where the lab really runs it.

        :raises TargetUnreachable: 502 when it refuses, 504 when nothing is at that address.
        """
        real = self._state.hosts.get(f"{target.id}:{target.port}")
        if real is None:
            await asyncio.sleep(min(TARGET_CONNECT_SECONDS / (self._state.scale or 1.0), LONGEST_TARGET_WAIT))
            raise TargetUnreachable(504)
        host, _, port = real.rpartition(":")
        try:
            async with asyncio.timeout(LONGEST_TARGET_WAIT):
                _, leg = await asyncio.get_running_loop().create_connection(Leg, host, int(port))
        except TimeoutError:
            raise TargetUnreachable(504) from None
        except OSError:
            raise TargetUnreachable(502) from None
        return leg


def _own_answer(action: Action | None, request: FrontRequest, listener: Listener) -> Answer:
    if action is not None and action.type == "redirect":
        return balancer_answer(action.status_code, location=redirect_location(action, request, listener))
    if action is not None and action.type == "fixed-response":
        return balancer_answer(action.status_code, action.content_type, action.message_body)
    # No action, or one that needs an identity provider: the balancer cannot go on.
    return balancer_answer(500)


def _asks_for_websocket(request: FrontRequest, event: h11.Request) -> bool:
    version = event.http_version.decode()
    as_viewer = ViewerRequest(request.method, request.target, request.headers, "http", version, request.source, 0)
    return as_viewer.is_websocket_handshake


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
