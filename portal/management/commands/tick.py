"""The ticker: looks every second for what is due and tells the workers. Any number of tickers may
run.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils import timezone

from checks import tasks as checks
from portal.endpoints import tasks as endpoints
from portal.requests import tasks as requests
from provisioning import tasks as provisioning

log = logging.getLogger("portal.ticker")


class Command(BaseCommand):
    help = "Look regularly for due runs, sweeps, plans and checks, and tell the workers."

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self.stdout.write("ready: ticking")
        self.stdout.flush()
        failing: set[str] = set()
        while not stopping.wait(settings.PROVISIONING_TICK_SECONDS):
            close_old_connections()
            for package in (provisioning, requests, endpoints, checks):
                look(package.tick, package.__name__, failing)


def look(tick: Callable[[datetime], None], name: str, failing: set[str]) -> None:
    """One package's tick. What fails in one keeps nobody else waiting; it is logged when it begins
    and when it ends.
    """
    try:
        tick(timezone.now())
    except Exception as error:
        if name not in failing:
            log.warning(
                "the tick of %s failed; trying on: %s: %s", name, type(error).__name__, error
            )
        failing.add(name)
    else:
        if name in failing:
            log.warning("the tick of %s works again", name)
        failing.discard(name)
