"""What may be asked of a fault (PURE).

It decides whether a name and its parameters make sense, and says what would. It must never know an account.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from lab.edge.reception import CAPACITY_RESULTS, DEFAULT_RESULT
from lab.faults.aiming import FaultRefused
from lab.faults.fault import PARAMETERS, Fault
from lab.faults.registry import FAULTS

_NUMBERS = ("nth", "times")
_LONGEST = 2048
_MOST = 10**6


def check(name: str, given: Mapping[str, Any]) -> tuple[Fault, dict[str, Any]]:
    """The fault and its parameters; numbers may come as text, and what is empty counts as left out.

    :raises FaultRefused: no such fault, or a parameter that is unknown, missing or cannot be read.
    """
    fault = FAULTS.get(name)
    if fault is None:
        close = difflib.get_close_matches(name, FAULTS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise FaultRefused(f"no fault is called {name[:80]!r}; {hint}GET /_lab/faults lists all", 404)
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fault.takes:
            takes = ", ".join(fault.takes) or "nothing"
            raise FaultRefused(f"{name} does not take {str(key)[:80]!r}; it takes {takes}")
        if value in (None, ""):
            continue
        checked[key] = _number(key, value) if key in _NUMBERS else _text(key, value)
    for key in fault.needs:
        if key not in checked:
            raise FaultRefused(f"{name} needs {key}: {PARAMETERS[key]}")
    if not checked.get("account", "0" * 12).isdecimal() or len(checked.get("account", "0" * 12)) != 12:
        raise FaultRefused(f"account must be {PARAMETERS['account']}")
    if checked.get("detail", DEFAULT_RESULT) not in CAPACITY_RESULTS:
        raise FaultRefused(f"detail must be one of {', '.join(CAPACITY_RESULTS)}")
    return fault, checked


def _number(key: str, value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and 1 <= int(text[:8]) <= _MOST):
        raise FaultRefused(f"{key} must be a whole number from 1 to {_MOST}")
    return int(text[:8])


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise FaultRefused(f"{key} must be a text: {PARAMETERS[key]}")
    return value.strip()
