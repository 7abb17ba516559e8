"""The two servers that bench/fan_out.py compares, chosen by the environment variable ARM; uvicorn
loads `application`.

`hub` is the portal's own socket branch. `stock` is what Channels' tutorial makes: a consumer per
socket that joins a group. `stock-gc` is the same with the garbage collector tuned as the hub tunes
it, so that only this differs.
"""

from __future__ import annotations

import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402

from portal.console.hub import tune_garbage_collection  # noqa: E402
from portal.console.routing import websocket_application  # noqa: E402

STOCK_GROUP = os.environ["ARM"]


class StockConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One group membership per socket; the layer calls `event` for each message and each socket."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(STOCK_GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(STOCK_GROUP, self.channel_name)

    async def event(self, message: dict[str, Any]) -> None:
        """Hand the text on."""
        await self.send(text_data=message["text"])


def _application(arm: str) -> Any:
    if arm == "hub":
        return websocket_application()
    if arm == "stock-gc":
        tune_garbage_collection()
    stock: Any = StockConsumer.as_asgi()
    return URLRouter([re_path(r"", stock)])


application = _application(os.environ["ARM"])
