"""What steps ask of the portal's rows and remember in them. Each method is one transaction.

The steps decide over the frozen values below, and reach rows only through `Rows`, so the same
decisions can run over rows in memory. `provisioning.steps.stored_rows` keeps them in the database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from provisioning.engine.decide import Direction
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.plan import Plan
from provisioning.spec.endpoint_spec import EndpointSpec

if TYPE_CHECKING:
    from provisioning.aws.session import Aws
    from provisioning.models import Run

Part = tuple["Run", Direction]
"""A run whose part of a distribution is written, and which way it goes."""


@dataclass(frozen=True)
class SharedVpcOrigin:
    """A VPC origin that endpoints share: AWS's ID, "" before it is known, and how many others need
    it: endpoints and head starts.
    """

    key: str
    aws_id: str
    others: int = 0


@dataclass(frozen=True)
class Rule:
    """An ingress rule that the portal added, or is about to. `id` is its row."""

    id: int
    group_id: str
    port: int
    source_group_id: str
    rule_id: str = ""


@dataclass(frozen=True)
class WatchFacts:
    """What AWS last said about a resource. `waited_for`: a run waits for it, so sweeps keep it
    fresh. `id` is its row.
    """

    id: int
    status: str
    detail: Mapping[str, Any]
    seen_at: datetime
    waited_for: bool = False


class VpcOriginRows(Protocol):
    """The rows behind the work on a VPC origin, by a run or a head start. Methods that claim it, or
    end a claim, raise if another worker has that work by now.
    """

    def client(self) -> Aws:
        """The account's AWS clients."""

    def lock(self, name: str) -> AbstractContextManager[bool]:
        """A named lock of the account: True while we hold it, False if another worker does."""

    def claim_vpc_origin(self, key: str) -> SharedVpcOrigin:
        """It is needed here from now on."""

    def release_vpc_origin(self, key: str) -> SharedVpcOrigin:
        """It is not needed here any more."""

    def announce_deletion(self, key: str, aws_id: str, status: str) -> SharedVpcOrigin:
        """Release it and, if nothing else needs it, record for others that it is being deleted."""

    def record_vpc_origin(self, key: str, aws_id: str) -> None:
        """It has this ID."""

    def forget_vpc_origin(self, key: str, aws_id: str) -> None:
        """The one with this ID is gone."""

    def forget_unused_vpc_origin(self, key: str) -> None:
        """It is gone, unless something needs it by now."""

    def watch(self, resource: str, aws_id: str) -> WatchFacts | None:
        """What AWS last said about it."""

    def record_write(
        self, resource: str, aws_id: str, status: str, detail: Mapping[str, Any], now: datetime
    ) -> WatchFacts:
        """AWS answered our write with this status."""

    def record_observation(
        self,
        resource: str,
        aws_id: str,
        status: str,
        detail: Mapping[str, Any] | None,
        *,
        began: datetime,
        now: datetime,
    ) -> WatchFacts:
        """A read that began at `began` saw this."""


class Rows(VpcOriginRows, Protocol):
    """The rows behind one run. Methods that claim something for the run's endpoint, or end a claim,
    raise LeaseLost if another worker has the run by now.
    """

    # The plan

    def unmet_condition(self) -> str:
        """Why the run must not start, or ""."""

    def snapshot(self) -> Snapshot:
        """What AWS says about everything that the run's plan concerns."""

    def plan_again(self, snapshot: Snapshot) -> Plan:
        """The plan that the run would get now. Raises Unplannable."""

    # Its journal

    def began(
        self, step: str, kind: str = "", direction: Direction = Direction.FORWARD
    ) -> datetime | None:
        """When the run's first entry (of that kind) of a step in this direction was made."""

    # Ingress rules

    def claim_rule(self, group_id: str, port: int, source_group_id: str) -> Rule:
        """The endpoint uses it from now on."""

    def record_rule(self, rule: Rule, rule_id: str) -> None:
        """It has this ID."""

    def used_rules(self) -> Sequence[Rule]:
        """Those that the endpoint uses."""

    def rules_of_others(self, group_id: str, port: int, source_group_id: str) -> Sequence[Rule]:
        """Those of the portal with these settings that the endpoint does not use."""

    def use_rule(self, rule: Rule) -> None:
        """The endpoint uses it from now on, if it still exists."""

    def release_shared_rules(self, group_id: str, kept: Collection[int]) -> Sequence[Rule]:
        """End the use of rules in the group, but for the `kept` ones (ids), that others use too.
        Returns those that only the endpoint uses: they stay its own until they are deleted.
        """

    def delete_rule(self, rule: Rule) -> None:
        """It is gone."""

    # The distribution

    def vpc_origin_id(self, account_id: str, key: str) -> str:
        """AWS's ID of a VPC origin, or ""."""

    def wants_to_write(self, distribution_id: str) -> None:
        """Let other runs include this one's part in their write of the distribution; "" ends it."""

    def companions(self, distribution_id: str) -> Sequence[Part]:
        """The other runs that want the distribution written, and which way each goes. Backward only
        those that have seen that they need it, after they withdrew from going forward.
        """

    def others_due(self, distribution_id: str, now: datetime) -> Sequence[datetime]:
        """When the other runs continue that have yet to ask for a write of the distribution. One
        that waits for AWS counts once it is woken.
        """

    def wake_companions(self, distribution_id: str, now: datetime) -> None:
        """Make those that want it written, and that no worker holds, due."""

    def team_origins(self, run: Run) -> Sequence[str]:
        """The origins of the endpoints of the team of this run, in its account."""

    # Secrets

    def header_values(self, spec: EndpointSpec, owner: str) -> Mapping[str, str]:
        """The values of the headers to the target that can be read now, by name."""

    def record_use(self, owner: str, names: Collection[str], *, used_by: str) -> None:
        """These secrets of a team were sent to AWS."""
