"""Parses timestamps in filters and cursors (PURE). A time without a zone is rejected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


def parse_timestamp(text: str) -> datetime:
    """An ISO 8601 time with zone, in UTC. Raises ValueError; also for one that is outside the years
    1 to 9999 once it is in UTC, which no database driver carries.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no zone: {text}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"out of range: {text}") from error


@overload
def format_timestamp(at: datetime) -> str: ...
@overload
def format_timestamp(at: None) -> None: ...
def format_timestamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, milliseconds; None stays None."""
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
