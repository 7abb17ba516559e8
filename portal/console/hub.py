"""One hub per web process: receives each poke once, reads each new event once, and gives the same
line to every console.

No event is lost because a console joins first, then reads what is committed, then follows. A poke
is only a hint: the poll finds within two seconds what pokes missed. A console that falls behind is
marked and reads again from its own cursor. The hub does not decide who may follow what.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from typing import Any

from channels.layers import get_channel_layer
from prometheus_client import Gauge

from portal.console.events import Line, in_database, last_seqs, read_after
from provisioning.pokes import POKES_GROUP

POLL_SECONDS = 2.0
QUEUE_LINES = 1000
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 8.0

log = logging.getLogger(__name__)

CONSOLES = Gauge("portal_consoles", "Live consoles that are connected to this process.")


class Subscriber:
    """The queue of one console: bounded, filled by the hub, emptied by the socket."""

    __slots__ = ("_lines", "_lost", "_waiter", "limit", "stream")

    def __init__(self, stream: str, limit: int = QUEUE_LINES) -> None:
        self.stream = stream
        self.limit = limit
        self._lines: deque[Line] = deque()
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None

    def push(self, lines: Sequence[Line]) -> None:
        """Called by the hub. A full queue is cleared and marked: its owner reads again from its
        own cursor.
        """
        if not self._lost:
            self._lines.extend(lines)
            if len(self._lines) > self.limit:
                self._lines.clear()
                self._lost = True
        self.wake()

    def wake(self) -> None:
        """Wake the owner."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self) -> None:
        """Return when there is something to take, or the owner was woken."""
        if self._lines or self._lost:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def take(self) -> tuple[tuple[Line, ...], bool]:
        """Take everything queued, and whether lines were lost before it."""
        lines, lost = tuple(self._lines), self._lost
        self._lines.clear()
        self._lost = False
        return lines, lost


class _Topic:
    """A followed stream: the last seq delivered, and to whom."""

    __slots__ = ("high", "subscribers")

    def __init__(self, high: int) -> None:
        self.high = high
        self.subscribers: set[Subscriber] = set()


class Hub:
    """Lives as long as its event loop; `the_hub` creates it."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._dirty: set[str] = set()
        self._grown = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def join(self, stream: str, seen: int) -> Subscriber:
        """Follow `stream`. `seen` is its last seq as the caller read it; the caller reads after
        this call.
        """
        self._start()
        topic = self._topics.get(stream)
        if topic is None:
            topic = self._topics[stream] = _Topic(seen)
        subscriber = Subscriber(stream)
        topic.subscribers.add(subscriber)
        CONSOLES.inc()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Stop following."""
        topic = self._topics.get(subscriber.stream)
        if topic is not None and subscriber in topic.subscribers:
            topic.subscribers.discard(subscriber)
            CONSOLES.dec()
            if not topic.subscribers:
                del self._topics[subscriber.stream]

    def poked(self, stream: str, seq: int) -> None:
        """Mark a stream that may have grown. Many pokes of one stream become one read."""
        topic = self._topics.get(stream)
        if topic is not None and seq > topic.high:
            self._dirty.add(stream)
            self._grown.set()

    def _start(self) -> None:
        if self._tasks:
            return
        tune_garbage_collection()
        self._tasks = [
            # Not in the context of the console that happens to be the first: what they log is about
            # none of them.
            asyncio.create_task(work, name=f"console hub: {name}", context=Context())
            for name, work in (
                ("listen", self._listen()),
                ("poll", self._poll()),
                ("deliver", self._deliver()),
            )
        ]

    async def _listen(self) -> None:
        """Receive pokes on one channel for the whole process. Without Redis, polling continues."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            layer = get_channel_layer()
            try:
                channel = await layer.new_channel()
                await layer.group_add(POKES_GROUP, channel)
                pause = FIRST_PAUSE_SECONDS
                while True:
                    self._heard(await layer.receive(channel))
            except Exception as error:
                log.warning("no pokes; polling every %g s instead: %s", POLL_SECONDS, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _heard(self, poke: dict[str, Any]) -> None:
        stream, seq = poke.get("stream"), poke.get("seq")
        if isinstance(stream, str) and isinstance(seq, int):
            self.poked(stream, seq)

    async def _poll(self) -> None:
        """Read the last seq of every followed stream in one query."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._topics:
                continue
            try:
                grown = await in_database(last_seqs, list(self._topics))
            except Exception as error:
                log.warning("cannot read the event log: %s", error)
                continue
            for stream, seq in grown.items():
                self.poked(stream, seq)

    async def _deliver(self) -> None:
        """Read new events and deliver them. What fails stays after its topic's last seq, so the
        next poll finds it again.
        """
        while True:
            await self._grown.wait()
            self._grown.clear()
            dirty, self._dirty = self._dirty, set()
            outcomes = await asyncio.gather(
                *(self._read_on(stream) for stream in dirty), return_exceptions=True
            )
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    log.warning("cannot read new events: %s", outcome)

    async def _read_on(self, stream: str) -> None:
        while (topic := self._topics.get(stream)) is not None:
            page = await in_database(read_after, stream, topic.high)
            if page.lines:
                topic.high = page.lines[-1].seq
                for subscriber in topic.subscribers:
                    subscriber.push(page.lines)
            if not page.more:
                return


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def the_hub() -> Hub:
    """The hub of this event loop: one per web process."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub


def tune_garbage_collection() -> None:
    """Freeze what is loaded by now: collecting it again and again causes most of the delay of the
    slowest consoles.
    """
    if gc.get_threshold()[0] < 50_000:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 100, 100)
