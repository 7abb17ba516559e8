"""The request headers that a load balancer sends to a target (PURE)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.edge.account.load_balancers import Listener, LoadBalancer
from lab.edge.balancers.rules.answers import DEFAULT_PORTS
from lab.edge.balancers.rules.listener_rules import BalancerRequest
from lab.edge.http.hosts import split_host
from lab.edge.http.messages import Header

REPLACED = frozenset(
    {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "host", "connection", "upgrade"}
)
VALID_HEADER_NAME = re.compile(r"[-A-Za-z0-9]+")


def target_headers(
    request: BalancerRequest,
    balancer: LoadBalancer,
    listener: Listener,
    trace_id: str,
    websocket: bool,
) -> tuple[Header, ...]:
    """The headers that the target gets: this hop's X-Forwarded-* first, as the 2026 article's log
    shows.
    """
    attributes = balancer.attributes
    headers = _forwarded_for(
        request, attributes.get("routing.http.xff_header_processing.mode", "append"), attributes
    )
    headers += [
        ("X-Forwarded-Proto", "https" if listener.protocol == "HTTPS" else "http"),
        ("X-Forwarded-Port", str(listener.port)),
        (
            "Host",
            _host(
                request,
                listener,
                attributes.get("routing.http.preserve_host_header.enabled") == "true",
            ),
        ),
    ]
    if not request.header("x-amzn-trace-id"):
        headers.append(("X-Amzn-Trace-Id", trace_id))
    if (
        request.tls
        and attributes.get("routing.http.x_amzn_tls_version_and_cipher_suite.enabled") == "true"
    ):
        headers += [
            ("X-Amzn-Tls-Version", request.tls[0]),
            ("X-Amzn-Tls-Cipher-Suite", request.tls[1]),
        ]
    headers += (
        [("Upgrade", "websocket"), ("Connection", "upgrade")]
        if websocket
        else [("Connection", "keep-alive")]
    )
    strict = attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true"
    headers += [
        (name, value)
        for name, value in request.headers
        if name.lower() not in REPLACED and not (strict and not VALID_HEADER_NAME.fullmatch(name))
    ]
    return tuple(headers)


def _forwarded_for(
    request: BalancerRequest, mode: str, attributes: Mapping[str, str]
) -> list[Header]:
    """X-Forwarded-For, by mode: append, preserve or remove (ALB guide, "X-Forwarded headers"); with
    the client's port if configured.
    """
    earlier = request.header("x-forwarded-for")
    if mode == "remove":
        return []
    if mode == "preserve":
        return [("X-Forwarded-For", earlier)] if earlier else []
    source = request.source
    if attributes.get("routing.http.xff_client_port.enabled") == "true":
        source = f"{source}:{request.source_port}"
    return [("X-Forwarded-For", f"{earlier}, {source}" if earlier else source)]


def _host(request: BalancerRequest, listener: Listener, preserve: bool) -> str:
    """The Host header. Unless configured to preserve it, the balancer adds a non-default port."""
    host = request.header("host")
    usual = DEFAULT_PORTS["https" if listener.protocol == "HTTPS" else "http"]
    if preserve or not host or split_host(host)[1] or str(listener.port) == usual:
        return host
    return f"{host}:{listener.port}"
