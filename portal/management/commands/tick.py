"""The ticker: finds what is due and sends it to the workers. Any number may run."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from checks import tasks as checks
from portal.endpoints import tasks as endpoints
from portal.operations.exporter import serve_metrics
from portal.operations.ticker import Part, Ticker
from portal.requests import tasks as requests
from portal.retention import tasks as retention
from provisioning import tasks as provisioning
from provisioning.drift import tasks as drift
from provisioning.due_work import Work


class Command(BaseCommand):
    help = "Send what is due to the workers: as soon as it is, and every PROVISIONING_TICK_SECONDS."

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        parts = [
            Part(provisioning.__name__, provisioning.tick, Work.RUNS),
            Part(requests.__name__, requests.tick, Work.REQUESTS),
            Part(endpoints.__name__, endpoints.tick),
            Part(checks.__name__, checks.tick, Work.CHECKS),
            Part(drift.__name__, drift.tick, Work.DRIFT_REPORTS),
            Part(retention.__name__, retention.tick),
        ]
        ticker = Ticker(parts, stopping, seconds=settings.PROVISIONING_TICK_SECONDS)
        serve_metrics()
        self.stdout.write("ready: ticking")
        self.stdout.flush()
        ticker.run()
