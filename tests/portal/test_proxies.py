"""Whose word counts on where a client is: only that of the proxies that are named."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any, cast

import pytest
from a2wsgi.wsgi import build_environ
from django.core.checks import run_checks
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from portal import asgi


def client_seen(trusted: list[str], peer: str, forwarded: str) -> str:
    """The address that the application behind sees."""
    seen: list[str] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    scope = {
        "type": "http",
        "client": (peer, 1),
        "scheme": "http",
        "headers": [(b"x-forwarded-for", forwarded.encode())],
    }
    wrapped: Any = type(asgi.application)(behind, trusted)
    asyncio.run(wrapped(scope, None, None))
    return seen[0]


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "seen"),
    [
        ([], "127.0.0.1", "192.0.2.1", "127.0.0.1"),
        ([], "10.0.0.9", "192.0.2.1", "10.0.0.9"),
        (["10.0.0.0/16"], "10.0.0.9", "192.0.2.1", "192.0.2.1"),
        (["10.0.0.0/16"], "10.0.0.9", "203.0.113.7, 192.0.2.1", "192.0.2.1"),
        (["10.0.0.0/16"], "10.0.0.9", "192.0.2.1, 10.0.0.8", "192.0.2.1"),
        (["10.0.0.0/16"], "10.1.0.9", "192.0.2.1", "10.1.0.9"),
    ],
)
def test_x_forwarded_for_counts_from_a_trusted_proxy_only(
    trusted: list[str], peer: str, forwarded: str, seen: str
) -> None:
    assert client_seen(trusted, peer, forwarded) == seen


def test_the_portal_wraps_everything_and_trusts_nobody_unasked(settings: Any) -> None:
    assert isinstance(asgi.application, ProxyHeadersMiddleware)
    assert settings.TRUSTED_PROXIES == []


@pytest.mark.parametrize(("trusted", "refused"), [([], True), (["10.0.0.9"], False)])
def test_a_proxy_that_is_not_named_is_refused(
    settings: Any, trusted: list[str], *, refused: bool
) -> None:
    settings.BEHIND_TLS_PROXY = True
    settings.TRUSTED_PROXIES = trusted
    assert ("portal.E007" in [one.id for one in run_checks()]) is refused


@pytest.mark.parametrize(
    ("trusted", "peer", "secure"),
    [
        (["10.0.0.9"], "10.0.0.9", True),
        (["10.0.0.0/16"], "10.0.3.4", True),
        (["10.0.0.9"], "10.0.0.8", False),
        ([], "10.0.0.9", False),
        ([], "127.0.0.1", False),
    ],
)
def test_https_is_believed_of_a_trusted_proxy_only(
    settings: Any, trusted: list[str], peer: str, *, secure: bool
) -> None:
    """As Django sees it, through both of the middleware's handlers."""
    settings.BEHIND_TLS_PROXY = True
    assert settings.SECURE_PROXY_SSL_HEADER is None
    seen: list[bool] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        seen.append(ASGIRequest(scope, BytesIO()).is_secure())
        environ = build_environ(scope, cast("Any", BytesIO()))
        seen.append(WSGIRequest({**environ, "wsgi.input": BytesIO()}).is_secure())

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "root_path": "",
        "query_string": b"",
        "server": ("portal.example", 80),
        "client": (peer, 1),
        "scheme": "http",
        "headers": [(b"x-forwarded-proto", b"https"), (b"host", b"portal.example")],
    }
    wrapped: Any = type(asgi.application)(behind, trusted)
    asyncio.run(wrapped(scope, None, None))
    assert seen == [secure, secure]
