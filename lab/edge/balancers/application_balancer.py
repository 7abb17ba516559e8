"""Application Load Balancers: HTTP requests on a client's connection, forwarded to targets.

An idle WebSocket is dropped without a close frame, as on AWS, so clients see 1006.
"""

from __future__ import annotations

import itertools
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

import h11

from lab.edge.account.load_balancers import (
    Listener,
    ListenerAction,
    LoadBalancer,
    Target,
    TargetGroup,
    target_key,
)
from lab.edge.account.state import State
from lab.edge.balancers.rules.answers import INCOMPATIBLE_PROTOCOL, balancer_answer, own_answer
from lab.edge.balancers.rules.listener_rules import BalancerRequest, choose_action, oversized
from lab.edge.balancers.rules.target_choice import (
    HealthLookup,
    choose_group,
    choose_target,
    read_cookies,
    sticky_cookies,
    usable_targets,
)
from lab.edge.balancers.rules.target_headers import target_headers
from lab.edge.balancers.target_connections import TargetConnector, TargetRoute, TargetUnreachable
from lab.edge.http.messages import Header, ViewerRequest
from lab.edge.wire.connection import Connection, PeerInfo, Tunnel
from lab.edge.wire.http1 import (
    HTTP1_VERSIONS,
    Http1Connection,
    RequestAborted,
    decode_headers,
    encode_headers,
    end_to_end,
    has_body,
    relay_response,
    send_answer,
    send_request,
    switch_protocols,
    target_and_headers,
)
from lab.edge.wire.open_sockets import OpenSockets

# ELBv2's default, used only if the attribute is missing.
ALB_IDLE_SECONDS = 60.0
# A listener with its load balancer, as configured now.
ConfiguredListener = tuple[LoadBalancer, Listener]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What was decided for one request. Idle timeouts in real and in AWS's seconds."""

    action: ListenerAction
    group: TargetGroup
    target: Target
    idle: float
    aws_idle: float


class ApplicationBalancer:
    """Serves the connections of all Application Load Balancers."""

    def __init__(
        self,
        state: Callable[[], State],
        targets: TargetConnector,
        health: HealthLookup,
        open_sockets: OpenSockets,
    ) -> None:
        self._state = state
        self._targets = targets
        self._health = health
        self._open_sockets = open_sockets
        self._turns = itertools.count()
        self._secret = secrets.token_bytes(32)

    async def serve(
        self,
        find: Callable[[], ConfiguredListener | None],
        connection: Connection,
        peer_info: PeerInfo,
    ) -> None:
        """Serve requests on one connection until it closes, or until its tunnel ends.

        A client that is silent for the idle timeout is disconnected; within a request it gets a 408
        first (ALB guide, "HTTP 408: Request timeout").
        """
        http = Http1Connection(connection, h11.SERVER)
        while True:
            found = find()
            if found is None:
                return
            try:
                event = await http.next_event(_idle_seconds(found[0]) / self._state().socket_scale)
                if not isinstance(event, h11.Request):
                    return
                request = _balancer_request(event, connection, peer_info)
            except TimeoutError:
                if http.trailing_bytes():
                    await send_answer(http, balancer_answer(408))
                return
            except h11.RemoteProtocolError:
                if http.can_answer:
                    await send_answer(http, balancer_answer(400))
                    await connection.lingering_close()
                return
            # Look again: the configuration may have changed while the connection was idle.
            found = find()
            if found is None:
                return
            if (
                await self._exchange(*found, http, event, request, peer_info)
                or not http.ready_for_next()
            ):
                return

    async def _exchange(
        self,
        balancer: LoadBalancer,
        listener: Listener,
        http: Http1Connection,
        event: h11.Request,
        request: BalancerRequest,
        peer_info: PeerInfo,
    ) -> bool:
        """Serve one request. Whether it became a tunnel."""
        head = request.method == "HEAD"
        body_from = http if has_body(request.headers) else None
        if body_from is None:
            await http.next_event()  # the end of the request
        strictest = balancer.attributes.get("routing.http.desync_mitigation_mode") == "strictest"
        if oversized(request) or (http.ambiguous and strictest):
            await send_answer(http, balancer_answer(400), head=head)
            return False
        action = choose_action(listener, request)
        if action is None or action.type != "forward":
            await send_answer(http, own_answer(action, request, listener), head=head)
            return False
        state = self._state()
        cookies = read_cookies(request.header("cookie"))
        group = choose_group(action, state.target_groups, random.random(), cookies, self._secret)  # noqa: S311
        if group is not None and group.protocol_version in ("HTTP2", "GRPC"):
            await send_answer(http, balancer_answer(INCOMPATIBLE_PROTOCOL), head=head)
            return False
        target = None
        if group is not None:
            target = choose_target(
                group,
                usable_targets(group, self._health),
                next(self._turns),
                cookies,
                self._secret,
                lambda one: self._open_sockets.open_to(target_key(group, one)),
            )
        if group is None or target is None:
            await send_answer(http, balancer_answer(503), head=head)
            return False
        aws_idle = _idle_seconds(balancer)
        chosen = _Chosen(action, group, target, aws_idle / state.socket_scale, aws_idle)
        try:
            far = await self._targets.connect(TargetRoute(balancer, group, target, peer_info))
        except TargetUnreachable as unreachable:
            await send_answer(http, balancer_answer(unreachable.status), head=head)
            return False
        try:
            return await self._forward(
                http, event, request, balancer, listener, far, body_from, chosen
            )
        finally:
            far.close()

    async def _forward(
        self,
        http: Http1Connection,
        event: h11.Request,
        request: BalancerRequest,
        balancer: LoadBalancer,
        listener: Listener,
        far: Connection,
        body_from: Http1Connection | None,
        chosen: _Chosen,
    ) -> bool:
        """Forward a request to the target and its response back. After a 101, wait until the tunnel
        ends; whether there was one.
        """
        websocket = ViewerRequest(
            request.method,
            request.target,
            request.headers,
            "http",
            event.http_version.decode(),
            request.source,
            0,
        ).is_websocket_handshake
        target = Http1Connection(far, h11.CLIENT)
        trace_id = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        sent = encode_headers(target_headers(request, balancer, listener, trace_id, websocket))
        to_target = h11.Request(
            method=event.method, target=request.target.encode("latin-1"), headers=sent
        )
        try:
            reply = await send_request(
                target,
                to_target,
                body_from=body_from,
                timeout=chosen.idle,
                body_timeout=chosen.idle,
            )
        except (TimeoutError, RequestAborted, h11.ProtocolError, OSError) as error:
            if http.can_answer:
                if isinstance(error, RequestAborted):
                    status = 408 if isinstance(error.__cause__, TimeoutError) else 400
                else:
                    status = 504 if isinstance(error, TimeoutError) else 502
                await send_answer(http, balancer_answer(status), head=request.method == "HEAD")
            return False
        headers = decode_headers(reply)
        if isinstance(reply, h11.Response):
            passed = [*end_to_end(headers), *self._cookies(chosen, headers)]
            await relay_response(target, http, reply, passed, chosen.idle)
            return False
        if not websocket:
            await send_answer(http, balancer_answer(502))
            return False
        await switch_protocols(http, target, reply, [*headers, *self._cookies(chosen, headers)])
        tunnel = Tunnel(
            http.connection, far, chosen.idle, hop=balancer.label, aws_seconds=chosen.aws_idle
        )
        key = target_key(chosen.group, chosen.target)
        await self._open_sockets.track_to_target(
            tunnel,
            request.source,
            chosen.group,
            chosen.target.id,
            chosen.target.port,
            key,
            cut_after=True,
        )
        return True

    def _cookies(self, chosen: _Chosen, headers: tuple[Header, ...]) -> list[Header]:
        """The stickiness cookies as Set-Cookie headers, each with its CORS twin."""
        app = [
            value.partition("=")[0].strip()
            for name, value in headers
            if name.lower() == "set-cookie"
        ]
        made = []
        for name, value, seconds in sticky_cookies(
            chosen.action, chosen.group, chosen.target, app, self._secret
        ):
            until = formatdate(time.time() + seconds, usegmt=True)
            made.append(("Set-Cookie", f"{name}={value}; Expires={until}; Path=/"))
            if not name.startswith("AWSALBAPP"):
                made.append(
                    (
                        "Set-Cookie",
                        f"{name}CORS={value}; Expires={until}; Path=/; SameSite=None; Secure",
                    )
                )
        return made


def _idle_seconds(balancer: LoadBalancer) -> float:
    """The balancer's idle timeout, in AWS's seconds."""
    return float(balancer.attributes.get("idle_timeout.timeout_seconds", ALB_IDLE_SECONDS))


def _balancer_request(
    event: h11.Request, connection: Connection, peer_info: PeerInfo
) -> BalancerRequest:
    """The request as the balancer received it.

    :raises h11.RemoteProtocolError: it is not HTTP/1.
    """
    if event.http_version not in HTTP1_VERSIONS:
        raise h11.RemoteProtocolError("another version of HTTP")
    target, headers = target_and_headers(event)
    peer = connection.transport.get_extra_info("peername") or ("", 0)
    cipher = connection.transport.get_extra_info("cipher")
    return BalancerRequest(
        method=event.method.decode(),
        target=target,
        headers=headers,
        source=peer_info.source,
        source_port=int(peer[1]),
        tls=(str(cipher[1]), str(cipher[0])) if cipher else None,
    )
