"""One change that a fault makes to an account, as a value that can be written down (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One change. `key` names what it changes: two faults that change the same thing take their
    turn by it.

    `before` and `after` are what was there and what the fault puts there, in the verb's own form.
    """

    verb: str
    account: str
    region: str
    key: str
    before: Any
    after: Any


def like(current: Any, wanted: Any) -> bool:
    """Whether AWS's answer is what a fault once wrote: lists in any order, and what AWS filled in
    does not count.
    """
    if isinstance(wanted, Mapping):
        return isinstance(current, Mapping) and all(
            like(current.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        given = list(current or ())
        return len(given) == len(wanted) and all(
            any(like(item, other) for item in given) for other in wanted
        )
    return bool(current == wanted) or (not current and not wanted)
