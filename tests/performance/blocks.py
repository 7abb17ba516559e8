"""How many blocks of the database each statement reads, by PostgreSQL's own account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction


@dataclass(frozen=True)
class Statement:
    """A statement and the blocks of 8 kB that it read or wrote, temporary files included."""

    sql: str
    blocks: int
    plan: str


@dataclass
class Measured:
    """What was executed meanwhile."""

    statements: list[Statement] = field(default_factory=list)

    @property
    def blocks(self) -> int:
        """Those of all statements."""
        return sum(one.blocks for one in self.statements)

    def costliest(self) -> str:
        """What read the most, with its plan."""
        worst = max(self.statements, key=lambda one: one.blocks)
        return f"{worst.blocks} blocks of {self.blocks}: {worst.sql}\n{worst.plan}"


@contextmanager
def measuring() -> Iterator[Measured]:
    """Explain every statement before it is executed."""
    measured = Measured()

    def explain(
        execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        if sql.split(maxsplit=1)[0] in ("SELECT", "UPDATE", "DELETE", "INSERT", "(SELECT"):
            measured.statements.append(_explained(context["cursor"], sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield measured


class _Undone(Exception):
    """Rolls back what EXPLAIN ANALYZE wrote."""


def _explained(cursor: Any, sql: str, params: Any) -> Statement:
    found: list[Any] = []
    try:
        with transaction.atomic():
            cursor.cursor.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}", params
            )
            found = cursor.cursor.fetchone()[0]
            raise _Undone
    except _Undone:
        pass
    told = json.loads(found) if isinstance(found, str) else found
    plan = told[0]["Plan"]
    kinds = ("Shared Hit", "Shared Read", "Shared Written", "Temp Read", "Temp Written")
    blocks = sum(plan[f"{kind} Blocks"] for kind in kinds)
    return Statement(sql, blocks, "\n".join(_lines(plan)))


def _lines(plan: dict[str, Any], depth: int = 0) -> Iterator[str]:
    about = plan.get("Index Name") or plan.get("Relation Name", "")
    rows = f"{plan['Actual Rows']} rows × {plan['Actual Loops']}"
    yield f"{'  ' * depth}{plan['Node Type']} {about}: {rows}, {plan['Shared Hit Blocks']} blocks"
    for inner in plan.get("Plans", ()):
        yield from _lines(inner, depth + 1)
