"""What must still hold when a run starts, besides its plan: conditions that upper layers register.

This layer knows neither people nor teams. It asks before the first write, so that an approval
given to someone who has left since builds nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from provisioning.models import Run

Condition = Callable[[Run], str]
"""Gives the reason why a run must not start, or ""."""

_conditions: list[Condition] = []


def register_condition(condition: Condition) -> None:
    """Ask this before each run's first write. Registering it twice changes nothing."""
    if condition not in _conditions:
        _conditions.append(condition)


def unmet_condition(run: Run) -> str:
    """The first reason why the run must not start, or ""."""
    return next((reason for condition in _conditions if (reason := condition(run))), "")
