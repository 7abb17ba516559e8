"""Reads from AWS what an export holds: an endpoint, a distribution, or everything that the portal
looks after. The only module here that is not pure.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import QuerySet

from provisioning.aws import distributions, security_groups, tags, vpc_origins
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import Aws
from provisioning.export.content import (
    Config,
    Export,
    ExportedDistribution,
    ExportedRule,
    ExportedVpcOrigin,
    Fragment,
    PlacedBehavior,
    Scope,
    Stack,
    items,
    with_references,
    without_secrets,
)
from provisioning.models import AwsAccount, Endpoint, IngressRule, VpcOrigin

T = TypeVar("T")


class NothingToExport(Exception):
    """What should be exported is not in AWS; the message says so in a sentence."""


@dataclass
class Patience:
    """How long an export waits, in all, for the account's budget of calls to CloudFront. Whoever
    serves others meanwhile has little.
    """

    seconds: float
    sleep: Callable[[float], None] = time.sleep

    def ask(self, call: Callable[[], T]) -> T:
        """The answer of a call, made again at its turn. Raises AwsError when the turn is too far
        away.
        """
        while True:
            try:
                return call()
            except AwsError as error:
                wait = (error.retry_after or 1.0) / float(settings.PROVISIONING_PACE)
                if error.code != OVER_BUDGET or wait > self.seconds:
                    raise
            self.seconds -= wait
            self.sleep(wait)


def export_endpoint(endpoint: Endpoint, patience: Patience) -> Export:
    """The endpoint's VPC origin and rules, and its part of the distribution. Raises AwsError and
    NothingToExport.
    """
    reader = _Reader(endpoint.account, patience)
    distribution_id = endpoint.spec.distribution_id
    record = reader.distribution(distribution_id)
    ours = endpoint.origin_id
    origin = next((one for one in items(record.config, "Origins") if one["Id"] == ours), None)
    if origin is None:
        raise NothingToExport(
            f"Distribution {distribution_id} does not have the origin of {endpoint.name} ({ours}), "
            "so there is nothing to export."
        )
    behaviors = items(record.config, "CacheBehaviors")
    following = [one["PathPattern"] for one in behaviors[1:]] + [""]
    placed = tuple(
        PlacedBehavior(without_secrets(one, f"{ours} {one['PathPattern']}"), place, next_pattern)
        for place, (one, next_pattern) in enumerate(zip(behaviors, following, strict=False))
        if one["TargetOriginId"] == ours
    )
    same = Endpoint.objects.filter(pk=endpoint.pk)
    reader.take_origins([origin], same)
    reader.take_rules(IngressRule.objects.filter(users=endpoint), same)
    own = with_references(without_secrets(origin, ours), reader.known_origins())
    fragment = Fragment(distribution_id, record.domain_name, own, placed)
    return Export(Scope.ENDPOINT, endpoint.name, reader.stacks(fragment))


def export_distribution(account: AwsAccount, distribution_id: str, patience: Patience) -> Export:
    """The whole distribution. Raises AwsError and NothingToExport."""
    reader = _Reader(account, patience)
    reader.take_whole([distribution_id])
    return Export(Scope.DISTRIBUTION, distribution_id, reader.stacks())


def export_fleet(patience: Patience) -> Export:
    """Every distribution with endpoints. Raises AwsError and NothingToExport."""
    found: dict[AwsAccount, set[str]] = defaultdict(set)
    for endpoint in deployed().select_related("account").order_by("account", "created_at"):
        found[endpoint.account].add(endpoint.spec.distribution_id)
    if not found:
        raise NothingToExport("No endpoint is deployed, so there is nothing to export.")
    stacks: list[Stack] = []
    for account, distribution_ids in found.items():
        reader = _Reader(account, patience)
        reader.take_whole(sorted(distribution_ids))
        stacks += reader.stacks()
    return Export(Scope.FLEET, "fleet", tuple(stacks))


def deployed() -> QuerySet[Endpoint]:
    """The endpoints that are in AWS."""
    return Endpoint.objects.filter(state=Endpoint.State.DEPLOYED)


@dataclass
class _Reader:
    """Collects what an account has of an export, asking AWS for each thing once."""

    account: AwsAccount
    patience: Patience
    _distributions: list[ExportedDistribution] = field(default_factory=list)
    _origins: dict[str, ExportedVpcOrigin] = field(default_factory=dict)
    _rules: dict[str, list[ExportedRule]] = field(default_factory=lambda: defaultdict(list))
    _remarks: list[str] = field(default_factory=list)

    @property
    def aws(self) -> Aws:
        """The account's clients."""
        return self.account.client()

    def distribution(self, distribution_id: str) -> distributions.DistributionRecord:
        """The distribution, with a remark on what of it is not known here."""
        record = self.patience.ask(lambda: distributions.read(self.aws, distribution_id))
        if record is None:
            raise NothingToExport(
                f"Distribution {distribution_id} does not exist, so there is nothing to export."
            )
        if record.facts.unknown_elements:
            self._remarks.append(
                f"Distribution {distribution_id} has settings that this version of the portal does "
                f"not know, and they are missing here: {', '.join(record.facts.unknown_elements)}. "
                "Update the portal's boto3, and export again."
            )
        return record

    def take_whole(self, distribution_ids: Iterable[str]) -> None:
        """Take in whole distributions, and what the portal made for them."""
        covered = deployed().filter(
            account=self.account, spec_data__distribution_id__in=list(distribution_ids)
        )
        records = [self.distribution(one) for one in distribution_ids]
        origins = [one for record in records for one in items(record.config, "Origins")]
        self.take_origins(origins, covered)
        for record in records:
            aws_id = record.facts.id
            config = with_references(without_secrets(record.config, aws_id), self.known_origins())
            arn = distributions.arn(self.account.account_id, aws_id)
            self._distributions.append(
                ExportedDistribution(
                    aws_id, record.domain_name, config, self._tags(arn, f"distribution {aws_id}")
                )
            )
        self.take_rules(IngressRule.objects.filter(users__in=covered).distinct(), covered)

    def take_origins(self, origins: Iterable[Config], covered: QuerySet[Endpoint]) -> None:
        """Take in the VPC origins behind these origins. `covered` are the endpoints of the
        export.
        """
        for origin in origins:
            private = origin.get("VpcOriginConfig") or {}
            aws_id = private.get("VpcOriginId", "")
            if not aws_id or aws_id in self._origins:
                continue
            owner = private.get("OwnerAccountId") or self.account.account_id
            ours = owner == self.account.account_id
            record = self._read_vpc_origin(aws_id) if ours else None
            if record is None:
                why = "does not exist" if ours else f"belongs to account {owner}"
                self._remarks.append(
                    f"VPC origin {aws_id} of origin {origin['Id']} {why}, so it is not exported."
                )
                continue
            arn = vpc_origins.arn(self.account.account_id, aws_id)
            others = VpcOrigin.users.through.objects.filter(
                vpcorigin__account=self.account, vpcorigin__aws_id=aws_id
            ).exclude(endpoint__in=covered)
            self._origins[aws_id] = ExportedVpcOrigin(
                aws_id,
                without_secrets(record.config, aws_id),
                self._tags(arn, f"VPC origin {aws_id}"),
                others.count(),
            )

    def take_rules(self, rows: QuerySet[IngressRule], covered: QuerySet[Endpoint]) -> None:
        """Take in the ingress rules of these rows."""
        by_region: dict[str, dict[str, IngressRule]] = defaultdict(dict)
        for row in rows.exclude(rule_id="").order_by("pk"):
            user = row.users.order_by("pk")[0]
            by_region[user.spec.region][row.rule_id] = row
        for region, known in by_region.items():
            found = security_groups.rules_with_tags(self.aws, region, list(known))
            for rule, labels in sorted(found, key=lambda one: one[0].rule_id):
                others = known[rule.rule_id].users.exclude(pk__in=covered)
                self._rules[region].append(
                    ExportedRule(rule, without_secrets(labels, rule.rule_id), others.count())
                )
            gone = known.keys() - {rule.rule_id for rule, _ in found}
            self._remarks += (
                f"Ingress rule {one} does not exist any more, so it is not exported."
                for one in sorted(gone)
            )

    def known_origins(self) -> Iterable[str]:
        """The IDs of the VPC origins taken in so far."""
        return self._origins.keys()

    def stacks(self, fragment: Fragment | None = None) -> tuple[Stack, ...]:
        """What was collected. CloudFront is everywhere: its resources are in the stack of the
        account's own Region.
        """
        home = self.account.region
        first = Stack(
            self.account.account_id,
            home,
            tuple(self._distributions),
            tuple(self._origins.values()),
            tuple(self._rules.get(home, ())),
            fragment,
            tuple(dict.fromkeys(self._remarks)),
        )
        elsewhere = (
            Stack(self.account.account_id, region, rules=tuple(rules))
            for region, rules in sorted(self._rules.items())
            if region != home
        )
        return (first, *elsewhere)

    def _read_vpc_origin(self, aws_id: str) -> vpc_origins.VpcOriginRecord | None:
        return self.patience.ask(lambda: vpc_origins.read(self.aws, aws_id))

    def _tags(self, arn: str, what: str) -> dict[str, Any]:
        """The tags; a role that may not read them is worth a remark, not a refusal."""
        try:
            found = self.patience.ask(lambda: tags.of_resource(self.aws, arn))
        except AwsError as error:
            if error.transient:
                raise
            self._remarks.append(
                f"The tags of {what} could not be read, so applying this would remove them. {error}"
            )
            return {}
        labels: dict[str, Any] = without_secrets(found, arn.rpartition("/")[2])
        return labels
