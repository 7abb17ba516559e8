"""Where moto differs from AWS in a way the portal would notice, or from one run to the next: one
module of patches per service.

A patch brings moto closer to AWS's documented behavior and says in which way moto differs. No other
package patches moto. Features of the lab's own do not belong here.
"""

from __future__ import annotations

from lab.aws.moto_patches.block_public_access import (
    block_public_access,
    patch_block_public_access,
)
from lab.aws.moto_patches.cached_lookups import cache_lookups
from lab.aws.moto_patches.iam_and_sts import (
    VPC_ORIGIN_PRINCIPAL,
    VPC_ORIGIN_ROLE,
    patch_iam_and_sts,
)
from lab.aws.moto_patches.idle_timeouts import patch_idle_timeouts
from lab.aws.moto_patches.load_balancers import patch_load_balancers
from lab.aws.moto_patches.policy_simulation import patch_policy_simulation
from lab.aws.moto_patches.public_images import patch_public_images
from lab.aws.moto_patches.resource_shares import patch_resource_shares
from lab.aws.moto_patches.service_quotas import patch_service_quotas, use_quotas
from lab.aws.moto_patches.target_health import patch_target_health, report_target_health
from lab.aws.moto_patches.time_and_random import fixed_time_and_seed, patch_time_and_random
from lab.aws.moto_patches.vpcs import (
    ORIGIN_FACING_IPV6_LIST,
    ORIGIN_FACING_LIST,
    ORIGIN_FACING_WEIGHT,
    RESERVED_GROUP_PREFIX,
    patch_vpcs,
)

__all__ = [
    "ORIGIN_FACING_IPV6_LIST",
    "ORIGIN_FACING_LIST",
    "ORIGIN_FACING_WEIGHT",
    "RESERVED_GROUP_PREFIX",
    "VPC_ORIGIN_PRINCIPAL",
    "VPC_ORIGIN_ROLE",
    "apply_patches",
    "block_public_access",
    "fixed_time_and_seed",
    "report_target_health",
    "use_quotas",
]


def apply_patches() -> None:
    """Patch moto. Call it once per process."""
    patch_time_and_random()
    patch_public_images()
    patch_load_balancers()
    patch_idle_timeouts()
    patch_target_health()
    patch_vpcs()
    patch_block_public_access()
    patch_iam_and_sts()
    patch_policy_simulation()
    patch_resource_shares()
    patch_service_quotas()
    # Last, since methods added after this are not found.
    cache_lookups()
