"""Step: the grace period of a removal. The endpoint is out of service, and what AWS takes long to
create again is still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from provisioning.engine.outcome import Outcome, Ready, Working
from provisioning.engine.step import StepSide
from provisioning.steps import vpc_origin
from provisioning.steps.approved_plan import never_acts
from provisioning.steps.context import RunContext


def observe(context: RunContext) -> Outcome:
    """Ready once the period that the plan names has passed since the step began."""
    now = context.clock()
    began = context.rows.began("grace") or now
    until = ends_at(began, context.run.plan_data)
    if until <= now:
        return Ready("The grace period is over. Nothing can be restored from here on.")
    return Working(
        f"It can be restored until {until:%d %B %Y, %H:%M} UTC.",
        data={"until": until.isoformat()},
        until=until,
    )


def ends_at(began: datetime, plan: Mapping[str, Any]) -> datetime:
    """Until when the endpoint can be restored, by the plan (its dict) that removes it."""
    return began + timedelta(seconds=plan["grace_seconds"])


WAIT: StepSide[RunContext] = StepSide(observe, never_acts)
RESTORE: StepSide[RunContext] = StepSide(vpc_origin.observe, vpc_origin.create)
"""Backward: the VPC origin, which somebody may have deleted meanwhile, is there and Deployed."""
