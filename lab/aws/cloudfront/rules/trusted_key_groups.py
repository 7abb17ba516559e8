"""Rules for the key groups that a behavior trusts."""

from __future__ import annotations

from collections.abc import Iterator

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Config
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid


def trusted_key_groups(config: Config) -> Iterator[str]:
    """The key groups that the behaviors of a configuration trust."""
    behaviors = [
        config["DefaultCacheBehavior"],
        *((config.get("CacheBehaviors") or {}).get("Items") or []),
    ]
    for behavior in behaviors:
        yield from (behavior.get("TrustedKeyGroups") or {}).get("Items") or []


def check_trusted(context: Context, behavior: Config) -> None:
    """Refuse a behavior with too many or unknown key groups.

    :raises CloudFrontError: TooManyKeyGroupsAssociatedToDistribution, TrustedKeyGroupDoesNotExist,
    InvalidArgument.
    """
    trusted = behavior.get("TrustedKeyGroups") or {}
    groups = trusted.get("Items") or []
    if bool(groups) != bool(trusted.get("Enabled")):
        raise invalid("TrustedKeyGroups must be enabled exactly when it names key groups.")
    limit = context.quotas["key_groups_per_behavior"]
    if len(groups) > limit:
        raise CloudFrontError(
            "TooManyKeyGroupsAssociatedToDistribution",
            f"A cache behavior can have at most {limit} key groups.",
        )
    for group_id in groups:
        group = context.store.key_groups.get(group_id)
        if group is None or group.account != context.account:
            raise CloudFrontError(
                "TrustedKeyGroupDoesNotExist", f"The key group {group_id} does not exist."
            )
