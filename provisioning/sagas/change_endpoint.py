"""The saga that changes an endpoint. AWS does not update a VPC origin that is in use, so another
target, port or protocol gets another VPC origin beside the old one.

step             forward                                       backward
approved-plan    plan again and compare digests                -
vpc-origin       create or share the new VPC origin, Deployed  delete it if it is new and unused
ingress          allow CloudFront at the new target            delete the rules that were added
behaviors        switch origin and behaviors, Deployed (pivot) switch back, Deployed
old-ingress      delete the rules that are not needed now      never
old-vpc-origin   delete the old VPC origin unless used         never
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from provisioning.engine.decide import Finish
from provisioning.engine.step import NEVER_UNDONE, Step, StepSide
from provisioning.models import Run
from provisioning.runner import Saga
from provisioning.steps import approved_plan, behaviors, ingress, vpc_origin
from provisioning.steps.context import RunContext, open_run

STEPS: tuple[Step[RunContext], ...] = (
    approved_plan.STEP,
    Step(
        "vpc-origin",
        "Create or reuse the VPC origin",
        "Delete the VPC origin, if this change created it",
        StepSide(vpc_origin.observe, vpc_origin.create),
        vpc_origin.release(vpc_origin.replacement),
        expected_seconds=540,
        patience_seconds=1800,
    ),
    Step(
        "ingress",
        "Allow CloudFront in the security group",
        "Remove the security group rules that this change added",
        StepSide(ingress.observe, ingress.add_rules),
        ingress.removal(ingress.held_before),
        expected_seconds=10,
        patience_seconds=300,
    ),
    Step(
        "behaviors",
        "Switch the distribution to the new settings",
        "Switch the distribution back",
        behaviors.SWITCH,
        behaviors.SWITCH_BACK,
        expected_seconds=300,
        patience_seconds=2100,
        pivot=True,
    ),
    Step(
        "old-ingress",
        "Remove security group rules that are not needed any more",
        "Not undone",
        ingress.removal(ingress.still_needed),
        NEVER_UNDONE,
        expected_seconds=10,
        patience_seconds=300,
    ),
    Step(
        "old-vpc-origin",
        "Delete the old VPC origin, if it was replaced",
        "Not undone",
        vpc_origin.release(vpc_origin.replaced),
        NEVER_UNDONE,
        expected_seconds=300,
        patience_seconds=1800,
    ),
)


def endpoint_after(run: Run, end: Finish, now: datetime) -> dict[str, Any]:
    """The new settings, or still the old ones. It keeps its name: it may have been renamed since
    the plan was made.
    """
    if end.undone:
        return {}
    return {
        "spec_data": run.plan_data["spec"] | {"name": run.endpoint.name},
        "domain_name": run.plan_data["relies_on"]["distribution_domain"],
    }


SAGA: Saga[RunContext] = Saga("change-endpoint", STEPS, open_run, endpoint_after)
