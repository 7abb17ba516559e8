"""Room beside a worker's threads for what waits on sockets: an event loop for further probes, a few
threads for checks.

Provisioning shares its worker with checks, and a silent socket or an origin that does not answer
takes minutes. So a task only hands such work over and ends. Decides how much of it goes on at once,
and no more: what finds no room stays the row that it is, and is mentioned again. It must never keep
a worker's thread waiting, and never lose an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import close_old_connections

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Held(Generic[Result]):
    """Work that waits: `wait` does it on an event loop and may not block; `then` keeps its result
    and may, and so may `give_back`, which leaves the work to another process.
    """

    wait: Callable[[], Coroutine[Any, Any, Result]]
    then: Callable[[Result], object]
    give_back: Callable[[], object]


class Loop:
    """An event loop on a thread of its own, for at most `most` pieces of work at once. What is
    under way when the process is killed is lost: its lease runs out, and another worker begins
    anew.
    """

    def __init__(self, most: int, name: str) -> None:
        self._name = name
        self._room = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held: dict[int, Held[Any]] = {}
        self._stopped = False
        self._keeper = ThreadPoolExecutor(1, f"{name}-kept")

    def take(self, begin: Callable[[], Held[Any] | None]) -> bool:
        """Begin a piece of work and return; False, and nothing begun, when there is no room.

        `begin` is called here and now, and gives what is to be waited for, or None when nothing is
        left to do.
        """
        if self._stopped or not self._room.acquire(blocking=False):
            return False
        held = None
        try:
            held = begin()
        finally:
            if held is None:
                self._room.release()
        if held is None:
            return True
        with self._lock:
            self._held[id(held)] = held
            late = self._stopped
        if late:  # it was stopped while this began
            self._keeper.submit(self._given_back, held)
        else:
            asyncio.run_coroutine_threadsafe(self._see_through(held), self._running())
        return True

    def stop(self) -> None:
        """Begin nothing more, and leave what is under way to other processes, which begin it anew
        at once.
        """
        with self._lock:
            self._stopped = True
            held = tuple(self._held.values())
        for one in held:
            self._keeper.submit(self._given_back, one)

    def _given_back(self, held: Held[Any]) -> None:
        try:
            _with_fresh_connection(lambda _: held.give_back(), None)
        except Exception:
            log.exception("%s: not given back; the lease runs out, and it is made anew", self._name)

    async def _see_through(self, held: Held[Any]) -> None:
        try:
            result = await held.wait()
            await asyncio.get_running_loop().run_in_executor(
                self._keeper, _with_fresh_connection, held.then, result
            )
        except Exception:
            log.exception(
                "%s: nothing was kept; the lease runs out, and it is made anew", self._name
            )
        finally:
            with self._lock:
                self._held.pop(id(held), None)
            self._room.release()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name=self._name, daemon=True
                ).start()
            return self._loop


class Threads:
    """At most `most` threads of their own; what comes beyond waits in line, each key once."""

    def __init__(self, most: int, name: str) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(most, name)
        self._lock = threading.Lock()
        self._keys: set[str] = set()

    def take(self, key: str, call: Callable[[str], object]) -> None:
        """Call with the key, soon, and return at once."""
        with self._lock:
            if key in self._keys:
                return
            self._keys.add(key)
        with contextlib.suppress(RuntimeError):  # stopped meanwhile: another worker finds the row
            self._pool.submit(self._see_through, key, call)

    def stop(self) -> None:
        """Begin nothing more. What waits in line is a row that another worker finds."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _see_through(self, key: str, call: Callable[[str], object]) -> None:
        try:
            _with_fresh_connection(call, key)
        except Exception:
            log.exception("%s: %s failed; its lease runs out, and it is made anew", self._name, key)
        finally:
            with self._lock:
                self._keys.discard(key)


def _with_fresh_connection(call: Callable[[Any], object], value: Any) -> None:
    """As Celery does around a task: a connection that has died meanwhile is not used."""
    close_old_connections()
    try:
        call(value)
    finally:
        close_old_connections()
