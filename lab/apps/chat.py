"""The chat server of the 2026 seed: welcome, echo and broadcast over WebSocket, one JSON log line
per event.

It decides what a chat client hears. It must never send heartbeats unasked: that a silent connection
dies by the load balancer's idle limit is one of the things it is there to show. `?heartbeat=5` asks
for a ping every five seconds.
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
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lab.apps import addresses
from lab.apps.chat_page import PAGE
from lab.apps.strict import HEALTH_PATHS, SUBPROTOCOL, Choosy

MOST_MESSAGE_BYTES = 4 * 1024 * 1024
# A reader that lets this much pile up would otherwise cost the server's memory.
MOST_UNREAD_BYTES = 16 * 1024 * 1024
HEARTBEAT_RANGE = (0.05, 3600.0)
JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


async def listen(address: str, port: int, app: Choosy, name: str = "chat") -> Server:
    """Open one chat app, with a room of its own. `name` is in its log lines unless it is the chat
    app itself.

    :raises OSError: the address is taken, or this machine does not have it.
    """
    # What strangers send is answered with a status or a close code; it is not an error of this
    # process.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    return await serve(
        Room(app, name).converse,
        address,
        port,
        process_request=lambda connection, request: _before_the_handshake(app, request),
        select_subprotocol=lambda connection, offered: next(
            (each for each in offered if each in app.subprotocols), None
        ),
        ping_interval=None,
        max_size=MOST_MESSAGE_BYTES,
        close_timeout=1,
        server_header=None,
    )


class Room:
    """Everybody who is connected to one app."""

    def __init__(self, app: Choosy, name: str) -> None:
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
            if connection.request is not None and _shows_headers(connection.request):
                await connection.send(
                    _json({"type": "headers", **what_arrived(connection.request)})
                )
            async for message in connection:
                await self._pass_on(connection, id, message)
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

    async def _pass_on(self, sender: ServerConnection, id: str, message: str | bytes) -> None:
        binary = isinstance(message, bytes)
        raw = message if isinstance(message, bytes) else message.encode()
        text = raw.decode("utf-8", "replace")
        log("ws message received", id=id, **self._named, bytes=len(raw), isBinary=binary)
        await sender.send(_json({"type": "echo", "from": id, "message": text}))
        others = [client for client in self._clients if client is not sender and _keeps_up(client)]
        broadcast(others, _json({"type": "broadcast", "from": id, "message": text}))
        log("ws message broadcasted", id=id, **self._named, broadcastCount=len(others))


def _before_the_handshake(app: Choosy, request: Request) -> Response | None:
    """A refusal, the page, or what else is asked for without an upgrade.

    None goes on to the handshake, which says 426 to whoever did not ask for one.
    """
    path = urlsplit(request.path).path
    headers = {name.lower(): value for name, value in reversed(list(request.headers.raw_items()))}
    refused = app.refuses(path, headers)
    if refused is not None:
        return _response(
            http.HTTPStatus(refused.status), refused.content_type, refused.text, refused.headers
        )
    if "upgrade" in headers:
        return None
    if path in HEALTH_PATHS:
        return _response(http.HTTPStatus.OK, PLAIN, "ok\n")
    if _shows_headers(request):
        return _response(http.HTTPStatus.OK, JSON, _json(what_arrived(request)))
    match path:
        case "/" | "/index.html":
            return _response(http.HTTPStatus.OK, HTML, PAGE)
        case "/apps":
            return _response(http.HTTPStatus.OK, JSON, _json({"apps": addresses.listing()}))
        case _:
            return None


def what_arrived(request: Request) -> dict[str, Any]:
    """The request as the app got it, every header line in its order and spelling: what the way has
    made of it.
    """
    return {
        "method": "GET",
        "path": request.path,
        "headers": [[name, value] for name, value in request.headers.raw_items()],
    }


def _shows_headers(request: Request) -> bool:
    """Whether the path ends with /headers: below any path pattern people find it."""
    return urlsplit(request.path).path.endswith("/headers")


def log(message: str, **fields: Any) -> None:
    """One JSON line with the seed's field names; `msg` comes last, as its logger writes it."""
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
    """The request as the app got it: the log line that tells people which headers survived the
    way.
    """
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
    """Ping as often as the client asked for in its query string; never, if it did not ask."""
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


def _keeps_up(client: ServerConnection) -> bool:
    if client.transport.get_write_buffer_size() <= MOST_UNREAD_BYTES:
        return True
    client.transport.abort()
    return False


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
