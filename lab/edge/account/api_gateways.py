"""API Gateway's WebSocket APIs, as in `/_lab/state` (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """A WebSocket API: host name, stages, and host:port of the $default route's integration."""

    host: str
    stages: frozenset[str]
    integration: str
    enabled: bool = True


def parse_websocket_api(entry: Json) -> WebSocketApi:
    """One entry of `gateways`."""
    return WebSocketApi(
        host=entry["host"].lower(),
        stages=frozenset(entry.get("stages") or ()),
        integration=entry.get("integration") or "",
        enabled=not entry.get("disabled"),
    )
