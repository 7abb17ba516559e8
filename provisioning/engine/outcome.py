"""What a look at the world, or an attempt to change it, can come to. Frozen values; waiting is not
an error.

PURE. The engine knows these five words and no AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ready:
    """It is as wanted. (Looking backward: it is gone.)"""

    seen: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Working:
    """The other side is busy bringing it about; look again later.

    `watch` is the row that is kept up to date meanwhile and `status` what it said when we looked,
    so that a change in between is not missed.
    """

    seen: str
    watch: int | None = None
    status: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """It is not so yet, and nobody is working on it: our write is needed."""

    seen: str


@dataclass(frozen=True)
class Retry:
    """A passing failure: the same again later. `after` seconds if the other side said so; a `quiet`
    one is no failure, only somebody else's turn (a lock, the budget of calls): not worth a line to
    people, never given up.
    """

    reason: str
    code: str = ""
    after: float | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Refused:
    """It will not work however often it is tried. `fix` says who can do what about it."""

    reason: str
    code: str
    fix: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


Outcome = Ready | Working | Missing | Retry | Refused
