"""Step: the approved plan still applies. Plans again with a new snapshot and compares digests.
Nothing is written before it.
"""

from __future__ import annotations

from provisioning.aws.errors import OVER_BUDGET
from provisioning.engine.outcome import Outcome, Ready, Refused, Retry
from provisioning.engine.step import Step, StepSide
from provisioning.plan.changes import no_longer_known, what_changed
from provisioning.plan.items import QUOTA_CODES, Unplannable
from provisioning.steps.context import RunContext, errors_as_outcomes

PLAN_STALE = "plan_stale"
NOT_SEEN = "not_seen"
NOT_ENTITLED = "not_entitled"


@errors_as_outcomes
def observe(context: RunContext) -> Outcome:
    """1. Refused where a condition of the run is not met any more.
    2. Ready if planning again gives the approved digest; else Refused with what changed, so that
       the request is planned and checked again. What AWS cannot show right now is no change: Retry.
    """
    if reason := context.rows.unmet_condition():
        return Refused(reason, NOT_ENTITLED)
    snapshot = context.rows.snapshot()
    held = snapshot.held_back
    if held is not None:
        return Retry(held.reason, OVER_BUDGET, held.turn_in_seconds, quiet=True)
    try:
        plan = context.rows.plan_again(snapshot)
    except Unplannable as obstacle:
        needed = {"target", "distribution", "vpc_origins"} | (
            {"quotas"} if obstacle.code in QUOTA_CODES else set()
        )
        gap = next((gap for gap in snapshot.gaps if gap.what in needed), None)
        if gap is not None:
            return Retry(
                f"AWS could not be asked about the {gap.what.replace('_', ' ')}: {gap.reason}",
                obstacle.code,
            )
        return Refused(str(obstacle), PLAN_STALE, data={"changes": [str(obstacle)]})
    if plan.digest == context.run.plan_digest:
        return Ready(f"The approved plan {plan.digest[:8]} can still be applied.")
    unseen = no_longer_known(context.run.plan_data, plan.to_dict())
    if unseen:
        reasons = "; ".join(gap.reason for gap in snapshot.gaps)
        return Retry(
            f"AWS could not be asked again about {', '.join(unseen).replace('_', ' ')}: {reasons}",
            NOT_SEEN,
        )
    changes = what_changed(context.run.plan_data, plan.to_dict())
    return Refused(
        f"AWS has changed since the plan was approved: {'; '.join(changes)}.",
        PLAN_STALE,
        data={"changes": changes},
    )


def nothing_to_undo(context: RunContext) -> Outcome:
    """This step only reads."""
    return Ready("This step changed nothing.")


def never_acts(context: RunContext) -> Outcome:
    """Unreachable: neither side of this step ever returns Missing."""
    raise AssertionError("this step writes nothing")


STEP: Step[RunContext] = Step(
    "approved-plan",
    "Check that the approved plan still applies",
    "Nothing to undo",
    StepSide(observe, never_acts),
    StepSide(nothing_to_undo, never_acts),
    expected_seconds=5,
    patience_seconds=300,
)
"""The first step of every saga."""
