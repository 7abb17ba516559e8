"""Step: what an adopted endpoint uses is in the portal's rows, so that nothing which it needs is
deleted with another endpoint. AWS is only read.
"""

from __future__ import annotations

from django.db import transaction

from provisioning.aws import targets
from provisioning.engine.outcome import Missing, Outcome, Ready
from provisioning.engine.step import StepSide
from provisioning.models import IngressRule, VpcOrigin
from provisioning.steps.context import RunContext, errors_as_outcomes


@errors_as_outcomes
def observe(context: RunContext) -> Outcome:
    """Is the endpoint a user of its VPC origin?"""
    held = VpcOrigin.objects.filter(
        account=context.account, aws_id=context.spec.vpc_origin_id, users=context.endpoint
    )
    if held.exists():
        return Ready(f"VPC origin {context.spec.vpc_origin_id} is the endpoint's now.")
    return Missing("Recording what the endpoint uses.")


@errors_as_outcomes
def record(context: RunContext) -> Outcome:
    """Record it as a user of its VPC origin, and of the portal's own rules that admit CloudFront to
    its target. A rule that others made stays theirs.
    """
    target = targets.admission_facts(context.aws, context.spec.target_arn)
    used = [target.admits_cloudfront(port) for port in context.spec.origin_ports] if target else []
    with transaction.atomic():
        context.renew_lease()
        row, _ = VpcOrigin.objects.get_or_create(
            account=context.account,
            key=context.spec.vpc_origin_key,
            defaults={"aws_id": context.spec.vpc_origin_id},
        )
        VpcOrigin.objects.filter(pk=row.pk).update(aws_id=context.spec.vpc_origin_id)
        row.users.add(context.endpoint)
        for rule in used:
            if rule is None:
                continue
            ours = IngressRule.objects.select_for_update().filter(
                account=context.account, group_id=rule.group_id, source_group_id=rule.source
            )
            for one in ours.filter(port__in=context.spec.origin_ports):
                one.users.add(context.endpoint)
    return Ready("Recorded.")


@errors_as_outcomes
def observe_none(context: RunContext) -> Outcome:
    """Is the endpoint a user of nothing?"""
    endpoint = context.endpoint
    if endpoint.vpc_origins.exists() or endpoint.ingress_rules.exists():
        return Missing("Forgetting what the endpoint uses.")
    return Ready("Nothing is recorded. AWS is as it was.")


@errors_as_outcomes
def forget(context: RunContext) -> Outcome:
    """End its use of everything. Nothing is deleted in AWS."""
    with transaction.atomic():
        context.renew_lease()
        context.endpoint.vpc_origins.clear()
        context.endpoint.ingress_rules.clear()
    return Ready("Forgotten.")


RECORD: StepSide[RunContext] = StepSide(observe, record)
FORGET: StepSide[RunContext] = StepSide(observe_none, forget)
