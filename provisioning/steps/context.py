"""What a saga's steps work with: the run's spec and names, its account's AWS, the time, and the
portal's mark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.conf import settings

from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import Aws
from provisioning.engine.outcome import Outcome, Refused, Retry
from provisioning.models import AwsAccount, Endpoint, Run
from provisioning.plan.distribution_config import Conflict
from provisioning.spec.endpoint_spec import EndpointSpec

CONFLICT_FIXES = {"path_taken": "Choose another path, or ask its owner to give it up."}


@dataclass(frozen=True)
class RunContext:
    """One run, opened for work. `owner` is the mark this portal leaves on what it makes. `hold` is
    called before each write to AWS, and before a claim: it raises when the run is somebody else's
    by now.
    """

    run: Run
    spec: EndpointSpec
    owner: str
    pace: float
    clock: Callable[[], datetime]
    hold: Callable[[], None]

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint the run builds."""
        return self.run.endpoint

    @property
    def account(self) -> AwsAccount:
        """The account it is built in."""
        return self.run.endpoint.account

    @cached_property
    def aws(self) -> Aws:
        """That account's AWS clients."""
        return self.account.client()


def open_run(run: Run, clock: Callable[[], datetime], hold: Callable[[], None]) -> RunContext:
    """The context of a run."""
    return RunContext(
        run, run.spec, settings.PROVISIONING_OWNER, settings.PROVISIONING_PACE, clock, hold
    )


def as_outcome(error: AwsError) -> Outcome:
    """An error of AWS as the engine sees it: passing, or for good."""
    if error.transient:
        return Retry(str(error), error.code, error.retry_after, quiet=error.code == OVER_BUDGET)
    return Refused(str(error), error.code, error.fix)


def answering_errors(step: Callable[[RunContext], Outcome]) -> Callable[[RunContext], Outcome]:
    """A look or an act whose AWS errors become outcomes, and so does what others have put in our
    way.
    """

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
