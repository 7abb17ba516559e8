"""Quotas as AWS applies them to an account. Asked only where AWS's defaults would not do, so most
looks need no call.

It judges nothing. AWS documents the names of CloudFront's quotas but not all of their codes, so
names are compared; a quota that is not in the list keeps its default.
"""

from __future__ import annotations

from typing import Any, cast

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import CLOUDFRONT_REGION, Aws

RULES_PER_GROUP_CODE = "L-0EA8095F"
_CLOUDFRONT = {
    "vpc origins per": "vpc_origin_quota",
    "cache behaviors per distribution": "behavior_quota",
    "origins per distribution": "origin_quota",
}
"""Beginning of a quota's name → the snapshot's field for it."""


def of_cloudfront(aws: Aws) -> dict[str, int]:
    """The snapshot's fields that AWS names, with the values that apply."""
    found: dict[str, int] = {}
    with calling("ListServiceQuotas"):
        pages = aws.quotas_read(CLOUDFRONT_REGION).get_paginator("list_service_quotas")
        for page in pages.paginate(ServiceCode="cloudfront"):
            for quota in cast("Any", page["Quotas"]):
                name = str(quota["QuotaName"]).lower()
                for beginning, field in _CLOUDFRONT.items():
                    if name.startswith(beginning):
                        found[field] = int(quota["Value"])
    return found


def of_security_groups(aws: Aws, region: str) -> dict[str, int]:
    """How many rules a security group may have in the Region; nothing where the account has no
    value of its own.
    """
    try:
        with calling("GetServiceQuota"):
            answer = aws.quotas_read(region).get_service_quota(
                ServiceCode="vpc", QuotaCode=RULES_PER_GROUP_CODE
            )
    except AwsError as error:
        if error.is_absent:
            return {}
        raise
    return {"rules_per_group": int(cast("Any", answer)["Quota"]["Value"])}
