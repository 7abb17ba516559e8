"""Runs coroutines for a thread that waits for them, until a shutdown interrupts them.

A probe can hold its sockets for minutes. A worker that is told to stop must not wait that long:
it interrupts its probes and releases their leases.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Interrupted(Exception):
    """The process is shutting down."""


class Interruptible:
    """Runs any number of coroutines, each in its caller's thread and with an event loop of
    its own.
    """

    def __init__(self) -> None:
        # Reentrant: a second signal can arrive while the first one's handler is in interrupt().
        self._lock = threading.RLock()
        self._loops: dict[asyncio.Task[Any], asyncio.AbstractEventLoop] = {}
        self._interrupted = False

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Block until the coroutine ends. Raises Interrupted if interrupt() is called first."""
        return asyncio.run(self._registered(coroutine))

    def interrupt(self) -> None:
        """End every coroutine under way, and let none begin."""
        with self._lock:
            self._interrupted = True
            for task, loop in self._loops.items():
                loop.call_soon_threadsafe(task.cancel)

    async def _registered(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio.run made it
        with self._lock:
            if self._interrupted:
                coroutine.close()
                raise Interrupted
            self._loops[task] = asyncio.get_running_loop()
        try:
            return await coroutine
        except asyncio.CancelledError:
            raise Interrupted from None
        finally:
            # While the loop is still open: interrupt() only meets loops that run.
            with self._lock:
                del self._loops[task]


probes = Interruptible()
"""All probes of this process."""
