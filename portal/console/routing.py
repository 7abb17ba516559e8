"""Routes sockets, and checks which pages they come from.

A browser's handshake must carry exactly the portal's own Origin, scheme and port included: cookies
come with every page's handshake, so the Origin is what keeps foreign pages out. No foreign page can
send a token, so a handshake with one needs no Origin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlparse

from channels.routing import URLRouter
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.urls import path, re_path

from portal.console.auth import credentials_of
from portal.console.consumer import Receive, Scope, Send, console, nowhere


def websocket_application() -> OwnPagesOnly:
    """The WebSocket branch of portal.asgi."""
    return OwnPagesOnly(
        URLRouter(
            [path("ws/requests/<uuid:request_id>/", _route(console)), re_path(r"", _route(nowhere))]
        )
    )


def _route(application: Callable[[Scope, Receive, Send], Awaitable[None]]) -> Any:
    """Channels puts ASGI applications where Django's types know only views."""
    return application


class OwnPagesOnly:
    """Denies (403) handshakes from other pages, by the rule of Channels' OriginValidator."""

    def __init__(self, application: URLRouter) -> None:
        self.application = application
        self.rule = OriginValidator(application, [settings.PORTAL_URL])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if credentials_of(scope["headers"]).token is not None or self._own(scope["headers"]):
            await self.application(scope, receive, send)
        else:
            await WebsocketDenier()(scope, receive, send)

    def _own(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        try:
            return len(origins) == 1 and bool(self.rule.valid_origin(urlparse(origins[0])))
        except ValueError:  # Not a URL: an open bracket, a port above 65535.
            return False
