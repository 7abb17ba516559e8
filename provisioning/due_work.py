"""Tells the ticker that work is due now, so that it need not wait for its next tick.

A notice is PostgreSQL's NOTIFY: it is sent when the transaction that makes the work due commits,
and lost with it. It may also be lost on its own, with a connection or at a pooler; the next tick
finds the work then.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from django.db import connection

CHANNEL = "due_work"


class Work(enum.StrEnum):
    """Who has work: the name is a notice's payload."""

    RUNS = "runs"
    REQUESTS = "requests"
    CHECKS = "checks"
    DRIFT_REPORTS = "drift-reports"


def announce(work: Work) -> None:
    """Work of this kind is due when the present transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, work])


def notices(*, every_seconds: float) -> Iterator[Work | None]:
    """The notices as they arrive, and None whenever none has for a while; without end. Raises
    psycopg.Error or django.db.Error if the connection is lost.
    """
    connection.ensure_connection()
    session = connection.connection
    session.execute(f"LISTEN {CHANNEL}")
    kinds = {work.value: work for work in Work}
    while True:
        for notice in session.notifies(timeout=every_seconds):
            yield kinds.get(notice.payload)
        yield None
