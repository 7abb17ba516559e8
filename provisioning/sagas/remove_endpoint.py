"""The saga that removes an endpoint.

step            forward                                        backward (restore)
approved-plan   plan again and compare digests                 -
behaviors       take origin and behaviors out, Deployed        put them back, Deployed
grace           wait until the agreed moment (the pivot)       have the VPC origin, Deployed
ingress         delete our rule unless it is shared            never
vpc-origin      delete it unless another endpoint uses it      never
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from provisioning.engine.decide import Finish
from provisioning.engine.step import NEVER_UNDONE, Step, StepSide
from provisioning.models import Endpoint, Run
from provisioning.runner import Saga
from provisioning.steps import approved_plan, behaviors, grace, ingress, vpc_origin
from provisioning.steps.context import RunContext, open_run

LONGEST_GRACE_SECONDS = 31 * 86400

STEPS: tuple[Step[RunContext], ...] = (
    approved_plan.STEP,
    Step(
        "behaviors",
        "Remove the origin and behaviors from the distribution",
        "Restore the origin and behaviors in the distribution",
        behaviors.SWITCH,
        behaviors.SWITCH_BACK,
        expected_seconds=300,
        patience_seconds=2100,
    ),
    Step(
        "grace",
        "Wait for the end of the grace period",
        "Make sure that the VPC origin exists",
        grace.WAIT,
        grace.RESTORE,
        expected_seconds=0,
        patience_seconds=LONGEST_GRACE_SECONDS,
        pivot=True,
    ),
    Step(
        "ingress",
        "Remove the security group rule",
        "Not undone",
        ingress.removal(),
        NEVER_UNDONE,
        expected_seconds=10,
        patience_seconds=300,
    ),
    Step(
        "vpc-origin",
        "Delete the VPC origin",
        "Not undone",
        StepSide(vpc_origin.observe_absence, vpc_origin.delete),
        NEVER_UNDONE,
        expected_seconds=300,
        patience_seconds=1800,
    ),
)


def endpoint_after(run: Run, end: Finish, now: datetime) -> dict[str, Any]:
    """Absent, or back in service."""
    return {"state": Endpoint.State.DEPLOYED if end.undone else Endpoint.State.ABSENT}


SAGA: Saga[RunContext] = Saga("remove-endpoint", STEPS, open_run, endpoint_after)
