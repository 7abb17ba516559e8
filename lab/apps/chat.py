"""The chat server of the 2026 seed: welcome, echo and broadcast over WebSocket, one JSON log line per event.

It decides what a chat client hears. It must never send heartbeats unasked: that a silent connection dies by the load
balancer's idle limit is one of the things it is there to show. `?heartbeat=5` asks for a ping every five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import logging
import os
import signal
import socket
import sys
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lab.apps.page import PAGE
from lab.config import LOOPBACK, LabConfig

MOST_MESSAGE_BYTES = 4 * 1024 * 1024
# A reader that lets this much pile up would otherwise cost the server's memory.
MOST_UNREAD_BYTES = 16 * 1024 * 1024
HEARTBEAT_RANGE = (0.05, 3600.0)
PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


def run(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises SystemExit: the port is taken.
    """
    # What strangers send is answered with a status or a close code; it is not an error of this process.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_serve(config.app_port))
    except OSError as error:
        raise SystemExit(f"apps: {error}") from error


async def _serve(port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    room = Room()
    server = await serve(
        room.converse,
        LOOPBACK,
        port,
        process_request=answer_plain_request,
        ping_interval=None,
        max_size=MOST_MESSAGE_BYTES,
        close_timeout=1,
        server_header=None,
    )
    print(f"ready apps http://{LOOPBACK}:{port}", flush=True)
    try:
        await ended.wait()
    finally:
        server.close()
        await server.wait_closed()


class Room:
    """Everybody who is connected."""

    def __init__(self) -> None:
        self._clients: dict[ServerConnection, str] = {}

    async def converse(self, connection: ServerConnection) -> None:
        """Serve one client from welcome to close."""
        id = str(uuid.uuid4())
        self._clients[connection] = id
        log("ws connected", id=id, **_request_fields(connection), clientCount=len(self._clients))
        heartbeat = asyncio.create_task(_heartbeat(connection))
        try:
            await connection.send(_json({"type": "welcome", "id": id, "clientCount": len(self._clients)}))
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
                code=connection.close_code,
                reason=connection.close_reason or "",
                clientCount=len(self._clients),
            )

    async def _pass_on(self, sender: ServerConnection, id: str, message: str | bytes) -> None:
        binary = isinstance(message, bytes)
        raw = message if isinstance(message, bytes) else message.encode()
        text = raw.decode("utf-8", "replace")
        log("ws message received", id=id, bytes=len(raw), isBinary=binary)
        await sender.send(_json({"type": "echo", "from": id, "message": text}))
        others = [client for client in self._clients if client is not sender and _keeps_up(client)]
        broadcast(others, _json({"type": "broadcast", "from": id, "message": text}))
        log("ws message broadcasted", id=id, broadcastCount=len(others))


def answer_plain_request(connection: ServerConnection, request: Request) -> Response | None:
    """The page and the health check; None goes on to the handshake, which says 426 to whoever did not ask for one."""
    if request.headers.get("Upgrade"):
        return None
    match urlsplit(request.path).path:
        case "/" | "/index.html":
            return _response(http.HTTPStatus.OK, HTML, PAGE)
        case "/healthz":
            return _response(http.HTTPStatus.OK, PLAIN, "ok\n")
        case _:
            return None


def log(message: str, **fields: Any) -> None:
    """One JSON line with the seed's field names; `msg` comes last, as its logger writes it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"level": "info", "time": now, "pid": os.getpid(), "hostname": HOSTNAME, **fields, "msg": message}
    print(json.dumps(line, ensure_ascii=False), file=sys.stdout, flush=True)


HOSTNAME = socket.gethostname()


def _request_fields(connection: ServerConnection) -> dict[str, Any]:
    """The request as the app got it: the log line that tells people which headers survived the way."""
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


def _response(status: http.HTTPStatus, content_type: str, text: str) -> Response:
    body = text.encode()
    headers = Headers(
        {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, body)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
