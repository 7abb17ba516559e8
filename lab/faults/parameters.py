"""The parameters of a fault: whether they make sense, and if not, what would (PURE)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from lab.edge.cdn.request_pipeline import CAPACITY_RESULTS, DEFAULT_RESULT
from lab.faults.catalogue.call_matching import CLIENT_NAMES, ONLY_SOME, can_hit
from lab.faults.catalogue.fault import PARAMETERS, Fault
from lab.faults.catalogue.registry import FAULTS
from lab.faults.targeting import FaultRefused

# Where an operation is looked for if no service is given: services that endpoints need.
SERVICES = (
    "cloudfront",
    "ec2",
    "elasticloadbalancing",
    "sts",
    "iam",
    "acm",
    "wafv2",
    "servicequotas",
    "logs",
    "monitoring",
)
Operations: TypeAlias = Callable[[str], Collection[str] | None]

_NUMBERS = ("nth", "times")
_ACCOUNT = re.compile("[0-9]{12}")
_LONGEST = 2048
_MOST = 10**6


def check(
    name: str, given: Mapping[str, Any], operations_of: Operations
) -> tuple[Fault, dict[str, Any]]:
    """The fault and its parameters. Numbers may be text, and empty values count as left out.

    `operations_of` gives the operations of a service: None if there is no such service, an empty
    set if the lab cannot tell its operations apart.

    :raises FaultRefused: no such fault, or a parameter that is unknown, missing or malformed.
    """
    fault = FAULTS.get(name)
    if fault is None:
        hint = _hint(difflib.get_close_matches(name, FAULTS, n=3, cutoff=0.4))
        raise FaultRefused(
            f"There is no fault {name[:80]!r}. {hint}GET /_lab/faults lists all.", 404
        )
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fault.takes:
            takes = ", ".join(fault.takes) or "nothing"
            raise FaultRefused(f"{name} does not take {str(key)[:80]!r}. It takes {takes}.")
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        checked[key] = _number(key, value) if key in _NUMBERS else _text(key, value)
    for key in fault.needs:
        if key not in checked:
            raise FaultRefused(f"{name} needs {key}: {PARAMETERS[key]}.")
    if not _ACCOUNT.fullmatch(checked.get("account", "0" * 12)):
        raise FaultRefused(f"account must be {PARAMETERS['account']}.")
    if checked.get("detail", DEFAULT_RESULT) not in CAPACITY_RESULTS:
        raise FaultRefused(f"detail must be one of {', '.join(CAPACITY_RESULTS)}.")
    _check_call(
        name, checked.get("service", "").lower(), checked.get("operation", "*"), operations_of
    )
    return fault, checked


def _check_call(name: str, service: str, operation: str, operations_of: Operations) -> None:
    """Refuse a service that does not exist, and an operation that the fault can never hit."""
    if service and operations_of(service) is None:
        close = (
            [CLIENT_NAMES[service]]
            if service in CLIENT_NAMES
            else difflib.get_close_matches(service, SERVICES)
        )
        raise FaultRefused(
            f"No request is signed for {service[:80]!r}. {_hint(close)}The service is "
            f"{PARAMETERS['service']}."
        )
    known: set[str] = set()
    for looked_at in (service,) if service else SERVICES:
        found = [each for each in operations_of(looked_at) or () if can_hit(name, looked_at, each)]
        if any(fnmatchcase(each.lower(), operation.lower()) for each in found):
            return
        known.update(found)
    if known:
        hint = _hint(difflib.get_close_matches(operation, sorted(known), cutoff=0.5))
        where = service or "any service that endpoints need"
        raise FaultRefused(
            f"{name} hits no operation {operation[:80]!r} of {where}. {hint}The operation is "
            f"{PARAMETERS['operation']}."
        )
    if operation != "*" or name in ONLY_SOME:
        raise FaultRefused(
            f"{name} cannot tell the operations of {service} apart. Leave out operation or service."
        )


def _hint(close: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(close)}? " if close else ""


def _number(key: str, value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (
        text.isascii() and text.isdecimal() and 1 <= int(text[:8]) <= _MOST
    ):
        raise FaultRefused(f"{key} must be a whole number from 1 to {_MOST}.")
    return int(text[:8])


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise FaultRefused(f"{key} must be text: {PARAMETERS[key]}.")
    return value.strip()
