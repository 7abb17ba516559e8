"""One change that a fault makes to an account, as a value that can be stored (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One change. `verb` names its StepKind, `key` what it changes: two steps with the same verb
    and key change the same thing.

    `before` and `after` are the old and the new value, in a form that the kind chooses.
    """

    verb: str
    account: str
    region: str
    key: str
    before: Any
    after: Any


def unchanged(current: Any, written: Any) -> bool:
    """Whether AWS still shows what a fault wrote. The order of lists and members that AWS filled in
    do not count.
    """
    if isinstance(written, Mapping):
        return isinstance(current, Mapping) and all(
            unchanged(current.get(key), value) for key, value in written.items()
        )
    if isinstance(written, list):
        given = list(current or ())
        return len(given) == len(written) and all(
            any(unchanged(item, other) for item in given) for other in written
        )
    return bool(current == written) or (not current and not written)
