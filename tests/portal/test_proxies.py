"""Whose word counts on where a client is: only that of the proxies that are named."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.checks import run_checks
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


@pytest.mark.parametrize(("trusted", "warned"), [([], True), (["10.0.0.9"], False)])
def test_a_proxy_that_is_not_named_is_warned_about(
    settings: Any, trusted: list[str], *, warned: bool
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.TRUSTED_PROXIES = trusted
    assert ("portal.W003" in [one.id for one in run_checks()]) is warned
