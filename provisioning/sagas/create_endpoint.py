"""The saga that creates an endpoint.

step            forward                                    backward
approved-plan   plan again and compare digests             -
vpc-origin      create or share the VPC origin, Deployed   delete it unless another endpoint uses it
ingress         allow CloudFront in the security group     delete our rule unless it is shared
behaviors       add origin and behaviors, Deployed         remove them, Deployed
"""

from __future__ import annotations

from datetime import datetime

from provisioning.engine.decide import Finish
from provisioning.engine.step import Step, StepSide
from provisioning.models import Endpoint, Run
from provisioning.runner import Saga
from provisioning.steps import approved_plan, behaviors, ingress, vpc_origin
from provisioning.steps.context import RunContext, open_run

STEPS: tuple[Step[RunContext], ...] = (
    Step(
        "approved-plan",
        "Check that the approved plan still holds",
        StepSide(approved_plan.see_that_it_holds, approved_plan.never_acts),
        StepSide(approved_plan.nothing_to_undo, approved_plan.never_acts),
        expected_seconds=5,
        patience_seconds=300,
    ),
    Step(
        "vpc-origin",
        "Create the VPC origin",
        StepSide(vpc_origin.see, vpc_origin.create),
        StepSide(vpc_origin.see_that_it_is_gone, vpc_origin.delete),
        expected_seconds=540,
        patience_seconds=1800,
    ),
    Step(
        "ingress",
        "Let CloudFront through the security group",
        StepSide(ingress.see, ingress.admit),
        StepSide(ingress.see_that_it_is_gone, ingress.withdraw),
        expected_seconds=10,
        patience_seconds=300,
    ),
    Step(
        "behaviors",
        "Add origin and behaviors to the distribution",
        StepSide(behaviors.see, behaviors.publish),
        StepSide(behaviors.see_that_it_is_gone, behaviors.withdraw),
        expected_seconds=300,
        patience_seconds=2100,
    ),
)


def record_end(run: Run, end: Finish, now: datetime) -> None:
    """The endpoint is deployed, or absent again."""
    if end.undone:
        Endpoint.objects.filter(pk=run.endpoint_id).update(state=Endpoint.State.ABSENT)
    else:
        Endpoint.objects.filter(pk=run.endpoint_id).update(
            state=Endpoint.State.DEPLOYED, deployed_at=now
        )


SAGA: Saga[RunContext] = Saga("create-endpoint", STEPS, open_run, record_end)
