"""A step of a saga: observe and act, forward and backward.

`observe` never changes anything; `act` makes the one write that was found missing. Backward,
`observe` returns Ready when the resource is gone: undo means "make absent", and absence is success.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from provisioning.engine.outcome import Outcome

Context = TypeVar("Context")


@dataclass(frozen=True)
class StepSide(Generic[Context]):
    """One direction of a step."""

    observe: Callable[[Context], Outcome]
    act: Callable[[Context], Outcome]


@dataclass(frozen=True)
class Step(Generic[Context]):
    """`title` says what the step does, `undo_title` what its undo does. `expected_seconds` and
    `patience_seconds` are for real AWS; past its patience a step only warns. Once a `pivot` is
    ready, the run is not undone any more: it goes forward, or stops for a person.
    """

    name: str
    title: str
    undo_title: str
    forward: StepSide[Context]
    backward: StepSide[Context]
    expected_seconds: int
    patience_seconds: int
    pivot: bool = False


def never_undone(_: object) -> Outcome:
    """The backward side of a step after the pivot, which the engine never takes."""
    raise AssertionError("a step after the pivot is not undone")


NEVER_UNDONE: StepSide[Any] = StepSide(never_undone, never_undone)
