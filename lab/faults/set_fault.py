"""A fault that is set: what was given, what it hit, and the steps that must be taken back (PURE).

It decides how one is written down and read back, and what of it the edge and people may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lab.apps.addresses import BY_NAME
from lab.faults.catalogue.fault import Kind
from lab.faults.catalogue.registry import FAULTS
from lab.faults.steps.step import Step

# Nobody listens there, so whoever connects is refused.
NOBODY = "127.0.66.254:9"


@dataclass(frozen=True)
class SetFault:
    """One fault that is set. `number` orders faults by when they were set; `at` is lab time.

    `hit` names what it found: account, distribution, domain, path, vpc_origin, load_balancer,
    listener, targets. `calls` counts the matching calls that were seen, `spent` those that were
    hit.
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
    def kind(self) -> Kind:
        """Its fault's kind."""
        return FAULTS[self.name].kind

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        return {**asdict(self), "steps": [asdict(step) for step in self.steps]}

    def shown(self) -> dict[str, Any]:
        """As people and programs see it."""
        fault = FAULTS[self.name]
        shown: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "plain": fault.plain,
            "kind": fault.kind.value,
            "verdict": fault.verdict or None,
            "signature": fault.signature.text,
            "given": self.given,
            "hit": self.hit,
            "changed": [
                f"{step.verb}: {step.key.rstrip('|').replace('|', ' ')}" for step in self.steps
            ],
        }
        return {**shown, "calls_hit": self.spent} if fault.kind is Kind.CALLS else shown


def read(document: Mapping[str, Any]) -> SetFault:
    """A fault as `document` wrote it.

    :raises TypeError, KeyError: it is none.
    """
    return SetFault(**{**document, "steps": tuple(Step(**step) for step in document["steps"])})


def edge_section(faults: Iterable[SetFault]) -> list[dict[str, Any]]:
    """The faults that the edge must act out, in the form of `/_lab/state`."""
    return [
        {
            "id": fault.id,
            "name": fault.name,
            "detail": str(fault.given.get("detail") or ""),
            **fault.hit,
        }
        for fault in faults
        if fault.kind is Kind.DATA_PLANE
    ]


def hosts_with(faults: Iterable[SetFault], hosts: Mapping[str, str]) -> dict[str, str]:
    """The host map with misbehaving apps in the place of targets; what was set last holds."""
    changed = dict(hosts)
    for fault in sorted(faults, key=lambda fault: fault.number):
        if fault.kind is not Kind.APP:
            continue
        app = BY_NAME.get(FAULTS[fault.name].app)
        where = NOBODY if app is None else hosts.get(app.simulated, NOBODY)
        changed.update(dict.fromkeys(fault.hit.get("targets", ()), where))
    return changed


def with_step(fault: SetFault, step: Step) -> SetFault:
    """The fault with one more step."""
    return replace(fault, steps=(*fault.steps, step))


def without_last_step(fault: SetFault) -> SetFault:
    """The fault without its newest step."""
    return replace(fault, steps=fault.steps[:-1])
