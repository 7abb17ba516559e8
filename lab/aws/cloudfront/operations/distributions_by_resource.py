"""ListDistributionsBy…: which distributions use a policy, a key group, a web ACL or a VPC origin.

Only the newest accepted configuration counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lab.aws.cloudfront.context import Context, Operation, page
from lab.aws.cloudfront.entities.lifecycle import Distribution
from lab.aws.cloudfront.operations.distributions import summary
from lab.aws.cloudfront.operations.signing_keys import find_key_group
from lab.aws.cloudfront.operations.vpc_origins import find as find_vpc_origin
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.policy_kinds import KINDS, PolicyKind, names_policy
from lab.aws.cloudfront.rules.trusted_key_groups import trusted_key_groups
from lab.aws.resources import web_acls

# ListDistributionsByWebACLId's id for "without a web ACL".
_NO_WEB_ACL = "null"
_OWNED_ARN = re.compile(r"arn:aws:cloudfront::\d{12}:vpcorigin/[\w-]+")


def list_by_vpc_origin(context: Context, call: Call) -> Values:
    """ListDistributionsByVpcOriginId."""
    origin = find_vpc_origin(context, call.parameters["VpcOriginId"])
    return _ids(
        context,
        call,
        (entity for entity in _own(context) if origin.id in entity.latest.vpc_origin_ids),
    )


def list_by_owned_resource(context: Context, call: Call) -> Values:
    """ListDistributionsByOwnedResource: distributions of any account that use a VPC origin of the
    caller.
    """
    arn = call.parameters["ResourceArn"]
    if not _OWNED_ARN.fullmatch(arn):
        raise invalid(f"The ARN is not that of a resource that can be shared: {arn}")
    origins = [origin for origin in context.store.vpc_origins.values() if origin.arn == arn]
    if not origins or origins[0].account != context.account:
        raise CloudFrontError("EntityNotFound", f"The resource does not exist: {arn}")
    users = (
        entity
        for entity in context.store.distributions.values()
        if origins[0].id in entity.latest.vpc_origin_ids
    )
    listed = page(
        context,
        users,
        call.parameters,
        _identity,
        lambda entity: {"DistributionId": entity.id, "OwnerAccountId": entity.account},
    )
    return {"DistributionList": listed}


def list_by_web_acl(context: Context, call: Call) -> Values:
    """ListDistributionsByWebACLId: whole summaries; "null" means distributions without one."""
    web_acl = call.parameters["WebACLId"]
    wanted = "" if web_acl == _NO_WEB_ACL else web_acl
    users = [
        entity for entity in _own(context) if entity.latest.config.get("WebACLId", "") == wanted
    ]
    if wanted and not users and not web_acls.has_web_acl(context.account, wanted):
        raise CloudFrontError("InvalidWebACLId", f"A web ACL ID specified is not valid: {web_acl}")
    listed = page(
        context, users, call.parameters, _identity, lambda entity: summary(context, entity)
    )
    return {"DistributionList": listed}


def list_by_key_group(context: Context, call: Call) -> Values:
    """ListDistributionsByKeyGroup."""
    group = find_key_group(context, call.parameters["KeyGroupId"])
    return _ids(
        context,
        call,
        (
            entity
            for entity in _own(context)
            if group.id in trusted_key_groups(entity.latest.config)
        ),
    )


def _by_policy(kind: PolicyKind) -> Operation:
    """ListDistributionsByCachePolicyId and the same for the other kinds."""

    def list_by_policy(context: Context, call: Call) -> Values:
        policy = kind.find(context, call.parameters[kind.field])
        users = (
            entity
            for entity in _own(context)
            if names_policy(entity.latest.config, kind, policy.id)
        )
        return _ids(context, call, users)

    return list_by_policy


def _own(context: Context) -> Iterable[Distribution]:
    return (
        entity
        for entity in context.store.distributions.values()
        if entity.account == context.account
    )


def _ids(context: Context, call: Call, users: Iterable[Distribution]) -> Values:
    return {"DistributionIdList": page(context, users, call.parameters, _identity, _identity)}


def _identity(distribution: Distribution) -> str:
    return distribution.id


OPERATIONS: Mapping[str, Operation] = {
    "ListDistributionsByVpcOriginId": list_by_vpc_origin,
    "ListDistributionsByOwnedResource": list_by_owned_resource,
    "ListDistributionsByWebACLId": list_by_web_acl,
    "ListDistributionsByKeyGroup": list_by_key_group,
    **{f"ListDistributionsBy{kind.field}": _by_policy(kind) for kind in KINDS},
}
