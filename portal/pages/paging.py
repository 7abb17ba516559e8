"""Pages of a long list by key, so that nothing is shown twice, and page 400 costs what page 1
costs.

The key is (created_at, id), newest first; the link carries the last row's key. Where some rows go
before all others, it also says to which of the two the last row belongs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from portal.newest import OneOf, newest, older
from portal.timestamps import parse_timestamp

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


def page_of(
    rows: QuerySet[Row],
    before: str,
    size: int = PAGE_SIZE,
    *,
    first: str = "",
    of: OneOf | None = None,
) -> Page[Row]:
    """The page that follows the cursor `before`; an unreadable cursor gives the first page.

    `of` narrows the rows as `newest` does. `first` names a yes or no that every row is annotated
    with: those with yes go before all others.
    """
    key = _read(before)
    if key:
        rows = rows.filter(_following(key, first))
    if first:
        found = list(rows.order_by(f"-{first}", "-created_at", "-pk")[: size + 1])
    else:
        found = list(newest(rows, size + 1, of=of))
    cursor = _write(found[size - 1], first) if len(found) > size else ""
    return Page(found[:size], cursor, key is not None)


@dataclass(frozen=True)
class _Key:
    """The last row of a page; `first`: it is one of those that go before all others."""

    at: datetime
    pk: UUID
    first: bool


def _following(key: _Key, first: str) -> Q:
    following = older(key.at, key.pk)
    if not first:
        return following
    alike = Q(**{first: key.first}) & following
    return alike | Q(**{first: False}) if key.first else alike


def _write(row: Any, first: str) -> str:
    cursor = f"{row.created_at.isoformat()}_{row.pk}"
    return f"{cursor}_first" if first and getattr(row, first) else cursor


def _read(cursor: str) -> _Key | None:
    at, _, rest = cursor.partition("_")
    pk, _, mark = rest.partition("_")
    try:
        return _Key(parse_timestamp(at), UUID(pk), mark == "first")
    except ValueError:
        return None
