"""The newest rows of a long list: reads about as many rows as it returns, whatever the list holds.

Lists are in the order (time, id), newest first, for which there is an index over all rows and one
for the rows of each team.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import RawSQL

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class OneOf:
    """Only rows whose `column` has one of `values`, a query with one column. Each value has its
    rows in order in an index.
    """

    column: str
    values: QuerySet[Any, Any]


def older(at: datetime, pk: UUID, *, by: str = "created_at") -> Q:
    """The rows after (`at`, `pk`) in the order. Not as `at < … or …`, for which PostgreSQL would
    read the index from its start.
    """
    return Q(**{f"{by}__lte": at}) & ~Q(**{by: at, "pk__gte": pk})


def newest(
    rows: QuerySet[Row], size: int, *, by: str = "created_at", of: OneOf | None = None
) -> QuerySet[Row]:
    """The first `size` of `rows` in the order, and with `of` only of those. One query."""
    order = (f"-{by}", "-pk")
    if of is None:
        return rows.order_by(*order)[:size]
    # The newest of each value, then of all: PostgreSQL would either sort everything that the
    # values have, or walk past everything that they do not have.
    value: Any = RawSQL("each.value", ())
    of_each = rows.filter(**{of.column: value}).order_by(*order).values_list("pk", by)[:size]
    try:
        values_sql, values_given = of.values.query.sql_with_params()
        sql, given = of_each.query.sql_with_params()
    except EmptyResultSet:
        return rows.none()
    found = RawSQL(  # noqa: S611 - the ORM's own SQL
        f"SELECT found.pk FROM ({values_sql}) AS each (value)"  # noqa: S608
        f" CROSS JOIN LATERAL ({sql}) AS found (pk, at)"
        " ORDER BY found.at DESC, found.pk DESC LIMIT %s",
        (*values_given, *given, size),
    )
    return rows.filter(pk__in=found).order_by(*order)
