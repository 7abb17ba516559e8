"""Fetching from an origin: the way there, the request, and the head of the response.

It carries out what reaching and forwarding decide, and turns whatever goes wrong on the way into
CloudFront's own error. It must never look at the response beyond its head.
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
# Origin groups fail over for these only, and for OPTIONS if it is cached.
REPEATABLE = frozenset({"GET", "HEAD"})
# The failover code that stands for an origin to which CloudFront cannot connect.
UNCONNECTED = 503
# Quotas page: the longest head of a response.
MAX_HEADER_BYTES = 32768
# Developer Guide, "100 Continue responses": after another one CloudFront returns an error.
MAX_CONTINUES = 1
# However fast the lab's clock runs, the apps behind it run in real time.
MIN_READ_TIMEOUT = 5.0
# CloudFront's origin-facing servers have public addresses; this edge has a few out of
# 130.176.0.0/18.
SOURCE_ADDRESSES = tuple(
    f"130.176.{block}.{host}" for block, host in ((14, 52), (16, 164), (18, 52), (19, 40))
)


@dataclass(slots=True)
class OriginResponse:
    """An origin that answered: its connection and the head of its response.

    `patience` is for how many seconds it may be silent in the middle of its response. `deadline`, a
    moment of the event loop's clock, is when the whole response must have come; None for never.
    """

    http: Http1Connection
    head: h11.Response | h11.InformationalResponse
    timeout: float
    deadline: float | None


class OriginFetcher:
    """Asks origins."""

    def __init__(
        self,
        balancers: ListenerSockets,
        websocket_apis: ApiGatewayEndpoint,
        edge: NestedDistributions,
    ) -> None:
        self._edge = edge
        self._balancers = balancers
        self._gateways = websocket_apis

    async def fetch(
        self,
        state: State,
        distribution: Distribution,
        request: ViewerRequest,
        identity: EdgeIdentity,
        body_from: HttpStream | None,
    ) -> OriginResponse | Refusal:
        """The origin's answer to a viewer's request, or the error that CloudFront gives in its
        place.

        Of an origin group the next member is asked after an error that the group names (503 also
        names an origin that cannot be connected to); only for requests that may be repeated.
        """
        if request.path == "/" and distribution.default_root_object:
            request = replace(
                request, target="/" + distribution.default_root_object + request.target[1:]
            )
        behavior = find_behavior(distribution, request.path)
        group = distribution.origin_groups.get(behavior.target_origin_id)
        ids = group.members if group else (behavior.target_origin_id,)
        tries = [origin for id in ids if (origin := distribution.origins.get(id)) is not None]
        for origin in tries:
            asked = origin_request(request, behavior, origin, identity)
            fetched = await self._fetch_from(state, distribution, origin, request, asked, body_from)
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
            if not fails_over or origin is tries[-1]:
                return fetched
            if isinstance(fetched, OriginResponse):
                fetched.http.connection.close()
        return Refusal(
            502,
            "OriginDnsError",
            "The behavior names an origin that the distribution does not have.",
        )

    async def _fetch_from(
        self,
        state: State,
        distribution: Distribution,
        origin: Origin,
        request: ViewerRequest,
        asked: OriginRequest,
        body_from: HttpStream | None,
    ) -> OriginResponse | Refusal:
        try:
            if origin.custom is not None and is_api_gateway_name(origin.domain_name):
                connection = await self._connect_gateway(origin.custom, request.scheme)
            elif (
                origin.custom is not None
                and find_distribution(state.distributions, origin.domain_name) is not None
            ):
                connection = await self._connect_edge(origin.custom, request.scheme, asked.host)
            else:
                connection = await self._connect(state, distribution, origin, request, asked)
        except _ConnectFailed as failed:
            return replace(failed.refusal, unconnected=True)
        except OSError:
            return Refusal(
                502, "OriginConnectError", "The origin refused the connection.", unconnected=True
            )
        upstream = Http1Connection(connection, h11.CLIENT)
        timeout = between = _real_seconds(origin.read_timeout, state)
        deadline = None
        if origin.completion_timeout is not None:
            whole = _real_seconds(origin.completion_timeout, state)
            timeout, deadline = min(timeout, whole), asyncio.get_running_loop().time() + whole
        try:
            target = asked.target.encode("latin-1", "replace")
            to_origin = h11.Request(
                method=asked.method, target=target, headers=encode_headers(asked.headers)
            )
            head = await send_request(
                upstream,
                to_origin,
                body_from=body_from,
                timeout=timeout,
                max_continues=MAX_CONTINUES,
            )
            if sum(len(name) + len(value) + 4 for name, value in head.headers) <= MAX_HEADER_BYTES:
                return OriginResponse(upstream, head, between, deadline)
            refusal = _too_large()
        except RequestAborted:
            refusal = Refusal(400, "ClientHungUpRequest", "The request's body broke off.")
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
        asked: OriginRequest,
    ) -> Connection:
        """A connection to the listener or the address that an origin leads to.

        Over TLS the certificate must be for the Host that the origin is sent: the viewer's if the
        behavior forwards it, else the origin's domain name.

        :raises _NoWay: it leads nowhere, after as long as CloudFront would have tried; or TLS
        failed. :raises OSError: the listener is gone.
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
        name, _ = split_host(asked.host)
        try:
            return await self._balancers.connect(resolved, source, name)
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

    async def _connect_edge(
        self, custom: CustomOrigin, viewer_scheme: str, name: str
    ) -> Connection:
        """A connection to this edge itself: the origin is another distribution.

        :raises _NoWay: CloudFront listens on ports 80 and 443 only.
        :raises OSError: the edge is closing, or its certificate is not for `name`.
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
        return await self._edge.connect(split_host(name)[0], tls=scheme == "https")

    async def _connect_gateway(self, custom: CustomOrigin, viewer_scheme: str) -> Connection:
        """A connection to API Gateway, which listens on port 443 only.

        :raises _NoWay: the origin would speak plain HTTP, or on another port.
        """
        scheme = _scheme(custom, viewer_scheme)
        port = custom.https_port if scheme == "https" else custom.http_port
        if (scheme, port) != ("https", GATEWAY_PORT):
            why = (
                f"API Gateway refused the {scheme} connection on port {port}: it speaks HTTPS "
                f"on {GATEWAY_PORT} only."
            )
            raise _ConnectFailed(Refusal(502, "OriginConnectError", why))
        return await self._gateways.connect()


def _too_large() -> Refusal:
    return Refusal(
        502,
        "OriginHeaderTooBigError",
        "The headers of the origin's response are larger than 32,768 bytes.",
    )


def _scheme(custom: CustomOrigin, viewer_scheme: str) -> str:
    return {"http-only": "http", "https-only": "https"}.get(custom.protocol_policy, viewer_scheme)


def _real_seconds(timeout: int, state: State) -> float:
    """A timeout of AWS's on this machine: as much shorter as lab time is faster, but never under a
    few seconds.
    """
    return min(float(timeout), max(MIN_READ_TIMEOUT, timeout / (state.scale or 1.0)))


class _ConnectFailed(Exception):
    """CloudFront gives up before there is a connection; carries its answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal
