"""The saga that creates an endpoint.

step            forward                                    backward
approved-plan   plan again and compare digests             -
vpc-origin      create or share the VPC origin, Deployed   delete it unless another endpoint uses it
ingress         allow CloudFront in the security group     delete our rule unless it is shared
behaviors       add origin and behaviors, Deployed         remove them, Deployed
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from provisioning.engine.decide import Finish
from provisioning.engine.step import Step, StepSide
from provisioning.models import Endpoint, Run
from provisioning.runner import Saga
from provisioning.steps import approved_plan, behaviors, ingress, vpc_origin
from provisioning.steps.context import RunContext, open_run

STEPS: tuple[Step[RunContext], ...] = (
    approved_plan.STEP,
    Step(
        "vpc-origin",
        "Create the VPC origin",
        "Delete the VPC origin",
        StepSide(vpc_origin.observe, vpc_origin.create),
        StepSide(vpc_origin.observe_absence, vpc_origin.delete),
        expected_seconds=540,
        patience_seconds=1800,
    ),
    Step(
        "ingress",
        "Allow CloudFront in the security group",
        "Remove the security group rule",
        StepSide(ingress.observe, ingress.add_rules),
        ingress.removal(),
        expected_seconds=10,
        patience_seconds=300,
    ),
    Step(
        "behaviors",
        "Add the origin and behaviors to the distribution",
        "Remove the origin and behaviors from the distribution",
        behaviors.SWITCH,
        behaviors.SWITCH_BACK,
        expected_seconds=300,
        patience_seconds=2100,
    ),
)


def endpoint_after(run: Run, end: Finish, now: datetime) -> dict[str, Any]:
    """Deployed, or absent again."""
    if end.undone:
        return {"state": Endpoint.State.ABSENT}
    return {"state": Endpoint.State.DEPLOYED, "deployed_at": now}


SAGA: Saga[RunContext] = Saga("create-endpoint", STEPS, open_run, endpoint_after)
