"""Pages of a long list by key, so that page 400 costs what page 1 costs and nothing is shown twice.

The key is (created_at, id), newest first; the link carries the last row's key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from portal.moments import read_moment

PAGE_SIZE = 25

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor for older ones (empty on the last page)."""

    rows: list[Row]
    older: str
    is_later: bool

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def page_of(rows: QuerySet[Row], before: str, size: int = PAGE_SIZE) -> Page[Row]:
    """The page that follows the cursor `before`; an unreadable cursor gives the first page."""
    key = _read(before)
    if key:
        at, pk = key
        rows = rows.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk))
    found = list(rows.order_by("-created_at", "-pk")[: size + 1])
    older = _write(found[size - 1]) if len(found) > size else ""
    return Page(found[:size], older, key is not None)


def _write(row: Any) -> str:
    return f"{row.created_at.isoformat()}_{row.pk}"


def _read(cursor: str) -> tuple[datetime, UUID] | None:
    at, _, pk = cursor.partition("_")
    try:
        return read_moment(at), UUID(pk)
    except ValueError:
        return None
