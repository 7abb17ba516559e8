"""One change that a fault makes to an account, as a value that can be written down (PURE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One change. `key` names what it changes: two faults that change the same thing take their turn by it.

    `before` and `after` are what was there and what the fault puts there, in the verb's own form.
    """

    verb: str
    account: str
    region: str
    key: str
    before: Any
    after: Any
