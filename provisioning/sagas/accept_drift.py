"""The saga that accepts a change made in AWS. It writes nothing there: the plan that it records as
applied is what AWS has already.

step             forward                                       backward
approved-plan    plan again and compare digests                -
"""

from __future__ import annotations

from provisioning.engine.step import Step
from provisioning.runner import Saga
from provisioning.sagas.change_endpoint import endpoint_after
from provisioning.steps import approved_plan
from provisioning.steps.context import RunContext, open_run

STEPS: tuple[Step[RunContext], ...] = (approved_plan.STEP,)

SAGA: Saga[RunContext] = Saga("accept-drift", STEPS, open_run, endpoint_after)
