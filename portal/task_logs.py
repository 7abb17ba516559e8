"""The log of workers: a line for each task, and in each of its lines the ids of the request that it
works for.

A message carries the ids of who sent it as headers. Runs are sent by the ticker, whose messages
know no request: there the worker reads it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import signals
from django.db import DatabaseError
from structlog.contextvars import bind_contextvars, clear_contextvars

from portal.log_context import current_ids
from portal.requests.models import EndpointRequest

HEADER = "portal_log_ids"
LONGEST_ID = 128
RUN_TASK = "provisioning.tasks.advance_run"
log = logging.getLogger(__name__)


def connect() -> None:
    """Once, in every process: any may send a message."""
    signals.setup_logging.connect(keep_settings)
    signals.before_task_publish.connect(take_ids_along)
    signals.task_prerun.connect(begin)
    signals.task_postrun.connect(end)


def keep_settings(**_: Any) -> None:
    """Connected to this signal, it keeps Celery from setting its own level and handlers: Django's
    LOGGING applies to workers, too.
    """


def take_ids_along(headers: dict[str, Any], **_: Any) -> None:
    """What is known where the message is sent."""
    if ids := current_ids():
        headers[HEADER] = ids


def begin(task_id: str, task: Any, args: Any = (), **_: Any) -> None:
    """A thread of the worker takes a message; another's ids are gone."""
    clear_contextvars()
    bind_contextvars(task=task.name, task_id=task_id)
    sent = getattr(task.request, HEADER, None) or {}
    known = {name: str(value)[:LONGEST_ID] for name, value in sent.items()}
    if task.name == RUN_TASK and "correlation_id" not in known:
        known |= _of_run(args)
    bind_contextvars(**known)
    task.request.portal_began = time.perf_counter()


def end(task: Any, state: str | None = None, **_: Any) -> None:
    """Its line. A failure's traceback has its own, which Celery writes."""
    began = getattr(task.request, "portal_began", None)
    if began is not None:
        ms = round((time.perf_counter() - began) * 1000, 1)
        log.info("task", extra={"fields": {"state": (state or "").lower(), "ms": ms}})
    clear_contextvars()


def _of_run(args: Any) -> dict[str, str]:
    try:
        found = EndpointRequest.objects.filter(run_id=args[0])
        correlation_id = found.values_list("correlation_id", flat=True).first()
    except DatabaseError:  # The task will say so.
        return {}
    return {"correlation_id": correlation_id} if correlation_id else {}
