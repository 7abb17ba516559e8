"""Distributions behave as AWS documents: ETags, order, rules, and every byte that was sent."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.lab.account import (
    CACHING_DISABLED,
    Account,
    Lab,
    assert_refused,
    behavior,
    configuration,
    custom_origin,
    listed,
    viewer_certificate,
    vpc_origin,
)


def update(account: Account, made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Read, change, and write with the ETag that was read."""
    distribution_id = made["Distribution"]["Id"]
    read = account.cloudfront.get_distribution_config(Id=distribution_id)
    config = {**read["DistributionConfig"], **changes}
    written: dict[str, Any] = account.cloudfront.update_distribution(
        Id=distribution_id, IfMatch=read["ETag"], DistributionConfig=config
    )
    return written


def status(account: Account, made: dict[str, Any]) -> str:
    return str(
        account.cloudfront.get_distribution(Id=made["Distribution"]["Id"])["Distribution"]["Status"]
    )


def served(lab: Lab, made: dict[str, Any]) -> dict[str, Any] | None:
    """The configuration that the edge has now."""
    for distribution in lab.get("/_lab/state")["distributions"]:
        if distribution["id"] == made["Distribution"]["Id"]:
            config: dict[str, Any] | None = distribution["config"]
            return config
    raise AssertionError("the edge does not know the distribution")


class TestCreate:
    @pytest.mark.rule("distribution/in-progress-then-deployed", "distribution/ids")
    def test_it_is_in_progress_then_deployed(self, lab: Lab, account: Account) -> None:
        made = account.create_distribution(Comment="chat")
        shown = made["Distribution"]
        assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
        assert shown["Id"].startswith("E")
        assert shown["DomainName"].startswith("d")
        assert shown["DomainName"].endswith(".cloudfront.net")
        assert shown["ARN"] == f"arn:aws:cloudfront::{account.number}:distribution/{shown['Id']}"
        assert shown["Status"] == "InProgress"
        assert served(lab, made) is None
        lab.advance(200)
        assert status(account, made) == "InProgress"
        lab.advance(200)
        assert status(account, made) == "Deployed"
        config = served(lab, made)
        assert config is not None
        assert config["Comment"] == "chat"

    def test_what_is_left_out_is_filled_in(self, account: Account) -> None:
        made = account.create_distribution()
        config = account.cloudfront.get_distribution_config(Id=made["Distribution"]["Id"])[
            "DistributionConfig"
        ]
        assert config["PriceClass"] == "PriceClass_All"
        assert config["CacheBehaviors"] == {"Quantity": 0}
        assert config["Origins"]["Items"][0]["ConnectionAttempts"] == 3
        assert config["DefaultCacheBehavior"]["AllowedMethods"]["CachedMethods"]["Quantity"] == 2
        assert config["ViewerCertificate"]["CloudFrontDefaultCertificate"] is True

    @pytest.mark.rule("distribution/caller-reference-once")
    def test_a_caller_reference_is_used_once(self, lab: Lab, account: Account) -> None:
        config = configuration()
        account.cloudfront.create_distribution(DistributionConfig=config)
        with assert_refused("DistributionAlreadyExists", 409):
            account.cloudfront.create_distribution(DistributionConfig=config)
        lab.account().cloudfront.create_distribution(DistributionConfig=config)

    @pytest.mark.rule("api/own-account")
    def test_the_list_shows_the_accounts_own(self, lab: Lab, account: Account) -> None:
        made = account.create_distribution(
            Comment="chat", CacheBehaviors=listed(behavior("web", "/ws"))
        )
        (summary,) = account.cloudfront.list_distributions()["DistributionList"]["Items"]
        assert (summary["Id"], summary["Comment"]) == (made["Distribution"]["Id"], "chat")
        assert summary["CacheBehaviors"]["Items"][0]["PathPattern"] == "/ws"
        other = lab.account()
        assert other.cloudfront.list_distributions()["DistributionList"]["Quantity"] == 0
        with assert_refused("NoSuchDistribution", 404):
            other.cloudfront.get_distribution(Id=made["Distribution"]["Id"])

    @pytest.mark.rule("distribution/create-with-tags")
    def test_with_tags(self, account: Account) -> None:
        given = {
            "DistributionConfig": configuration(Comment="tagged"),
            "Tags": {"Items": [{"Key": "portal-request", "Value": "7"}]},
        }
        made = account.cloudfront.create_distribution_with_tags(DistributionConfigWithTags=given)
        tags = account.cloudfront.list_tags_for_resource(Resource=made["Distribution"]["ARN"])[
            "Tags"
        ]["Items"]
        assert tags == [{"Key": "portal-request", "Value": "7"}]
        assert made["Distribution"]["DistributionConfig"]["Comment"] == "tagged"


class TestUpdate:
    @pytest.mark.rule("api/version-of-every-write", "api/stale-version", "api/missing-version")
    def test_every_write_gives_a_new_version_and_needs_the_old_one(self, account: Account) -> None:
        made = account.create_distribution()
        distribution_id = made["Distribution"]["Id"]
        read = account.cloudfront.get_distribution_config(Id=distribution_id)
        config = {**read["DistributionConfig"], "Comment": "changed"}
        with assert_refused("InvalidIfMatchVersion", 400):
            account.cloudfront.update_distribution(Id=distribution_id, DistributionConfig=config)
        with assert_refused("InvalidIfMatchVersion", 400):
            account.cloudfront.update_distribution(
                Id=distribution_id, DistributionConfig=config, IfMatch="*"
            )
        written = account.cloudfront.update_distribution(
            Id=distribution_id, DistributionConfig=config, IfMatch=read["ETag"]
        )
        assert written["ETag"] != read["ETag"]
        with assert_refused("PreconditionFailed", 412):
            account.cloudfront.update_distribution(
                Id=distribution_id, DistributionConfig=config, IfMatch=read["ETag"]
            )
        shown = account.cloudfront.get_distribution(Id=distribution_id)
        assert shown["ETag"] == written["ETag"]
        assert shown["Distribution"]["DistributionConfig"]["Comment"] == "changed"

    @pytest.mark.rule(
        "distribution/changes-in-order",
        "distribution/update-while-in-progress",
        "distribution/old-while-propagating",
    )
    def test_changes_reach_the_edge_in_their_order(self, lab: Lab, account: Account) -> None:
        made = account.create_distribution(Comment="zero")
        lab.advance()
        for comment in ("one", "two", "three"):
            update(account, made, Comment=comment)
            lab.advance(60)
        assert status(account, made) == "InProgress"
        seen = []
        for _ in range(40):
            config = served(lab, made)
            assert config is not None
            if config["Comment"] not in seen:
                seen.append(config["Comment"])
            lab.advance(10)
        assert seen == ["zero", "one", "two", "three"]
        assert status(account, made) == "Deployed"

    @pytest.mark.rule("distribution/caller-reference-stays")
    def test_the_caller_reference_stays(self, account: Account) -> None:
        made = account.create_distribution()
        with assert_refused("IllegalUpdate", 400):
            update(account, made, CallerReference="another")

    @pytest.mark.rule("distribution/update-replaces", "distribution/summary-hides-reference")
    def test_it_replaces_all_of_it(self, account: Account) -> None:
        made = account.create_distribution(
            Comment="chat",
            DefaultRootObject="index.html",
            CacheBehaviors=listed(behavior("web", "/ws")),
        )
        before = made["Distribution"]["DistributionConfig"]
        bare = {
            name: value
            for name, value in before.items()
            if name not in ("DefaultRootObject", "CacheBehaviors")
        }
        written = account.cloudfront.update_distribution(
            Id=made["Distribution"]["Id"],
            IfMatch=made["ETag"],
            DistributionConfig={**bare, "Comment": ""},
        )["Distribution"]["DistributionConfig"]
        assert written == {
            **before,
            "Comment": "",
            "DefaultRootObject": "",
            "CacheBehaviors": {"Quantity": 0},
        }
        (summary,) = account.cloudfront.list_distributions()["DistributionList"]["Items"]
        assert "CallerReference" not in summary
        assert summary["CacheBehaviors"] == {"Quantity": 0}

    @pytest.mark.rule("distribution/update-needs-all-fields")
    @pytest.mark.parametrize(
        "name", ["OriginReadTimeout", "OriginKeepaliveTimeout", "CustomHeaders"]
    )
    def test_it_may_not_leave_out_all_that_a_create_may(self, account: Account, name: str) -> None:
        origin = custom_origin("web")
        for part in (origin, origin["CustomOriginConfig"]):
            part.pop(name, None)
        made = account.create_distribution(Origins=listed(origin))
        with assert_refused("IllegalUpdate", 400):
            update(account, made, Origins=listed(origin))
        update(account, made, Comment="what was read is complete")

    @pytest.mark.rule("api/waiters")
    def test_a_waiter_waits_for_deployed(self, lab: Lab, account: Account) -> None:
        made = account.create_distribution()
        waiter = account.cloudfront.get_waiter("distribution_deployed")
        once = {"Delay": 0, "MaxAttempts": 1}
        with pytest.raises(WaiterError, match="Max attempts exceeded"):
            waiter.wait(Id=made["Distribution"]["Id"], WaiterConfig=once)
        lab.advance()
        waiter.wait(Id=made["Distribution"]["Id"], WaiterConfig=once)


@pytest.mark.rule("distribution/lists-come-in-pages")
def test_the_list_comes_in_pages(account: Account) -> None:
    made = sorted(account.create_distribution()["Distribution"]["Id"] for _ in range(5))
    pages = account.cloudfront.get_paginator("list_distributions").paginate(
        PaginationConfig={"PageSize": 2}
    )
    found = [[summary["Id"] for summary in page["DistributionList"]["Items"]] for page in pages]
    assert found == [made[:2], made[2:4], made[4:]]


class TestDelete:
    @pytest.mark.rule("distribution/delete-needs-disabled", "distribution/delete-needs-deployed")
    def test_only_when_disabled_and_deployed(self, lab: Lab, account: Account) -> None:
        made = account.create_distribution()
        distribution_id = made["Distribution"]["Id"]
        lab.advance()
        delete = account.cloudfront.delete_distribution
        with assert_refused("DistributionNotDisabled", 409):
            delete(Id=distribution_id, IfMatch=made["ETag"])
        disabled = update(account, made, Enabled=False)
        with assert_refused("PreconditionFailed", 412):
            delete(Id=distribution_id, IfMatch=made["ETag"])
        with assert_refused("DistributionNotDisabled", 409):
            delete(Id=distribution_id, IfMatch=disabled["ETag"])
        lab.advance()
        with assert_refused("InvalidIfMatchVersion", 400):
            delete(Id=distribution_id)
        assert (
            delete(Id=distribution_id, IfMatch=disabled["ETag"])["ResponseMetadata"][
                "HTTPStatusCode"
            ]
            == 204
        )
        with assert_refused("NoSuchDistribution", 404):
            account.cloudfront.get_distribution(Id=distribution_id)


class TestConfigurationRules:
    @pytest.mark.rule("distribution/target-origin-exists")
    def test_behaviors_name_an_origin_that_exists(self, account: Account) -> None:
        with assert_refused("NoSuchOrigin", 404):
            account.create_distribution(DefaultCacheBehavior=behavior("nowhere"))
        with assert_refused("NoSuchOrigin", 404):
            account.create_distribution(CacheBehaviors=listed(behavior("nowhere", "/ws")))
        account.create_distribution(CacheBehaviors=listed(behavior("web", "/ws")))

    @pytest.mark.rule("distribution/policies-exist")
    def test_policies_must_exist(self, account: Account) -> None:
        nobody = "00000000-0000-0000-0000-000000000000"
        with assert_refused("NoSuchCachePolicy", 404):
            account.create_distribution(
                DefaultCacheBehavior={**behavior("web"), "CachePolicyId": nobody}
            )
        with assert_refused("NoSuchOriginRequestPolicy", 404):
            account.create_distribution(
                DefaultCacheBehavior={**behavior("web"), "OriginRequestPolicyId": nobody}
            )

    @pytest.mark.rule("distribution/patterns-unique")
    def test_path_patterns_are_unique(self, account: Account) -> None:
        with assert_refused("InvalidArgument", 400):
            account.create_distribution(
                CacheBehaviors=listed(behavior("web", "/ws"), behavior("web", "/ws"))
            )
        account.create_distribution(
            CacheBehaviors=listed(behavior("web", "/ws"), behavior("web", "/ws/*"))
        )

    @pytest.mark.rule("quota/behaviors")
    def test_75_behaviors(self, account: Account) -> None:
        many = [behavior("web", f"/ws/{number}") for number in range(76)]
        with assert_refused("TooManyCacheBehaviors", 400):
            account.create_distribution(CacheBehaviors=listed(*many))
        account.create_distribution(CacheBehaviors=listed(*many[:75]))

    @pytest.mark.rule("quota/origins")
    def test_100_origins(self, account: Account) -> None:
        many = [custom_origin("web"), *(custom_origin(f"o{number}") for number in range(100))]
        with assert_refused("TooManyOrigins", 400):
            account.create_distribution(Origins=listed(*many))
        account.create_distribution(Origins=listed(*many[:100]))

    @pytest.mark.rule("distribution/quantities")
    @pytest.mark.parametrize("where", ["Origins", "CacheBehaviors", "Aliases"])
    def test_quantities(self, account: Account, where: str) -> None:
        right = {
            "Origins": listed(custom_origin("web")),
            "CacheBehaviors": listed(behavior("web", "/ws")),
            "Aliases": listed("ws.example.com"),
        }
        wrong = {**right[where], "Quantity": 2}
        with assert_refused("InconsistentQuantities", 400):
            account.create_distribution(**{where: wrong})

    @pytest.mark.rule("distribution/method-sets")
    def test_methods_come_in_three_sets(self, account: Account) -> None:
        every = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]

        def allow(methods: list[str]) -> None:
            account.create_distribution(
                DefaultCacheBehavior={**behavior("web"), "AllowedMethods": listed(*methods)}
            )

        for methods in (every[:2], every[:3], every, every[::-1]):
            allow(methods)
        for methods in (["GET"], ["GET", "POST"], [*every[:2], "PUT"], every[:-1], ["GET", "GET"]):
            with assert_refused("InvalidArgument", 400):
                allow(methods)

    @pytest.mark.rule("distribution/cache-policy-or-forwarded-values")
    def test_a_cache_policy_or_the_old_way_never_both(self, account: Account) -> None:
        old = {"QueryString": True, "Cookies": {"Forward": "all"}}
        plain = {"TargetOriginId": "web", "ViewerProtocolPolicy": "allow-all"}
        account.create_distribution(
            DefaultCacheBehavior={**plain, "ForwardedValues": old, "MinTTL": 0}
        )
        with assert_refused("InvalidArgument", 400):
            account.create_distribution(
                DefaultCacheBehavior={
                    **plain,
                    "ForwardedValues": old,
                    "CachePolicyId": CACHING_DISABLED,
                }
            )
        with assert_refused("InvalidArgument", 400):
            account.create_distribution(DefaultCacheBehavior=plain)

    @pytest.mark.rule("distribution/read-timeout-range", "distribution/keep-alive-range")
    def test_timeouts(self, account: Account) -> None:
        def origin(**timeouts: int) -> dict[str, Any]:
            made = custom_origin("web")
            made["CustomOriginConfig"].update(timeouts)
            return listed(made)

        for read, kept in ((1, 1), (120, 300)):
            account.create_distribution(
                Origins=origin(OriginReadTimeout=read, OriginKeepaliveTimeout=kept)
            )
        for read, kept in ((0, 0), (121, 301)):
            with assert_refused("InvalidOriginReadTimeout", 400):
                account.create_distribution(Origins=origin(OriginReadTimeout=read))
            with assert_refused("InvalidOriginKeepaliveTimeout", 400):
                account.create_distribution(Origins=origin(OriginKeepaliveTimeout=kept))

    @pytest.mark.rule("distribution/alias-needs-certificate", "distribution/alias-once")
    def test_an_alias_needs_a_certificate_and_belongs_to_one_distribution(
        self, lab: Lab, account: Account
    ) -> None:
        name = f"ws-{account.number}.example.com"
        alias = listed(name)
        certificate = viewer_certificate(account.certificate(name))
        with assert_refused("InvalidViewerCertificate", 400):
            account.create_distribution(Aliases=alias)
        with assert_refused("InvalidArgument", 400):
            account.create_distribution(Aliases=listed(name.upper()), ViewerCertificate=certificate)
        account.create_distribution(Aliases=alias, ViewerCertificate=certificate)
        other = lab.account()
        with assert_refused("CNAMEAlreadyExists", 409):
            other.create_distribution(
                Aliases=alias,
                ViewerCertificate=viewer_certificate(other.certificate("*.example.com")),
            )

    @pytest.mark.rule(
        "distribution/certificate-in-us-east-1", "distribution/alias-needs-certificate"
    )
    def test_the_certificate_is_the_accounts_own_and_of_us_east_1_and_covers_every_alias(
        self, lab: Lab, account: Account
    ) -> None:
        zone = f"z{account.number}.example.com"

        def attach(arn: str, *aliases: str) -> None:
            account.create_distribution(
                Aliases=listed(*aliases), ViewerCertificate=viewer_certificate(arn)
            )

        wildcard = account.certificate(f"*.{zone}")
        requested = account.client("acm").request_certificate(DomainName=f"a.{zone}")[
            "CertificateArn"
        ]
        for arn in (
            lab.account().certificate(f"a.{zone}"),
            account.certificate(f"a.{zone}", region="eu-west-1"),
            f"arn:aws:acm:us-east-1:{account.number}:certificate/00000000-0000-0000-0000-000000000000",
            requested,  # nobody has validated it yet
        ):
            with assert_refused("InvalidViewerCertificate", 400):
                attach(arn, f"a.{zone}")
            with assert_refused("InvalidViewerCertificate", 400):
                account.create_distribution(ViewerCertificate=viewer_certificate(arn))
        for name in (f"a.b.{zone}", zone, "ws.example.org"):
            with assert_refused("InvalidViewerCertificate", 400):
                attach(wildcard, f"a.{zone}", name)
        attach(wildcard, f"a.{zone}", f"*.{zone}")

    @pytest.mark.rule("distribution/web-acl-exists")
    def test_a_web_acl_exists_in_the_account_and_is_for_cloudfront(
        self, lab: Lab, account: Account
    ) -> None:
        for web_acl in (
            "473e64fd-f30b-4765-81a0-62ad96dd167a",
            account.web_acl("regional", "REGIONAL"),
            lab.account().web_acl(),
        ):
            with assert_refused("InvalidWebACLId", 400):
                account.create_distribution(WebACLId=web_acl)
        account.create_distribution(WebACLId=account.web_acl())

    @pytest.mark.rule("quota/aliases")
    def test_100_aliases(self, account: Account) -> None:
        zone = f"z{account.number}.example.com"
        certificate = viewer_certificate(account.certificate(f"*.{zone}"))
        many = [f"a{number}.{zone}" for number in range(101)]
        with assert_refused("TooManyDistributionCNAMEs", 400):
            account.create_distribution(Aliases=listed(*many), ViewerCertificate=certificate)
        account.create_distribution(Aliases=listed(*many[:100]), ViewerCertificate=certificate)

    @pytest.mark.rule(
        "distribution/completion-not-below-read",
        "distribution/connection-attempts-range",
        "quota/custom-headers",
    )
    @pytest.mark.parametrize(
        ("code", "changes"),
        [
            ("InvalidErrorCode", {"CustomErrorResponses": listed({"ErrorCode": 418})}),
            (
                "InvalidArgument",
                {"CustomErrorResponses": listed({"ErrorCode": 404, "ResponsePagePath": "/404"})},
            ),
            (
                "InvalidResponseCode",
                {
                    "CustomErrorResponses": listed(
                        {"ErrorCode": 404, "ResponsePagePath": "/404", "ResponseCode": "302"}
                    )
                },
            ),
            (
                "InvalidGeoRestrictionParameter",
                {
                    "Restrictions": {
                        "GeoRestriction": {"RestrictionType": "whitelist", "Quantity": 0}
                    }
                },
            ),
            (
                "InvalidLocationCode",
                {
                    "Restrictions": {
                        "GeoRestriction": {"RestrictionType": "blacklist", **listed("Utopia")}
                    }
                },
            ),
            ("InvalidDefaultRootObject", {"DefaultRootObject": "/index.html"}),
            (
                "InvalidArgument",
                {"Origins": listed({**custom_origin("web"), "ResponseCompletionTimeout": 29})},
            ),
            (
                "InvalidArgument",
                {
                    "Origins": listed(
                        {
                            **custom_origin("web"),
                            "CustomHeaders": listed({"HeaderName": "Host", "HeaderValue": "a"}),
                        }
                    )
                },
            ),
            (
                "TooManyOriginCustomHeaders",
                {
                    "Origins": listed(
                        {
                            **custom_origin("web"),
                            "CustomHeaders": listed(
                                *(
                                    {"HeaderName": f"X-{number}", "HeaderValue": "a"}
                                    for number in range(31)
                                )
                            ),
                        }
                    )
                },
            ),
            (
                "InvalidArgument",
                {
                    "Origins": listed(
                        {
                            **custom_origin("web"),
                            "CustomHeaders": listed({"HeaderName": "X", "HeaderValue": 1784 * "a"}),
                        }
                    )
                },
            ),
            (
                "InvalidArgument",
                {
                    "Origins": listed(
                        {
                            **custom_origin("web"),
                            "CustomHeaders": listed({"HeaderName": 257 * "x", "HeaderValue": "a"}),
                        }
                    )
                },
            ),
            (
                "InvalidArgument",
                {"Origins": listed({**custom_origin("web"), "ConnectionAttempts": 4})},
            ),
            (
                "InvalidArgument",
                {"Origins": listed({**custom_origin("web"), "ConnectionTimeout": 11})},
            ),
            (
                "InvalidArgument",
                {"Origins": listed({**custom_origin("web"), "OriginShield": {"Enabled": True}})},
            ),
            (
                "InvalidProtocolSettings",
                {
                    "ViewerCertificate": {
                        **viewer_certificate("arn:aws:acm:us-east-1:1:certificate/a"),
                        "MinimumProtocolVersion": "SSLv3",
                    }
                },
            ),
            (
                "InvalidTTLOrder",
                {
                    "DefaultCacheBehavior": {
                        "TargetOriginId": "web",
                        "ViewerProtocolPolicy": "allow-all",
                        "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
                        "MinTTL": 60,
                        "DefaultTTL": 30,
                    }
                },
            ),
            (
                "InvalidFunctionAssociation",
                {
                    "DefaultCacheBehavior": {
                        **behavior("web"),
                        "FunctionAssociations": listed(
                            {
                                "FunctionARN": "arn:aws:cloudfront::1:function/a",
                                "EventType": "origin-request",
                            }
                        ),
                    }
                },
            ),
        ],
    )
    def test_each_fault_has_its_code(
        self, account: Account, code: str, changes: dict[str, Any]
    ) -> None:
        with assert_refused(code, 400):
            account.create_distribution(**changes)

    def test_what_the_faults_are_beside(self, account: Account) -> None:
        page = {"ErrorCode": 404, "ResponsePagePath": "/404", "ResponseCode": "200"}
        header = {"HeaderName": 256 * "x", "HeaderValue": 1783 * "a"}
        origin = {
            **custom_origin("web"),
            "ConnectionAttempts": 1,
            "ConnectionTimeout": 10,
            "ResponseCompletionTimeout": 30,
            "CustomHeaders": listed(header),
        }
        account.create_distribution(
            CustomErrorResponses=listed(page),
            Restrictions={"GeoRestriction": {"RestrictionType": "blacklist", **listed("AQ")}},
            DefaultRootObject="index.html",
            Origins=listed(origin),
        )

    def test_an_origin_group_has_two_members_and_carries_no_writes(self, account: Account) -> None:
        def group(*members: str) -> dict[str, Any]:
            criteria = {"StatusCodes": listed(502, 504)}
            named = listed(*({"OriginId": member} for member in members))
            return listed({"Id": "pair", "FailoverCriteria": criteria, "Members": named})

        def create(groups: dict[str, Any], *methods: str) -> None:
            allowed = {**behavior("pair"), "AllowedMethods": listed(*methods)}
            origins = listed(custom_origin("web"), custom_origin("spare"))
            account.create_distribution(
                Origins=origins, OriginGroups=groups, DefaultCacheBehavior=allowed
            )

        with assert_refused("InvalidArgument", 400):
            create(group("web", "web"), "GET", "HEAD")
        with assert_refused("NoSuchOrigin", 404):
            create(group("web", "nowhere"), "GET", "HEAD")
        with assert_refused("InvalidArgument", 400):
            create(
                group("web", "spare"), "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"
            )
        create(group("web", "spare"), "GET", "HEAD")


@pytest.mark.rule("api/stale-version", "distribution/caller-reference-once")
def test_of_many_at_once_exactly_one_wins(account: Account) -> None:
    """Fifty concurrent updates with one ETag, then creates with one caller reference and
    one name.
    """
    made = account.create_distribution()
    distribution, config = made["Distribution"]["Id"], made["Distribution"]["DistributionConfig"]
    account.target  # noqa: B018 - made before the crowd comes

    def outcome(call: Callable[[], Any]) -> str:
        try:
            call()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "won"

    def update(number: int) -> None:
        changed = {**config, "Comment": str(number)}
        account.cloudfront.update_distribution(
            Id=distribution, IfMatch=made["ETag"], DistributionConfig=changed
        )
        written.append(str(number))

    written: list[str] = []
    with ThreadPoolExecutor(max_workers=50) as crowd:
        updates = Counter(crowd.map(lambda number: outcome(lambda: update(number)), range(50)))
        once = configuration(CallerReference=f"once-{account.number}")
        creates = Counter(
            crowd.map(
                lambda _: outcome(
                    lambda: account.cloudfront.create_distribution(DistributionConfig=once)
                ),
                range(10),
            )
        )
        origins = Counter(
            crowd.map(lambda _: outcome(lambda: account.create_vpc_origin("once")), range(10))
        )
    assert updates == {"won": 1, "PreconditionFailed": 49}
    shown = account.cloudfront.get_distribution_config(Id=distribution)["DistributionConfig"]
    assert [shown["Comment"]] == written
    assert creates == {"won": 1, "DistributionAlreadyExists": 9}
    assert origins == {"won": 1, "EntityAlreadyExists": 9}


class TestVpcOrigins:
    @pytest.mark.rule(
        "distribution/unknown-vpc-origin",
        "distribution/deploying-vpc-origin",
        "distribution/vpc-origin-config-kept",
        "distribution/vpc-origin-timeouts",
        "vpc-origin/lists-its-distributions",
    )
    def test_it_must_be_the_accounts_own_and_deployed(self, lab: Lab, account: Account) -> None:
        origin_id = account.create_vpc_origin()["VpcOrigin"]["Id"]

        def attach(who: Account, origin: str) -> dict[str, Any]:
            return who.create_distribution(Origins=listed(vpc_origin("web", origin)))

        with assert_refused("EntityNotFound", 404):
            attach(account, "vo_0000000000000000000000")
        with assert_refused("InvalidArgument", 400):
            attach(account, origin_id)
        lab.advance()
        with assert_refused("EntityNotFound", 404):
            attach(lab.account(), origin_id)
        made = attach(account, origin_id)
        kept = made["Distribution"]["DistributionConfig"]["Origins"]["Items"][0]["VpcOriginConfig"]
        assert kept == {
            "VpcOriginId": origin_id,
            "OriginReadTimeout": 30,
            "OriginKeepaliveTimeout": 5,
        }
        (summary,) = account.cloudfront.list_distributions()["DistributionList"]["Items"]
        assert summary["Origins"]["Items"][0]["VpcOriginConfig"] == kept
        users = account.cloudfront.list_distributions_by_vpc_origin_id(VpcOriginId=origin_id)[
            "DistributionIdList"
        ]
        assert users["Items"] == [made["Distribution"]["Id"]]

    @pytest.mark.rule("vpc-origin/no-custom-fields")
    def test_an_origin_is_of_one_kind(self, account: Account) -> None:
        origin_id = account.deployed_vpc_origin()
        both = {**custom_origin("web"), "VpcOriginConfig": {"VpcOriginId": origin_id}}
        with assert_refused("InvalidArgument", 400):
            account.create_distribution(Origins=listed(both))
        with assert_refused("InvalidArgument", 400):
            account.create_distribution(
                Origins=listed({"Id": "web", "DomainName": "web.example.com"})
            )

    @pytest.mark.rule("vpc-origin/no-origin-triggers", "vpc-origin/grpc")
    def test_no_origin_triggers_and_no_grpc(self, account: Account) -> None:
        origins = listed(vpc_origin("private", account.deployed_vpc_origin()), custom_origin("web"))

        def create(target: str, **changes: Any) -> None:
            account.create_distribution(
                Origins=origins, DefaultCacheBehavior={**behavior(target), **changes}
            )

        def function(event: str) -> dict[str, Any]:
            arn = f"arn:aws:lambda:us-east-1:{account.number}:function:a:1"
            return {
                "LambdaFunctionAssociations": listed({"LambdaFunctionARN": arn, "EventType": event})
            }

        for event in ("origin-request", "origin-response"):
            with assert_refused("InvalidLambdaFunctionAssociation", 400):
                create("private", **function(event))
            create("web", **function(event))
        create("private", **function("viewer-request"))
        with assert_refused("InvalidArgument", 400):
            create("private", GrpcConfig={"Enabled": True})
        create("web", GrpcConfig={"Enabled": True})

    @pytest.mark.rule(
        "quota/distributions-per-vpc-origin", "quota/distributions-per-vpc-origin-code"
    )
    def test_50_distributions(self, account: Account) -> None:
        origin_id = account.deployed_vpc_origin()
        for _ in range(50):
            account.create_distribution(Origins=listed(vpc_origin("web", origin_id)))
        with assert_refused("EntityLimitExceeded", 400):
            account.create_distribution(Origins=listed(vpc_origin("web", origin_id)))


@pytest.mark.rule("distribution/multi-tenant")
@pytest.mark.parametrize(
    "unsupported",
    [
        {"Aliases": listed("chat.example.com")},
        {"Staging": True},
        {"DefaultCacheBehavior": behavior("web") | {"SmoothStreaming": True}},
        {
            "DefaultCacheBehavior": behavior("web")
            | {"TrustedSigners": {"Enabled": True, "Quantity": 1, "Items": ["self"]}}
        },
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_multi_tenant_distribution_has_no_such_settings(
    account: Account, unsupported: dict[str, Any]
) -> None:
    made = account.create_distribution(ConnectionMode="tenant-only")["Distribution"]
    assert made["DistributionConfig"]["ConnectionMode"] == "tenant-only"
    with assert_refused("InvalidArgument", 400):
        account.create_distribution(ConnectionMode="tenant-only", **unsupported)


def test_tenant_settings_are_for_multi_tenant_distributions_only(account: Account) -> None:
    settings: dict[str, Any] = {"ParameterDefinitions": []}
    account.create_distribution(ConnectionMode="tenant-only", TenantConfig=settings)
    with assert_refused("InvalidArgument", 400):
        account.create_distribution(TenantConfig={"ParameterDefinitions": [PARAMETER]})


PARAMETER = {"Name": "tenant", "Definition": {"StringSchema": {"Required": True}}}


def guarding(account: Account, *statements: dict[str, Any]) -> str:
    """The ARN of a new web ACL with these statements as rules."""
    visible = {
        "SampledRequestsEnabled": False,
        "CloudWatchMetricsEnabled": False,
        "MetricName": "rules",
    }
    rules = [
        {
            "Name": f"rule-{number}",
            "Priority": number,
            "Statement": statement,
            "VisibilityConfig": visible,
        }
        | (
            {"OverrideAction": {"None": {}}}
            if "ManagedRuleGroupStatement" in statement
            else {"Action": {"Block": {}}}
        )
        for number, statement in enumerate(statements)
    ]
    made = account.client("wafv2").create_web_acl(
        Name=f"acl-{next(_acls)}",
        Scope="CLOUDFRONT",
        DefaultAction={"Allow": {}},
        VisibilityConfig=visible,
        Rules=rules,
    )
    return str(made["Summary"]["ARN"])


_acls = itertools.count()
XSS = {
    "FieldToMatch": {"QueryString": {}},
    "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
}
RULE_GROUP = "arn:aws:wafv2:us-east-1:111122223333:global/rulegroup/own/1a2b3c4d"
GEO = {"GeoMatchStatement": {"CountryCodes": ["DE"]}}


def of_aws(name: str) -> dict[str, Any]:
    return {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": name}}


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (of_aws("AWSManagedRulesSQLiRuleSet"), "AWS/AWSManagedRulesSQLiRuleSet"),
        (
            {"NotStatement": {"Statement": {"XssMatchStatement": XSS}}},
            "XssMatchStatement",
        ),
        (
            {
                "RateBasedStatement": {
                    "Limit": 100,
                    "AggregateKeyType": "IP",
                    "ScopeDownStatement": {"AsnMatchStatement": {"AsnList": [64500]}},
                }
            },
            "AsnMatchStatement",
        ),
        ({"RuleGroupReferenceStatement": {"ARN": RULE_GROUP}}, "RuleGroupReferenceStatement"),
    ],
)
def test_a_web_acl_that_the_lab_does_not_imitate_is_not_attached(
    account: Account, statement: dict[str, Any], named: str
) -> None:
    imitated = guarding(account, of_aws("AWSManagedRulesCommonRuleSet"), GEO)
    made = account.create_distribution(WebACLId=imitated)
    assert made["Distribution"]["DistributionConfig"]["WebACLId"] == imitated
    other = guarding(account, GEO, statement)
    for attach in (
        lambda: account.create_distribution(WebACLId=other),
        lambda: account.cloudfront.associate_distribution_web_acl(
            Id=made["Distribution"]["Id"], IfMatch=made["ETag"], WebACLArn=other
        ),
    ):
        with pytest.raises(ClientError, match=named) as refused:
            attach()
        assert refused.value.response["Error"]["Code"] == "InvalidWebACLId"
