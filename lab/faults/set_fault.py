"""A fault that is set: its parameters, what it hits, and the steps to undo (PURE)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.apps.addresses import BY_NAME
from lab.faults.catalogue.fault import FaultKind
from lab.faults.catalogue.registry import FAULTS
from lab.faults.steps.step import Step

# Nothing listens there, so connections are refused.
NOTHING_LISTENS = "127.0.66.254:9"


@dataclass(frozen=True)
class SetFault:
    """One fault that is set. `number` orders faults by when they were set; `at` is lab time.

    `hit` says what it hits: account, distribution, domain, path, vpc_origin, load_balancer,
    listener, targets. `calls` counts the matching calls, `spent` those that were hit.
    """

    id: str
    number: int
    name: str
    at: float
    given: dict[str, Any]
    hit: dict[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    calls: int = 0
    spent: int = 0

    @property
    def kind(self) -> FaultKind:
        """Its fault's kind."""
        return FAULTS[self.name].kind

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {**asdict(self), "steps": [asdict(step) for step in self.steps]}

    def shown(self) -> dict[str, Any]:
        """As /_lab/faults shows it."""
        fault = FAULTS[self.name]
        shown: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "description": fault.description,
            "kind": fault.kind.value,
            "verdict": fault.verdict or None,
            "signature": fault.signature.text,
            "given": self.given,
            "hit": self.hit,
            "changed": [
                f"{step.verb}: {step.key.rstrip('|').replace('|', ' ')}" for step in self.steps
            ],
        }
        return {**shown, "calls_hit": self.spent} if fault.kind is FaultKind.CALLS else shown


def read(document: Mapping[str, Any]) -> SetFault:
    """The fault that a stored `document` describes.

    :raises TypeError, KeyError: the document is malformed.
    """
    return SetFault(**{**document, "steps": tuple(Step(**step) for step in document["steps"])})


def edge_section(faults: Iterable[SetFault]) -> list[dict[str, Any]]:
    """The faults that the edge must simulate, as `/_lab/state` shows them."""
    return [
        {
            "id": fault.id,
            "name": fault.name,
            "detail": str(fault.given.get("detail") or ""),
            **fault.hit,
        }
        for fault in faults
        if fault.kind is FaultKind.DATA_PLANE
    ]


def hosts_with(faults: Iterable[SetFault], hosts: Mapping[str, str]) -> dict[str, str]:
    """The host map with misbehaving apps in place of targets; the fault that was set last wins."""
    changed = dict(hosts)
    for fault in sorted(faults, key=lambda fault: fault.number):
        if fault.kind is not FaultKind.APP:
            continue
        app = BY_NAME.get(FAULTS[fault.name].app)
        where = NOTHING_LISTENS if app is None else hosts.get(app.simulated, NOTHING_LISTENS)
        changed.update(dict.fromkeys(fault.hit.get("targets", ()), where))
    return changed
