"""Quotas for policies, key groups and keys: each number of the quotas page is reached once."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.lab.account import Account, assert_refused, behavior, listed


def cache_policy(name: str) -> dict[str, Any]:
    return {"CachePolicyConfig": {"Name": name, "MinTTL": 0}}


def origin_request_policy(name: str) -> dict[str, Any]:
    return {
        "OriginRequestPolicyConfig": {
            "Name": name,
            "HeadersConfig": {"HeaderBehavior": "none"},
            "CookiesConfig": {"CookieBehavior": "none"},
            "QueryStringsConfig": {"QueryStringBehavior": "none"},
        }
    }


def response_headers_policy(name: str) -> dict[str, Any]:
    return {"ResponseHeadersPolicyConfig": {"Name": name}}


@pytest.mark.rule("quota/policies")
def test_twenty_custom_policies_of_each_kind(account: Account) -> None:
    cloudfront = account.cloudfront
    for create, config, code in (
        (cloudfront.create_cache_policy, cache_policy, "TooManyCachePolicies"),
        (
            cloudfront.create_origin_request_policy,
            origin_request_policy,
            "TooManyOriginRequestPolicies",
        ),
        (
            cloudfront.create_response_headers_policy,
            response_headers_policy,
            "TooManyResponseHeadersPolicies",
        ),
    ):
        for number in range(20):
            create(**config(f"policy-{number}"))
        with assert_refused(code, 400):
            create(**config("one-too-many"))


@pytest.mark.rule("quota/key-groups", "policy/key-groups")
def test_ten_key_groups_four_in_a_behavior_five_keys_in_each(account: Account) -> None:
    cloudfront = account.cloudfront
    keys = [public_key(account, f"key-{number}") for number in range(6)]

    def create(name: str, *items: str) -> str:
        made = cloudfront.create_key_group(KeyGroupConfig={"Name": name, "Items": list(items)})
        return str(made["KeyGroup"]["Id"])

    with assert_refused("TooManyPublicKeysInKeyGroup", 400):
        create("too-many-keys", *keys)
    groups = [create(f"group-{number}", *keys[:5]) for number in range(10)]
    with assert_refused("TooManyKeyGroups", 400):
        create("one-too-many", keys[0])

    def trust(*ids: str) -> None:
        trusted = {"Enabled": True, **listed(*ids)}
        account.create_distribution(
            DefaultCacheBehavior={**behavior("web"), "TrustedKeyGroups": trusted}
        )

    trust(*groups[:4])
    with assert_refused("TooManyKeyGroupsAssociatedToDistribution", 400):
        trust(*groups[:5])
    version = cloudfront.get_key_group(Id=groups[0])["ETag"]
    with assert_refused("ResourceInUse", 409):
        cloudfront.delete_key_group(Id=groups[0], IfMatch=version)
    version = cloudfront.get_public_key(Id=keys[0])["ETag"]
    with assert_refused("PublicKeyInUse", 409):
        cloudfront.delete_public_key(Id=keys[0], IfMatch=version)
    version = cloudfront.get_public_key(Id=keys[5])["ETag"]
    cloudfront.delete_public_key(Id=keys[5], IfMatch=version)


def public_key(account: Account, name: str) -> str:
    """Id of a new one."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    text = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    config = {"CallerReference": name, "Name": name, "EncodedKey": text}
    return str(account.cloudfront.create_public_key(PublicKeyConfig=config)["PublicKey"]["Id"])
