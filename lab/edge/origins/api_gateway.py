"""API Gateway's endpoint for WebSocket APIs, as a socket on loopback.

AWS calls the integration once per message; here the whole WebSocket is forwarded to it, so that any
WebSocket app can be the integration. Only the edge connects, for origins that use HTTPS, and
without TLS: this hop's TLS is not imitated.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import h11

from lab.edge.account.api_gateways import WebSocketApi
from lab.edge.account.state import State
from lab.edge.http.messages import ViewerRequest
from lab.edge.origins.api_gateway_rules import (
    IDLE_SECONDS,
    MAX_CONNECTION_SECONDS,
    accept_handshake,
    internal_error,
)
from lab.edge.wire.connection import Connection, Tunnel
from lab.edge.wire.http1 import (
    Http1Connection,
    decode_headers,
    encode_headers,
    has_body,
    relay_response,
    send_answer,
    send_request,
    switch_protocols,
)

LOOPBACK = "127.0.0.1"
INTEGRATION_SECONDS = 29.0
MAX_CONNECT_SECONDS = 2.5
# Headers that API Gateway sets itself for the integration.
_REPLACED = frozenset(
    {"host", "connection", "upgrade", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"}
)


class ApiGatewayEndpoint:
    """The endpoint of all WebSocket APIs."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Start listening."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._opened), LOOPBACK, 0
        )

    async def connect(self) -> Connection:
        """Connect to the endpoint.

        :raises OSError: it is not listening.
        """
        if self._server is None or not self._server.sockets:
            raise ConnectionRefusedError("API Gateway is not listening")
        port = self._server.sockets[0].getsockname()[1]
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection, LOOPBACK, port
        )
        return connection

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _opened(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        try:
            tunnel = await self._handshake(Http1Connection(connection, h11.SERVER))
            if tunnel is not None:
                async with asyncio.timeout(MAX_CONNECTION_SECONDS / self._state().socket_scale):
                    await tunnel.finished()
        except (OSError, h11.ProtocolError, TimeoutError):
            # Either side disconnected or sent garbage, or the connection reached API Gateway's
            # maximum duration.
            pass
        finally:
            connection.close()

    async def _handshake(self, http: Http1Connection) -> Tunnel | None:
        event = await http.next_event()
        if not isinstance(event, h11.Request):
            return None
        request = _request(event)
        if not has_body(request.headers):
            await http.next_event()  # the end of the request
        request_id = str(uuid.uuid4())
        admitted = accept_handshake(self._state().websocket_apis, request, request_id)
        if not isinstance(admitted, WebSocketApi):
            await send_answer(http, admitted, head=request.method == "HEAD")
            return None
        try:
            integration = await self._integration(admitted)
        except OSError:
            await send_answer(http, internal_error(request_id))
            return None
        try:
            return await self._join(
                http, Http1Connection(integration, h11.CLIENT), request, admitted, request_id
            )
        except BaseException:
            integration.close()
            raise

    async def _join(
        self,
        http: Http1Connection,
        upstream: Http1Connection,
        request: ViewerRequest,
        api: WebSocketApi,
        request_id: str,
    ) -> Tunnel | None:
        kept = [(name, value) for name, value in request.headers if name.lower() not in _REPLACED]
        headers = [
            ("Host", api.integration),
            ("Upgrade", "websocket"),
            ("Connection", "upgrade"),
            ("X-Forwarded-For", request.header("x-forwarded-for")),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Port", "443"),
            *kept,
        ]
        target = "/" + (f"?{request.query}" if request.query else "")
        asked = h11.Request(
            method="GET",
            target=target.encode("latin-1", "replace"),
            headers=encode_headers(headers),
        )
        try:
            reply = await send_request(upstream, asked, body_from=None, timeout=INTEGRATION_SECONDS)
        except (TimeoutError, h11.ProtocolError, OSError):
            upstream.connection.close()
            await send_answer(http, internal_error(request_id))
            return None
        if isinstance(reply, h11.Response):
            await relay_response(upstream, http, reply, decode_headers(reply), INTEGRATION_SECONDS)
            upstream.connection.close()
            return None
        await switch_protocols(
            http, upstream, reply, (*decode_headers(reply), ("x-amzn-RequestId", request_id))
        )
        return Tunnel(
            http.connection, upstream.connection, IDLE_SECONDS / self._state().socket_scale
        )

    async def _integration(self, api: WebSocketApi) -> Connection:
        """Connect to the integration, at its real address.

        :raises OSError: nothing listens there.
        """
        host, _, port = self._state().hosts.get(api.integration, "").rpartition(":")
        if not host or not port.isdecimal():
            raise ConnectionRefusedError(f"nothing listens at {api.integration}")
        async with asyncio.timeout(MAX_CONNECT_SECONDS):
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection, host, int(port)
            )
        return connection


def _request(event: h11.Request) -> ViewerRequest:
    return ViewerRequest(
        method=event.method.decode(),
        target=event.target.decode("latin-1"),
        headers=decode_headers(event),
        scheme="https",
        http_version=event.http_version.decode(),
        address=LOOPBACK,
        port=0,
    )
