"""The ticker: finds what is due every second and sends it to the workers. Any number may run."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils import timezone

from checks import tasks as checks
from portal.endpoints import tasks as endpoints
from portal.operations.exporter import serve_metrics
from portal.operations.ticks import TickLog
from portal.requests import tasks as requests
from portal.retention import tasks as retention
from provisioning import tasks as provisioning
from provisioning.drift import tasks as drift

TICKED = (provisioning, requests, endpoints, checks, drift, retention)
log = logging.getLogger("portal.ticker")


class Command(BaseCommand):
    help = "Find due runs, polls, plans and checks every second and send them to the workers."

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self.stdout.write("ready: ticking")
        self.stdout.flush()
        failing: set[str] = set()
        ticks = TickLog(package.__name__ for package in TICKED)
        serve_metrics()
        while not stopping.wait(settings.PROVISIONING_TICK_SECONDS):
            close_old_connections()
            for package in TICKED:
                run_tick(package.tick, package.__name__, failing, ticks)


def run_tick(
    tick: Callable[[datetime], None], name: str, failing: set[str], ticks: TickLog
) -> None:
    """Run one package's tick. A failure does not hold up the others; its start and end are
    logged.
    """
    try:
        tick(timezone.now())
    except Exception as error:
        if name not in failing:
            log.warning("tick of %s failed; retrying: %s: %s", name, type(error).__name__, error)
        failing.add(name)
        with suppress(DatabaseError):  # then nothing can be recorded
            ticks.record(name, timezone.now(), type(error).__name__)
    else:
        if name in failing:
            log.warning("tick of %s recovered", name)
        failing.discard(name)
        with suppress(DatabaseError):
            ticks.record(name, timezone.now())
