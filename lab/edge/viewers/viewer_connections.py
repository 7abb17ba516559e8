"""Viewers' connections, from the first byte to the row in the access log.

Requests are read one after the other and served by `exchange`; HTTP/2 connections are
`wire.http2`'s. Whatever a viewer sends, only its own connection may fail.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable

import h11

from lab.edge.cdn.error_pages import edge_answer
from lab.edge.http.hosts import split_host
from lab.edge.http.messages import Answer, Refusal, ViewerRequest
from lab.edge.logs.access_log import AccessRecord
from lab.edge.logs.log_store import LOGS, OWN_NAMES, LogStore
from lab.edge.tls.viewer_tls import HTTP2, requested_name
from lab.edge.viewers.exchange import Exchanges
from lab.edge.wire.connection import Connection, Tunnel
from lab.edge.wire.http1 import HTTP1_VERSIONS, Http1Connection, send_answer, target_and_headers
from lab.edge.wire.http2 import Http2Connection, Http2Stream, NotHttp2
from lab.edge.wire.open_sockets import SOCKETS, OpenSockets

# How long a viewer may take to send a request's head, including the pause before it.
HEAD_TIMEOUT = 60.0


class ViewerConnections:
    """Serves viewers' connections, plain and TLS."""

    def __init__(
        self,
        exchanges: Exchanges,
        log: LogStore,
        open_sockets: OpenSockets,
        country_of: Callable[[str], str],
    ) -> None:
        self._exchanges = exchanges
        self._log = log
        self._open_sockets = open_sockets
        self._country_of = country_of
        self._tasks: set[asyncio.Task[None]] = set()

    def new_connection(self) -> Connection:
        """A protocol factory for `create_server`."""
        return Connection(self._opened)

    async def close(self) -> None:
        """Close every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _opened(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        try:
            tls = connection.transport.get_extra_info("ssl_object")
            if tls is not None and tls.selected_alpn_protocol() == HTTP2:
                await self._serve_http2(connection)
                return
            ended = await self._serve_requests(connection)
            if ended is not None:
                record, tunnel = ended
                leads_to = f"{record.distribution_domain}{record.request.path}"
                record.cut_by = await self._open_sockets.track(
                    tunnel, record.request.address, leads_to
                )
                self._log.put(record, connection.sent, connection.received)
        except (OSError, h11.ProtocolError):
            # The viewer disconnected, or the origin broke off within a response: nothing more can
            # be sent.
            pass
        finally:
            connection.close()

    async def _serve_requests(self, connection: Connection) -> tuple[AccessRecord, Tunnel] | None:
        """Serve requests until the connection ends or becomes a tunnel."""
        http = Http1Connection(connection, h11.SERVER)
        while True:
            sent, received = connection.sent, connection.received
            try:
                async with asyncio.timeout(HEAD_TIMEOUT):
                    event = await http.next_event()
                if not isinstance(event, h11.Request):
                    return None
                if event.http_version not in HTTP1_VERSIONS:
                    raise h11.RemoteProtocolError("another version of HTTP")
                request = self._viewer_request(event, connection)
            except TimeoutError:
                return None
            except h11.RemoteProtocolError as error:
                await self._refuse_malformed(http, error)
                await connection.lingering_close()
                return None
            own = self._lab_answer(request)
            if own is not None:
                await send_answer(http, own)
                return None
            record = AccessRecord(request, _request_id())
            tunnel: Tunnel | None = None
            try:
                tunnel = await self._exchanges.handle(http, request, record)
            finally:
                if tunnel is None:
                    self._log.put(record, connection.sent - sent, connection.received - received)
            if tunnel is not None:
                return record, tunnel
            if not http.ready_for_next():
                if not http.peer_done:
                    await connection.lingering_close()
                return None

    async def _serve_http2(self, connection: Connection) -> None:
        """Serve streams until the connection ends. Anything but HTTP/2, such as an Upgrade, gets a
        400.
        """
        try:
            await Http2Connection(connection, self._serve_stream).serve()
        except NotHttp2:
            why = "This connection negotiated HTTP/2; a WebSocket handshake needs HTTP/1.1."
            refusal = Refusal(400, "InvalidRequest", why)
            await send_answer(
                Http1Connection(connection, h11.SERVER),
                edge_answer(refusal, self._exchanges.identity(_request_id())),
            )
            await connection.lingering_close()

    async def _serve_stream(self, stream: Http2Stream) -> None:
        request = self._viewer_request(stream.request, stream.connection)
        record = AccessRecord(request, _request_id())
        try:
            await self._exchanges.handle(stream, request, record)
        finally:
            self._log.put(record, stream.sent, stream.received)

    async def _refuse_malformed(
        self, http: Http1Connection, error: h11.RemoteProtocolError
    ) -> None:
        if not http.can_answer:
            return
        if error.error_status_hint == 431:
            refusal = Refusal(494, "InvalidRequestHeader", "The request headers are too large.")
        else:
            refusal = Refusal(400, "InvalidRequest", "The request is not well-formed HTTP/1.1.")
        await send_answer(http, edge_answer(refusal, self._exchanges.identity(_request_id())))

    def _lab_answer(self, request: ViewerRequest) -> Answer | None:
        """The answer to a request for the lab itself: log rows or open sockets. None for any
        other.
        """
        if request.scheme != "http" or split_host(request.header("host"))[0] not in OWN_NAMES:
            return None
        pages = {LOGS: lambda: self._log.answer(request.query), SOCKETS: self._open_sockets.answer}
        return pages[request.path]() if request.path in pages else None

    def _viewer_request(self, event: h11.Request, connection: Connection) -> ViewerRequest:
        """The request as a value.

        :raises h11.RemoteProtocolError: its target is malformed.
        """
        target, headers = target_and_headers(event)
        peer = connection.transport.get_extra_info("peername")
        cipher = connection.transport.get_extra_info("cipher")
        address = peer[0] if peer else "0.0.0.0"  # noqa: S104 - logged for a viewer that disconnected immediately
        return ViewerRequest(
            method=event.method.decode(),
            target=target,
            headers=headers,
            scheme="https" if cipher else "http",
            http_version=event.http_version.decode(),
            address=address,
            port=peer[1] if peer else 0,
            tls=f"{cipher[1]}:{cipher[0]}" if cipher else "",
            server_name=requested_name(connection.transport.get_extra_info("ssl_object")),
            country=self._country_of(address),
        )


def _request_id() -> str:
    """56 characters, like CloudFront's."""
    return base64.urlsafe_b64encode(secrets.token_bytes(40)).decode()
