"""When a run counts as one that kills its workers (PURE).

A worker that dies leaves a lease that ends by itself. Once is bad luck: a deployment, a machine
that went away. Again and again at the same step, with nothing achieved in between, it is the run.
Then it stands aside until a person has found out why, and other runs get the workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provisioning.engine.decide import (
    Direction,
    Entry,
    EntryKind,
    Finish,
    decide,
    reason_to_unwind,
)
from provisioning.engine.step import Step

PROGRESS = frozenset(
    {EntryKind.READY, EntryKind.WORKING, EntryKind.REFUSED, EntryKind.CANCEL, EntryKind.AGAIN}
)
"""Entries after which the lost leases of a run count from 0 again. The others say only that it was
tried: a worker that dies while it acts leaves an intent each time.
"""


@dataclass(frozen=True)
class Quarantine:
    """A run that stands aside: at which step ("" at its end), going which way, after how many lost
    leases.
    """

    step: str
    direction: Direction
    lost_leases: int


def quarantine(
    steps: Sequence[Step[Any]],
    journal: Sequence[Entry],
    now: datetime,
    *,
    lost_leases: int,
    limit: int,
    pace: float = 1.0,
) -> Quarantine | None:
    """The quarantine that begins now, if so many leases were lost since the run last made progress;
    None below the `limit`, or if that is 0.
    """
    if not limit or lost_leases < limit:
        return None
    decision = decide(steps, journal, now, pace=pace)
    step = "" if isinstance(decision, Finish) else decision.step
    backward = reason_to_unwind(steps, journal, pace) is not None
    return Quarantine(step, Direction.BACKWARD if backward else Direction.FORWARD, lost_leases)
