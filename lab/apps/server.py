"""The apps process: the chat app on 127.0.0.1, and each app that misbehaves on a loopback address
of its own.

It decides only what is started. It must never listen on anything but loopback, and a machine that
lacks the further loopback addresses must still have the chat app.
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
from lab.apps.misbehaving import HANDLERS, MOST_HEAD_BYTES, Handler, redirects_inside, serve
from lab.apps.strict import CHOOSY, Choosy, lets_everybody_in
from lab.config import LOOPBACK, LabConfig


def run(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises SystemExit: the port is taken.
    """
    try:
        asyncio.run(_serve(config))
    except OSError as error:
        raise SystemExit(f"apps: {error}") from error


async def _serve(config: LabConfig) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    well_behaved = await chat.listen(LOOPBACK, config.app_port, Choosy(lets_everybody_in))
    open_too = [well_behaved, *await _misbehaving(config)]
    print(f"ready apps http://{LOOPBACK}:{config.app_port}", flush=True)
    try:
        await ended.wait()
    finally:
        for server in open_too:
            server.close()
        await well_behaved.wait_closed()


async def _misbehaving(config: LabConfig) -> list[WebSocketServer | asyncio.Server]:
    handlers = {**HANDLERS, "redirects-inside": redirects_inside(f"{LOOPBACK}:{config.aws_port}")}
    opened: list[WebSocketServer | asyncio.Server] = []
    for app in MISBEHAVING:
        try:
            opened.append(await _open(app, config.app_port, handlers))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            # macOS has 127.0.0.1 alone until somebody adds more.
            print(
                f"apps: those that misbehave are left out: this machine has no {app.loopback}"
                f" (sudo ifconfig lo0 alias {app.loopback} adds it; {len(MISBEHAVING)} are wanted)",
                file=sys.stderr,
                flush=True,
            )
            break
    return opened


async def _open(
    app: App, port: int, handlers: dict[str, Handler]
) -> WebSocketServer | asyncio.Server:
    if app.name in CHOOSY:
        return await chat.listen(app.loopback, port, CHOOSY[app.name], app.name)
    handler = functools.partial(serve, handlers[app.name])
    return await asyncio.start_server(handler, app.loopback, port, limit=MOST_HEAD_BYTES)
