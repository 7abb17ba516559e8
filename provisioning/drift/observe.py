"""Asks AWS what an account has, and compares it with the portal's rows.

Each distribution, the list of VPC origins and the security groups of a Region are read once, for
all endpoints of the account. What AWS does not show is a trouble, never a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from provisioning.aws import distributions, security_groups, vpc_origins
from provisioning.aws import quotas as service_quotas
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import Aws
from provisioning.drift import comparison
from provisioning.drift.comparison import Applied, Difference
from provisioning.facts import names
from provisioning.facts.network import SecurityGroupRule, rules_used
from provisioning.facts.quota_use import QuotaUse
from provisioning.facts.snapshot import Snapshot
from provisioning.models import AwsAccount, Endpoint, Run, VpcOrigin

DEFAULTS = Snapshot(None, None)
"""AWS's default quotas."""


@dataclass
class Observed:
    """The differences, the sources that AWS showed, what it did not show, in words, and how much of
    its quotas is used.
    """

    differences: list[Difference] = field(default_factory=list)
    uses: list[QuotaUse] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)

    def add(self, source: str, found: Iterable[Difference]) -> None:
        """What one source shows."""
        self.sources.add(source)
        self.differences += found

    def missed(self, source: str, error: AwsError) -> None:
        """AWS did not show a source. Raises the error if only our call budget was used up."""
        if error.code == OVER_BUDGET:
            raise error
        self.troubles.append(f"{source}: {error}")


def observe(account: AwsAccount) -> Observed:
    """Everything that differs in an account. Raises AwsError if the call budget does not suffice:
    ask again later.
    """
    observed, applied = Observed(), applied_in(account)
    quotas = _quotas(account, observed)
    _distributions(account, applied, observed, quotas)
    _vpc_origins(account, applied, observed, quotas)
    _rules(account, applied, observed)
    return observed


def _quotas(account: AwsAccount, observed: Observed) -> dict[str, int]:
    """CloudFront's quotas that AWS names; the others are its defaults."""
    try:
        return service_quotas.of_cloudfront(account.client())
    except AwsError as error:
        observed.missed("quotas", error)
        return {}


def applied_in(account: AwsAccount) -> list[Applied]:
    """The deployed endpoints of an account, as approved; without those that a run changes now."""
    deployed = account.endpoints.filter(state=Endpoint.State.DEPLOYED).exclude(
        runs__state__in=Run.ACTIVE
    )
    neighbors = frozenset(_origins_of_endpoints(account))
    origins = {row.key: row.aws_id for row in VpcOrigin.objects.filter(account=account)}
    found = []
    for endpoint in deployed.prefetch_related("ingress_rules"):
        if plan := endpoint.applied_plan():
            rules = endpoint.ingress_rules.all()
            own = {(one.group_id, one.port, one.source_group_id) for one in rules}
            found.append(
                comparison.applied(
                    plan, endpoint=endpoint.key, origins=origins, rules=own, neighbors=neighbors
                )
            )
    return found


def _distributions(
    account: AwsAccount, applied: list[Applied], observed: Observed, quotas: Mapping[str, int]
) -> None:
    """Also those whose endpoints are gone: something of theirs may be left there."""
    aws, owner = account.client(), settings.PROVISIONING_OWNER
    known = set(_origins_of_endpoints(account))
    listed = account.endpoints.values_list("spec_data__distribution_id", flat=True)
    for distribution_id in sorted(set(listed)):
        source = comparison.distribution_source(distribution_id)
        try:
            record = distributions.read(aws, distribution_id)
        except AwsError as error:
            observed.missed(source, error)
            continue
        config = record.config if record else None
        here = [one for one in applied if one.distribution_id == distribution_id]
        found = [each for one in here for each in comparison.compare_distribution(one, config)]
        if config is not None:
            found += comparison.orphan_origins(distribution_id, config, owner=owner, known=known)
        if record is not None:
            facts = record.facts
            for resource, name, used in (
                ("behaviors", "behavior_quota", len(facts.behaviors)),
                ("origins", "origin_quota", len(facts.origins)),
            ):
                quota = quotas.get(name, getattr(DEFAULTS, name))
                observed.uses.append(
                    QuotaUse(resource, distribution_id, used, quota, name not in quotas)
                )
        observed.add(source, found)


def _vpc_origins(
    account: AwsAccount, applied: list[Applied], observed: Observed, quotas: Mapping[str, int]
) -> None:
    aws, owner = account.client(), settings.PROVISIONING_OWNER
    rows = VpcOrigin.objects.filter(account=account).values_list("key", "aws_id")
    known = {names.vpc_origin_name(owner, key) for key, _ in rows}
    recorded = {aws_id for _, aws_id in rows}
    configs: dict[str, Mapping[str, Any] | None] = {}
    try:
        present = vpc_origins.list_all(aws)
        ids = {one.id for one in present}
        name = "vpc_origin_quota"
        quota = quotas.get(name, DEFAULTS.vpc_origin_quota)
        observed.uses.append(QuotaUse("vpc-origins", "", len(present), quota, name not in quotas))
        for aws_id in sorted({one.vpc_origin_id for one in applied if one.vpc_origin_id}):
            # One that is shared by another account is in no list of ours.
            record = vpc_origins.read(aws, aws_id) if aws_id in ids else None
            configs[aws_id] = record.config if record else None
        orphans = [
            comparison.orphan_vpc_origin(one)
            for one in comparison.named_as_ours(present, owner=owner, known=known)
            # An adopted one is recognized by its ID: no name or tag says whose it is.
            if one.id not in recorded
            and vpc_origins.owner_of(aws, vpc_origins.arn(account.pk, one.id)) == owner
        ]
    except AwsError as error:
        observed.missed(comparison.VPC_ORIGINS, error)
        return
    found = [
        each
        for one in applied
        if one.vpc_origin_id
        for each in comparison.compare_vpc_origin(one, configs[one.vpc_origin_id])
    ]
    observed.add(comparison.VPC_ORIGINS, found + orphans)


def _rules(account: AwsAccount, applied: list[Applied], observed: Observed) -> None:
    aws, owner = account.client(), settings.PROVISIONING_OWNER
    rows = account.ingress_rules.values_list("group_id", "port", "source_group_id")
    known = set(rows)
    for region in sorted({account.region, *(one.region for one in applied)}):
        here = [one for one in applied if one.region == region]
        groups = sorted({group for one in here for group, _, _ in one.rules})
        source = comparison.rules_source(region)
        try:
            present = security_groups.ingress_rules(aws, region, groups)
            tagged = security_groups.owned_rules(aws, region, owner)
            observed.uses += _rules_used(aws, region, groups, present)
        except AwsError as error:
            observed.missed(source, error)
            continue
        found = [each for one in here for each in comparison.compare_rules(one, present)]
        observed.add(source, [*found, *comparison.orphan_rules(region, tagged, known=known)])


def _rules_used(
    aws: Aws, region: str, groups: list[str], present: tuple[SecurityGroupRule, ...]
) -> list[QuotaUse]:
    """The rules of each group; nothing of one with a prefix list whose size AWS does not say."""
    lists = sorted({one.source for one in present if one.source_kind == "prefix-list"})
    weights = dict(security_groups.list_weights(aws, region, lists)[0])
    said = service_quotas.of_security_groups(aws, region) if groups else {}
    quota, assumed = said.get("rules_per_group", DEFAULTS.rules_per_group), not said
    used = {group: rules_used(present, group, weights) for group in groups}
    return [
        QuotaUse("rules", group, count, quota, assumed)
        for group, count in used.items()
        if count is not None
    ]


def _origins_of_endpoints(account: AwsAccount) -> Iterable[str]:
    """The origins of all endpoints that are built or being built."""
    for endpoint in account.endpoints.exclude(state=Endpoint.State.ABSENT):
        yield endpoint.origin_id
