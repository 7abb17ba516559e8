"""The chat server of the 2026 article: welcome, echo and broadcast over WebSocket, one JSON log
line per event.

It sends no heartbeats by default, so that the load balancer's idle timeout can be seen to cut
silent connections. `?heartbeat=5` requests a ping every five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import logging
import os
import socket
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lab.apps import addresses
from lab.apps.strict import HEALTH_PATHS, SUBPROTOCOL, ChatApp

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
# A client that reads too slowly is disconnected when this much is buffered for it.
MAX_UNREAD_BYTES = 16 * 1024 * 1024
HEARTBEAT_RANGE = (0.05, 3600.0)
JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
PAGE = (Path(__file__).parent / "chat.html").read_text(encoding="utf-8")


async def listen(address: str, port: int, app: ChatApp, name: str = "chat") -> Server:
    """Start one chat app, with its own room. Its log lines have `name`, unless it is "chat".

    :raises OSError: the address is in use, or does not exist on this machine.
    """
    # Malformed input gets a status or a close code; it is not an error of this process.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    return await serve(
        Room(app, name).converse,
        address,
        port,
        process_request=lambda connection, request: _answer_without_upgrade(app, request),
        select_subprotocol=lambda connection, offered: next(
            (each for each in offered if each in app.subprotocols), None
        ),
        ping_interval=None,
        max_size=MAX_MESSAGE_BYTES,
        close_timeout=1,
        server_header=None,
    )


class Room:
    """All clients connected to one app."""

    def __init__(self, app: ChatApp, name: str) -> None:
        self._app = app
        self._named = {} if name == "chat" else {"app": name}
        self._clients: dict[ServerConnection, str] = {}

    async def converse(self, connection: ServerConnection) -> None:
        """Serve one client from welcome to close."""
        if self._app.closes_without_subprotocol and connection.subprotocol is None:
            await connection.close(1002, f"{SUBPROTOCOL} is required")
            return
        id = str(uuid.uuid4())
        self._clients[connection] = id
        fields = _request_fields(connection)
        log("ws connected", id=id, **self._named, **fields, clientCount=len(self._clients))
        heartbeat = asyncio.create_task(_heartbeat(connection))
        try:
            await connection.send(
                _json({"type": "welcome", "id": id, "clientCount": len(self._clients)})
            )
            if connection.request is not None and _wants_headers(connection.request):
                await connection.send(
                    _json({"type": "headers", **received_request(connection.request)})
                )
            async for message in connection:
                await self._handle(connection, id, message)
        except ConnectionClosed:
            pass
        finally:
            heartbeat.cancel()
            del self._clients[connection]
            log(
                "ws closed",
                id=id,
                **self._named,
                code=connection.close_code,
                reason=connection.close_reason or "",
                clientCount=len(self._clients),
            )

    async def _handle(self, sender: ServerConnection, id: str, message: str | bytes) -> None:
        binary = isinstance(message, bytes)
        raw = message if isinstance(message, bytes) else message.encode()
        text = raw.decode("utf-8", "replace")
        log("ws message received", id=id, **self._named, bytes=len(raw), isBinary=binary)
        await sender.send(_json({"type": "echo", "from": id, "message": text}))
        others = []
        for client in self._clients:
            if client is sender:
                continue
            if client.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
                client.transport.abort()
            else:
                others.append(client)
        broadcast(others, _json({"type": "broadcast", "from": id, "message": text}))
        log("ws message broadcasted", id=id, **self._named, broadcastCount=len(others))


def _answer_without_upgrade(app: ChatApp, request: Request) -> Response | None:
    """A refusal, or the answer to a request without Upgrade.

    None continues with the handshake, which answers 426 if there is no Upgrade.
    """
    path = urlsplit(request.path).path
    headers = {name.lower(): value for name, value in reversed(list(request.headers.raw_items()))}
    refused = app.refuse(path, headers)
    if refused is not None:
        return _response(
            http.HTTPStatus(refused.status), refused.content_type, refused.text, refused.headers
        )
    if "upgrade" in headers:
        return None
    if path in HEALTH_PATHS:
        return _response(http.HTTPStatus.OK, PLAIN, "ok\n")
    if _wants_headers(request):
        return _response(http.HTTPStatus.OK, JSON, _json(received_request(request)))
    match path:
        case "/" | "/index.html":
            return _response(http.HTTPStatus.OK, HTML, PAGE)
        case "/apps":
            return _response(http.HTTPStatus.OK, JSON, _json({"apps": addresses.listing()}))
        case _:
            return None


def received_request(request: Request) -> dict[str, Any]:
    """The request as the app received it, with all header lines in order and unchanged."""
    return {
        "method": "GET",
        "path": request.path,
        "headers": [[name, value] for name, value in request.headers.raw_items()],
    }


def _wants_headers(request: Request) -> bool:
    """Whether the path ends with /headers, so that it is reachable below any path pattern."""
    return urlsplit(request.path).path.endswith("/headers")


def log(message: str, **fields: Any) -> None:
    """Print one JSON line with the article's field names; `msg` comes last, as in its logger."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {
        "level": "info",
        "time": now,
        "pid": os.getpid(),
        "hostname": HOSTNAME,
        **fields,
        "msg": message,
    }
    print(json.dumps(line, ensure_ascii=False), file=sys.stdout, flush=True)


HOSTNAME = socket.gethostname()


def _request_fields(connection: ServerConnection) -> dict[str, Any]:
    """The request as the app received it; shows which headers arrived."""
    request = connection.request
    if request is None:
        return {}
    headers: dict[str, str] = {}
    for name, value in request.headers.raw_items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    peer = connection.remote_address
    return {
        "method": "GET",
        "httpVersion": "1.1",
        "url": request.path,
        "userAgent": headers.get("user-agent", ""),
        "forwardedFor": headers.get("x-forwarded-for", ""),
        "cloudfrontId": headers.get("x-amz-cf-id", ""),
        "headers": headers,
        "remoteAddress": peer[0] if peer else "",
        "remotePort": peer[1] if peer else 0,
        "remoteFamily": "IPv4",
    }


async def _heartbeat(connection: ServerConnection) -> None:
    """Ping as often as the client's query string says; without it, never."""
    query = parse_qs(urlsplit(connection.request.path).query) if connection.request else {}
    try:
        seconds = float(query.get("heartbeat", [""])[0])
    except ValueError:
        return
    low, high = HEARTBEAT_RANGE
    if not low <= seconds <= high:
        return
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.sleep(seconds)
            await connection.ping()


def _response(
    status: http.HTTPStatus, content_type: str, text: str, more: Iterable[tuple[str, str]] = ()
) -> Response:
    body = text.encode()
    headers = Headers(
        [
            *more,
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
