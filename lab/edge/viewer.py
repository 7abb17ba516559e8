"""The edge's own side: viewers' connections, from the first byte to the line in the access log.

It carries out what acceptance, routing, forwarding and reaching decide, in that order. It must never decide by
itself, and no viewer, whatever it sends, may end anything but its own connection.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import h11

from lab.edge.acceptance import Refusal, refuse_by_behavior, refuse_form, refuse_host
from lab.edge.access_log import AccessRecord
from lab.edge.answers import edge_answer, relayed_headers
from lab.edge.balancer import Balancers
from lab.edge.distribution_facts import Distribution
from lab.edge.forwarding import EdgeIdentity, Header, ViewerRequest, origin_request
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
from lab.edge.reaching import Unreachable, reach
from lab.edge.routing import find_behavior, find_distribution
from lab.edge.state import State

# How long a viewer may take to send a request's head, also between two requests.
HEAD_PATIENCE = 60.0
# CloudFront's idle limit for WebSockets; only bytes from the origin count (quotas page).
WEBSOCKET_IDLE_SECONDS = 600.0
# However fast the lab's clock runs, the apps behind it run in real time.
SHORTEST_READ_TIMEOUT = 5.0
# CloudFront's origin-facing servers have public addresses; this edge has a few out of 130.176.0.0/18.
SOURCE_ADDRESSES = tuple(f"130.176.{block}.{host}" for block, host in ((14, 52), (16, 164), (18, 52), (19, 40)))


@dataclass(frozen=True, slots=True)
class EdgePorts:
    """The lab's own viewer ports; only redirects need them."""

    plain: int
    tls: int


@dataclass(slots=True)
class _Fetched:
    """An origin that answered: its connection and the head of its response."""

    http: Http1
    head: h11.Response | h11.InformationalResponse


class Viewers:
    """Serves viewers' connections on both listeners."""

    def __init__(self, state: Callable[[], State], balancers: Balancers, ports: EdgePorts) -> None:
        self._state = state
        self._balancers = balancers
        self._ports = ports
        self._tasks: set[asyncio.Task[None]] = set()
        self._via_name = f"{secrets.token_hex(16)}.cloudfront.net"

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
                tunnel = await self._exchange(http, request, record)
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
        await give(http, edge_answer(refusal, EdgeIdentity(self._via_name, _request_id())))

    async def _exchange(self, http: Http1, request: ViewerRequest, record: AccessRecord) -> Tunnel | None:
        """One request, from routing to the end of its response.

        1. Form, host, behavior: refuse what the edge refuses.
        2. Fetch from the origin; what cannot be reached becomes an error of the edge.
        3. Replace errors for which the distribution has a page of its own.
        4. Relay the response, or join the two connections after 101.
        """
        state = self._state()
        identity = EdgeIdentity(self._via_name, record.request_id)
        is_head = request.method == "HEAD"
        body = has_body(request.headers)
        if not body:
            await http.next_event()  # the end of the request; with a body, whoever relays it comes to the end
        distribution = find_distribution(state, request.header("host"))
        refusal = refuse_form(request) or refuse_host(distribution)
        if refusal is not None or distribution is None:
            await self._refuse(http, refusal or refuse_host(None), identity, record, is_head)
            return None
        record.distribution_id, record.distribution_domain = distribution.id, distribution.domain
        behavior = find_behavior(distribution, request.path)
        record.path_pattern = behavior.path_pattern or "*"
        refusal = refuse_by_behavior(request, behavior, body, self._ports.plain, self._ports.tls)
        if refusal is not None:
            await self._refuse(http, refusal, identity, record, is_head)
            return None
        fetched = await self._fetch(state, distribution, request, identity, http if body else None)
        status = fetched.status if isinstance(fetched, Refusal) else fetched.head.status_code
        if status >= 400:
            page = await self._error_page(state, distribution, status, request, identity)
            if page is not None:
                if isinstance(fetched, _Fetched):
                    fetched.http.leg.close()
                fetched = page
        if isinstance(fetched, Refusal):
            await self._refuse(http, fetched, identity, record, is_head)
            return None
        return await self._relay(http, request, fetched, identity, record, state)

    async def _refuse(
        self, http: Http1, refusal: Refusal | None, identity: EdgeIdentity, record: AccessRecord, is_head: bool
    ) -> None:
        if refusal is None or not http.may_answer:
            return
        record.begin(refusal.status, refusal.result_type, refusal.detail)
        record.content_type = "text/html"
        await give(http, edge_answer(refusal, identity), head=is_head)

    async def _fetch(
        self,
        state: State,
        distribution: Distribution,
        request: ViewerRequest,
        identity: EdgeIdentity,
        body_from: Http1 | None,
    ) -> _Fetched | Refusal:
        if request.path == "/" and distribution.default_root_object:
            request = replace(request, target="/" + distribution.default_root_object + request.target[1:])
        behavior = find_behavior(distribution, request.path)
        origin = distribution.origins.get(behavior.target_origin_id)
        if origin is None:
            return Refusal(502, "OriginDnsError", "The behavior names an origin that the distribution does not have.")
        source = secrets.choice(SOURCE_ADDRESSES)
        reached = reach(state, origin, request.scheme, source)
        if isinstance(reached, Unreachable):
            await asyncio.sleep(reached.wait)
            return reached.refusal
        asked = origin_request(request, behavior, origin, identity)
        try:
            leg = await self._balancers.connect(reached.listener, source)
        except OSError:
            return Refusal(502, "OriginConnectError", "The origin refused the connection.")
        upstream = Http1(leg, h11.CLIENT)
        patience = min(
            float(origin.read_timeout), max(SHORTEST_READ_TIMEOUT, origin.read_timeout / (state.scale or 1.0))
        )
        try:
            target = asked.target.encode("latin-1", "replace")
            to_origin = h11.Request(method=asked.method, target=target, headers=wire_headers(asked.headers))
            return _Fetched(upstream, await ask(upstream, to_origin, body_from=body_from, patience=patience))
        except SenderFailed:
            refusal = Refusal(400, "ClientHungUpRequest", "The request's body broke off.")
        except TimeoutError:
            refusal = Refusal(504, "OriginCommError", "The origin did not answer in time.")
        except h11.ProtocolError:
            refusal = Refusal(502, "OriginInvalidResponseError", "The origin's response is not well-formed HTTP/1.1.")
        except OSError:
            refusal = Refusal(502, "OriginError", "The origin closed the connection without a response.")
        leg.close()
        return refusal

    async def _error_page(
        self, state: State, distribution: Distribution, status: int, request: ViewerRequest, identity: EdgeIdentity
    ) -> _Fetched | None:
        """The page that a custom error response puts in an error's place; None to leave the error as it is."""
        mapping = next((item for item in distribution.error_mappings if item.error_code == status), None)
        if mapping is None:
            return None
        wanted = replace(request, method="GET", target=mapping.page_path, headers=_without_upgrade(request.headers))
        page = await self._fetch(state, distribution, wanted, identity, body_from=None)
        if isinstance(page, Refusal):
            return None
        if not isinstance(page.head, h11.Response) or page.head.status_code >= 400:
            page.http.leg.close()
            return None
        head = h11.Response(status_code=mapping.response_code, headers=page.head.headers)
        return _Fetched(page.http, head)

    async def _relay(
        self,
        http: Http1,
        request: ViewerRequest,
        fetched: _Fetched,
        identity: EdgeIdentity,
        record: AccessRecord,
        state: State,
    ) -> Tunnel | None:
        head = fetched.head
        status = head.status_code
        origin_headers = text_headers(head)
        if isinstance(head, h11.Response):
            error = status >= 400
            record.begin(status, *(("Error", "Error") if error else ("Miss", "Miss")))
            record.content_type = next((v for n, v in origin_headers if n.lower() == "content-type"), "-")
            try:
                await relay_response(
                    fetched.http, http, head, relayed_headers(end_to_end(origin_headers), status, identity)
                )
            finally:
                fetched.http.leg.close()
            return None
        if not request.is_websocket_handshake:
            fetched.http.leg.close()
            refusal = Refusal(502, "OriginInvalidResponseError", "The origin switched protocols without being asked.")
            await self._refuse(http, refusal, identity, record, is_head=False)
            return None
        record.begin(status, "Miss", "Miss")
        record.websocket = True
        try:
            await switch_protocols(http, fetched.http, head, relayed_headers(origin_headers, status, identity))
        except BaseException:
            fetched.http.leg.close()
            raise
        return Tunnel(http.leg, fetched.http.leg, WEBSOCKET_IDLE_SECONDS / state.socket_scale, far_only=True)


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


def _without_upgrade(headers: tuple[Header, ...]) -> tuple[Header, ...]:
    dropped = ("upgrade", "connection", "content-length", "transfer-encoding")
    return tuple((name, value) for name, value in headers if name.lower() not in dropped)


def _request_id() -> str:
    """56 characters, like CloudFront's."""
    return base64.urlsafe_b64encode(secrets.token_bytes(40)).decode()
