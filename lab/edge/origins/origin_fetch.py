"""Fetching from an origin: connect, send the request, read the head of the response.

Whatever fails on the way becomes CloudFront's own error.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from dataclasses import dataclass, replace

import h11

from lab.edge.account.distributions import CustomOrigin, Distribution, Origin
from lab.edge.account.state import State
from lab.edge.balancers.listeners import ListenerSockets
from lab.edge.cdn.forwarding import origin_request
from lab.edge.cdn.routing import find_behavior, find_distribution
from lab.edge.http.hosts import split_host
from lab.edge.http.messages import EdgeIdentity, OriginRequest, Refusal, ViewerRequest
from lab.edge.network.origin_resolution import Unreachable, resolve_origin
from lab.edge.origins.api_gateway import ApiGatewayEndpoint
from lab.edge.origins.api_gateway_rules import is_api_gateway_name
from lab.edge.origins.nested_distribution import NestedDistributions
from lab.edge.tls.origin_tls import refusal_for
from lab.edge.wire.connection import Connection
from lab.edge.wire.http1 import (
    Http1Connection,
    HttpStream,
    RequestAborted,
    encode_headers,
    send_request,
)

GATEWAY_PORT = 443
# Origin groups fail over only for these methods, and for OPTIONS if it is cached.
REPEATABLE = frozenset({"GET", "HEAD"})
# The failover status code that also covers connection failures.
UNCONNECTED = 503
# Quotas page: the maximum size of response headers.
MAX_HEADER_BYTES = 32768
# Developer Guide, "100 Continue responses": a second one is an error.
MAX_CONTINUES = 1
# In real seconds: apps answer in real time, however fast the lab's clock runs.
MIN_READ_TIMEOUT = 5.0
# CloudFront's origin-facing servers have public addresses. The lab uses four of 130.176.0.0/18.
SOURCE_ADDRESSES = tuple(
    f"130.176.{block}.{host}" for block, host in ((14, 52), (16, 164), (18, 52), (19, 40))
)


@dataclass(slots=True)
class OriginResponse:
    """An origin's connection and the head of its response.

    `timeout` is the longest pause within the response, in seconds. `deadline`, by the event loop's
    clock, is when the response must be complete; None if there is no limit.
    """

    http: Http1Connection
    head: h11.Response | h11.InformationalResponse
    timeout: float
    deadline: float | None


class OriginFetcher:
    """Fetches from origins of all kinds."""

    def __init__(
        self,
        listeners: ListenerSockets,
        api_gateway: ApiGatewayEndpoint,
        nested: NestedDistributions,
    ) -> None:
        self._nested = nested
        self._listeners = listeners
        self._api_gateway = api_gateway

    async def fetch(
        self,
        state: State,
        distribution: Distribution,
        request: ViewerRequest,
        identity: EdgeIdentity,
        body_from: HttpStream | None,
    ) -> OriginResponse | Refusal:
        """The origin's response to a viewer's request, or CloudFront's error.

        In an origin group the next member is tried after a status code that the group names (503
        also covers connection failures), but only for methods that may be repeated.
        """
        if request.path == "/" and distribution.default_root_object:
            request = replace(
                request, target="/" + distribution.default_root_object + request.target[1:]
            )
        behavior = find_behavior(distribution, request.path)
        group = distribution.origin_groups.get(behavior.target_origin_id)
        ids = group.members if group else (behavior.target_origin_id,)
        members = [origin for id in ids if (origin := distribution.origins.get(id)) is not None]
        for origin in members:
            request_to_origin = origin_request(request, behavior, origin, identity)
            fetched = await self._fetch_from(
                state, distribution, origin, request, request_to_origin, body_from
            )
            status = fetched.status if isinstance(fetched, Refusal) else fetched.head.status_code
            statuses = (
                {status, UNCONNECTED}
                if isinstance(fetched, Refusal) and fetched.unconnected
                else {status}
            )
            repeatable = request.method in REPEATABLE or (
                request.method == "OPTIONS" and behavior.caches_options
            )
            fails_over = (
                group is not None and not group.status_codes.isdisjoint(statuses) and repeatable
            )
            if not fails_over or origin is members[-1]:
                return fetched
            if isinstance(fetched, OriginResponse):
                fetched.http.connection.close()
        return Refusal(
            502,
            "OriginDnsError",
            "The behavior's origin does not exist in the distribution.",
        )

    async def _fetch_from(
        self,
        state: State,
        distribution: Distribution,
        origin: Origin,
        request: ViewerRequest,
        request_to_origin: OriginRequest,
        body_from: HttpStream | None,
    ) -> OriginResponse | Refusal:
        try:
            if origin.custom is not None and is_api_gateway_name(origin.domain_name):
                connection = await self._connect_gateway(origin.custom, request.scheme)
            elif (
                origin.custom is not None
                and find_distribution(state.distributions, origin.domain_name) is not None
            ):
                connection = await self._connect_nested(
                    origin.custom, request.scheme, request_to_origin.host
                )
            else:
                connection = await self._connect(
                    state, distribution, origin, request, request_to_origin
                )
        except _ConnectFailed as failed:
            return replace(failed.refusal, unconnected=True)
        except OSError:
            return Refusal(
                502, "OriginConnectError", "The origin refused the connection.", unconnected=True
            )
        upstream = Http1Connection(connection, h11.CLIENT)
        timeout = pause = _real_seconds(origin.read_timeout, state)
        deadline = None
        if origin.completion_timeout is not None:
            whole = _real_seconds(origin.completion_timeout, state)
            timeout, deadline = min(timeout, whole), asyncio.get_running_loop().time() + whole
        try:
            target = request_to_origin.target.encode("latin-1", "replace")
            to_origin = h11.Request(
                method=request_to_origin.method,
                target=target,
                headers=encode_headers(request_to_origin.headers),
            )
            head = await send_request(
                upstream,
                to_origin,
                body_from=body_from,
                timeout=timeout,
                max_continues=MAX_CONTINUES,
            )
            if sum(len(name) + len(value) + 4 for name, value in head.headers) <= MAX_HEADER_BYTES:
                return OriginResponse(upstream, head, pause, deadline)
            refusal = _too_large()
        except RequestAborted:
            refusal = Refusal(400, "ClientHungUpRequest", "The request body broke off.")
        except TimeoutError:
            refusal = Refusal(504, "OriginCommError", "The origin did not answer in time.")
        except h11.ProtocolError as error:
            refusal = Refusal(
                502,
                "OriginInvalidResponseError",
                "The origin's response is not well-formed HTTP/1.1.",
            )
            if error.error_status_hint == 431:
                refusal = _too_large()
        except OSError:
            refusal = Refusal(
                502, "OriginError", "The origin closed the connection without a response."
            )
        except BaseException:
            connection.close()
            raise
        connection.close()
        return refusal

    async def _connect(
        self,
        state: State,
        distribution: Distribution,
        origin: Origin,
        request: ViewerRequest,
        request_to_origin: OriginRequest,
    ) -> Connection:
        """Connect to the listener or address that an origin leads to.

        Over TLS, the certificate must match the Host sent to the origin: the viewer's if the
        behavior forwards it, else the origin's domain name.

        :raises _ConnectFailed: it is unreachable, after CloudFront's connection timeout; or TLS
            failed.
        :raises OSError: the listener was deleted.
        """
        source = secrets.choice(SOURCE_ADDRESSES)
        resolved = resolve_origin(
            state,
            origin,
            request.scheme,
            source,
            websocket=request.is_websocket_handshake,
            distribution_id=distribution.id,
        )
        if isinstance(resolved, Unreachable):
            await asyncio.sleep(resolved.wait)
            raise _ConnectFailed(resolved.refusal)
        name, _ = split_host(request_to_origin.host)
        try:
            return await self._listeners.connect(resolved, source, name)
        except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as error:
            if resolved.ssl_protocols is None:
                raise
            raise _ConnectFailed(refusal_for(error, name)) from error
        except TimeoutError as error:
            raise _ConnectFailed(
                Refusal(504, "OriginCommError", "Connecting to the origin timed out.")
            ) from error
        except ValueError as error:
            raise _ConnectFailed(
                Refusal(502, "OriginConnectError", f"{name!r} is no name for a certificate.")
            ) from error

    async def _connect_nested(
        self, custom: CustomOrigin, viewer_scheme: str, name: str
    ) -> Connection:
        """Connect to this edge itself: the origin is another distribution.

        :raises _ConnectFailed: the port is neither 80 nor 443.
        :raises OSError: the edge is shutting down, or its certificate does not cover `name`.
        """
        scheme = _scheme(custom, viewer_scheme)
        port = custom.https_port if scheme == "https" else custom.http_port
        if (scheme, port) not in (("http", 80), ("https", 443)):
            raise _ConnectFailed(
                Refusal(
                    502,
                    "OriginConnectError",
                    f"The origin refused the {scheme} connection on port {port}.",
                )
            )
        return await self._nested.connect(split_host(name)[0], tls=scheme == "https")

    async def _connect_gateway(self, custom: CustomOrigin, viewer_scheme: str) -> Connection:
        """Connect to API Gateway.

        :raises _ConnectFailed: the origin does not use HTTPS on port 443.
        """
        scheme = _scheme(custom, viewer_scheme)
        port = custom.https_port if scheme == "https" else custom.http_port
        if (scheme, port) != ("https", GATEWAY_PORT):
            why = (
                f"API Gateway refused the {scheme} connection on port {port}: it accepts only "
                f"HTTPS on {GATEWAY_PORT}."
            )
            raise _ConnectFailed(Refusal(502, "OriginConnectError", why))
        return await self._api_gateway.connect()


def _too_large() -> Refusal:
    return Refusal(
        502,
        "OriginHeaderTooBigError",
        "The headers of the origin's response are larger than 32,768 bytes.",
    )


def _scheme(custom: CustomOrigin, viewer_scheme: str) -> str:
    return {"http-only": "http", "https-only": "https"}.get(custom.protocol_policy, viewer_scheme)


def _real_seconds(timeout: int, state: State) -> float:
    """An AWS timeout in real seconds: scaled, but at least a few seconds."""
    return min(float(timeout), max(MIN_READ_TIMEOUT, timeout / (state.scale or 1.0)))


class _ConnectFailed(Exception):
    """CloudFront could not connect; carries its answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal
