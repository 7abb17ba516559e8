"""How a change that a fault makes to an account is done, taken back, or handed over to another
fault.

It decides what a change is worth restoring: only what it changed itself and what nobody has touched
since. A step is written down before it is done, so taking back must succeed for one that was never
done, or whose object is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from lab.aws.cloudfront.service import CloudFront
from lab.faults.aws_clients import Aws
from lab.faults.steps.step import Step


@dataclass(frozen=True)
class Hands:
    """What a step works with."""

    aws: Aws
    cloudfront: CloudFront

    def client(self, service: str, step: Step) -> Any:
        """A client for the step's account and Region."""
        return self.aws.client(service, step.account, step.region)


@dataclass(frozen=True)
class Verb:
    """How a kind of step is done and taken back.

    `do` may give a value, such as the id of what it made. `undo` may say how things are called that
    it had to make again, by their old ARNs; done once more, it says the same. A `collects` verb
    removes a list of things: `before` holds them, and whoever else removes from the same place can
    take over what is still to be put back.
    """

    do: Callable[[Hands, Step], Any]
    undo: Callable[[Hands, Step], Mapping[str, str] | None]
    collects: bool = False


def hand_over(verb: Verb, leaving: Step, staying: Step, *, later: bool) -> Step | None:
    """What `staying` becomes when `leaving`, on the same thing, is not taken back but handed over;
    None if it cannot.

    1. Removed things: whoever stays puts back all of them in the end.
    2. A value: only the one that was set later may inherit the value of before; for the earlier one
       the leaving step is simply taken back.
    """
    if verb.collects:
        missing = [item for item in leaving.before if item not in staying.before]
        return replace(staying, before=[*staying.before, *missing])
    return replace(staying, before=leaving.before) if later else None


def unless(codes: Iterable[str], call: Callable[[], Any]) -> Any:
    """Call AWS; one of these errors counts as done and gives None.

    :raises ClientError: any other error.
    """
    try:
        return call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in tuple(codes):
            return None
        raise
