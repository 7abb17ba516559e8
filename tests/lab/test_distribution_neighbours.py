"""What belongs to a distribution: invalidations, its web ACL, lists by resource,
overlapping names.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.account import (
    ALL_VIEWER,
    CACHING_DISABLED,
    Account,
    Lab,
    assert_refused,
    behavior,
    listed,
    viewer_certificate,
    vpc_origin,
)


def invalidate(
    account: Account, distribution: str, *paths: str, reference: str = "first"
) -> dict[str, Any]:
    """CreateInvalidation."""
    batch = {"Paths": listed(*paths), "CallerReference": reference}
    made: dict[str, Any] = account.cloudfront.create_invalidation(
        DistributionId=distribution, InvalidationBatch=batch
    )
    return made


@pytest.fixture
def distribution(account: Account) -> str:
    return str(account.create_distribution()["Distribution"]["Id"])


class TestInvalidations:
    @pytest.mark.rule("distribution/invalidations")
    def test_in_progress_then_completed(
        self, lab: Lab, account: Account, distribution: str
    ) -> None:
        made = invalidate(account, distribution, "/index.html", "/images/*")
        assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
        invalidation = made["Invalidation"]
        assert invalidation["Status"] == "InProgress"
        assert invalidation["InvalidationBatch"]["Paths"]["Items"] == ["/index.html", "/images/*"]
        shown = account.cloudfront.get_distribution(Id=distribution)["Distribution"]
        assert shown["InProgressInvalidationBatches"] == 1
        lab.advance(120)
        got = account.cloudfront.get_invalidation(
            DistributionId=distribution, Id=invalidation["Id"]
        )["Invalidation"]
        assert got == {**invalidation, "Status": "Completed"}
        account.cloudfront.get_waiter("invalidation_completed").wait(
            DistributionId=distribution,
            Id=invalidation["Id"],
            WaiterConfig={"Delay": 0, "MaxAttempts": 1},
        )
        with assert_refused("NoSuchInvalidation", 404):
            account.cloudfront.get_invalidation(DistributionId=distribution, Id="I0000000000000")
        with assert_refused("NoSuchDistribution", 404):
            lab.account().cloudfront.get_invalidation(
                DistributionId=distribution, Id=invalidation["Id"]
            )

    def test_a_reference_stands_for_its_paths(self, account: Account, distribution: str) -> None:
        first = invalidate(account, distribution, "/a")["Invalidation"]
        assert invalidate(account, distribution, "/a")["Invalidation"] == first
        with assert_refused("InvalidArgument", 400):
            invalidate(account, distribution, "/b")
        assert (
            invalidate(account, distribution, "/b", reference="second")["Invalidation"]["Id"]
            != first["Id"]
        )

    @pytest.mark.parametrize(
        "path", ["index.html", "", "/a b", "/~ana", "/%7eana", "/ä", "/" + 4000 * "a"]
    )
    def test_paths(self, account: Account, distribution: str, path: str) -> None:
        with assert_refused("InvalidArgument", 400):
            invalidate(account, distribution, path)
        invalidate(account, distribution, "/", "/a%20b?c=d&e=f*", reference="beside")

    def test_newest_first_in_pages(self, account: Account, distribution: str) -> None:
        made = [
            invalidate(account, distribution, "/a", reference=str(n))["Invalidation"]["Id"]
            for n in range(5)
        ]
        pages = account.cloudfront.get_paginator("list_invalidations").paginate(
            DistributionId=distribution, PaginationConfig={"PageSize": 2}
        )
        found = [[entry["Id"] for entry in each["InvalidationList"]["Items"]] for each in pages]
        assert found == [made[:2:-1], made[2:0:-1], made[:1]]
        with assert_refused("InvalidArgument", 400):
            account.cloudfront.list_invalidations(DistributionId=distribution, Marker="I0")

    def test_so_many_at_once(self, lab: Lab, account: Account, distribution: str) -> None:
        paths = [f"/{number}" for number in range(3001)]
        with assert_refused("BatchTooLarge", 413):
            invalidate(account, distribution, *paths)
        with assert_refused("TooManyInvalidationsInProgress", 400):
            invalidate(account, distribution, *(f"/{number}/*" for number in range(16)))
        invalidate(account, distribution, *paths[:3000])
        with assert_refused("TooManyInvalidationsInProgress", 400):
            invalidate(account, distribution, "/a", reference="second")
        lab.advance(120)
        invalidate(account, distribution, "/a", reference="second")


class TestWebAcl:
    @pytest.mark.rule("distribution/web-acl-associated")
    def test_it_comes_and_goes_without_the_configuration(
        self, lab: Lab, account: Account, distribution: str
    ) -> None:
        web_acl, regional = account.web_acl(), account.web_acl("regional", "REGIONAL")
        lab.advance()
        read = account.cloudfront.get_distribution_config(Id=distribution)
        associate = account.cloudfront.associate_distribution_web_acl
        with assert_refused("InvalidIfMatchVersion", 400):
            associate(Id=distribution, WebACLArn=web_acl)
        with assert_refused("InvalidArgument", 400):
            associate(Id=distribution, WebACLArn=regional, IfMatch=read["ETag"])
        with assert_refused("EntityNotFound", 404):
            associate(Id="E0000000000000", WebACLArn=web_acl, IfMatch=read["ETag"])
        done = associate(Id=distribution, WebACLArn=web_acl, IfMatch=read["ETag"])
        assert (done["Id"], done["WebACLArn"]) == (distribution, web_acl)
        after = account.cloudfront.get_distribution(Id=distribution)
        assert (after["ETag"], after["Distribution"]["Status"]) == (done["ETag"], "InProgress")
        assert after["Distribution"]["DistributionConfig"] == {
            **read["DistributionConfig"],
            "WebACLId": web_acl,
        }
        with assert_refused("PreconditionFailed", 412):
            account.cloudfront.disassociate_distribution_web_acl(
                Id=distribution, IfMatch=read["ETag"]
            )
        account.cloudfront.disassociate_distribution_web_acl(Id=distribution, IfMatch=done["ETag"])
        again = account.cloudfront.get_distribution_config(Id=distribution)
        assert again["DistributionConfig"] == read["DistributionConfig"]

    @pytest.mark.rule("distribution/lists-by-what-it-uses")
    def test_who_has_it_and_who_has_none(self, account: Account, distribution: str) -> None:
        web_acl = account.web_acl()
        shielded = account.create_distribution(WebACLId=web_acl)["Distribution"]["Id"]

        def having(asked: str) -> list[str]:
            found = account.cloudfront.list_distributions_by_web_acl_id(WebACLId=asked)[
                "DistributionList"
            ]
            return [summary["Id"] for summary in found.get("Items", [])]

        assert having(web_acl) == [shielded]
        assert having("null") == [distribution]
        assert having(account.web_acl("spare")) == []
        with assert_refused("InvalidWebACLId", 400):
            having("arn:aws:wafv2:us-east-1:1:global/webacl/a/b")


@pytest.mark.rule("distribution/lists-by-what-it-uses")
def test_who_uses_a_policy(lab: Lab, account: Account, distribution: str) -> None:
    ordered = {
        **behavior("web", "/ws"),
        "ResponseHeadersPolicyId": "67f7725c-6f97-4210-82d7-5512b31e9d03",
    }
    other = account.create_distribution(CacheBehaviors=listed(ordered))["Distribution"]["Id"]
    cloudfront = account.cloudfront
    nobody = "00000000-0000-0000-0000-000000000000"
    for call, name, missing, policy, users in (
        (
            cloudfront.list_distributions_by_cache_policy_id,
            "CachePolicyId",
            "NoSuchCachePolicy",
            CACHING_DISABLED,
            [distribution, other],
        ),
        (
            cloudfront.list_distributions_by_origin_request_policy_id,
            "OriginRequestPolicyId",
            "NoSuchOriginRequestPolicy",
            ALL_VIEWER,
            [distribution, other],
        ),
        (
            cloudfront.list_distributions_by_response_headers_policy_id,
            "ResponseHeadersPolicyId",
            "NoSuchResponseHeadersPolicy",
            ordered["ResponseHeadersPolicyId"],
            [other],
        ),
        (cloudfront.list_distributions_by_key_group, "KeyGroupId", "NoSuchResource", None, []),
    ):
        with assert_refused(missing, 404):
            call(**{name: nobody})
        if policy is not None:
            assert call(**{name: policy})["DistributionIdList"]["Items"] == sorted(users)


def test_a_list_of_ids_comes_in_pages(account: Account) -> None:
    private = account.deployed_vpc_origin()
    made = sorted(
        account.create_distribution(Origins=listed(vpc_origin("web", private)))["Distribution"][
            "Id"
        ]
        for _ in range(3)
    )
    ask = account.cloudfront.list_distributions_by_vpc_origin_id
    first = ask(VpcOriginId=private, MaxItems="2")["DistributionIdList"]
    assert (first["Items"], first["IsTruncated"]) == (made[:2], True)
    rest = ask(VpcOriginId=private, Marker=first["NextMarker"])["DistributionIdList"]
    assert (rest["Items"], rest["IsTruncated"]) == (made[2:], False)


def test_the_owner_of_a_vpc_origin_sees_who_uses_it(lab: Lab, account: Account) -> None:
    private = account.deployed_vpc_origin()
    arn = account.cloudfront.get_vpc_origin(Id=private)["VpcOrigin"]["Arn"]
    used = account.create_distribution(Origins=listed(vpc_origin("web", private)))["Distribution"][
        "Id"
    ]
    account.create_distribution()
    found = account.cloudfront.list_distributions_by_owned_resource(ResourceArn=arn)[
        "DistributionList"
    ]["Items"]
    assert found == [{"DistributionId": used, "OwnerAccountId": account.number}]
    with assert_refused("EntityNotFound", 404):
        lab.account().cloudfront.list_distributions_by_owned_resource(ResourceArn=arn)
    with assert_refused("InvalidArgument", 400):
        account.cloudfront.list_distributions_by_owned_resource(ResourceArn="vpcorigin")


@pytest.mark.rule("distribution/domain-conflicts")
def test_names_that_stand_in_the_way(lab: Lab, account: Account, distribution: str) -> None:
    zone = f"z{account.number}.example.com"
    holder = lab.account()
    for names in ((f"ws.{zone}",), (f"*.{zone}",)):
        certificate = viewer_certificate(holder.certificate(*names))
        holder.create_distribution(Aliases=listed(*names), ViewerCertificate=certificate)
    mine = account.create_distribution(
        ViewerCertificate=viewer_certificate(account.certificate(f"*.{zone}"))
    )
    own = mine["Distribution"]["Id"]
    conflicts = account.cloudfront.list_conflicting_aliases(DistributionId=own, Alias=f"ws.{zone}")
    items = conflicts["ConflictingAliasesList"]["Items"]
    assert [item["Alias"] for item in items] == [f"*.{zone}", f"ws.{zone}"]
    assert items[0]["AccountId"] == "********" + holder.number[-4:]
    resource = {"DistributionId": own}
    found = account.cloudfront.list_domain_conflicts(
        Domain=f"*.{zone}", DomainControlValidationResource=resource
    )
    assert [conflict["Domain"] for conflict in found["DomainConflicts"]] == [
        f"*.{zone}",
        f"ws.{zone}",
    ]
    with assert_refused("InvalidArgument", 400):
        account.cloudfront.list_conflicting_aliases(DistributionId=distribution, Alias=f"ws.{zone}")
    with assert_refused("EntityNotFound", 404):
        account.cloudfront.list_domain_conflicts(
            Domain=f"ws.{zone}",
            DomainControlValidationResource={"DistributionId": "E0000000000000"},
        )


@pytest.mark.rule("distribution/domain-association")
def test_a_name_moves_in_one_step(lab: Lab, account: Account, distribution: str) -> None:
    zone = f"z{account.number}.example.com"
    certificate = viewer_certificate(account.certificate(f"*.{zone}"))
    names = listed(f"a.{zone}", f"b.{zone}")
    source = account.create_distribution(Aliases=names, ViewerCertificate=certificate)[
        "Distribution"
    ]["Id"]
    made = account.create_distribution(ViewerCertificate=certificate)
    target = made["Distribution"]["Id"]
    cloudfront = account.cloudfront

    def aliases(held_by: str) -> list[str]:
        read = cloudfront.get_distribution_config(Id=held_by)["DistributionConfig"]["Aliases"]
        return list(read.get("Items", []))

    def move(name: str, to: str, **more: str) -> dict[str, Any]:
        resource = {"DistributionId": to}
        moved: dict[str, Any] = cloudfront.update_domain_association(
            Domain=name, TargetResource=resource, **more
        )
        return moved

    with assert_refused("InvalidArgument", 400):
        move(f"a.{zone}", distribution)
    with assert_refused("EntityNotFound", 404):
        move(f"a.{zone}", "E0000000000000")
    with assert_refused("PreconditionFailed", 412):
        move(f"a.{zone}", target, IfMatch="E0000000000000")
    moved = move(f"a.{zone}", target, IfMatch=made["ETag"])
    assert (moved["Domain"], moved["ResourceId"]) == (f"a.{zone}", target)
    assert moved["ETag"] == cloudfront.get_distribution_config(Id=target)["ETag"]
    assert (aliases(source), aliases(target)) == ([f"b.{zone}"], [f"a.{zone}"])
    cloudfront.associate_alias(TargetDistributionId=target, Alias=f"b.{zone}")
    assert (aliases(source), aliases(target)) == ([], [f"a.{zone}", f"b.{zone}"])

    stranger = lab.account()
    theirs = viewer_certificate(stranger.certificate(f"*.{zone}"))
    greedy = stranger.create_distribution(ViewerCertificate=theirs)["Distribution"]["Id"]
    with assert_refused("IllegalUpdate", 400):
        stranger.cloudfront.associate_alias(TargetDistributionId=greedy, Alias=f"a.{zone}")
