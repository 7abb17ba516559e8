"""The edge's own side: viewers' connections, from the first byte to the line in the access log.

It takes requests off the wire, one after the other, and hands each to `exchange.py`. No viewer, whatever it sends, may
end anything but its own connection.
"""

from __future__ import annotations

import asyncio
import base64
import secrets

import h11

from lab.edge.acceptance import Refusal
from lab.edge.access_log import AccessRecord
from lab.edge.answers import edge_answer
from lab.edge.exchange import Exchanges
from lab.edge.forwarding import ViewerRequest
from lab.edge.http1 import Http1, give, text_headers
from lab.edge.leg import Leg, Tunnel

# How long a viewer may take to send a request's head, also between two requests.
HEAD_PATIENCE = 60.0


class Viewers:
    """Serves viewers' connections on both listeners."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._tasks: set[asyncio.Task[None]] = set()

    def leg(self) -> Leg:
        """The protocol of a new viewer connection; for `create_server`."""
        return Leg(self._opened)

    async def close(self) -> None:
        """Drop every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _opened(self, leg: Leg) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(leg))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, leg: Leg) -> None:
        try:
            ended = await self._serve_requests(leg)
            if ended is not None:
                record, tunnel = ended
                await tunnel.finished()
                record.write(leg.sent, leg.received)
        except (OSError, h11.ProtocolError):
            # The viewer left, or the origin broke off in the middle of a response: there is no way to say so any more.
            pass
        finally:
            leg.close()

    async def _serve_requests(self, leg: Leg) -> tuple[AccessRecord, Tunnel] | None:
        """Requests one after the other, until the connection ends or becomes a tunnel."""
        http = Http1(leg, h11.SERVER)
        while True:
            sent, received = leg.sent, leg.received
            try:
                async with asyncio.timeout(HEAD_PATIENCE):
                    event = await http.next_event()
            except TimeoutError:
                return None
            except h11.RemoteProtocolError as error:
                await self._refuse_garbage(http, error)
                await leg.part()
                return None
            if not isinstance(event, h11.Request):
                return None
            request = _viewer_request(event, leg)
            record = AccessRecord(request, _request_id())
            tunnel: Tunnel | None = None
            try:
                tunnel = await self._exchanges.carry_out(http, request, record)
            finally:
                if tunnel is None:
                    record.write(leg.sent - sent, leg.received - received)
            if tunnel is not None:
                return record, tunnel
            if not http.ready_for_next():
                if not http.heard_all:
                    await leg.part()
                return None

    async def _refuse_garbage(self, http: Http1, error: h11.RemoteProtocolError) -> None:
        if not http.may_answer:
            return
        if error.error_status_hint == 431:
            refusal = Refusal(494, "InvalidRequestHeader", "The request headers are too large.")
        else:
            refusal = Refusal(400, "InvalidRequest", "This is not a well-formed HTTP/1.1 request.")
        await give(http, edge_answer(refusal, self._exchanges.identity(_request_id())))


def _viewer_request(event: h11.Request, leg: Leg) -> ViewerRequest:
    peer = leg.transport.get_extra_info("peername")
    cipher = leg.transport.get_extra_info("cipher")
    return ViewerRequest(
        method=event.method.decode(),
        target=_origin_form(event.target.decode("latin-1")),
        headers=text_headers(event),
        scheme="https" if cipher else "http",
        http_version=event.http_version.decode(),
        address=peer[0] if peer else "0.0.0.0",  # noqa: S104 - what the log says of a viewer that left at once
        port=peer[1] if peer else 0,
        tls=f"{cipher[1]}:{cipher[0]}" if cipher else "",
    )


def _origin_form(target: str) -> str:
    """`http://host/path` as a proxy's client would say it, or `*`, in the form that behaviors are matched with."""
    if target.startswith("/"):
        return target
    _, separator, rest = target.partition("://")
    return f"/{rest.partition('/')[2]}" if separator else "/"


def _request_id() -> str:
    """56 characters, like CloudFront's."""
    return base64.urlsafe_b64encode(secrets.token_bytes(40)).decode()
