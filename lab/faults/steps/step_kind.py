"""How a kind of step is made, undone, or handed over to another fault.

A step is stored before it is made, so its undo must also succeed if the step was never made, or if
what it changed is gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from lab.aws.cloudfront.service import CloudFront
from lab.faults.aws_clients import AwsClients
from lab.faults.steps.step import Step


@dataclass(frozen=True)
class StepContext:
    """What steps work with."""

    aws: AwsClients
    cloudfront: CloudFront

    def client(self, service: str, step: Step) -> Any:
        """A boto3 client for the step's account and Region."""
        return self.aws.client(service, step.account, step.region)


class StepKind(ABC):
    """One kind of step. Its `verb` is stored with every step and shown to people."""

    verb: ClassVar[str]
    removes: ClassVar[bool] = False
    """It removes a list of items, which `before` holds. Another step that removes from the same
    place can take over what must be restored.
    """

    @abstractmethod
    def do(self, context: StepContext, step: Step) -> Any:
        """Make the change. A result, such as the id of a new resource, goes back to the plan."""

    @abstractmethod
    def undo(self, context: StepContext, step: Step) -> Mapping[str, str] | None:
        """Take the change back. Gives the new ARNs, by their old ones, of what had to be created
        again; the same ones if it is called again.
        """


def hand_over(kind: StepKind, leaving: Step, staying: Step, *, later: bool) -> Step | None:
    """What `staying` becomes if it takes over the restoring from `leaving`, which changes the same
    thing; None if `leaving` must be undone instead.

    1. Removed items: `staying` will restore all of them.
    2. A value: only a step that was made later (`later`) overwrote the leaving one's value and can
       inherit the original.
    """
    if kind.removes:
        missing = [item for item in leaving.before if item not in staying.before]
        return replace(staying, before=[*staying.before, *missing])
    return replace(staying, before=leaving.before) if later else None


def ignoring(codes: Collection[str], call: Callable[[], Any]) -> Any:
    """The result of a call to AWS; None if it fails with one of these error codes.

    :raises ClientError: any other error.
    """
    try:
        return call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in codes:
            return None
        raise
