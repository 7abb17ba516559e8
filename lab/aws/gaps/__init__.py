"""Where moto differs from AWS, or from run to run, in a way the portal would notice: closed here,
at start.

It decides no behaviour beyond AWS's own; one module for each service replaces or adds functions of
moto and says why. It must never be applied twice, and nothing outside this package may patch moto.
"""

from __future__ import annotations

from lab.aws.gaps.balancers import close_load_balancer_gaps
from lab.aws.gaps.block_public_access import block_public_access, close_block_public_access_gaps
from lab.aws.gaps.identity import VPC_ORIGIN_PRINCIPAL, VPC_ORIGIN_ROLE, close_identity_gaps
from lab.aws.gaps.idle_clocks import close_idle_clock_gaps
from lab.aws.gaps.moments import make_repeatable, moto_moment
from lab.aws.gaps.policy_simulation import close_policy_simulation_gaps
from lab.aws.gaps.public_images import close_public_image_gaps
from lab.aws.gaps.repetitions import find_out_once
from lab.aws.gaps.resource_shares import close_resource_share_gaps
from lab.aws.gaps.service_quotas import close_service_quota_gaps, use_quotas
from lab.aws.gaps.target_health import close_target_health_gaps, report_target_health
from lab.aws.gaps.vpcs import (
    ORIGIN_FACING_IPV6_LIST,
    ORIGIN_FACING_LIST,
    ORIGIN_FACING_WEIGHT,
    RESERVED_GROUP_PREFIX,
    close_vpc_gaps,
)

__all__ = [
    "ORIGIN_FACING_IPV6_LIST",
    "ORIGIN_FACING_LIST",
    "ORIGIN_FACING_WEIGHT",
    "RESERVED_GROUP_PREFIX",
    "VPC_ORIGIN_PRINCIPAL",
    "VPC_ORIGIN_ROLE",
    "block_public_access",
    "close_gaps",
    "moto_moment",
    "report_target_health",
    "use_quotas",
]


def close_gaps() -> None:
    """Apply every difference to moto, once per process."""
    make_repeatable()
    close_public_image_gaps()
    close_load_balancer_gaps()
    close_idle_clock_gaps()
    close_target_health_gaps()
    close_vpc_gaps()
    close_block_public_access_gaps()
    close_identity_gaps()
    close_policy_simulation_gaps()
    close_resource_share_gaps()
    close_service_quota_gaps()
    find_out_once()
