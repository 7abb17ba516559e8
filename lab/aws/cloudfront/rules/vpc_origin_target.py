"""Prerequisites of a VPC origin's target: a load balancer or an instance.

The prerequisites are documented, their error codes are not (lab/README.md, unverified).
"""

from __future__ import annotations

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.protocol.errors import invalid
from lab.aws.resources import targets
from lab.aws.resources.vpc_origin_network import places_of

# Developer Guide, "Supported AWS Regions and Availability Zones" of VPC origins.
_REGIONS = frozenset(
    {
        "af-south-1",
        "ap-east-1",
        "ap-east-2",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-south-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-central-1",
        "ca-west-1",
        "eu-central-1",
        "eu-central-2",
        "eu-north-1",
        "eu-south-1",
        "eu-south-2",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "mx-central-1",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    }
)
_EXCLUDED_ZONES = frozenset({"use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"})


def checked_target(context: Context, arn: str) -> targets.Target:
    """The target with that ARN, if the caller can use it for a VPC origin.

    :raises CloudFrontError: InvalidArgument.
    """
    if not targets.is_target_arn(arn):
        raise invalid(
            "The ARN is not that of an Application or Network Load Balancer or an EC2 instance."
        )
    target = targets.find_target(arn) if targets.target_account(arn) == context.account else None
    if target is None:
        raise invalid(f"The origin endpoint {arn} does not exist in this account.")
    if target.region not in _REGIONS:
        raise invalid(f"VPC origins are not supported in {target.region}.")
    if target.kind == "gateway":
        raise invalid("A Gateway Load Balancer cannot be a VPC origin.")
    if target.state not in ("active", "running"):
        raise invalid(f"The origin endpoint is {target.state}; it must be fully deployed.")
    if not target.security_groups:
        raise invalid("The origin endpoint has no security group.")
    if target.tls_listener:
        raise invalid("A Network Load Balancer with a TLS listener cannot be a VPC origin.")
    if not targets.has_internet_gateway(target.account, target.region, target.vpc):
        raise invalid(
            f"The VPC {target.vpc} of the origin endpoint has no internet gateway attached."
        )
    for place in places_of(target.account, target.region, target.subnets):
        if place.zone_id in _EXCLUDED_ZONES:
            raise invalid(
                f"The subnet {place.subnet} is in {place.zone_id}, where VPC origins are "
                "not supported."
            )
        if not place.served and place.free_addresses < 1:
            raise invalid(f"The subnet {place.subnet} has no free IPv4 address.")
    return target
