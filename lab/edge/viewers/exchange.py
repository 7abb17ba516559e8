"""One request at the edge, from its head to the end of its response.

Applies, in this order: the request pipeline, the error cache, the origin fetch, custom error
responses, response headers.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import h11

from lab.edge.account.distributions import Behavior, Distribution
from lab.edge.account.lab_settings import WRONG_ACCEPT, find_fault
from lab.edge.account.state import State
from lab.edge.cdn.error_cache import (
    CACHED_METHODS,
    MAX_BODY_BYTES,
    CachedError,
    CachedErrorResponse,
    ErrorCache,
    cache_key,
    error_ttl,
)
from lab.edge.cdn.error_pages import edge_answer
from lab.edge.cdn.request_pipeline import EdgePorts, PipelineContext, process_request
from lab.edge.cdn.response_headers import (
    apply_policy,
    relayed_headers,
    strip_unforwarded,
    with_wrong_accept,
)
from lab.edge.cdn.signed_requests import without_signature
from lab.edge.cdn.waf import RateCounter
from lab.edge.http.messages import Answer, EdgeIdentity, Header, Refusal, ViewerRequest
from lab.edge.logs.access_log import AccessRecord
from lab.edge.origins.origin_fetch import OriginFetcher, OriginResponse
from lab.edge.wire.connection import Tunnel
from lab.edge.wire.http1 import (
    Http1Connection,
    HttpStream,
    decode_headers,
    end_to_end,
    has_body,
    read_small_body,
    relay_response,
    send_answer,
    switch_protocols,
)

# CloudFront's idle timeout for WebSockets; only bytes from the origin reset it (quotas page).
WEBSOCKET_IDLE_SECONDS = 600.0

ExchangeOutcome = OriginResponse | CachedError


@dataclass(slots=True)
class EdgeMemory:
    """What an edge location remembers between requests."""

    errors: ErrorCache = field(default_factory=ErrorCache)
    rates: RateCounter = field(default_factory=RateCounter)
    # Whether the next request to a distribution reaches an edge that lags behind.
    lags: dict[str, bool] = field(default_factory=dict)

    def takes_former(self, distribution_id: str) -> bool:
        """True for every other request, beginning with the first."""
        former = self.lags.get(distribution_id, True)
        self.lags[distribution_id] = not former
        return former


class Exchanges:
    """Serves requests, one at a time for each HTTP stream."""

    def __init__(
        self,
        state: Callable[[], State],
        former: Mapping[str, Distribution],
        origins: OriginFetcher,
        ports: EdgePorts,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._state = state
        self._former = former
        self._origins = origins
        self._ports = ports
        self._draw = draw
        self._memory = EdgeMemory()
        self._via_name = f"{secrets.token_hex(16)}.cloudfront.net"

    def identity(self, request_id: str) -> EdgeIdentity:
        """How the edge identifies itself in this request and its response."""
        return EdgeIdentity(self._via_name, request_id)

    async def handle(
        self, http: HttpStream, request: ViewerRequest, record: AccessRecord
    ) -> Tunnel | None:
        """Serve one request. Returns a tunnel if it became a WebSocket."""
        state = self._state()
        body = has_body(request.headers)
        if not body:
            await http.next_event()  # the end of the request; a body is read where it is relayed

        def rate_exceeded(rule: str, whom: str, window: float, limit: int) -> bool:
            return self._memory.rates.exceeds(
                rule, whom, window / state.socket_scale, limit, time.monotonic()
            )

        context = PipelineContext(
            time.time(), self._draw(), rate_exceeded, self._former, self._memory.takes_former
        )
        result = process_request(state, request, body, self._ports, context)
        if result.distribution is not None:
            served = result.distribution
            record.distribution_id, record.distribution_domain = served.id, served.domain
            record.logs_cookies = served.logs_cookies
        exchange = _Exchange(
            state,
            http,
            request,
            record,
            self.identity(record.request_id),
            self._origins,
            self._memory,
            result.cookie,
        )
        if result.distribution is None or result.behavior is None:
            if result.refusal is not None:
                await exchange.refuse(result.refusal)
            return None
        return await exchange.serve(result.distribution, result.behavior, result.refusal, body)


@dataclass(slots=True)
class _Exchange:
    """One request and everything that belongs to it."""

    state: State
    http: HttpStream
    request: ViewerRequest
    record: AccessRecord
    identity: EdgeIdentity
    origins: OriginFetcher
    memory: EdgeMemory
    cookie: str

    async def serve(
        self, distribution: Distribution, behavior: Behavior, refusal: Refusal | None, body: bool
    ) -> Tunnel | None:
        """Serve a request whose distribution and behavior are known.

        1. The outcome is the edge's refusal, a cached error, or the origin's response.
        2. A custom error response replaces an error.
        3. Relay the response, or join the two connections after a 101.
        """
        record = self.record
        record.path_pattern = behavior.path_pattern or "*"
        if behavior.signed_by is not None:
            self.request = replace(self.request, target=without_signature(self.request.target))
        outcome: ExchangeOutcome = refusal or await self._fetch(distribution, behavior, body)
        status = outcome.head.status_code if isinstance(outcome, OriginResponse) else outcome.status
        error = status >= 400
        if error and (refusal is None or refusal.pageable):
            try:
                page = await self._error_page(distribution, status)
            except BaseException:
                if isinstance(outcome, OriginResponse):
                    outcome.http.connection.close()
                raise
            if page is not None:
                if isinstance(outcome, OriginResponse):
                    outcome.http.connection.close()
                outcome = page
        if isinstance(outcome, Refusal):
            await self.refuse(outcome)
            return None
        if isinstance(outcome, CachedErrorResponse):
            headers = self._headers(outcome.headers, behavior, error)
            self._begin(outcome.status, "Error", "Error", headers)
            await send_answer(
                self.http,
                Answer(outcome.status, headers, outcome.body),
                head=self.request.method == "HEAD",
            )
            return None
        return await self._relay(outcome, distribution, behavior, error)

    async def refuse(self, refusal: Refusal) -> None:
        """Send a response that the edge generates."""
        self.record.logged = refusal.logged
        if not self.http.can_answer:
            return
        answer = edge_answer(refusal, self.identity)
        self._begin(refusal.status, refusal.result_type, refusal.detail, answer.headers)
        await send_answer(self.http, answer, head=self.request.method == "HEAD")

    async def _fetch(
        self, distribution: Distribution, behavior: Behavior, body: bool
    ) -> ExchangeOutcome:
        """The cached error for the request, else the origin's response."""
        key: Hashable = None
        if behavior.cache_policy.caches and self.request.method in CACHED_METHODS:
            key = cache_key(distribution, behavior, self.request)
            kept = self.memory.errors.get(key, time.monotonic())
            if kept is not None:
                return replace(kept, detail="Error") if isinstance(kept, Refusal) else kept
        fetched = await self.origins.fetch(
            self.state, distribution, self.request, self.identity, self.http if body else None
        )
        self.record.origin_answered()
        return (
            fetched
            if key is None
            else await self._cache_error(distribution, behavior, fetched, key)
        )

    async def _cache_error(
        self,
        distribution: Distribution,
        behavior: Behavior,
        fetched: OriginResponse | Refusal,
        key: Hashable,
    ) -> ExchangeOutcome:
        status = fetched.status if isinstance(fetched, Refusal) else fetched.head.status_code
        headers = () if isinstance(fetched, Refusal) else decode_headers(fetched.head)
        seconds = error_ttl(distribution, behavior, status, headers) if status >= 400 else 0.0
        if not seconds or self.request.method == "HEAD":
            return fetched
        error: CachedError
        if isinstance(fetched, Refusal):
            error = fetched
        else:
            try:
                body = await read_small_body(fetched.http, MAX_BODY_BYTES, fetched.timeout)
            except TimeoutError:
                return Refusal(504, "OriginCommError", "The origin stopped within its response.")
            finally:
                fetched.http.connection.close()
            framing = ("content-length", "transfer-encoding")
            kept = [
                (name, value) for name, value in end_to_end(headers) if name.lower() not in framing
            ]
            error = CachedErrorResponse(status, (*kept, ("Content-Length", str(len(body)))), body)
        self.memory.errors.put(key, error, time.monotonic() + seconds / self.state.socket_scale)
        return error

    async def _error_page(self, distribution: Distribution, status: int) -> OriginResponse | None:
        """The page of the custom error response for `status`; None to leave the error as it is."""
        mapping = next(
            (item for item in distribution.error_mappings if item.error_code == status), None
        )
        if mapping is None or not mapping.page_path:
            return None
        dropped = ("upgrade", "connection", "content-length", "transfer-encoding")
        headers = tuple(
            header for header in self.request.headers if header[0].lower() not in dropped
        )
        wanted = replace(self.request, method="GET", target=mapping.page_path, headers=headers)
        page = await self.origins.fetch(
            self.state, distribution, wanted, self.identity, body_from=None
        )
        if isinstance(page, Refusal):
            return None
        if not isinstance(page.head, h11.Response) or page.head.status_code >= 400:
            page.http.connection.close()
            return None
        head = h11.Response(status_code=mapping.response_code, headers=page.head.headers)
        return replace(page, head=head)

    async def _relay(
        self, fetched: OriginResponse, distribution: Distribution, behavior: Behavior, error: bool
    ) -> Tunnel | None:
        """Relay the origin's response. Closes its connection afterwards, unless a tunnel took
        it.
        """
        tunnel: Tunnel | None = None
        try:
            tunnel = await self._pass_on(fetched, distribution, behavior, error)
        finally:
            if tunnel is None:
                fetched.http.connection.close()
        return tunnel

    async def _pass_on(
        self, fetched: OriginResponse, distribution: Distribution, behavior: Behavior, error: bool
    ) -> Tunnel | None:
        head = fetched.head
        if isinstance(head, h11.Response):
            headers = self._headers(end_to_end(decode_headers(head)), behavior, error)
            self._begin(
                head.status_code, *(("Error", "Error") if error else ("Miss", "Miss")), headers
            )
            try:
                async with asyncio.timeout_at(fetched.deadline):
                    await relay_response(fetched.http, self.http, head, headers, fetched.timeout)
            except TimeoutError:
                self.record.break_off("ClientCommError" if self.http.gone else "OriginCommError")
                raise ConnectionAbortedError(
                    "the origin took too long within its response"
                ) from None
            except (ConnectionResetError, h11.RemoteProtocolError):
                self.record.break_off("ClientCommError" if self.http.gone else "OriginReadError")
                raise
            except BaseException:
                self.record.break_off("ClientCommError")
                raise
            return None
        if not isinstance(self.http, Http1Connection) or not self.request.is_websocket_handshake:
            why = "The origin switched protocols without a request to."
            await self.refuse(Refusal(502, "OriginInvalidResponseError", why))
            return None
        headers = self._headers(decode_headers(head), behavior, error=False)
        if find_fault(self.state.faults, WRONG_ACCEPT, distribution.id):
            headers = with_wrong_accept(headers)
        self._begin(head.status_code, "Miss", "Miss", headers)
        self.record.websocket = True
        await switch_protocols(self.http, fetched.http, head, headers)
        idle = WEBSOCKET_IDLE_SECONDS / self.state.socket_scale
        return Tunnel(
            self.http.connection,
            fetched.http.connection,
            idle,
            far_only=True,
            hop="CloudFront",
            aws_seconds=WEBSOCKET_IDLE_SECONDS,
        )

    def _begin(
        self, status: int, result_type: str, detail: str, headers: tuple[Header, ...]
    ) -> None:
        """Record that the response starts.

        :raises ConnectionResetError: the viewer has disconnected.
        """
        if self.http.gone:
            raise ConnectionResetError("the viewer disconnected before the response")
        self.record.begin(status, result_type, detail, headers)

    def _headers(
        self, headers: Iterable[Header], behavior: Behavior, error: bool
    ) -> tuple[Header, ...]:
        """The headers of the origin's response as the viewer gets them."""
        policy = self.state.response_headers_policies.get(behavior.response_headers_policy_id)
        kept = apply_policy(strip_unforwarded(headers, behavior), policy, self.request)
        relayed = relayed_headers(kept, error, self.identity)
        return (*relayed, ("Set-Cookie", self.cookie)) if self.cookie else relayed
