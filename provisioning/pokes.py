"""Tells the web processes that a stream has grown: a hint, sent after commit, that may be lost.

The channel layer is asynchronous and its callers are synchronous, so one daemon thread per process
owns an event loop and sends from there. An unavailable Redis delays no caller.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading

from channels.layers import get_channel_layer

POKES_GROUP = "pokes"
SEND_TIMEOUT_SECONDS = 3.0

log = logging.getLogger(__name__)


class _Sender:
    """An event loop in a daemon thread. Each process makes its own, also after a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(
            lambda loop, context: log.debug("poke: %s", context.get("message"))
        )
        threading.Thread(target=self.loop.run_forever, name="pokes", daemon=True).start()

    def send(self, stream: str, seq: int) -> None:
        asyncio.run_coroutine_threadsafe(_send(stream, seq), self.loop)


_lock = threading.Lock()
_sender: _Sender | None = None


def poke(stream: str, seq: int) -> None:
    """Announce that `stream` now reaches `seq`."""
    global _sender
    with _lock:
        if _sender is None or _sender.pid != os.getpid():
            _sender = _Sender()
        _sender.send(stream, seq)


async def _send(stream: str, seq: int) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        message = {"type": "poke", "stream": stream, "seq": seq}
        await asyncio.wait_for(layer.group_send(POKES_GROUP, message), SEND_TIMEOUT_SECONDS)
    except Exception as error:
        log.info("poke not sent; readers will find the event by themselves: %s", error)
