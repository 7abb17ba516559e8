"""The outcomes of observing or acting. Waiting is an outcome, not an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Ready:
    """It is as it should be. (Backward: it is gone.)"""

    seen: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Working:
    """AWS is busy; observe again later.

    `watch` is the row that is kept up to date meanwhile, and `status` what it said when we
    observed, so that a change in between is not missed. `until` is set where the step waits for a
    moment that was agreed on, and not for AWS.
    """

    seen: str
    watch: int | None = None
    status: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    until: datetime | None = None


@dataclass(frozen=True)
class Missing:
    """It is not there yet, and nothing is under way: our write is needed."""

    seen: str


@dataclass(frozen=True)
class Retry:
    """A transient failure: try again later, after `after` seconds if AWS said so. A `quiet` one is
    no failure but another's turn (a lock, the call budget): no event, and never given up.
    """

    reason: str
    code: str = ""
    after: float | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Refused:
    """A permanent failure. `fix` says who can do what about it."""

    reason: str
    code: str
    fix: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


Outcome = Ready | Working | Missing | Retry | Refused
