"""Servers from PyPI, and those of `written_servers`, each on the loop of the caller.

Each is a function from a listening socket to a coroutine that stops it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import socketio
import uvicorn
from aiohttp import WSMsgType, web
from fastapi import FastAPI, WebSocket
from tornado.httpserver import HTTPServer
from tornado.web import Application
from tornado.websocket import WebSocketHandler
from websockets.asyncio.server import ServerConnection, serve

from tests.app_kinds.written_servers import SIGNED, WRITTEN, application

Stop = Callable[[], Awaitable[None]]
PythonServer = Callable[[socket.socket], Awaitable[Stop]]


async def under_uvicorn(app: Callable[..., object], listening: socket.socket) -> Stop:
    """An ASGI application."""
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)

    async def stop() -> None:
        server.should_exit = server.force_exit = True
        await serving

    return stop


async def fastapi(listening: socket.socket) -> Stop:
    """FastAPI, and so Starlette, under uvicorn."""
    app = FastAPI()

    @app.websocket("/ws")
    @app.websocket("/fastapi/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return await under_uvicorn(app, listening)


async def python_socketio(listening: socket.socket) -> Stop:
    """python-socketio under uvicorn."""
    app = socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi"))
    return await under_uvicorn(app, listening)


async def under_aiohttp(app: web.Application, listening: socket.socket) -> Stop:
    """An aiohttp application."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    return runner.cleanup


async def aiohttp(listening: socket.socket) -> Stop:
    """aiohttp's own WebSockets."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            if message.type is WSMsgType.TEXT:
                await answer.send_str(message.data)
        return answer

    return await under_aiohttp(application({"/ws": echo}), listening)


class TornadoEcho(WebSocketHandler):
    """Repeats; `check_origin` as by default."""

    async def on_message(self, message: str | bytes) -> None:
        """Send it back."""
        await self.write_message(message)


async def tornado(listening: socket.socket) -> Stop:
    """Tornado."""
    server = HTTPServer(
        Application([("/(?:tornado/)?ws", TornadoEcho)], log_function=lambda _: None)
    )
    server.add_socket(listening)

    async def stop() -> None:
        server.stop()
        await server.close_all_connections()

    return stop


async def websockets(listening: socket.socket) -> Stop:
    """The library websockets."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    server = await serve(echo, sock=listening)

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    return stop


class WampSession:
    """What Autobahn hands messages to; a client that joins a realm is a router's business."""

    def onOpen(self, transport: object) -> None:
        """The subprotocol was agreed on."""

    def onClose(self, clean: bool) -> None:
        """The client has gone."""


async def autobahn(listening: socket.socket) -> Stop:
    """WAMP as Autobahn and Crossbar.io shake hands."""
    from autobahn.asyncio.websocket import WampWebSocketServerFactory

    loop = asyncio.get_running_loop()
    host, port = listening.getsockname()
    factory = WampWebSocketServerFactory(  # type: ignore[no-untyped-call]
        WampSession, f"ws://{host}:{port}", loop=loop
    )
    server = await loop.create_server(factory, sock=listening)

    async def stop() -> None:
        server.close()

    return stop


async def written(name: str, listening: socket.socket) -> Stop:
    """One of `written_servers`."""
    server = None if name.startswith("home-assistant") else SIGNED.get(name, "")
    return await under_aiohttp(application(WRITTEN[name], server), listening)


PYTHON_SERVERS: Mapping[str, PythonServer] = {
    "fastapi": fastapi,
    "python-socketio": python_socketio,
    "aiohttp": aiohttp,
    "tornado": tornado,
    "websockets": websockets,
    "autobahn": autobahn,
    **{name: partial(written, name) for name in WRITTEN},
}
"""The servers by name."""
