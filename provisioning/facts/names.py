"""AWS's identifiers as types, and the deterministic names the portal gives to what it makes.

PURE. A deterministic name is the idempotency token that CreateVpcOrigin lacks: two attempts at the
same thing carry the same name, so the second is refused by AWS and adopted by us.
"""

import hashlib
from typing import NewType

AccountId = NewType("AccountId", str)
Arn = NewType("Arn", str)
DistributionId = NewType("DistributionId", str)
VpcOriginId = NewType("VpcOriginId", str)
SecurityGroupId = NewType("SecurityGroupId", str)
PolicyId = NewType("PolicyId", str)

CACHING_DISABLED = PolicyId("4135ea2d-6df8-44a3-9df3-4b5a84be39ad")
ALL_VIEWER = PolicyId("216adef6-5c7f-47e4-b989-5492eafa07d3")
ALL_VIEWER_EXCEPT_HOST = PolicyId("b689b0a8-53d0-40ab-baf2-68738e2966ac")
ORIGIN_FACING_PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"
ORIGIN_FACING_IPV6_LIST = "com.amazonaws.global.ipv6.cloudfront.origin-facing"
SERVICE_GROUP_NAME = "CloudFront-VPCOrigins-Service-SG"
SERVICE_ROLE_NAME = "AWSServiceRoleForCloudFrontVPCOrigin"
OWNER_TAG = "edge-portal:owner"


def vpc_origin_key(target_arn: Arn, protocol: str, http_port: int, https_port: int) -> str:
    """Sixteen hex digits that stand for one VPC origin: endpoints with the same key share it."""
    material = "\n".join((target_arn, protocol, str(http_port), str(https_port), "TLSv1.2"))
    return hashlib.sha256(material.encode()).hexdigest()[:16]


def adopted_vpc_origin_key(vpc_origin_id: str) -> str:
    """The same for a VPC origin that was there before the portal."""
    return hashlib.sha256(vpc_origin_id.encode()).hexdigest()[:16]


def vpc_origin_name(owner: str, key: str) -> str:
    """The VPC origin's Name, at most 64 characters (CDK's cap; AWS documents none)."""
    return f"{owner}-{key}"[:64]


def origin_id(owner: str, endpoint_key: str) -> str:
    """The id of our origin inside a distribution; it names the endpoint, so ownership is visible in
    AWS.
    """
    return f"{owner}-{endpoint_key}"


def rule_description(owner: str, key: str) -> str:
    """The description of an ingress rule that we add for a VPC origin."""
    return f"{owner} {key}: CloudFront VPC origin"
