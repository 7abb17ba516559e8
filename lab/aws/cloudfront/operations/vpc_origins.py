"""VPC origins: create, get, list, update, delete.

What CloudFront creates in the VPC is in resources/vpc_origin_network.py; statuses over time are in
entities/lifecycle.py.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation, check_if_match, new_etag, new_id, page
from lab.aws.cloudfront.entities.lifecycle import (
    VPC_ORIGIN_DELETE_SECONDS,
    VPC_ORIGIN_SECONDS,
    VpcOrigin,
    duration,
)
from lab.aws.cloudfront.operations import tagging
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.vpc_origin_sharing import may_use
from lab.aws.cloudfront.rules.vpc_origin_target import checked_target
from lab.aws.resources import targets, vpc_origin_network

_MIXED = string.ascii_letters + string.digits
# The default of OriginSslProtocols, which AWS does not document (lab/README.md, unverified).
_DEFAULT_SSL = {"Quantity": 1, "Items": ["TLSv1.2"]}


def create_vpc_origin(context: Context, call: Call) -> Values:
    """CreateVpcOrigin. Checks in order: arguments, target, name, quota, tags."""
    endpoint = _checked_endpoint(call.parameters["VpcOriginEndpointConfig"])
    target = checked_target(context, endpoint["Arn"])
    _check_name(context, endpoint["Name"], own_id=None)
    limit = context.quotas["vpc_origins"]
    if len(list(_of_account(context))) >= limit:
        raise CloudFrontError(
            "EntityLimitExceeded", f"Your account has reached its limit of {limit} VPC origins."
        )
    tags = tagging.merged({}, call.parameters.get("Tags") or {})
    origin_id = new_id("vo_", 22, _MIXED)
    origin = VpcOrigin(
        account=context.account,
        id=origin_id,
        etag=new_etag(),
        endpoint=endpoint,
        created=context.real_time,
        modified=context.real_time,
        settled_at=context.now + duration(VPC_ORIGIN_SECONDS, origin_id),
        vpc=target.vpc,
        region=target.region,
        tags=tags,
    )
    _attach(context, target)
    context.store.vpc_origins.put(origin)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/vpc-origin/{origin.id}"
    return {"VpcOrigin": _shown(context, origin), "ETag": origin.etag, "Location": location}


def get_vpc_origin(context: Context, call: Call) -> Values:
    """GetVpcOrigin."""
    origin = find(context, call.parameters["Id"])
    return {"VpcOrigin": _shown(context, origin), "ETag": origin.etag}


def list_vpc_origins(context: Context, call: Call) -> Values:
    """ListVpcOrigins: the account's own and those shared with it, in pages."""
    listed = page(
        context,
        [origin for origin in context.store.vpc_origins.values() if _visible(context, origin)],
        call.parameters,
        lambda origin: origin.id,
        lambda origin: _summary(context, origin),
    )
    return {"VpcOriginList": listed}


def update_vpc_origin(context: Context, call: Call) -> Values:
    """UpdateVpcOrigin: not while a distribution uses it, or still serves a configuration
    that does.
    """
    origin = _find_own(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), origin.etag)
    if _in_use(context, origin):
        raise CloudFrontError(
            "CannotUpdateEntityWhileInUse",
            "The VPC origin is associated with one or more distributions. Disassociate it "
            "and wait until they are "
            "deployed before you update it.",
        )
    if origin.deleted_at is not None:
        raise CloudFrontError("IllegalUpdate", "The VPC origin is being deleted.")
    endpoint = _checked_endpoint(call.parameters["VpcOriginEndpointConfig"])
    target = checked_target(context, endpoint["Arn"])
    _check_name(context, endpoint["Name"], own_id=origin.id)
    etag = new_etag()
    changed = dataclasses.replace(
        origin,
        etag=etag,
        endpoint=endpoint,
        modified=context.real_time,
        settled_at=context.now + duration(VPC_ORIGIN_SECONDS, etag),
        vpc=target.vpc,
        region=target.region,
    )
    _attach(context, target)
    context.store.vpc_origins.put(changed)
    detach_if_last(context, origin)
    return {"VpcOrigin": _shown(context, changed), "ETag": changed.etag}


def delete_vpc_origin(context: Context, call: Call) -> Values:
    """DeleteVpcOrigin: asynchronous; Deploying for a few minutes, then EntityNotFound."""
    origin = _find_own(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), origin.etag)
    if _in_use(context, origin):
        raise CloudFrontError(
            "CannotDeleteEntityWhileInUse",
            "The VPC origin is associated with one or more distributions. Disassociate it "
            "and wait until they are "
            "deployed before you delete it.",
        )
    if origin.status(context.now) == "Deploying":
        raise CloudFrontError(
            "IllegalDelete", "The VPC origin cannot be deleted while its status is Deploying."
        )
    etag = new_etag()
    leaving = dataclasses.replace(
        origin,
        etag=etag,
        modified=context.real_time,
        deleted_at=context.now + duration(VPC_ORIGIN_DELETE_SECONDS, etag),
    )
    context.store.vpc_origins.put(leaving)
    return {"VpcOrigin": _shown(context, leaving), "ETag": leaving.etag}


def find(context: Context, origin_id: str) -> VpcOrigin:
    """The VPC origin with that id, if the caller owns it or it is shared with the caller.

    :raises CloudFrontError: EntityNotFound.
    """
    origin = context.store.vpc_origins.get(origin_id)
    if origin is None or not _visible(context, origin):
        raise CloudFrontError("EntityNotFound", "The specified vpc origin does not exist")
    return origin


def detach_if_last(context: Context, former: VpcOrigin) -> None:
    """Remove CloudFront's group and interfaces from a VPC that has no VPC origin left."""
    place = (former.account, former.region, former.vpc)
    for origin in context.store.vpc_origins.values():
        if (origin.account, origin.region, origin.vpc) == place:
            return
    arguments = {"account": former.account, "region": former.region, "vpc": former.vpc}
    context.change_account(vpc_origin_network.DETACH, arguments)


def _attach(context: Context, target: targets.Target) -> None:
    context.change_account(
        vpc_origin_network.ATTACH,
        {
            "account": target.account,
            "region": target.region,
            "vpc": target.vpc,
            "subnets": list(target.subnets),
        },
    )


def _find_own(context: Context, origin_id: str) -> VpcOrigin:
    """As `find`, but only the owner's.

    :raises CloudFrontError: EntityNotFound, AccessDenied.
    """
    origin = find(context, origin_id)
    if origin.account != context.account:
        raise CloudFrontError(
            "AccessDenied", "Only the owner of a VPC origin can update or delete it."
        )
    return origin


def _visible(context: Context, origin: VpcOrigin) -> bool:
    return not origin.gone(context.now) and may_use(context, origin)


def _of_account(context: Context) -> list[VpcOrigin]:
    return [
        origin
        for origin in context.store.vpc_origins.values()
        if origin.account == context.account and not origin.gone(context.now)
    ]


def _in_use(context: Context, origin: VpcOrigin) -> bool:
    return any(
        distribution.uses(origin.id, context.now)
        for distribution in context.store.distributions.values()
    )


def _check_name(context: Context, name: str, own_id: str | None) -> None:
    for origin in _of_account(context):
        if origin.endpoint["Name"] == name and origin.id != own_id:
            raise CloudFrontError(
                "EntityAlreadyExists", f"A VPC origin with the name {name!r} already exists."
            )


def _checked_endpoint(given: Values) -> Values:
    if not 1 <= len(given["Name"]) <= 64:
        raise invalid("The name of a VPC origin must have 1 to 64 characters.")
    for field in ("HTTPPort", "HTTPSPort"):
        port = given[field]
        if port not in (80, 443) and not 1024 <= port <= 65535:
            raise invalid(f"The parameter {field} must be 80, 443 or 1024-65535.")
    return {"OriginSslProtocols": _DEFAULT_SSL, **given}


def _shown(context: Context, origin: VpcOrigin) -> Values:
    return {
        "Id": origin.id,
        "Arn": origin.arn,
        "AccountId": origin.account,
        "Status": origin.status(context.now),
        "CreatedTime": origin.created,
        "LastModifiedTime": origin.modified,
        "VpcOriginEndpointConfig": origin.endpoint,
    }


def _summary(context: Context, origin: VpcOrigin) -> Values:
    return {
        "IpAddressType": origin.endpoint.get("IpAddressType"),
        "Id": origin.id,
        "Name": origin.endpoint["Name"],
        "Status": origin.status(context.now),
        "CreatedTime": origin.created,
        "LastModifiedTime": origin.modified,
        "Arn": origin.arn,
        "AccountId": origin.account,
        "OriginEndpointArn": origin.endpoint["Arn"],
    }


OPERATIONS: Mapping[str, Operation] = {
    "CreateVpcOrigin": create_vpc_origin,
    "GetVpcOrigin": get_vpc_origin,
    "ListVpcOrigins": list_vpc_origins,
    "UpdateVpcOrigin": update_vpc_origin,
    "DeleteVpcOrigin": delete_vpc_origin,
}
