"""What steps work with: the run, its spec, the account's AWS clients, the clock and the lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from django.conf import settings

from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import Aws
from provisioning.engine.outcome import Outcome, Refused, Retry
from provisioning.models import AwsAccount, Endpoint, Run
from provisioning.plan.distribution_config import Conflict
from provisioning.spec.endpoint_spec import EndpointSpec

CONFLICT_FIXES = {
    "path_taken": "Choose another path, or ask its owner to give it up.",
    "path_contested": "Request the endpoint again; the preflight says whom to ask.",
    "vpc_origin_gone": "Request the endpoint again.",
    "secret_replaced": "Plan again: the new plan sends the new value.",
    "secret_unknown": "Add it again under Secrets of the team, then retry.",
}


@dataclass(frozen=True)
class RunContext:
    """One run, opened for work. `owner` is the value of the tag on what this portal creates. Call
    `renew_lease` before each write to AWS and before each claim: it raises if another worker has
    the run by now.
    """

    run: Run
    spec: EndpointSpec
    owner: str
    pace: float
    clock: Callable[[], datetime]
    renew_lease: Callable[[], None]

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that the run builds."""
        return self.run.endpoint

    @property
    def account(self) -> AwsAccount:
        """The account that it is built in."""
        return self.run.endpoint.account

    def for_spec(self, spec: EndpointSpec) -> RunContext:
        """The same run, with other settings to reach or to leave."""
        return replace(self, spec=spec)

    @cached_property
    def aws(self) -> Aws:
        """That account's AWS clients."""
        return self.account.client()


def open_run(
    run: Run, clock: Callable[[], datetime], renew_lease: Callable[[], None]
) -> RunContext:
    """The context of a run."""
    return RunContext(
        run, run.spec, settings.PROVISIONING_OWNER, settings.PROVISIONING_PACE, clock, renew_lease
    )


def as_outcome(error: AwsError) -> Outcome:
    """An AWS error as the engine sees it: transient or permanent."""
    if error.transient:
        return Retry(str(error), error.code, error.retry_after, quiet=error.code == OVER_BUDGET)
    return Refused(str(error), error.code, error.fix)


def errors_as_outcomes(step: Callable[[RunContext], Outcome]) -> Callable[[RunContext], Outcome]:
    """Decorates a side of a step: AWS errors and conflicts become outcomes."""

    def guarded(context: RunContext) -> Outcome:
        try:
            return step(context)
        except AwsError as error:
            return as_outcome(error)
        except Conflict as conflict:
            return Refused(str(conflict), conflict.code, CONFLICT_FIXES.get(conflict.code, ""))

    guarded.__name__ = step.__name__
    guarded.__doc__ = step.__doc__
    return guarded
