"""The saga that adopts an endpoint which exists already. It writes nothing to AWS.

step            forward                                     backward
approved-plan   plan again and compare digests              -
holdings        record what the endpoint uses               forget it
"""

from __future__ import annotations

from provisioning.engine.step import Step
from provisioning.runner import Saga
from provisioning.sagas.create_endpoint import endpoint_after
from provisioning.steps import approved_plan, holdings
from provisioning.steps.context import RunContext, open_run

STEPS: tuple[Step[RunContext], ...] = (
    approved_plan.STEP,
    Step(
        "holdings",
        "Record what the endpoint uses in AWS",
        "Forget what the endpoint uses in AWS",
        holdings.RECORD,
        holdings.FORGET,
        expected_seconds=1,
        patience_seconds=300,
    ),
)

SAGA: Saga[RunContext] = Saga("adopt-endpoint", STEPS, open_run, endpoint_after)
