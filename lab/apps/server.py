"""The apps process: the chat app on 127.0.0.1, and each misbehaving app on a loopback address of
its own.

A machine without the additional loopback addresses still gets the chat app.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import signal
import sys

from websockets.asyncio.server import Server as WebSocketServer

from lab.apps import chat
from lab.apps.addresses import MISBEHAVING, App
from lab.apps.misbehaving import HANDLERS, MAX_HEAD_BYTES, Handler, redirects_inside, serve
from lab.apps.strict import STRICT_APPS, ChatApp
from lab.config import LOOPBACK, LabConfig


def run(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises SystemExit: the port is in use.
    """
    try:
        asyncio.run(_serve(config))
    except OSError as error:
        raise SystemExit(f"apps: {error}") from error


async def _serve(config: LabConfig) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    chat_app = await chat.listen(LOOPBACK, config.app_port, ChatApp())
    servers = [chat_app, *await _misbehaving(config)]
    print(f"ready apps http://{LOOPBACK}:{config.app_port}", flush=True)
    try:
        await ended.wait()
    finally:
        for server in servers:
            server.close()
        await chat_app.wait_closed()


async def _misbehaving(config: LabConfig) -> list[WebSocketServer | asyncio.Server]:
    handlers = {**HANDLERS, "redirects-inside": redirects_inside(f"{LOOPBACK}:{config.aws_port}")}
    opened: list[WebSocketServer | asyncio.Server] = []
    for app in MISBEHAVING:
        try:
            opened.append(await _open(app, config.app_port, handlers))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            # macOS has only 127.0.0.1 by default.
            print(
                f"apps: skipping the misbehaving apps: this machine has no {app.loopback} "
                f"(`sudo ifconfig lo0 alias {app.loopback}` adds it; "
                f"{len(MISBEHAVING)} are needed)",
                file=sys.stderr,
                flush=True,
            )
            break
    return opened


async def _open(
    app: App, port: int, handlers: dict[str, Handler]
) -> WebSocketServer | asyncio.Server:
    if app.name in STRICT_APPS:
        return await chat.listen(app.loopback, port, STRICT_APPS[app.name], app.name)
    handler = functools.partial(serve, handlers[app.name])
    return await asyncio.start_server(handler, app.loopback, port, limit=MAX_HEAD_BYTES)
