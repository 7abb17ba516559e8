"""Everything that a plan or a preflight is based on, read in one go.

What AWS refuses or does not answer is no exception but a Gap with the reason, so that "not known"
differs from "does not exist".
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, TypeVar

from provisioning.aws import (
    distributions,
    domain_conflicts,
    request_policies,
    tags,
    targets,
    vpc_origins,
    web_acls,
)
from provisioning.aws import quotas as service_quotas
from provisioning.aws.certificates import certificate
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.permissions import simulate
from provisioning.aws.service_role import has_service_role
from provisioning.aws.session import Aws
from provisioning.aws.thread_pool import ThreadPool
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.forwarding import MANAGED_REQUEST_POLICIES, Forwarding
from provisioning.facts.names import DistributionId
from provisioning.facts.permissions import questions
from provisioning.facts.snapshot import Gap, Snapshot, VpcOriginFacts
from provisioning.facts.target import TargetFacts
from provisioning.spec.fields import MAX_PATHS

MAX_PORTS = 2
Part = TypeVar("Part")
Unknown = TypeVar("Unknown")


def distribution_snapshot(aws: Aws, distribution_id: str) -> Snapshot:
    """The distribution alone: what a removal needs to know."""
    try:
        record = distributions.read(aws, DistributionId(distribution_id))
    except AwsError as error:
        return Snapshot(None, None, gaps=(_gap("distribution", error),))
    return Snapshot(None, record.facts if record else None)


def adoption_snapshot(aws: Aws, distribution_id: str) -> Snapshot:
    """The distribution, the settings of the account's VPC origins that it uses, and its custom
    origin request policies: what can be adopted follows from that. Raises AwsError.
    """
    record = distributions.read(aws, DistributionId(distribution_id))
    if record is None:
        return Snapshot(None, None)
    used = {
        one.vpc_origin_id
        for one in record.facts.origins
        if one.vpc_origin_id and one.owner_account in ("", aws.account.account_id)
    }
    found = {one: vpc_origins.read(aws, one) for one in sorted(used)}
    return Snapshot(
        None,
        record.facts,
        distribution_config=record.config,
        vpc_origin_configs={name: one.config for name, one in found.items() if one is not None},
        request_policies=_request_policies(aws, record.facts),
    )


def with_vpc_origin(aws: Aws, taken: Snapshot, vpc_origin_id: str) -> Snapshot:
    """The snapshot with one VPC origin in detail: its settings, and how many distributions use it.
    What AWS does not say is the gap vpc_origins.
    """
    try:
        record = vpc_origins.read(aws, vpc_origin_id)
        if record is None:
            return taken
        used_by = vpc_origins.distributions_of(aws, vpc_origin_id)
    except AwsError as error:
        others = tuple(gap for gap in taken.gaps if gap.what != "vpc_origins")
        return replace(taken, gaps=(*others, _gap("vpc_origins", error)))
    listed = [one for one in taken.vpc_origins if one.id != vpc_origin_id]
    return replace(
        taken,
        vpc_origins=(*listed, replace(record.facts, distributions=used_by)),
        vpc_origin_configs={**taken.vpc_origin_configs, vpc_origin_id: record.config},
    )


def take_snapshot(
    aws: Aws, *, target_arn: str, distribution_id: str, owner: str, permissions: bool = False
) -> Snapshot:
    """Target, distribution and the account's VPC origins. An empty ARN or id is not asked for, and
    is no gap.

    VPC origins named like this portal's that lead to the target (to any, without an ARN) are also
    asked whether they carry its tag (`ours`), and ours how many distributions use them: not the
    account's others, which no judgement of this target needs. Service Quotas is asked only where
    the account is so full that AWS's defaults would not do. An account that has VPC origins has
    CloudFront's role for them too; only of others IAM is asked. With `permissions`, IAM is also
    asked what the portal's role may do to this target and distribution. Gaps are named target,
    distribution, distribution_tags, web_acl, request_policies, unusable_origins, vpc_origins,
    viewer_certificate, service_role, permissions, quotas, domain_conflicts, and for parts of the
    target listeners, rules, certificates, ingress, subnets, acls, internet_gateway,
    block_public_access, prefix_list, list_weights, service_group, group_tags, target_health,
    attributes, addresses, addresses_behind, internet_facing_load_balancers, api_gateway.
    """
    gaps: list[Gap] = []

    def settle(what: str, future: Future[Part] | None, unknown: Unknown) -> Part | Unknown:
        if future is None:
            return unknown
        try:
            return future.result()
        except AwsError as error:
            gaps.append(_gap(what, error))
            return unknown

    # Two pools, because a whole waits for its parts.
    with (
        ThreadPool(targets.LOOKS_AT_ONCE, "parts") as parts,
        ThreadPool(3, "snapshot") as whole,
    ):
        target = whole.submit(targets.survey_target, aws, target_arn, parts) if target_arn else None
        distribution = (
            whole.submit(distributions.read, aws, distribution_id) if distribution_id else None
        )
        origins = whole.submit(_vpc_origins, aws, owner, target_arn, parts)
        survey = settle("target", target, targets.Survey(None, {}))
        record = settle("distribution", distribution, None)
        known = settle("vpc_origins", origins, ())
        shown = record.facts.certificate_arn if record else ""
        viewer = whole.submit(certificate, aws, shown) if shown else None
        wide = [name for name in record.facts.aliases if name.startswith("*.")] if record else []
        conflicts = (
            whole.submit(domain_conflicts.of_names, aws, distribution_id, wide) if record else None
        )
        shield = record.facts.web_acl_id if record else ""
        rules = whole.submit(web_acls.read, aws, shield) if shield else None
        policies = whole.submit(_request_policies, aws, record.facts) if record else None
        listed = not any(gap.what == "vpc_origins" for gap in gaps)
        origins_asked = (
            whole.submit(vpc_origins.unusable, aws, record.facts.origins, [one.id for one in known])
            if record and listed
            else None
        )
        asked = (
            bool(target_arn) and not known and not any(gap.what == "vpc_origins" for gap in gaps)
        )
        role = whole.submit(has_service_role, aws) if asked else None
        viewer_certificate = settle("viewer_certificate", viewer, None)
        service_role = settle("service_role", role, True if known else None)
        allowed = None
        if permissions and target_arn and not aws.account.role_arn:
            gaps.append(
                Gap(
                    "permissions",
                    "The portal has no role in this account, so IAM cannot be asked about it.",
                )
            )
        elif permissions and target_arn:
            group = (survey.facts.group_to_open or "") if survey.facts else ""
            by_group = dict(survey.facts.group_tags or ()) if survey.facts else {}
            arn = f"arn:aws:cloudfront::{aws.account.account_id}:distribution/{distribution_id}"
            labels = whole.submit(tags.of_resource, aws, arn) if record else None
            asked_of_iam = questions(
                aws.account.account_id,
                target_arn.split(":")[3],
                owner,
                group_id=group,
                group_tags=dict(named) if (named := by_group.get(group)) is not None else None,
                distribution_id=distribution_id,
                distribution_tags=settle("distribution_tags", labels, None),
                needs_role=service_role is False,
            )
            allowed = settle("permissions", whole.submit(simulate, aws, asked_of_iam, parts), None)
        quotas = settle("quotas", whole.submit(_quotas, aws, known, record, survey.facts), {})
        overlapping = settle("domain_conflicts", conflicts, None)
        unusable = settle("unusable_origins", origins_asked, ())
        web_acl = settle("web_acl", rules, None)
        custom_policies = settle("request_policies", policies, ())
    gaps += [_gap(what, error) for what, error in survey.failures.items()]
    return Snapshot(
        target=survey.facts,
        distribution=record.facts if record else None,
        distribution_config=record.config if record else None,
        vpc_origins=known,
        viewer_certificate=viewer_certificate,
        service_role=service_role,
        permissions=allowed,
        domain_conflicts=overlapping,
        request_policies=custom_policies,
        web_acl=web_acl,
        unusable_origins=tuple(one.id for one in unusable),
        target_successor=survey.successor,
        **quotas,
        gaps=tuple(sorted(gaps, key=lambda gap: gap.what)),
    )


def _gap(what: str, error: AwsError) -> Gap:
    """The reason, with what can be done about it."""
    turn = (error.retry_after or 0.0) if error.code == OVER_BUDGET else None
    return Gap(what, f"{error} {error.fix}".strip(), turn)


def _quotas(
    aws: Aws,
    known: Sequence[VpcOriginFacts],
    record: distributions.DistributionRecord | None,
    target: TargetFacts | None,
) -> dict[str, Any]:
    """What applies in the account, as fields of the snapshot."""
    default = Snapshot(None, None)
    found: dict[str, Any] = {}
    behaviors, origins = (
        (len(record.facts.behaviors), len(record.facts.origins)) if record else (0, 0)
    )
    full = behaviors + MAX_PATHS > default.behavior_quota or origins >= default.origin_quota
    if full or len(known) >= default.vpc_origin_quota:
        found |= service_quotas.of_cloudfront(aws)
    if target is not None and target.group_to_open:
        used = target.rules_used(target.group_to_open)
        if used is not None and used + MAX_PORTS > default.rules_per_group:
            found |= service_quotas.of_security_groups(aws, target.arn.split(":")[3])
    return found


def _request_policies(aws: Aws, facts: DistributionFacts) -> tuple[tuple[str, Forwarding], ...]:
    """The custom ones that a behavior names. One that is refused is refused for all: it is the
    portal's permission.
    """
    named = {
        behavior.origin_request_policy_id for behavior in (*facts.behaviors, facts.default_behavior)
    }
    read = (
        (one, request_policies.read(aws, one))
        for one in sorted(named - MANAGED_REQUEST_POLICIES.keys() - {""})
    )
    return tuple((policy_id, found) for policy_id, found in read if found is not None)


def _vpc_origins(
    aws: Aws, owner: str, target_arn: str, pool: Executor
) -> tuple[VpcOriginFacts, ...]:
    """All of them; those that carry our name and lead to the target with the answer to whether they
    carry our tag.
    """

    def told_apart(origin: VpcOriginFacts) -> VpcOriginFacts:
        if not origin.name.startswith(f"{owner}-") or target_arn not in ("", origin.target_arn):
            return origin
        arn = vpc_origins.arn(aws.account.account_id, origin.id)
        ours = vpc_origins.owner_of(aws, arn) == owner
        # How many use it matters only for one that can be reused.
        used_by = vpc_origins.distributions_of(aws, origin.id) if ours and target_arn else None
        return replace(origin, ours=ours, distributions=used_by)

    return tuple(pool.map(told_apart, vpc_origins.list_all(aws)))
