"""A step of a saga: look and act, forward and backward.

PURE. `look` observes and never changes anything; `act` makes the one write that was found missing.
Backward, `look` answers Ready when the thing is gone: undo means "make absent", and absence is
success.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from provisioning.engine.outcome import Outcome

Context = TypeVar("Context")


@dataclass(frozen=True)
class StepSide(Generic[Context]):
    """One direction of a step."""

    look: Callable[[Context], Outcome]
    act: Callable[[Context], Outcome]


@dataclass(frozen=True)
class Step(Generic[Context]):
    """`expected_seconds` and `patience_seconds` are for real AWS. Past its patience a person is
    told; nothing more.
    """

    name: str
    title: str
    forward: StepSide[Context]
    backward: StepSide[Context]
    expected_seconds: int
    patience_seconds: int
