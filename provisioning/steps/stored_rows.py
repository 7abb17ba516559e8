"""The rows of steps in the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from provisioning.aws.session import Aws
from provisioning.engine.decide import Direction, EntryKind
from provisioning.facts.snapshot import Snapshot
from provisioning.locks import try_lock
from provisioning.models import (
    AwsAccount,
    Endpoint,
    IngressRule,
    JournalEntry,
    Run,
    VpcOrigin,
    Watch,
)
from provisioning.plan.plan import CHANGE, CREATE, REMOVE, Plan
from provisioning.planning import plan_from, snapshot_for_plan
from provisioning.run_conditions import unmet_condition
from provisioning.secrets.header_values import readable_values
from provisioning.secrets.store import record_use
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.steps.rows import Part, Rule, SharedVpcOrigin, WatchFacts
from provisioning.watches import record_observation, record_write


@dataclass(frozen=True)
class StoredVpcOriginRows(ABC):
    """The rows of the work on a VPC origin. `renew_lease` raises if it is another worker's by
    now.
    """

    clock: Callable[[], datetime]
    renew_lease: Callable[[], None]

    @property
    @abstractmethod
    def account(self) -> AwsAccount:
        """The account of the VPC origin."""

    @abstractmethod
    def hold(self, row: VpcOrigin) -> None:
        """Record that it is needed here. Its row is locked."""

    @abstractmethod
    def let_go(self, row: VpcOrigin) -> None:
        """Record that it is not needed here any more. Its row is locked."""

    def client(self) -> Aws:
        return self.account.client()

    def lock(self, name: str) -> AbstractContextManager[bool]:
        return try_lock(name)

    def claim_vpc_origin(self, key: str) -> SharedVpcOrigin:
        with transaction.atomic():
            row = self._locked(key)
            self.hold(row)
        return SharedVpcOrigin(key, row.aws_id)

    def release_vpc_origin(self, key: str) -> SharedVpcOrigin:
        with transaction.atomic():
            row = self._locked(key)
            self.let_go(row)
            return SharedVpcOrigin(key, row.aws_id, row.holders)

    def announce_deletion(self, key: str, aws_id: str, status: str) -> SharedVpcOrigin:
        with transaction.atomic():
            origin = self.release_vpc_origin(key)
            if not origin.others:
                self.record_write(
                    Watch.Resource.VPC_ORIGIN, aws_id, status, {"deleting": True}, self.clock()
                )
            return origin

    def record_vpc_origin(self, key: str, aws_id: str) -> None:
        self._vpc_origins(key).update(aws_id=aws_id)

    def forget_vpc_origin(self, key: str, aws_id: str) -> None:
        self._vpc_origins(key).filter(aws_id=aws_id).update(aws_id="")

    def forget_unused_vpc_origin(self, key: str) -> None:
        self._vpc_origins(key).filter(users__isnull=True, head_starts__isnull=True).update(
            aws_id=""
        )

    def watch(self, resource: str, aws_id: str) -> WatchFacts | None:
        account = self.account
        row = Watch.objects.filter(account=account, resource=resource, aws_id=aws_id).first()
        return _watch(row) if row else None

    def record_write(
        self, resource: str, aws_id: str, status: str, detail: Mapping[str, Any], now: datetime
    ) -> WatchFacts:
        return _watch(record_write(self.account, resource, aws_id, status, detail, now))

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
        account = self.account
        record_observation(account, resource, aws_id, status, detail, began=began, now=now)
        return _watch(Watch.objects.get(account=account, resource=resource, aws_id=aws_id))

    def _vpc_origins(self, key: str) -> Any:
        return VpcOrigin.objects.filter(account=self.account, key=key)

    def _locked(self, key: str) -> VpcOrigin:
        """The row, locked, in the transaction that confirms that the run is still ours."""
        account = self.account
        VpcOrigin.objects.get_or_create(account=account, key=key)
        row = VpcOrigin.objects.select_for_update().get(account=account, key=key)
        self.renew_lease()
        return row


@dataclass(frozen=True)
class StoredRows(StoredVpcOriginRows):
    """The rows of one run."""

    run: Run

    @property
    def account(self) -> AwsAccount:
        return self.run.endpoint.account

    def hold(self, row: VpcOrigin) -> None:
        row.users.add(self.run.endpoint)

    def let_go(self, row: VpcOrigin) -> None:
        row.users.remove(self.run.endpoint)

    def unmet_condition(self) -> str:
        return unmet_condition(self.run)

    def snapshot(self) -> Snapshot:
        return snapshot_for_plan(self.account, self.run.action, self.run.spec)

    def plan_again(self, snapshot: Snapshot) -> Plan:
        return plan_from(
            snapshot,
            self.account,
            self.run.action,
            self.run.spec,
            team=self.run.endpoint.owner,
            endpoint_id=self.run.endpoint.pk,
            grace_seconds=self.run.plan_data["grace_seconds"],
        )

    def began(
        self, step: str, kind: str = "", direction: Direction = Direction.FORWARD
    ) -> datetime | None:
        entries = self.run.entries.filter(step=step, direction=direction)
        if kind:
            entries = entries.filter(kind=kind)
        first = entries.order_by("seq").first()
        return first.since if first else None

    def vpc_origin_id(self, account_id: str, key: str) -> str:
        row = VpcOrigin.objects.filter(account_id=account_id, key=key).first()
        return row.aws_id if row else ""

    def claim_rule(self, group_id: str, port: int, source_group_id: str) -> Rule:
        with transaction.atomic():
            self.renew_lease()
            row, _ = IngressRule.objects.get_or_create(
                account=self.account,
                group_id=group_id,
                port=port,
                source_group_id=source_group_id,
            )
            row.users.add(self.run.endpoint)
        return _rule(row)

    def record_rule(self, rule: Rule, rule_id: str) -> None:
        IngressRule.objects.filter(pk=rule.id).update(rule_id=rule_id)

    def used_rules(self) -> list[Rule]:
        rows = IngressRule.objects.filter(account=self.account, users=self.run.endpoint)
        return [_rule(row) for row in rows.order_by("pk")]

    def rules_of_others(self, group_id: str, port: int, source_group_id: str) -> list[Rule]:
        rows = IngressRule.objects.filter(
            account=self.account,
            group_id=group_id,
            port=port,
            source_group_id=source_group_id,
        )
        return [_rule(row) for row in rows.exclude(users=self.run.endpoint)]

    def use_rule(self, rule: Rule) -> None:
        with transaction.atomic():
            self.renew_lease()
            still = IngressRule.objects.select_for_update().filter(pk=rule.id).first()
            if still is not None:
                still.users.add(self.run.endpoint)

    def release_shared_rules(self, group_id: str, kept: Collection[int]) -> list[Rule]:
        sole = []
        with transaction.atomic():
            for row in IngressRule.objects.select_for_update().filter(
                users=self.run.endpoint, group_id=group_id
            ):
                if row.pk in kept:
                    continue
                if row.users.exclude(pk=self.run.endpoint.pk).exists():
                    row.users.remove(self.run.endpoint)
                else:
                    sole.append(_rule(row))
        return sole

    def delete_rule(self, rule: Rule) -> None:
        IngressRule.objects.filter(pk=rule.id).delete()

    def wants_to_write(self, distribution_id: str) -> None:
        Run.objects.filter(pk=self.run.pk).update(writes_distribution=distribution_id)

    def companions(self, distribution_id: str) -> list[Part]:
        asking = (
            Run.objects.active()
            .select_related("endpoint")
            .filter(writes_distribution=distribution_id, endpoint__account=self.account)
            .exclude(pk=self.run.pk)
            .order_by("pk")
        )
        undoing = Q(state=Run.State.UNDOING)
        forward = asking.exclude(undoing).exclude(entries__kind=EntryKind.CANCEL)
        needed = _writes().filter(kind=EntryKind.INTENT, direction=Direction.BACKWARD)
        backward = asking.filter(undoing, Exists(needed))
        return [
            *((run, Direction.FORWARD) for run in forward),
            *((run, Direction.BACKWARD) for run in backward),
        ]

    def others_due(self, distribution_id: str, now: datetime) -> list[datetime]:
        undoing = Q(state=Run.State.UNDOING)
        ready = _writes().filter(kind=EntryKind.READY)
        forward = ~undoing & ~Exists(ready.filter(direction=Direction.FORWARD))
        backward = (
            undoing
            & Exists(_writes().filter(direction=Direction.FORWARD))
            & ~Exists(ready.filter(direction=Direction.BACKWARD))
        )
        others = Run.objects.active().filter(
            forward | backward,
            Q(state=Run.State.RUNNING) | Q(due_at__lte=now),
            writes_distribution="",
            endpoint__account=self.account,
            plan_data__spec__distribution_id=distribution_id,
            plan_data__action__in=(CREATE, CHANGE, REMOVE),
        )
        return list(others.exclude(pk=self.run.pk).values_list("due_at", flat=True))

    def wake_companions(self, distribution_id: str, now: datetime) -> None:
        Run.objects.active().filter(
            writes_distribution=distribution_id,
            endpoint__account=self.account,
            lease_until__isnull=True,
        ).make_due(now)

    def team_origins(self, run: Run) -> list[str]:
        endpoint = run.endpoint
        same = Endpoint.objects.filter(account=endpoint.account_id, owner=endpoint.owner)
        return [one.origin_id for one in same]

    def header_values(self, spec: EndpointSpec, owner: str) -> dict[str, str]:
        return readable_values(spec, owner)

    def record_use(self, owner: str, names: Collection[str], *, used_by: str) -> None:
        record_use(owner, names, used_by=used_by, now=self.clock())


def _writes() -> Any:
    """The journal entries of the step that writes the distribution, as a subquery of runs."""
    return JournalEntry.objects.filter(run=OuterRef("pk"), step="behaviors")


def _rule(row: IngressRule) -> Rule:
    return Rule(row.pk, row.group_id, row.port, row.source_group_id, row.rule_id)


def _watch(row: Watch) -> WatchFacts:
    waited_for = row.waiters.filter(state=Run.State.WAITING).exists()
    return WatchFacts(row.pk, row.status, row.detail, row.seen_at, waited_for)
