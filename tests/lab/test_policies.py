"""Cache policies and origin request policies, managed and custom."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.rules.policy_config import check_cache_policy
from lab.config import DEFAULT_QUOTAS
from tests.lab.account import (
    ALL_VIEWER,
    CACHING_DISABLED,
    Account,
    Lab,
    assert_refused,
    behavior,
    listed,
)
from tests.lab.contract_stories import pem

WEBSOCKET_HEADERS = (
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)


def policy(name: str = "websocket", **changes: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Comment": "",
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(*WEBSOCKET_HEADERS)},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
        **changes,
    }


# CloudFront Developer Guide: Use managed cache policies, Use managed origin request policies.
CACHE_IDS = {
    "Managed-CachingDisabled": CACHING_DISABLED,
    "Managed-CachingOptimized": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "Managed-CachingOptimizedForUncompressedObjects": "b2884449-e4de-46a7-ac36-70bc7f1ddd6d",
    "UseOriginCacheControlHeaders": "83da9c7e-98b4-4e11-a168-04f0df8e2c65",
    "UseOriginCacheControlHeaders-QueryStrings": "4cc15a8a-d715-48a4-82b8-cc0b614638fe",
}
ORIGIN_REQUEST_IDS = {
    "Managed-AllViewer": ALL_VIEWER,
    "Managed-AllViewerExceptHostHeader": "b689b0a8-53d0-40ab-baf2-68738e2966ac",
    "Managed-AllViewerAndCloudFrontHeaders-2022-06": "33f36d7e-f396-46d9-90e0-52428a34d9dc",
    "Managed-HostHeaderOnly": "bf0718e1-ba1e-49d1-88b1-f726733018ae",
    "Managed-CORS-CustomOrigin": "59781a5b-3903-41f3-afcb-af62929ccde1",
    "Managed-CORS-S3Origin": "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf",
    "Managed-UserAgentRefererHeaders": "acba4595-bd28-49b8-b9fe-13317c0390fa",
}


class TestManaged:
    @pytest.mark.rule("policy/managed-ids")
    def test_every_id_is_awss(self, lab: Lab, account: Account) -> None:
        for who in (account, lab.account()):
            cloudfront = who.cloudfront
            caches = cloudfront.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]
            requests = cloudfront.list_origin_request_policies(Type="managed")[
                "OriginRequestPolicyList"
            ]["Items"]
            given = [item["CachePolicy"] for item in caches]
            assert {each["CachePolicyConfig"]["Name"]: each["Id"] for each in given} == CACHE_IDS
            given = [item["OriginRequestPolicy"] for item in requests]
            assert {
                each["OriginRequestPolicyConfig"]["Name"]: each["Id"] for each in given
            } == ORIGIN_REQUEST_IDS

    @pytest.mark.rule("policy/managed-ids")
    def test_with_awss_ids_and_contents(self, account: Account) -> None:
        listed_policies = account.cloudfront.list_origin_request_policies(Type="managed")[
            "OriginRequestPolicyList"
        ]
        by_id = {item["OriginRequestPolicy"]["Id"]: item for item in listed_policies["Items"]}
        config = by_id[ALL_VIEWER]["OriginRequestPolicy"]["OriginRequestPolicyConfig"]
        assert config["Name"] == "Managed-AllViewer"
        assert config["HeadersConfig"] == {"HeaderBehavior": "allViewer"}
        shown = account.cloudfront.get_origin_request_policy(
            Id="b689b0a8-53d0-40ab-baf2-68738e2966ac"
        )
        assert shown["OriginRequestPolicy"]["OriginRequestPolicyConfig"]["HeadersConfig"] == {
            "HeaderBehavior": "allExcept",
            "Headers": {"Quantity": 1, "Items": ["host"]},
        }
        caches = account.cloudfront.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]
        assert CACHING_DISABLED in {item["CachePolicy"]["Id"] for item in caches}
        disabled = account.cloudfront.get_cache_policy_config(Id=CACHING_DISABLED)[
            "CachePolicyConfig"
        ]
        assert (disabled["MinTTL"], disabled["DefaultTTL"], disabled["MaxTTL"]) == (0, 0, 0)
        with assert_refused("NoSuchCachePolicy", 404):
            account.cloudfront.get_cache_policy(Id="nobody")

    @pytest.mark.rule("policy/managed-stay")
    def test_cannot_be_changed(self, account: Account) -> None:
        etag = account.cloudfront.get_origin_request_policy(Id=ALL_VIEWER)["ETag"]
        with assert_refused("IllegalUpdate", 400):
            account.cloudfront.update_origin_request_policy(
                Id=ALL_VIEWER, IfMatch=etag, OriginRequestPolicyConfig=policy()
            )
        with assert_refused("IllegalDelete", 400):
            account.cloudfront.delete_origin_request_policy(Id=ALL_VIEWER, IfMatch=etag)


class TestCustom:
    @pytest.mark.rule("policy/origin-request-custom", "policy/update-at-once")
    def test_create_read_update_delete(self, lab: Lab, account: Account) -> None:
        made = account.cloudfront.create_origin_request_policy(OriginRequestPolicyConfig=policy())
        policy_id = made["OriginRequestPolicy"]["Id"]
        own = account.cloudfront.list_origin_request_policies(Type="custom")[
            "OriginRequestPolicyList"
        ]
        assert [item["OriginRequestPolicy"]["Id"] for item in own["Items"]] == [policy_id]
        assert lab.get("/_lab/state")["origin_request_policies"][policy_id]["header_names"] == list(
            WEBSOCKET_HEADERS
        )
        cookies = {"CookieBehavior": "all"}
        written = account.cloudfront.update_origin_request_policy(
            Id=policy_id,
            IfMatch=made["ETag"],
            OriginRequestPolicyConfig=policy(CookiesConfig=cookies),
        )
        with assert_refused("PreconditionFailed", 412):
            account.cloudfront.delete_origin_request_policy(Id=policy_id, IfMatch=made["ETag"])
        config = account.cloudfront.get_origin_request_policy_config(Id=policy_id)[
            "OriginRequestPolicyConfig"
        ]
        assert config["CookiesConfig"] == cookies
        account.cloudfront.delete_origin_request_policy(Id=policy_id, IfMatch=written["ETag"])
        with assert_refused("NoSuchOriginRequestPolicy", 404):
            account.cloudfront.get_origin_request_policy(Id=policy_id)

    @pytest.mark.rule("policy/own-account", "policy/in-use-stays")
    def test_belongs_to_its_account(self, lab: Lab, account: Account) -> None:
        made = account.cloudfront.create_origin_request_policy(OriginRequestPolicyConfig=policy())
        policy_id = made["OriginRequestPolicy"]["Id"]
        theirs = {**behavior("web"), "OriginRequestPolicyId": policy_id}
        account.create_distribution(DefaultCacheBehavior=theirs)
        with assert_refused("NoSuchOriginRequestPolicy", 404):
            lab.account().create_distribution(DefaultCacheBehavior=theirs)
        with assert_refused("OriginRequestPolicyInUse", 409):
            account.cloudfront.delete_origin_request_policy(Id=policy_id, IfMatch=made["ETag"])

    @pytest.mark.rule("policy/name-once", "policy/list-needs-items", "quota/headers-in-policy")
    def test_rules(self, account: Account) -> None:
        create = account.cloudfront.create_origin_request_policy
        create(OriginRequestPolicyConfig=policy())
        with assert_refused("OriginRequestPolicyAlreadyExists", 409):
            create(OriginRequestPolicyConfig=policy())
        many = [f"X-Header-{number}" for number in range(11)]
        headers = {"HeaderBehavior": "whitelist", "Headers": listed(*many)}
        with assert_refused("TooManyHeadersInOriginRequestPolicy", 400):
            create(OriginRequestPolicyConfig=policy("many", HeadersConfig=headers))
        with assert_refused("InvalidArgument", 400):
            create(
                OriginRequestPolicyConfig=policy(
                    "none", HeadersConfig={"HeaderBehavior": "whitelist"}
                )
            )


@pytest.mark.rule("policy/not-in-cache-key", "quota/names-in-policy")
@pytest.mark.parametrize(
    ("headers", "cookies", "accepted"),
    [
        (["CloudFront-Viewer-Country"], [], True),
        (["cloudfront-viewer-address"], [], False),
        (["CloudFront-Viewer-TLS"], [], False),
        (["x" * 256], ["c" * 256, "d" * 256, "e" * 256], True),
        (["x" * 256], ["c" * 256, "d" * 256, "e" * 257], False),
    ],
)
def test_what_a_cache_key_cannot_hold(
    headers: list[str], cookies: list[str], accepted: bool
) -> None:
    key = {
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(*headers)},
        "CookiesConfig": {"CookieBehavior": "whitelist", "Cookies": listed(*cookies)}
        if cookies
        else {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    }
    config = {
        "Name": "key",
        "MinTTL": 0,
        "DefaultTTL": 1,
        "MaxTTL": 1,
        "ParametersInCacheKeyAndForwardedToOrigin": key,
    }
    with (
        contextlib.nullcontext()
        if accepted
        else pytest.raises(CloudFrontError, match="InvalidArgument")
    ):
        check_cache_policy(config, DEFAULT_QUOTAS)


@pytest.mark.rule("api/tags", "api/invalid-tags", "vpc-origin/tags")
@pytest.mark.rule("policy/cache-custom", "policy/update-at-once")
def test_a_cache_policy_of_ones_own_reaches_the_edge(lab: Lab, account: Account) -> None:
    cloudfront = account.cloudfront
    made = cloudfront.create_cache_policy(CachePolicyConfig={"Name": "short", "MinTTL": 5})
    policy_id = made["CachePolicy"]["Id"]
    shown = cloudfront.get_cache_policy_config(Id=policy_id)["CachePolicyConfig"]
    assert (shown["DefaultTTL"], shown["MaxTTL"]) == (86_400, 31_536_000), "filled in as AWS does"
    assert lab.get("/_lab/state")["cache_policies"][policy_id]["min_ttl"] == 5
    account.create_distribution(
        DefaultCacheBehavior={**behavior("web"), "CachePolicyId": policy_id}
    )
    changed = {"Name": "short", "MinTTL": 1, "DefaultTTL": 2, "MaxTTL": 3}
    cloudfront.update_cache_policy(Id=policy_id, IfMatch=made["ETag"], CachePolicyConfig=changed)
    assert lab.get("/_lab/state")["cache_policies"][policy_id]["max_ttl"] == 3
    with assert_refused("InvalidArgument", 400):
        cloudfront.create_cache_policy(CachePolicyConfig={**changed, "Name": "odd", "MaxTTL": 0})
    disabled = {"Name": "off", "MinTTL": 0, "DefaultTTL": 0, "MaxTTL": 0}
    nothing = (
        {"HeaderBehavior": "none"},
        {"CookieBehavior": "none"},
        {"QueryStringBehavior": "none"},
    )
    key = dict(zip(("HeadersConfig", "CookiesConfig", "QueryStringsConfig"), nothing, strict=True))
    for compressed, accepted in ((True, False), (False, True)):
        parts = {
            "ParametersInCacheKeyAndForwardedToOrigin": {
                "EnableAcceptEncodingGzip": compressed,
                **key,
            }
        }
        if accepted:
            cloudfront.create_cache_policy(CachePolicyConfig={**disabled, **parts})
        else:
            with assert_refused("InvalidArgument", 400):
                cloudfront.create_cache_policy(CachePolicyConfig={**disabled, **parts})


@pytest.mark.rule("policy/response-headers-custom")
def test_a_response_headers_policy_of_ones_own_reaches_the_edge(lab: Lab, account: Account) -> None:
    create = account.cloudfront.create_response_headers_policy
    added = {"Header": "X-Team", "Value": "chat", "Override": True}
    config = {
        "Name": "team",
        "CustomHeadersConfig": listed(added),
        "RemoveHeadersConfig": listed({"Header": "Server"}),
    }
    policy_id = create(ResponseHeadersPolicyConfig=config)["ResponseHeadersPolicy"]["Id"]
    seen = lab.get("/_lab/state")["response_headers_policies"]
    assert seen[policy_id]["CustomHeadersConfig"]["Items"] == [added]
    assert seen["67f7725c-6f97-4210-82d7-5512b31e9d03"]["Name"] == "Managed-SecurityHeadersPolicy"
    for wrong in (
        {"CustomHeadersConfig": listed({**added, "Header": "Strict-Transport-Security"})},
        {"CustomHeadersConfig": listed({**added, "Header": "two words"})},
        {"CustomHeadersConfig": listed({**added, "Value": "a\nb"})},
        {"RemoveHeadersConfig": listed({"Header": "Upgrade"})},
        {"RemoveHeadersConfig": listed({"Header": "X-Amz-Cf-Id"})},
        {"ServerTimingHeadersConfig": {"Enabled": True, "SamplingRate": 100.5}},
    ):
        with assert_refused("InvalidArgument", 400):
            create(ResponseHeadersPolicyConfig={"Name": "wrong", **wrong})


@pytest.mark.rule("policy/key-groups", "quota/key-groups")
def test_a_key_group_and_its_keys_reach_the_edge(lab: Lab, account: Account) -> None:
    cloudfront = account.cloudfront
    key = {"CallerReference": "one", "Name": "one", "EncodedKey": pem()}
    key_id = cloudfront.create_public_key(PublicKeyConfig=key)["PublicKey"]["Id"]
    group = {"Name": "signers", "Items": [key_id]}
    group_id = cloudfront.create_key_group(KeyGroupConfig=group)["KeyGroup"]["Id"]
    assert lab.get("/_lab/state")["key_groups"][group_id] == [
        {"id": key_id, "pem": key["EncodedKey"]}
    ]
    trusting = {**behavior("web"), "TrustedKeyGroups": {"Enabled": True, **listed(group_id)}}
    made = account.create_distribution(DefaultCacheBehavior=trusting)["Distribution"]
    active = {"KeyGroupId": group_id, "KeyPairIds": listed(key_id)}
    assert made["ActiveTrustedKeyGroups"] == {"Enabled": True, **listed(active)}
    with assert_refused("TrustedKeyGroupDoesNotExist", 400):
        lab.account().create_distribution(DefaultCacheBehavior=trusting)
    weak = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505
    small = weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with assert_refused("InvalidArgument", 400):
        cloudfront.create_public_key(PublicKeyConfig={**key, "Name": "two", "EncodedKey": small})


def test_tags(lab: Lab, account: Account) -> None:
    arn = account.create_vpc_origin()["VpcOrigin"]["Arn"]
    cloudfront = account.cloudfront

    def tags() -> dict[str, str]:
        items = cloudfront.list_tags_for_resource(Resource=arn)["Tags"].get("Items", [])
        return {tag["Key"]: tag["Value"] for tag in items}

    assert tags() == {}
    cloudfront.tag_resource(
        Resource=arn,
        Tags={"Items": [{"Key": "portal-endpoint", "Value": "1"}, {"Key": "b", "Value": ""}]},
    )
    cloudfront.tag_resource(
        Resource=arn, Tags={"Items": [{"Key": "portal-endpoint", "Value": "2"}]}
    )
    assert tags() == {"portal-endpoint": "2", "b": ""}
    cloudfront.untag_resource(Resource=arn, TagKeys={"Items": ["b", "never-there"]})
    assert tags() == {"portal-endpoint": "2"}
    for key in ("aws:mine", "x" * 129, "<b>"):
        with assert_refused("InvalidTagging", 400):
            cloudfront.tag_resource(Resource=arn, Tags={"Items": [{"Key": key, "Value": ""}]})
    with assert_refused("NoSuchResource", 404):
        lab.account().cloudfront.list_tags_for_resource(Resource=arn)
