"""Quotas that would take hundreds of calls to reach, lowered while the lab runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.account import (
    CACHING_DISABLED,
    Account,
    Lab,
    assert_refused,
    behavior,
    custom_origin,
    listed,
)

QUOTAS = {
    "distributions": 3,
    "distributions_per_policy": 2,
    "distributions_per_web_acl": 2,
    "origin_groups": 2,
}


@pytest.fixture(autouse=True)
def _few(lab: Lab) -> Iterator[None]:
    lab.post("/_lab/settings", {"quotas": QUOTAS})
    yield
    lab.post("/_lab/settings", {"quotas": dict.fromkeys(QUOTAS)})


@pytest.mark.rule("quota/distributions")
def test_distributions_staging_ones_included(account: Account) -> None:
    made = [account.create_distribution() for _ in range(3)]
    with assert_refused("TooManyDistributions", 400):
        account.create_distribution()
    with assert_refused("TooManyDistributions", 400):
        account.cloudfront.copy_distribution(
            PrimaryDistributionId=made[0]["Distribution"]["Id"],
            IfMatch=made[0]["ETag"],
            Staging=True,
            CallerReference="copy",
        )


@pytest.mark.rule("quota/distributions-per-policy")
def test_distributions_of_a_policy_of_ones_own(account: Account) -> None:
    given = account.cloudfront.create_cache_policy(CachePolicyConfig={"Name": "mine", "MinTTL": 0})
    mine = {**behavior("web"), "CachePolicyId": given["CachePolicy"]["Id"]}
    first = account.create_distribution(DefaultCacheBehavior=mine)
    account.create_distribution(CacheBehaviors=listed({**mine, "PathPattern": "/ws"}))
    with assert_refused("TooManyDistributionsAssociatedToCachePolicy", 400):
        account.create_distribution(DefaultCacheBehavior=mine)
    # Distributions that have it can still be updated, and managed policies have no such limit.
    config = {**first["Distribution"]["DistributionConfig"], "Comment": "changed"}
    account.cloudfront.update_distribution(
        Id=first["Distribution"]["Id"], IfMatch=first["ETag"], DistributionConfig=config
    )
    third: Any = account.create_distribution()["Distribution"]["DistributionConfig"]
    assert third["DefaultCacheBehavior"]["CachePolicyId"] == CACHING_DISABLED


@pytest.mark.rule("quota/web-acl-associations")
def test_distributions_of_a_web_acl(account: Account) -> None:
    web_acl = account.web_acl()
    for _ in range(2):
        account.create_distribution(WebACLId=web_acl)
    third = account.create_distribution()
    with assert_refused("EntityLimitExceeded", 400):
        account.cloudfront.associate_distribution_web_acl(
            Id=third["Distribution"]["Id"], WebACLArn=web_acl, IfMatch=third["ETag"]
        )


def test_origin_groups(account: Account) -> None:
    members = listed({"OriginId": "web"}, {"OriginId": "spare"})
    groups = [
        {"Id": name, "FailoverCriteria": {"StatusCodes": listed(502)}, "Members": members}
        for name in ("a", "b", "c")
    ]
    origins = listed(custom_origin("web"), custom_origin("spare"))
    with assert_refused("TooManyOriginGroupsPerDistribution", 400):
        account.create_distribution(Origins=origins, OriginGroups=listed(*groups))
    account.create_distribution(Origins=origins, OriginGroups=listed(*groups[:2]))
