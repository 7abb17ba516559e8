"""Appends to the event log: events are redacted, and numbered without gaps under a stream's lock.

Call `append` in the transaction of the change that the event reports, so that neither exists
without the other.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from provisioning.models import Event, EventStream
from provisioning.pokes import poke

_SECRET = re.compile(
    r"""(?ix)
    # Authorization and cookie headers, to the end of the line or of their quotes.
    ( (?:authorization|cookie)["']? \s*[=:]\s* ) (?: "[^"\r\n]*"? | '[^'\r\n]*'? | [^\r\n]+ )
    # A telling name and its value.
    | ( bearer\s+
      | (?: secret (?:[_-]?access)? (?:[_-]?key)? | password | token
          | (?:access|api)[_-]?key | signature )
        ["']? \s*[=:]\s* ["']? ) [^\s"',;&]+
    # The password in a URL.
    | ( ://[^\s/:@]*: ) [^\s/@]+ (?=@)
    # AWS access key ids, and this portal's tokens.
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,}\b | \bpwe_\w+
    """
)
_SECRET_KEY = re.compile(r"(?i)secret|password|token|authorization|cookie|session_?key|credential")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
TEXT_LIMIT = 2000


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
    transaction.on_commit(functools.partial(poke, stream, seq), robust=True)
    return event


def redact(text: str) -> str:
    """The text without secrets and control characters."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.encode("utf-8", "replace").decode())
    return _SECRET.sub(lambda match: next(filter(None, match.groups()), "") + "[redacted]", text)


def redact_data(value: Any) -> Any:
    """The same for JSON-ready data; values under keys that name secrets are replaced."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            redact(str(key)): "[redacted]" if _SECRET_KEY.search(str(key)) else redact_data(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_data(inner) for inner in value]
    return value


def _next_seq(stream: str) -> int:
    """Raise the stream's counter; its row lock is held until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            # A table's name
            f"INSERT INTO {EventStream._meta.db_table} AS s (name, last_seq) VALUES (%s, 1) "  # noqa: S608
            "ON CONFLICT (name) DO UPDATE SET last_seq = s.last_seq + 1 RETURNING last_seq",
            [stream],
        )
        return int(cursor.fetchone()[0])
