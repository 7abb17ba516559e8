"""VPC origins shared with other accounts: who may use one, resource policies, and what AWS RAM may
share at all.

It decides whose VPC origin an account may name in a distribution or read. AWS RAM itself, with its
invitations, is gaps/resource_shares.py's. It must never let anybody but the owner change a VPC
origin.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lab.aws.cloudfront.context import Context, Operation
from lab.aws.cloudfront.entities.lifecycle import ResourcePolicy, VpcOrigin
from lab.aws.cloudfront.entities.store import CloudFrontStore
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.moto_backend import Refusal
from lab.aws.moto_patches.resource_shares import (
    HOME_REGION,
    consumers_of,
    shared_with,
    vpc_origin_owner,
)

_SHARING_PATHS = ("/createresourceshare", "/associateresourceshare")
_ACCOUNT = re.compile(r"(?:arn:aws:iam::)?(\d{12})(?::root)?")
# IAM's quota for the policy of a resource, in characters.
_LONGEST_POLICY = 10_240
_READ_ACTIONS = [
    "cloudfront:GetVpcOrigin",
    "cloudfront:ListVpcOrigins",
    "cloudfront:ListDistributionsByVpcOriginId",
]


def may_use(context: Context, origin: VpcOrigin) -> bool:
    """True for the owner, and for whom it is shared with."""
    if origin.account == context.account or shared_with(
        origin.arn, origin.account, context.account
    ):
        return True
    policy = context.store.resource_policies.get(origin.arn)
    return policy is not None and context.account in _allowed_accounts(policy.document)


def get_resource_policy(context: Context, call: Call) -> Values:
    """GetResourcePolicy: the owner's own, or the one that AWS RAM keeps for a resource that is
    shared.
    """
    origin = _owned(context, call)
    policy = context.store.resource_policies.get(origin.arn)
    document = policy.document if policy else _ram_policy(origin)
    if document is None:
        raise CloudFrontError("EntityNotFound", "The resource has no resource policy.")
    return {"ResourceArn": origin.arn, "PolicyDocument": document}


def put_resource_policy(context: Context, call: Call) -> Values:
    """PutResourcePolicy: creates or replaces it, unless AWS RAM keeps one."""
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


def refuse_share(
    store: CloudFrontStore, account: str, region: str, path: str, body: bytes
) -> Refusal | None:
    """Why AWS RAM refuses a share before it looks at it: a VPC origin that is unknown, or not the
    sharer's own.
    """
    if path.rstrip("/") not in _SHARING_PATHS:
        return None
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    arns = given.get("resourceArns") if isinstance(given, dict) else None
    for arn in arns if isinstance(arns, list) else ():
        owner = vpc_origin_owner(arn) if isinstance(arn, str) else None
        if owner is None:
            continue
        if region != HOME_REGION:
            return Refusal("InvalidParameterException", f"Share global resources in {HOME_REGION}.")
        if owner != account:
            return Refusal(
                "OperationNotPermittedException",
                f"You cannot share {arn}, which another account owns.",
            )
        origin = store.vpc_origins.get(arn.rpartition("/")[2])
        if origin is None or origin.arn != arn or origin.deleted_at is not None:
            return Refusal("UnknownResourceException", f"The resource {arn} could not be found.")
    return None


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
    statements = _listed(policy.get("Statement")) if isinstance(policy, dict) else []
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            statements = []
            break
    if not statements:
        raise invalid(
            f"PolicyDocument must be an IAM policy in JSON of at most {_LONGEST_POLICY} characters."
        )


def _allowed_accounts(document: str) -> set[str]:
    return {
        found.group(1)
        for text in _allowed_principals(document)
        if (found := _ACCOUNT.fullmatch(text))
    }


def _allowed_principals(document: str) -> Iterator[str]:
    for statement in _listed(json.loads(document)["Statement"]):
        principal = statement.get("Principal")
        if statement["Effect"] == "Allow" and isinstance(principal, dict):
            yield from (text for text in _listed(principal.get("AWS")) if isinstance(text, str))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


OPERATIONS: Mapping[str, Operation] = {
    "GetResourcePolicy": get_resource_policy,
    "PutResourcePolicy": put_resource_policy,
    "DeleteResourcePolicy": delete_resource_policy,
}
