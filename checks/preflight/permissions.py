"""Preflight questions about the portal's own role: may it do what the plan needs, and undo it?
(PURE)

IAM's simulation answers (provisioning.facts.permissions). It knows the role's policies but not
every circumstance of a later call, so a "no" is a warning, and "it depends" is not known.
"""

from __future__ import annotations

from collections.abc import Iterable

from checks.preflight.results import Fix, Level, PreflightResult, PreflightSubject, unknown
from provisioning.facts.names import SERVICE_ROLE_NAME
from provisioning.facts.permissions import (
    CREATE_SERVICE_ROLE,
    OFF_LIMITS_TAG,
    VPC_ORIGIN_SERVICE,
    Permission,
)
from provisioning.facts.snapshot import Snapshot

_OPENING = frozenset(
    {"ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:CreateTags"}
)


def permissions(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    """Whether the role may do all of it. The role for VPC origins is a question of its own."""
    if gap := snapshot.gap("permissions"):
        return unknown("PF-PERMISSION", gap.reason)
    if snapshot.permissions is None:
        return unknown("PF-PERMISSION", "Not checked.")
    target = snapshot.target
    opens = (
        subject.open_security_group
        and target is not None
        and any(target.admits_cloudfront(port) is None for port in subject.origin_ports)
    )
    needed = [
        one
        for one in snapshot.permissions
        if one.action != CREATE_SERVICE_ROLE and (opens or one.action not in _OPENING)
    ]
    denied = _actions(one for one in needed if one.allowed is False)
    if denied:
        return PreflightResult(
            "PF-PERMISSION",
            Level.WARN,
            f"IAM would deny {', '.join(denied)} to the portal's role.",
            "The run would fail there and roll back as far as the role allows. "
            "IAM evaluates the role's own policies, its permissions boundary "
            "and the organization's policies.",
            Fix(
                "IAM > Roles > edge-portal > Permissions: compare with the "
                "portal's IAM policy (docs/iam-policy.json), then check the "
                f"tag {OFF_LIMITS_TAG} of the resource, the role's permissions boundary and the "
                "organization's service control policies.",
                "aws iam put-role-policy --role-name edge-portal --policy-name edge-portal "
                "--policy-document file://docs/iam-policy.json",
                'policy = file("docs/iam-policy.json") in the aws_iam_role_policy',
                opens="The portal's role gets every permission of that file.",
                narrower="Add only the actions that are named above.",
            ),
        )
    depends = [one for one in needed if one.allowed is None]
    if depends:
        keys = sorted({key for one in depends for key in one.missing})
        return unknown(
            "PF-PERMISSION",
            f"IAM's answer for {', '.join(_actions(depends))} depends on {', '.join(keys)}.",
        )
    seen = f"IAM allows {', '.join(_actions(needed))}."
    return PreflightResult("PF-PERMISSION", Level.PASS, seen)


def service_role(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    """AWS makes the role with the first VPC origin, if the portal's role may have it made."""
    if gap := snapshot.gap("service_role") or snapshot.gap("vpc_origins"):
        return unknown("PF-ROLE", gap.reason)
    if snapshot.service_role is None:
        return unknown("PF-ROLE", "Not checked.")
    if snapshot.service_role:
        return PreflightResult("PF-ROLE", Level.PASS, f"{SERVICE_ROLE_NAME} exists.")
    seen = f"The account has no {SERVICE_ROLE_NAME} yet."
    if any(one.action == CREATE_SERVICE_ROLE and one.allowed for one in snapshot.permissions or ()):
        told = (
            f"{seen} AWS creates it with the first VPC origin, and IAM allows "
            "the portal's role to do that."
        )
        return PreflightResult("PF-ROLE", Level.PASS, told)
    return PreflightResult(
        "PF-ROLE",
        Level.WARN,
        seen,
        "AWS creates it with the account's first VPC origin. If the portal "
        "may not create it, AWS answers with a plain AccessDenied that "
        "names no action.",
        Fix(
            "IAM > Roles > edge-portal: allow iam:CreateServiceLinkedRole as "
            "in the portal's IAM policy; or create the role once yourself.",
            f"aws iam create-service-linked-role --aws-service-name {VPC_ORIGIN_SERVICE}",
            f'resource "aws_iam_service_linked_role" "vpcorigin" {{ aws_service_name = '
            f'"{VPC_ORIGIN_SERVICE}" }}',
            opens="CloudFront may then create network interfaces and a security group for VPC "
            "origins in this account; it lets no traffic in.",
            narrower="Create the role yourself; then the portal's role does not need the "
            "permission.",
        ),
    )


def _actions(permissions: Iterable[Permission]) -> list[str]:
    return sorted({one.action for one in permissions})
