"""The ticker: each package's tick in a thread of its own, every second and as soon as work is due.

A tick that is slow or fails holds up no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.utils import timezone

from portal.operations.ticks import TickLog
from provisioning.due_work import Work, notices

TOGETHER_SECONDS = 0.02
"""Work that becomes due within this time is found by one tick."""
STOP_WITHIN_SECONDS = 1.0
LISTEN_AGAIN_SECONDS = 2.0
STOP_SECONDS = 8.0
log = logging.getLogger("portal.ticker")


@dataclass
class Part:
    """One package's tick, and the work that it finds. `work` is None where nothing becomes due but
    by the clock.
    """

    name: str
    tick: Callable[[datetime], None]
    work: Work | None = None
    woken: threading.Event = field(default_factory=threading.Event)
    failing: bool = False


class Ticker:
    """Runs all parts until `stopping` is set."""

    def __init__(self, parts: Sequence[Part], stopping: threading.Event, *, seconds: float) -> None:
        self.parts, self.stopping, self.seconds = parts, stopping, seconds
        self.ticks = TickLog(part.name for part in parts)

    def run(self) -> None:
        """Tick and listen. Returns when it is to stop and the ticks under way have ended, or after
        eight seconds.
        """
        threads = [
            threading.Thread(target=self._beat, args=(part,), name=f"tick {part.name}", daemon=True)
            for part in self.parts
        ]
        threads.append(threading.Thread(target=self._listen, name="due work", daemon=True))
        for thread in threads:
            thread.start()
        self.stopping.wait()
        for part in self.parts:
            part.woken.set()
        until = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _beat(self, part: Part) -> None:
        while not self.stopping.is_set():
            if part.woken.wait(self.seconds):
                self.stopping.wait(TOGETHER_SECONDS)
            part.woken.clear()
            close_old_connections()
            run_tick(part, self.ticks)
        connection.close()

    def _listen(self) -> None:
        lost = False
        while not self.stopping.is_set():
            try:
                for work in notices(every_seconds=STOP_WITHIN_SECONDS):
                    lost = False
                    if self.stopping.is_set():
                        break
                    for part in self.parts:
                        if work is not None and part.work is work:
                            part.woken.set()
            except (DatabaseError, psycopg.Error) as error:
                if not lost:
                    log.warning(
                        "cannot listen for due work; relying on ticks: %s", type(error).__name__
                    )
                lost = True
                connection.close()
                self.stopping.wait(LISTEN_AGAIN_SECONDS)
        connection.close()


def run_tick(part: Part, ticks: TickLog) -> None:
    """Run one part's tick. A failure is logged once; its start and end are recorded."""
    try:
        part.tick(timezone.now())
    except Exception as error:
        if not part.failing:
            log.warning(
                "tick of %s failed; retrying: %s: %s", part.name, type(error).__name__, error
            )
        part.failing = True
        with suppress(DatabaseError):  # then nothing can be recorded
            ticks.record(part.name, timezone.now(), type(error).__name__)
    else:
        if part.failing:
            log.warning("tick of %s recovered", part.name)
        part.failing = False
        with suppress(DatabaseError):
            ticks.record(part.name, timezone.now())
