"""The control of runs_in_flight: a Celery application whose tasks wait in the worker, by
countdown.
"""

from __future__ import annotations

import os

from celery import Celery

app = Celery("countdown", broker=os.environ.get("COUNTDOWN_BROKER", "memory://"))
app.conf.task_ignore_result = True
app.conf.task_default_queue = "countdown"
app.conf.broker_connection_retry_on_startup = True


@app.task
def wait() -> None:
    """Never runs while it is measured: its countdown is longer than the measurement."""
