"""How log lines are written: as JSON or as text, and without credentials, whatever an exception or
a library puts in.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from provisioning.redaction.masking import mask_data

FORMATS = ("json", "text")
_HARMLESS = frozenset(
    {
        *(
            "time",
            "level",
            "logger",
            "method",
            "path",
            "route",
            "status",
            "ms",
            "user",
            "request_id",
        ),
        *("correlation_id", "task", "task_id", "run", "endpoint", "stream", "seq", "kind", "step"),
        *("account", "region", "service", "operation", "retries", "state"),
    }
)
"""Members that hold the portal's own words, or what it has checked: to look for credentials in them
would double the cost of a line.
"""
_FIRST = ["time", "level", "logger", "event"]


def json_lines() -> logging.Formatter:
    """One JSON object a line: time, level, logger and event, then what the line is about."""
    return _formatter(structlog.processors.JSONRenderer(ensure_ascii=False, default=str))


def text_lines() -> logging.Formatter:
    """The same for a terminal: `time LEVEL logger event name=value`, and tracebacks below."""
    return _formatter(_as_text)


def _formatter(renderer: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, _from_record],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _masked,
            renderer,
        ],
    )


def _from_record(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Time, level, logger and the members that `extra` gave, before those of the context. Nothing
    can take the place of the first four.
    """
    record: logging.LogRecord = event["_record"]
    extra = getattr(record, "fields", {})
    known: EventDict = {
        "time": _utc(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event["event"],
    }
    for name, value in (*extra.items(), *event.items()):
        known.setdefault(name, value)
    return known


def _masked(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Last before it is written: tracebacks are text by now."""
    for name in event.keys() - _HARMLESS:
        event[name] = mask_data({name: event[name]})[name]
    return event


def _as_text(logger: WrappedLogger, name: str, event: EventDict) -> str:
    first = [str(event.pop(name)) for name in _FIRST]
    first[1] = first[1].upper()
    below = [str(event.pop(name)) for name in ("exception", "stack") if name in event]
    members = [f"{name}={_shown(value)}" for name, value in event.items()]
    return "\n".join([" ".join([*first, *members]), *below])


def _shown(value: Any) -> str:
    """A value in which nothing can be taken for the next member, or the next line."""
    text = str(value)
    return text if text.isprintable() and text and not set(text) & set(" =\"'") else repr(text)


def _utc(seconds: float) -> str:
    """To the millisecond, as RFC 3339 writes it: lines of several machines sort by it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
