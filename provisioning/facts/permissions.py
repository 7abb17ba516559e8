"""What the portal's role must be allowed to do in an account: the questions for IAM, and what its
answers mean.

PURE. It lists what a plan and its undoing would do, each with the resource and the circumstances in
which AWS will look at the role's policies (docs/iam-policy.json). It never asks, and never takes an
answer that depends on missing context for a yes or a no.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provisioning.facts.names import OWNER_TAG, SERVICE_ROLE_NAME

ALLOWED = "allowed"
CREATE_SERVICE_ROLE = "iam:CreateServiceLinkedRole"
VPC_ORIGIN_SERVICE = "vpcorigin.cloudfront.amazonaws.com"
LISTS = frozenset({"aws:TagKeys"})
"""Circumstances that have several values; all others have one."""


OFF_LIMITS_TAG = "edge-portal:off-limits"
"""With the value "true" it keeps the portal's role off a distribution, VPC origin or group."""


@dataclass(frozen=True)
class Question:
    """Actions on one resource, under the same circumstances (condition key → values)."""

    actions: tuple[str, ...]
    resource: str
    circumstances: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Permission:
    """IAM's answer about one action: its word, and the circumstances that a policy asks for and
    nobody told.
    """

    action: str
    resource: str
    decision: str
    missing: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool | None:
        """Yes, no, or None: it depends."""
        if self.decision == ALLOWED:
            return True
        return None if self.missing else False


def questions(
    account_id: str,
    region: str,
    owner: str,
    *,
    group_id: str = "",
    group_tags: Mapping[str, str] | None = None,
    distribution_id: str = "",
    distribution_tags: Mapping[str, str] | None = None,
    needs_role: bool = False,
) -> tuple[Question, ...]:
    """All that a plan for this security group and distribution could do, and what undoing it would.
    What is empty is left out; ids of what does not exist yet stand for any. Tags are None if they
    could not be read; then IAM's answer may depend on them.
    """
    ours = (
        (f"aws:RequestTag/{OWNER_TAG}", (owner,)),
        (f"aws:ResourceTag/{OWNER_TAG}", (owner,)),
        ("aws:TagKeys", (OWNER_TAG,)),
        *_tagged({}),
    )
    asked = [
        Question(("cloudfront:CreateVpcOrigin",), "*", (ours[0], ours[2])),
        Question(
            ("cloudfront:GetVpcOrigin", "cloudfront:TagResource", "cloudfront:DeleteVpcOrigin"),
            f"arn:aws:cloudfront::{account_id}:vpcorigin/vo_any",
            ours,
        ),
    ]
    if distribution_id:
        distribution = f"arn:aws:cloudfront::{account_id}:distribution/{distribution_id}"
        tags = _tagged(distribution_tags)
        asked.append(Question(("cloudfront:UpdateDistribution",), distribution, tags))
    if group_id:
        changes = ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress")
        group = f"arn:aws:ec2:{region}:{account_id}:security-group/{group_id}"
        asked.append(Question(changes, group, _tagged(group_tags)))
        marking = ("ec2:CreateAction", ("AuthorizeSecurityGroupIngress",))
        rule = f"arn:aws:ec2:{region}:{account_id}:security-group-rule/sgr-any"
        asked.append(Question((changes[0], "ec2:CreateTags"), rule, (*ours, marking)))
    if needs_role:
        role = (
            f"arn:aws:iam::{account_id}:role/aws-service-role/"
            f"{VPC_ORIGIN_SERVICE}/{SERVICE_ROLE_NAME}"
        )
        asked.append(
            Question((CREATE_SERVICE_ROLE,), role, (("iam:AWSServiceName", (VPC_ORIGIN_SERVICE,)),))
        )
    return tuple(asked)


def _tagged(tags: Mapping[str, str] | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What the policy asks of a resource's tags. IAM takes a tag that is not told for missing
    context, so one that does not exist is told as empty.
    """
    if tags is None:
        return ()
    return ((f"aws:ResourceTag/{OFF_LIMITS_TAG}", (tags.get(OFF_LIMITS_TAG, ""),)),)
