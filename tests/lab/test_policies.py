"""Cache policies and origin request policies, managed and custom."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.account import ALL_VIEWER, CACHING_DISABLED, Account, Lab, behavior, listed, refused

WEBSOCKET_HEADERS = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions")


def policy(name: str = "websocket", **changes: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Comment": "",
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(*WEBSOCKET_HEADERS)},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
        **changes,
    }


class TestManaged:
    @pytest.mark.rule("policy/managed-ids")
    def test_with_awss_ids_and_contents(self, account: Account) -> None:
        listed_policies = account.cloudfront.list_origin_request_policies(Type="managed")["OriginRequestPolicyList"]
        by_id = {item["OriginRequestPolicy"]["Id"]: item for item in listed_policies["Items"]}
        config = by_id[ALL_VIEWER]["OriginRequestPolicy"]["OriginRequestPolicyConfig"]
        assert config["Name"] == "Managed-AllViewer"
        assert config["HeadersConfig"] == {"HeaderBehavior": "allViewer"}
        shown = account.cloudfront.get_origin_request_policy(Id="b689b0a8-53d0-40ab-baf2-68738e2966ac")
        assert shown["OriginRequestPolicy"]["OriginRequestPolicyConfig"]["HeadersConfig"] == {
            "HeaderBehavior": "allExcept",
            "Headers": {"Quantity": 1, "Items": ["host"]},
        }
        caches = account.cloudfront.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]
        assert CACHING_DISABLED in {item["CachePolicy"]["Id"] for item in caches}
        disabled = account.cloudfront.get_cache_policy_config(Id=CACHING_DISABLED)["CachePolicyConfig"]
        assert (disabled["MinTTL"], disabled["DefaultTTL"], disabled["MaxTTL"]) == (0, 0, 0)
        with refused("NoSuchCachePolicy", 404):
            account.cloudfront.get_cache_policy(Id="nobody")

    @pytest.mark.rule("policy/managed-stay")
    def test_cannot_be_changed(self, account: Account) -> None:
        etag = account.cloudfront.get_origin_request_policy(Id=ALL_VIEWER)["ETag"]
        with refused("IllegalUpdate", 400):
            account.cloudfront.update_origin_request_policy(
                Id=ALL_VIEWER, IfMatch=etag, OriginRequestPolicyConfig=policy()
            )
        with refused("IllegalDelete", 400):
            account.cloudfront.delete_origin_request_policy(Id=ALL_VIEWER, IfMatch=etag)


class TestCustom:
    @pytest.mark.rule("policy/origin-request-custom", "policy/update-at-once")
    def test_create_read_update_delete(self, lab: Lab, account: Account) -> None:
        made = account.cloudfront.create_origin_request_policy(OriginRequestPolicyConfig=policy())
        policy_id = made["OriginRequestPolicy"]["Id"]
        own = account.cloudfront.list_origin_request_policies(Type="custom")["OriginRequestPolicyList"]
        assert [item["OriginRequestPolicy"]["Id"] for item in own["Items"]] == [policy_id]
        assert lab.get("/_lab/state")["origin_request_policies"][policy_id]["header_names"] == list(WEBSOCKET_HEADERS)
        cookies = {"CookieBehavior": "all"}
        written = account.cloudfront.update_origin_request_policy(
            Id=policy_id, IfMatch=made["ETag"], OriginRequestPolicyConfig=policy(CookiesConfig=cookies)
        )
        with refused("PreconditionFailed", 412):
            account.cloudfront.delete_origin_request_policy(Id=policy_id, IfMatch=made["ETag"])
        config = account.cloudfront.get_origin_request_policy_config(Id=policy_id)["OriginRequestPolicyConfig"]
        assert config["CookiesConfig"] == cookies
        account.cloudfront.delete_origin_request_policy(Id=policy_id, IfMatch=written["ETag"])
        with refused("NoSuchOriginRequestPolicy", 404):
            account.cloudfront.get_origin_request_policy(Id=policy_id)

    @pytest.mark.rule("policy/own-account", "policy/in-use-stays")
    def test_belongs_to_its_account(self, lab: Lab, account: Account) -> None:
        made = account.cloudfront.create_origin_request_policy(OriginRequestPolicyConfig=policy())
        policy_id = made["OriginRequestPolicy"]["Id"]
        theirs = {**behavior("web"), "OriginRequestPolicyId": policy_id}
        account.create_distribution(DefaultCacheBehavior=theirs)
        with refused("NoSuchOriginRequestPolicy", 404):
            lab.account().create_distribution(DefaultCacheBehavior=theirs)
        with refused("OriginRequestPolicyInUse", 409):
            account.cloudfront.delete_origin_request_policy(Id=policy_id, IfMatch=made["ETag"])

    @pytest.mark.rule("policy/name-once", "policy/list-needs-items", "quota/headers-in-policy")
    def test_rules(self, account: Account) -> None:
        create = account.cloudfront.create_origin_request_policy
        create(OriginRequestPolicyConfig=policy())
        with refused("OriginRequestPolicyAlreadyExists", 409):
            create(OriginRequestPolicyConfig=policy())
        many = [f"X-Header-{number}" for number in range(11)]
        headers = {"HeaderBehavior": "whitelist", "Headers": listed(*many)}
        with refused("TooManyHeadersInOriginRequestPolicy", 400):
            create(OriginRequestPolicyConfig=policy("many", HeadersConfig=headers))
        with refused("InvalidArgument", 400):
            create(OriginRequestPolicyConfig=policy("none", HeadersConfig={"HeaderBehavior": "whitelist"}))


@pytest.mark.rule("api/tags", "api/invalid-tags", "vpc-origin/tags")
def test_tags(lab: Lab, account: Account) -> None:
    arn = account.create_vpc_origin()["VpcOrigin"]["Arn"]
    cloudfront = account.cloudfront

    def tags() -> dict[str, str]:
        items = cloudfront.list_tags_for_resource(Resource=arn)["Tags"].get("Items", [])
        return {tag["Key"]: tag["Value"] for tag in items}

    assert tags() == {}
    cloudfront.tag_resource(
        Resource=arn, Tags={"Items": [{"Key": "portal-endpoint", "Value": "1"}, {"Key": "b", "Value": ""}]}
    )
    cloudfront.tag_resource(Resource=arn, Tags={"Items": [{"Key": "portal-endpoint", "Value": "2"}]})
    assert tags() == {"portal-endpoint": "2", "b": ""}
    cloudfront.untag_resource(Resource=arn, TagKeys={"Items": ["b", "never-there"]})
    assert tags() == {"portal-endpoint": "2"}
    for key in ("aws:mine", "x" * 129, "<b>"):
        with refused("InvalidTagging", 400):
            cloudfront.tag_resource(Resource=arn, Tags={"Items": [{"Key": key, "Value": ""}]})
    with refused("NoSuchResource", 404):
        lab.account().cloudfront.list_tags_for_resource(Resource=arn)
