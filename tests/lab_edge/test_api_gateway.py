"""API Gateway as an origin: HTTPS, its own Host, its stage and nothing else; then the chat app
behind it answers.
"""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from lab.edge.account.api_gateways import WebSocketApi, parse_websocket_api
from lab.edge.http.messages import Answer, ViewerRequest
from lab.edge.origins.api_gateway_rules import accept_handshake, is_api_gateway_name

from .cloudfront_situations import GATEWAY
from .stage import Stage

API = parse_websocket_api({"host": GATEWAY, "stages": ["prod"], "integration": "10.0.0.1:80"})
OFF = WebSocketApi(
    "off.execute-api.us-east-1.amazonaws.com", frozenset({"prod"}), "10.0.0.1:80", enabled=False
)
EMPTY = WebSocketApi("empty.execute-api.us-east-1.amazonaws.com", frozenset({"prod"}), "")
GATEWAYS = {gateway.host: gateway for gateway in (API, OFF, EMPTY)}
UPGRADE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "Rnhou3qbnI2nVKLvsTWapg=="),
)


@pytest.mark.parametrize(
    ("host", "target", "upgrade", "status"),
    [
        (GATEWAY, "/prod", True, None),
        (GATEWAY, "/prod/", True, None),
        (GATEWAY.upper(), "/prod?room=a", True, None),
        (GATEWAY, "/test", True, 403),
        (GATEWAY, "/", True, 403),
        (GATEWAY, "/prod/ws/chat", True, 403),
        ("dchat.cloudfront.net", "/prod", True, 403),
        ("", "/prod", True, 403),
        (OFF.host, "/prod", True, 403),
        (GATEWAY, "/prod", False, 426),
        (EMPTY.host, "/prod", True, 500),
    ],
)
def test_who_is_admitted(host: str, target: str, upgrade: bool, status: int | None) -> None:
    headers = (("Host", host), *(UPGRADE if upgrade else ()))
    request = ViewerRequest("GET", target, headers, "https", "1.1", "198.51.100.7", 1)
    admitted = accept_handshake(GATEWAYS, request, "0a1b2c3d-0000-4000-8000-000000000000")
    assert (admitted.status if isinstance(admitted, Answer) else None) == status
    if isinstance(admitted, Answer):
        headers_of_answer = {name.lower(): value for name, value in admitted.headers}
        assert headers_of_answer["x-amzn-requestid"] == "0a1b2c3d-0000-4000-8000-000000000000"
        assert headers_of_answer["x-amz-apigw-id"]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (GATEWAY, True),
        ("ABCDEFGH.execute-api.eu-west-1.amazonaws.com", True),
        ("wss://abcdefgh.execute-api.eu-west-1.amazonaws.com", False),
        ("api.example.com", False),
    ],
)
def test_which_names_are_api_gateways(domain: str, expected: bool) -> None:
    assert is_api_gateway_name(domain) is expected


@pytest.mark.rule("distribution/api-gateway-stage")
def test_a_websocket_through_an_api(stage: Stage) -> None:
    with stage.websocket("dgateway", "/", subprotocols=["chat.v1"]) as client:
        assert "x-amzn-requestid" in client.response.headers
        assert client.connection.subprotocol == "chat.v1"
        id = client.recv()["id"]
        client.send("through the gateway")
        assert client.recv()["message"] == "through the gateway"
    seen = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws connected" and entry["id"] == id
    )
    assert seen["headers"]["x-forwarded-proto"] == "https"
    assert seen["headers"]["via"].endswith("(CloudFront)")


@pytest.mark.rule(
    "distribution/api-gateway-https",
    "distribution/api-gateway-host",
    "distribution/api-gateway-stage",
)
@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("dgatewayhost", "/", 403),
        ("dgatewaystage", "/", 403),
        ("dgateway", "/ws/chat", 403),
        ("dgatewayhttp", "/", 502),
    ],
)
def test_each_mistake_has_its_sign(stage: Stage, name: str, path: str, status: int) -> None:
    response = refused(stage, name, path)
    assert response.status_code == status
    assert response.headers["x-cache"] == "Error from cloudfront"
    if status == 403:
        assert "x-amz-apigw-id" in response.headers
        assert json.loads(response.body) == {"message": "Forbidden"}
    else:
        assert response.headers["server"] == "CloudFront"
        id = response.headers["x-amz-cf-id"]
        row = stage.edge.wait_for_entry(lambda entry: entry["x-edge-request-id"] == id)
        assert row["x-edge-detailed-result-type"] == "OriginConnectError"


def refused(stage: Stage, name: str, path: str) -> Response:
    with pytest.raises(InvalidStatus) as error, stage.websocket(name, path):
        pass
    return error.value.response
