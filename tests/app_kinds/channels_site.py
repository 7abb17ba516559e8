"""A Django Channels site for Daphne, as the tutorial of Channels ends: consumer, route, origins.

Daphne imports it in a process of its own.
"""

from __future__ import annotations

from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.urls import path

settings.configure(SECRET_KEY="test", ALLOWED_HOSTS=["app.example", ".cloudfront.net"], USE_TZ=True)
django.setup()


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Accepts everyone and repeats."""

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        """Send it back."""
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Members(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Closes before it accepts."""

    async def connect(self) -> None:
        """Nobody is a member."""
        await self.close()


routes = [
    path("ws/chat/", Chat.as_asgi()),
    path("channels/chat/", Chat.as_asgi()),
    path("ws/members/", Members.as_asgi()),
]
application = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(URLRouter(routes))})
