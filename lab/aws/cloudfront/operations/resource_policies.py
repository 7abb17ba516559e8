"""Resource policies of VPC origins: get, put, delete.

Only the owner may read or change one. AWS RAM with its invitations is in
moto_patches/resource_shares.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation
from lab.aws.cloudfront.entities.lifecycle import ResourcePolicy, VpcOrigin
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.vpc_origin_sharing import listed, may_use
from lab.aws.moto_patches.resource_shares import (
    consumers_of,
    vpc_origin_owner,
)

# IAM's quota for a resource policy, in characters.
_LONGEST_POLICY = 10_240
_READ_ACTIONS = [
    "cloudfront:GetVpcOrigin",
    "cloudfront:ListVpcOrigins",
    "cloudfront:ListDistributionsByVpcOriginId",
]


def get_resource_policy(context: Context, call: Call) -> Values:
    """GetResourcePolicy: the owner's, or the one that AWS RAM created for a shared resource."""
    origin = _owned(context, call)
    policy = context.store.resource_policies.get(origin.arn)
    document = policy.document if policy else _ram_policy(origin)
    if document is None:
        raise CloudFrontError("EntityNotFound", "The resource has no resource policy.")
    return {"ResourceArn": origin.arn, "PolicyDocument": document}


def put_resource_policy(context: Context, call: Call) -> Values:
    """PutResourcePolicy: creates or replaces it, unless AWS RAM manages it."""
    origin = _owned(context, call)
    document = call.parameters["PolicyDocument"]
    _check_policy(document)
    if _ram_policy(origin) is not None:
        raise CloudFrontError(
            "IllegalUpdate", "The resource is shared through AWS RAM, which keeps its policy."
        )
    context.store.resource_policies.put(ResourcePolicy(context.account, origin.arn, document))
    return {"ResourceArn": origin.arn}


def delete_resource_policy(context: Context, call: Call) -> Values:
    """DeleteResourcePolicy."""
    origin = _owned(context, call)
    policy = context.store.resource_policies.get(origin.arn)
    if policy is not None:
        context.store.resource_policies.drop(policy)
    elif _ram_policy(origin) is not None:
        raise CloudFrontError(
            "IllegalDelete", "The resource is shared through AWS RAM, which keeps its policy."
        )
    else:
        raise CloudFrontError("EntityNotFound", "The resource has no resource policy.")
    return {}


def _owned(context: Context, call: Call) -> VpcOrigin:
    arn = call.parameters["ResourceArn"]
    owner = vpc_origin_owner(arn)
    if owner is None:
        raise invalid(f"The ARN is not that of a resource that can be shared: {arn}")
    origin = context.store.vpc_origins.get(arn.rpartition("/")[2])
    if (
        origin is None
        or origin.arn != arn
        or origin.gone(context.now)
        or not may_use(context, origin)
    ):
        raise CloudFrontError("EntityNotFound", "The specified resource does not exist.")
    if origin.account != context.account:
        raise CloudFrontError(
            "AccessDenied", "Only the owner of a resource can see or change its policy."
        )
    return origin


def _ram_policy(origin: VpcOrigin) -> str | None:
    principals = consumers_of(origin.arn, origin.account)
    if not principals:
        return None
    statement = {
        "Sid": "ram",
        "Effect": "Allow",
        "Principal": {"AWS": principals},
        "Action": _READ_ACTIONS,
        "Resource": origin.arn,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _check_policy(document: str) -> None:
    try:
        policy = json.loads(document) if len(document) <= _LONGEST_POLICY else None
    except (ValueError, RecursionError):
        policy = None
    statements = listed(policy.get("Statement")) if isinstance(policy, dict) else []
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            statements = []
            break
    if not statements:
        raise invalid(
            f"PolicyDocument must be an IAM policy in JSON of at most {_LONGEST_POLICY} characters."
        )


OPERATIONS: Mapping[str, Operation] = {
    "GetResourcePolicy": get_resource_policy,
    "PutResourcePolicy": put_resource_policy,
    "DeleteResourcePolicy": delete_resource_policy,
}
