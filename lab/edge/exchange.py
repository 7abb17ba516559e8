"""One request at the edge, from routing to the end of its response.

It carries out what acceptance, routing, forwarding and reaching decide, in that order. It must never decide by
itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import h11

from lab.edge.acceptance import Refusal, refuse_by_behavior, refuse_form, refuse_host
from lab.edge.access_log import AccessRecord
from lab.edge.answers import edge_answer, relayed_headers
from lab.edge.balancer import Balancers
from lab.edge.distribution_facts import Distribution
from lab.edge.forwarding import EdgeIdentity, Header, ViewerRequest
from lab.edge.http1 import Http1, end_to_end, give, has_body, relay_response, switch_protocols, text_headers
from lab.edge.leg import Tunnel
from lab.edge.origin_fetch import Fetched, OriginFetch
from lab.edge.routing import find_behavior, find_distribution
from lab.edge.state import State

# CloudFront's idle limit for WebSockets; only bytes from the origin count (quotas page).
WEBSOCKET_IDLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class EdgePorts:
    """The lab's own viewer ports; only redirects need them."""

    plain: int
    tls: int


class Exchanges:
    """Answers requests, one at a time for each connection."""

    def __init__(self, state: Callable[[], State], balancers: Balancers, ports: EdgePorts) -> None:
        self._state = state
        self._origins = OriginFetch(balancers)
        self._ports = ports
        self._via_name = f"{secrets.token_hex(16)}.cloudfront.net"

    def identity(self, request_id: str) -> EdgeIdentity:
        """What the edge writes about itself into this request and its answer."""
        return EdgeIdentity(self._via_name, request_id)

    async def carry_out(self, http: Http1, request: ViewerRequest, record: AccessRecord) -> Tunnel | None:
        """One request, from routing to the end of its response.

        1. Form, host, behavior: refuse what the edge refuses.
        2. Fetch from the origin; what cannot be reached becomes an error of the edge.
        3. Replace errors for which the distribution has a page of its own.
        4. Relay the response, or join the two connections after 101.
        """
        state = self._state()
        identity = self.identity(record.request_id)
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
        fetched = await self._origins.fetch(state, distribution, request, identity, http if body else None)
        status = fetched.status if isinstance(fetched, Refusal) else fetched.head.status_code
        if status >= 400:
            page = await self._error_page(state, distribution, status, request, identity)
            if page is not None:
                if isinstance(fetched, Fetched):
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

    async def _error_page(
        self, state: State, distribution: Distribution, status: int, request: ViewerRequest, identity: EdgeIdentity
    ) -> Fetched | None:
        """The page that a custom error response puts in an error's place; None to leave the error as it is."""
        mapping = next((item for item in distribution.error_mappings if item.error_code == status), None)
        if mapping is None:
            return None
        wanted = replace(request, method="GET", target=mapping.page_path, headers=_without_upgrade(request.headers))
        page = await self._origins.fetch(state, distribution, wanted, identity, body_from=None)
        if isinstance(page, Refusal):
            return None
        if not isinstance(page.head, h11.Response) or page.head.status_code >= 400:
            page.http.leg.close()
            return None
        head = h11.Response(status_code=mapping.response_code, headers=page.head.headers)
        return Fetched(page.http, head)

    async def _relay(
        self,
        http: Http1,
        request: ViewerRequest,
        fetched: Fetched,
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


def _without_upgrade(headers: tuple[Header, ...]) -> tuple[Header, ...]:
    dropped = ("upgrade", "connection", "content-length", "transfer-encoding")
    return tuple((name, value) for name, value in headers if name.lower() not in dropped)
