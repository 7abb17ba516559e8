"""What a plan is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.aws.cloudfront.service import CloudFront
from lab.edge.account.state import State
from lab.faults.aws_clients import AwsClients
from lab.faults.steps.step import Step
from lab.faults.targeting import FaultTarget

# A plan yields steps and is sent what making each of them gave.
Plan: TypeAlias = Generator[Step, Any, None]


@dataclass(frozen=True)
class PlanContext:
    """What a plan looks at. `mark` is unique to the fault that is being set; resources that are
    created for it are named so.
    """

    aws: AwsClients
    cloudfront: CloudFront
    state: State
    target: FaultTarget
    mark: str


PlanFunction: TypeAlias = Callable[[PlanContext], Plan]


class Plans(dict[str, PlanFunction]):
    """Plans by the name of the fault that each is for."""

    def plan(self, fault: str) -> Callable[[PlanFunction], PlanFunction]:
        """Decorator: this function plans that fault."""

        def add(function: PlanFunction) -> PlanFunction:
            self[fault] = function
            return function

        return add
