"""What API Gateway does with a request to a WebSocket API: by Host, stage and upgrade (PURE)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lab.edge.account.api_gateways import WebSocketApi
from lab.edge.http.hosts import split_host
from lab.edge.http.messages import Answer, ViewerRequest

Json = Mapping[str, Any]

# The quotas page of API Gateway: idle connections 10 minutes, any connection 2 hours.
IDLE_SECONDS = 600.0
MAX_CONNECTION_SECONDS = 7200.0
_NAME = re.compile(r"[a-z0-9]+\.execute-api\.[a-z0-9-]+\.amazonaws\.com")


def is_api_gateway_name(domain: str) -> bool:
    """Whether a domain name is an API Gateway endpoint's."""
    return _NAME.fullmatch(domain.lower()) is not None


def accept_handshake(
    websocket_apis: Mapping[str, WebSocketApi], request: ViewerRequest, request_id: str
) -> WebSocketApi | Answer:
    """The API that accepts the handshake, or API Gateway's refusal.

    1. No API has that Host: 403 Forbidden. A forwarded viewer Host always ends here.
    2. The path is not exactly a stage: 403 Forbidden.
    3. Not a WebSocket handshake: 426.
    4. The $default route has no integration: 500.
    """
    api = websocket_apis.get(split_host(request.header("host"))[0])
    if api is None or not api.enabled:
        return _refused(403, "Forbidden", request_id, "ForbiddenException")
    if request.path.strip("/") not in api.stages:
        return _refused(403, "Forbidden", request_id, "ForbiddenException")
    if not request.is_websocket_handshake or not request.header("sec-websocket-key"):
        return _refused(426, "Upgrade Required", request_id)
    if not api.integration:
        return internal_error(request_id)
    return api


def internal_error(request_id: str) -> Answer:
    """The response if the integration fails."""
    return _refused(500, "Internal server error", request_id, "InternalServerErrorException")


def _refused(status: int, message: str, request_id: str, kind: str = "") -> Answer:
    body = json.dumps({"message": message}).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("x-amzn-RequestId", request_id),
        ("x-amz-apigw-id", request_id.replace("-", "")[:16]),
    ]
    if kind:
        headers.append(("x-amzn-ErrorType", kind))
    return Answer(status, tuple(headers), body)
