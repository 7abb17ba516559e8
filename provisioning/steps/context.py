"""What steps work with: the run, its spec, the account's AWS clients, the clock and the lease."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Self, TypeVar

from django.conf import settings

from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import Aws
from provisioning.engine.outcome import Outcome, Refused, Retry
from provisioning.models import AwsAccount, Endpoint, Run
from provisioning.plan.distribution_config import Conflict
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.steps.rows import Rows, VpcOriginRows
from provisioning.steps.stored_rows import StoredRows

Context = TypeVar("Context", bound="AwsContext")

CONFLICT_FIXES = {
    "changed_by_others": "Point them to another origin first.",
    "path_taken": "Choose another path, or ask its owner to give it up.",
    "path_contested": "Request the endpoint again; the preflight says whom to ask.",
    "vpc_origin_gone": "Request the endpoint again.",
    "secret_replaced": "Plan again: the new plan sends the new value.",
    "secret_unknown": "Add it again under Secrets of the team, then retry.",
}


@dataclass(frozen=True)
class AwsContext(ABC):
    """Work in one account. `owner` is the value of the tag on what this portal creates. Call
    `renew_lease` before each write to AWS and before each claim: it raises if the work is another
    worker's by now.
    """

    spec: EndpointSpec
    owner: str
    pace: float
    clock: Callable[[], datetime]
    renew_lease: Callable[[], None]
    rows: VpcOriginRows

    @property
    @abstractmethod
    def account(self) -> AwsAccount:
        """The account."""

    def for_spec(self, spec: EndpointSpec) -> Self:
        """The same work, with other settings to reach or to leave."""
        return replace(self, spec=spec)

    @cached_property
    def aws(self) -> Aws:
        """The account's AWS clients."""
        return self.rows.client()


@dataclass(frozen=True)
class RunContext(AwsContext):
    """One run, opened for work."""

    rows: Rows
    run: Run

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that the run builds."""
        return self.run.endpoint

    @property
    def account(self) -> AwsAccount:
        """The account that it is built in."""
        return self.run.endpoint.account


def open_run(
    run: Run, clock: Callable[[], datetime], renew_lease: Callable[[], None]
) -> RunContext:
    """The context of a run."""
    owner, pace = settings.PROVISIONING_OWNER, settings.PROVISIONING_PACE
    rows = StoredRows(clock, renew_lease, run)
    return RunContext(run.spec, owner, pace, clock, renew_lease, rows, run)


def as_outcome(error: AwsError) -> Outcome:
    """An AWS error as the engine sees it: transient or permanent."""
    if error.transient:
        return Retry(str(error), error.code, error.retry_after, quiet=error.code == OVER_BUDGET)
    return Refused(str(error), error.code, error.fix)


def errors_as_outcomes(step: Callable[[Context], Outcome]) -> Callable[[Context], Outcome]:
    """Decorates a side of a step: AWS errors and conflicts become outcomes."""

    def guarded(context: Context) -> Outcome:
        try:
            return step(context)
        except AwsError as error:
            return as_outcome(error)
        except Conflict as conflict:
            return Refused(str(conflict), conflict.code, CONFLICT_FIXES.get(conflict.code, ""))

    guarded.__name__ = step.__name__
    guarded.__doc__ = step.__doc__
    return guarded
