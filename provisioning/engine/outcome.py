"""What a look at the world, or an attempt to change it, can come to. Frozen values; waiting is not an error.

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
    """The other side is busy bringing it about; look again later. `watch` names what to keep an eye on."""

    seen: str
    watch: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """It is not so yet, and nobody is working on it: our write is needed."""

    seen: str


@dataclass(frozen=True)
class Retry:
    """A passing failure: the same again later. `after` seconds if the other side said so."""

    reason: str
    code: str = ""
    after: float | None = None


@dataclass(frozen=True)
class Refused:
    """It will not work however often it is tried. `fix` says who can do what about it."""

    reason: str
    code: str
    fix: str = ""


Outcome = Ready | Working | Missing | Retry | Refused
