"""Which VPC origins AWS RAM may share."""

from __future__ import annotations

import json

from lab.aws.cloudfront.entities.store import CloudFrontStore
from lab.aws.moto_patches.resource_shares import HOME_REGION, vpc_origin_owner
from lab.aws.replies import Refusal

_SHARING_PATHS = ("/createresourceshare", "/associateresourceshare")


def refuse_share(
    store: CloudFrontStore, account: str, region: str, path: str, body: bytes
) -> Refusal | None:
    """Why AWS RAM refuses a share: a VPC origin is unknown or not the account's own, or the Region
    is wrong.
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
