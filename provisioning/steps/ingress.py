"""Step: the target's security group allows CloudFront.

If no rule does yet, and the plan says so, this adds one whose source is the VPC's own CloudFront
service group: narrower than the public prefix list, and closed to the internet. AWS creates that
group with the VPC origin, so this step comes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from provisioning.aws import security_groups, targets
from provisioning.engine.decide import SETTLING_SECONDS, EntryKind
from provisioning.engine.outcome import Missing, Outcome, Ready, Refused, Retry, Working
from provisioning.engine.step import StepSide
from provisioning.facts import names
from provisioning.facts.network import SecurityGroupRule
from provisioning.facts.target import TargetFacts
from provisioning.plan.items import KEEP
from provisioning.steps.approved_plan import PLAN_STALE
from provisioning.steps.context import RunContext, errors_as_outcomes
from provisioning.steps.rows import Rule

BUSY = Retry("Another run is changing the same security group.", "busy", after=1.0, quiet=True)
Keeps = Callable[[RunContext], frozenset[int]]


@errors_as_outcomes
def observe(context: RunContext) -> Outcome:
    """Is every origin port open to CloudFront?"""
    target = _target(context)
    if isinstance(target, Refused):
        return target
    closed = _closed(context, target)
    for port in closed:
        if refused := _not_as_approved(context, target, port):
            return refused
    if not closed:
        return _rely_on(context, target)
    return Missing(f"Allowing CloudFront on TCP {', '.join(map(str, closed))}.")


@errors_as_outcomes
def add_rules(context: RunContext) -> Outcome:
    """Add one rule per closed port. The endpoint is recorded as its user first, so that undo finds
    the rule.
    """
    target = _target(context)
    if isinstance(target, Refused):
        return target
    if not target.service_group_id:
        return Retry(
            f"AWS has not created {names.SERVICE_GROUP_NAME} in {target.vpc_id} yet.",
            "service_group_missing",
        )
    region, opened = context.spec.region, set()
    for port in _closed(context, target):
        if refused := _not_as_approved(context, target, port):
            return refused
        group = _planned(context, port)["after"]["GroupId"]
        with context.rows.lock(_lock(context, group)) as alone:
            if not alone:
                return BUSY
            row = context.rows.claim_rule(group, port, target.service_group_id)
            rule_id = security_groups.authorize(
                context.aws,
                region,
                group,
                port,
                target.service_group_id,
                names.rule_description(context.owner, context.spec.vpc_origin_key),
                {names.OWNER_TAG: context.owner},
            )
            context.rows.record_rule(row, rule_id)
            opened.add(group)
    return (
        Ready(f"Added a rule to {', '.join(sorted(opened))}.")
        if opened
        else Ready("CloudFront is already allowed.")
    )


def removal(keeps: Keeps = lambda _: frozenset()) -> StepSide[RunContext]:
    """Remove the rules that only this endpoint uses, but for those (row ids) that it still
    needs.
    """

    @errors_as_outcomes
    def observe_removal(context: RunContext) -> Outcome:
        kept, removed = keeps(context), 0
        for group in _groups(context, kept):
            with context.rows.lock(_lock(context, group)) as alone:
                if not alone:
                    return BUSY
                sole = context.rows.release_shared_rules(group, kept)
                if any(_in_aws(context, row) for row in sole):
                    return Missing(f"Removing the portal's rule from {group}.")
                for row in sole:
                    context.rows.delete_rule(row)
                removed += len(sole)
        return Ready(
            "The security group rules that only this endpoint used are removed."
            if removed
            else "No security group rule has to be removed."
        )

    @errors_as_outcomes
    def remove_rules(context: RunContext) -> Outcome:
        kept = keeps(context)
        for group in _groups(context, kept):
            with context.rows.lock(_lock(context, group)) as alone:
                if not alone:
                    return BUSY
                for row in context.rows.release_shared_rules(group, kept):
                    rule_id = _in_aws(context, row)
                    if rule_id:
                        # AWS may list it for some seconds more: who reads that must doubt it.
                        context.rows.record_rule(row, "")
                        context.renew_lease()
                        security_groups.revoke(context.aws, context.spec.region, group, rule_id)
        return Ready("Removed.")

    return StepSide(observe_removal, remove_rules)


def held_before(context: RunContext) -> frozenset[int]:
    """The rules that the endpoint used when the run began."""
    return frozenset(context.run.plan_data["held_rules"])


def still_needed(context: RunContext) -> frozenset[int]:
    """The portal's rules of the new target's security groups and ports."""
    target = targets.admission_facts(context.aws, context.spec.target_arn)
    groups = target.security_groups if target else ()
    return frozenset(
        rule.id
        for rule in context.rows.used_rules()
        if rule.group_id in groups and rule.port in context.spec.origin_ports
    )


def _rely_on(context: RunContext, target: TargetFacts) -> Outcome:
    """All ports are open. If a rule of the portal opens one, record this endpoint as its user, then
    read again: the run that added the rule may have been removing it.
    """
    newly = False
    for port in context.spec.origin_ports:
        rule = target.admits_cloudfront(port)
        if rule is None:
            continue
        for row in context.rows.rules_of_others(rule.group_id, port, rule.source):
            with context.rows.lock(_lock(context, row.group_id)) as alone:
                if not alone:
                    return BUSY
                context.rows.use_rule(row)
            newly = True
    again = _target(context) if newly else target
    if isinstance(again, Refused):
        return again
    if closed := _closed(context, again):
        return Missing(f"CloudFront is no longer allowed on TCP {closed[0]}. Adding a rule.")
    return _once_sure(context, again)


def _once_sure(context: RunContext, target: TargetFacts) -> Outcome:
    """All ports are open, by what AWS lists. A rule of the portal that the rows do not know by this
    ID may be one that another run has just removed: it counts if AWS lists it half a minute later.
    """
    used = context.rows.used_rules()
    ours = [(row, rule) for row in used for rule in target.ingress if _is_of(row, rule, context)]
    unknown = [(row, rule.rule_id) for row, rule in ours if row.rule_id != rule.rule_id]
    admitting = filter(None, map(target.admits_cloudfront, context.spec.origin_ports))
    of_rows = {rule.rule_id for _, rule in ours}
    if unknown or any(
        rule.owner == context.owner and rule.rule_id not in of_rows for rule in admitting
    ):
        now = context.clock()
        doubted = context.rows.began("ingress", EntryKind.WORKING) or now
        until = doubted + timedelta(seconds=SETTLING_SECONDS / context.pace)
        if now < until:
            return Working(
                "Another run may just have removed the rule that allows CloudFront. Checking again "
                "in a moment.",
                until=until,
            )
    for row, rule_id in unknown:
        context.rows.record_rule(row, rule_id)
    return Ready("The security group allows CloudFront.")


def _closed(context: RunContext, target: TargetFacts) -> list[int]:
    """The origin ports on which no rule allows CloudFront. If the plan has no rule for a port, any
    prefix list counts as open: its entries are not read, and the plan says so.
    """
    return [
        port
        for port in context.spec.origin_ports
        if target.admits_cloudfront(port) is None
        and (_planned(context, port) or not _listed(target, port))
    ]


def _listed(target: TargetFacts, port: int) -> bool:
    return any(rule.source_kind == "prefix-list" and rule.covers(port) for rule in target.ingress)


def _planned(context: RunContext, port: int) -> Mapping[str, Any]:
    """The approved plan's item for a port; empty if it has none."""
    items = (item for item in context.run.plan_data["items"] if item["resource"] == "ingress-rule")
    return next((item for item in items if item["after"]["Port"] == port), {})


def _not_as_approved(context: RunContext, target: TargetFacts, port: int) -> Refused | None:
    """Why no rule may be added for a closed port: only an approved one is."""
    planned = _planned(context, port)
    if not planned:
        return Refused(
            f"No rule of the target's security groups allows CloudFront on TCP {port}.",
            "ingress_closed",
            "Add a rule for the CloudFront prefix list, or let the plan open the security group.",
        )
    group = planned["after"]["GroupId"]
    if planned["action"] == KEEP:
        changed = f"the rule of {group} that allowed CloudFront on TCP {port} is gone"
    elif group not in target.security_groups:
        changed = (
            f"{group}, which was to allow CloudFront on TCP {port}, no longer belongs to the target"
        )
    else:
        return None
    text = f"AWS has changed since the plan was approved: {changed}."
    return Refused(text, PLAN_STALE, data={"changes": [changed]})


def _target(context: RunContext) -> TargetFacts | Refused:
    target = targets.admission_facts(context.aws, context.spec.target_arn)
    if target is None:
        return Refused(
            "The target no longer exists.",
            "target_gone",
            "Create the load balancer again, or request the endpoint with another target.",
        )
    if not target.security_groups:
        return Refused(
            "The target has no security group.",
            "no_security_group",
            "Attach one; AWS requires it.",
        )
    return target


def _lock(context: RunContext, group: str) -> str:
    return f"ingress {context.account.pk} {group}"


def _groups(context: RunContext, kept: frozenset[int]) -> list[str]:
    """The security groups with rules of the portal that this endpoint uses and does not keep."""
    return sorted({one.group_id for one in context.rows.used_rules() if one.id not in kept})


def _in_aws(context: RunContext, row: Rule) -> str:
    """The rule's ID in AWS, or "": found by ID, or by source and port if the reply with the ID was
    lost.
    """
    for rule in security_groups.ingress_rules(context.aws, context.spec.region, [row.group_id]):
        if _is_of(row, rule, context) or (row.rule_id and rule.rule_id == row.rule_id):
            return rule.rule_id
    return ""


def _is_of(row: Rule, rule: SecurityGroupRule, context: RunContext) -> bool:
    """Whether a rule in AWS is the one that the portal added, or was about to, as the row says."""
    settings = (rule.group_id, rule.source, rule.from_port, rule.owner)
    return settings == (row.group_id, row.source_group_id, row.port, context.owner)
