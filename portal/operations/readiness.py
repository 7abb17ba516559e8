"""Is the portal ready, and what holds it back (PURE)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TICK_LATE_SECONDS = 30.0
DUE_LATE_SECONDS = 60.0
"""How long work may stay due before the workers count as behind."""
RETENTION_LATE_DAYS = 2
"""Each midnight one more day is to be deleted, which takes the workers minutes."""


class Level(enum.StrEnum):
    """How a component does. `DEGRADED`: pages and API answer, but work waits."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True)
class Component:
    """One thing that the portal needs, and what was found."""

    name: str
    level: Level
    text: str


@dataclass(frozen=True)
class Facts:
    """What was observed. Errors are "" where there was none. Ages and delays are in seconds; a
    tick that never ran has no age.
    """

    database_error: str = ""
    redis_error: str = ""
    tick_ages: Mapping[str, float] = field(default_factory=dict)
    failing_ticks: Mapping[str, str] = field(default_factory=dict)
    longest_due_seconds: float = 0.0
    sweep_late_seconds: float = 0.0
    retention_days_behind: Mapping[str, int] = field(default_factory=dict)


def components(facts: Facts) -> tuple[Component, ...]:
    """Every component. What cannot be known without PostgreSQL is left out."""
    found = [_store("postgresql", facts.database_error), _store("redis", facts.redis_error)]
    if not facts.database_error:
        found += [_ticker(facts), _workers(facts), _sweeps(facts), _retention(facts)]
    return tuple(found)


def overall(found: Iterable[Component]) -> Level:
    """The worst level of all."""
    order = list(Level)
    return max((one.level for one in found), key=order.index, default=Level.OK)


def _store(name: str, error: str) -> Component:
    if error:
        return Component(name, Level.FAILED, error)
    return Component(name, Level.OK, "It answers.")


def _ticker(facts: Facts) -> Component:
    if not facts.tick_ages:
        text = "It has never run. Start it: python manage.py tick."
        return Component("ticker", Level.DEGRADED, text)
    oldest = max(facts.tick_ages.values())
    if oldest > TICK_LATE_SECONDS:
        text = f"Last ran {oldest:.0f} s ago. Nothing new is sent to the workers."
        return Component("ticker", Level.DEGRADED, text)
    if facts.failing_ticks:
        told = "; ".join(f"{name}: {error}" for name, error in sorted(facts.failing_ticks.items()))
        return Component("ticker", Level.DEGRADED, f"It fails in part. {told}.")
    return Component("ticker", Level.OK, f"Last ran {oldest:.0f} s ago.")


def _workers(facts: Facts) -> Component:
    late = facts.longest_due_seconds
    if late > DUE_LATE_SECONDS:
        text = f"Work has been due for {late:.0f} s. The workers are down, or too few."
        return Component("workers", Level.DEGRADED, text)
    return Component("workers", Level.OK, f"Nothing has been due for longer than {late:.0f} s.")


def _sweeps(facts: Facts) -> Component:
    late = facts.sweep_late_seconds
    if late > DUE_LATE_SECONDS:
        text = f"Polling an account in which runs wait is {late:.0f} s late."
        return Component("aws-polling", Level.DEGRADED, text)
    return Component("aws-polling", Level.OK, "Accounts with waiting runs are polled on time.")


def _retention(facts: Facts) -> Component:
    late = {name: days for name, days in facts.retention_days_behind.items() if days}
    if any(days > RETENTION_LATE_DAYS for days in late.values()):
        told = ", ".join(f"{name} by {days} days" for name, days in sorted(late.items()))
        text = f"Deleting what is old is behind: {told}. Storage grows."
        return Component("retention", Level.DEGRADED, text)
    return Component("retention", Level.OK, "What is old is deleted.")
