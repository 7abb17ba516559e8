"""What a change or a removal will do, in order, and until when it can be cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.facts.step_times import acts
from provisioning.plan.plan import ADOPT, CREATE
from provisioning.sagas import SAGA_OF

DAY = 86_400
NOTES = {
    ("change", "vpc-origin"): "Clients notice nothing.",
    ("change", "behaviors"): "New connections get the new settings.",
    ("remove", "behaviors"): "Clients can no longer connect.",
    ("remove", "grace"): "Nothing more is deleted meanwhile.",
}
"""What a step means for clients, by action and step."""


@dataclass(frozen=True)
class Phase:
    """A step of the run to come. Seconds are of this installation, whose lab may pass days in
    minutes; `days` is what was asked for. Up to a `pivot` the run can be cancelled.
    """

    title: str
    seconds: float
    note: str
    pivot: bool
    days: int | None = None


def phases(plan: Mapping[str, Any], *, pace: float) -> tuple[Phase, ...]:
    """What happens when, for a change or a removal (the stored plan); nothing for a creation, which
    can be cancelled at any time. Steps that find nothing to do are left out.
    """
    action = plan.get("action", CREATE)
    if action in (CREATE, ADOPT):
        return ()
    grace = plan.get("grace_seconds", 0)
    days = round(grace * pace / DAY)
    return tuple(
        Phase(
            step.title,
            grace if step.name == "grace" else step.expected_seconds / pace,
            NOTES.get((action, step.name), ""),
            step.pivot,
            days if step.name == "grace" else None,
        )
        for step in SAGA_OF[action].steps
        if acts(step.name, plan["items"]) is not False and step.name != "approved-plan"
    )
