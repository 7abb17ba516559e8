"""Appends to the event log: events are redacted, and numbered without gaps under a stream's lock.

Call `append` in the transaction of the change that the event reports, so that neither exists
without the other.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from provisioning.due_work import CHANNEL, Work
from provisioning.models import Event, EventStream
from provisioning.pokes import poke
from provisioning.redaction.masking import mask_data, mask_text
from provisioning.redaction.printable import printable

log = logging.getLogger(__name__)

TEXT_LIMIT = 2000
MAX_STREAM = 60
"""Characters in the name of a stream."""


def append(
    stream: str,
    kind: str,
    text: str,
    *,
    at: datetime,
    level: str = Event.Level.INFO,
    step: str = "",
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Append one event to `stream` and poke its readers after commit. Returns the stored event."""
    if not connection.in_atomic_block:
        raise RuntimeError("Append an event in the transaction of the change that it reports.")
    seq = _next_seq(stream)
    event = Event.objects.create(
        stream_id=stream,
        seq=seq,
        at=at,
        kind=kind,
        level=level,
        step=step,
        text=redact(text)[:TEXT_LIMIT],
        data=redact_data(dict(data or {})),
    )
    # The text is for those who may read the stream; the log says only that there is one.
    fields = {"stream": stream, "seq": seq, "kind": kind, "step": step}
    transaction.on_commit(functools.partial(log.info, "event", extra={"fields": fields}))
    transaction.on_commit(functools.partial(poke, stream, seq), robust=True)
    return event


def set_followed(stream: str, followed: bool) -> None:
    """Whether a follower acts on the events of `stream` from now on."""
    EventStream.objects.bulk_create(
        [EventStream(name=stream, followed=followed)],
        update_conflicts=True,
        update_fields=["followed"],
        unique_fields=["name"],
    )


def redact(text: str) -> str:
    """The text without secrets and control characters."""
    return mask_text(_storable(text))


def redact_data(value: Any) -> Any:
    """The same for JSON-ready data; values under keys that name secrets are masked whole."""
    return mask_data(_storable(value))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return value


def _next_seq(stream: str) -> int:
    """Raise the stream's counter; its row lock is held until the transaction ends. Requests have
    work then: to plan, or to follow the stream.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            # A table's name
            f"INSERT INTO {EventStream._meta.db_table} AS s (name, last_seq) VALUES (%s, 1) "  # noqa: S608
            "ON CONFLICT (name) DO UPDATE SET last_seq = s.last_seq + 1 "
            "RETURNING last_seq, pg_notify(%s, %s)::text",
            [stream, CHANNEL, Work.REQUESTS],
        )
        return int(cursor.fetchone()[0])
