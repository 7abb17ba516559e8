"""Continuous deployment as in the Developer Guide: a staging copy, a policy, the promotion."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.account import (
    Account,
    Lab,
    assert_refused,
    behavior,
    custom_origin,
    listed,
    viewer_certificate,
    vpc_origin,
)
from tests.lab.staging_pair import HEADER, StagingPair, traffic_of, weight


@pytest.fixture
def pair(account: Account) -> StagingPair:
    return StagingPair(account)


def followed(lab: Lab, policy: str) -> dict[str, Any]:
    """The policy that the edge follows."""
    found: dict[str, Any] = lab.get("/_lab/state")["continuous_deployment_policies"][policy]
    return found


def served(lab: Lab, distribution: str) -> dict[str, Any]:
    """The distribution as the edge reads it."""
    (found,) = [
        entry for entry in lab.get("/_lab/state")["distributions"] if entry["id"] == distribution
    ]
    entry: dict[str, Any] = found
    return entry


class TestCopy:
    @pytest.mark.rule("continuous-deployment/copy")
    def test_it_is_a_staging_distribution_without_aliases(self, lab: Lab, account: Account) -> None:
        name = f"ws-{account.number}.example.com"
        certificate = viewer_certificate(account.certificate(name))
        pair = StagingPair(
            account, Comment="chat", Aliases=listed(name), ViewerCertificate=certificate
        )
        primary, staging = pair.config(pair.primary), pair.config(pair.staging)
        assert (staging["Staging"], primary["Staging"]) == (True, False)
        assert (staging["Aliases"]["Quantity"], primary["Aliases"]["Items"]) == (0, [name])
        assert (staging["Comment"], staging["Enabled"]) == ("chat", True)
        assert staging["ViewerCertificate"] == primary["ViewerCertificate"]
        assert (
            pair.domain
            != account.cloudfront.get_distribution(Id=pair.primary)["Distribution"]["DomainName"]
        )
        lab.advance()
        assert served(lab, pair.staging)["staging"] is True
        assert served(lab, pair.primary)["staging"] is False

    @pytest.mark.rule("continuous-deployment/copy-needs-version")
    def test_what_it_needs(self, pair: StagingPair) -> None:
        with assert_refused("PreconditionFailed", 412):
            pair.copy(IfMatch="E0000000000000")
        with assert_refused("InvalidIfMatchVersion", 400):
            pair.copy(IfMatch="1")
        with assert_refused("InvalidArgument", 400):
            pair.copy(Staging=False)
        with assert_refused("DistributionAlreadyExists", 409):
            pair.copy(CallerReference=pair.config(pair.primary)["CallerReference"])
        with assert_refused("NoSuchDistribution", 404):
            pair.copy(PrimaryDistributionId="E0000000000000")
        assert pair.copy(Enabled=False)["Distribution"]["DistributionConfig"]["Enabled"] is False

    def test_a_staging_distribution_stays_one_and_takes_no_aliases(
        self, account: Account, pair: StagingPair
    ) -> None:
        name = f"ws-{account.number}.example.com"
        with assert_refused("IllegalUpdate", 400):
            pair.update(pair.staging, Staging=False)
        with assert_refused("IllegalUpdate", 400):
            pair.update(pair.primary, Staging=True)
        certificate = viewer_certificate(account.certificate(name))
        with assert_refused("InvalidArgument", 400):
            pair.update(pair.staging, Aliases=listed(name), ViewerCertificate=certificate)
        pair.update(pair.staging, Comment="trial", ViewerCertificate=certificate)

    @pytest.mark.rule("quota/staging")
    def test_20_staging_distributions(self, pair: StagingPair) -> None:
        for _ in range(19):
            pair.copy()
        with assert_refused("TooManyDistributions", 400):
            pair.copy()


class TestPolicy:
    @pytest.mark.rule(
        "continuous-deployment/header-prefix",
        "continuous-deployment/weight-range",
        "continuous-deployment/session-stickiness",
    )
    @pytest.mark.parametrize(
        "traffic",
        [
            weight(0.1501),
            weight(-0.01),
            weight(0.1, IdleTTL=299, MaximumTTL=300),
            weight(0.1, IdleTTL=300, MaximumTTL=3601),
            weight(0.1, IdleTTL=600, MaximumTTL=300),
            {"Type": "SingleHeader", "SingleHeaderConfig": {"Header": "x-trial", "Value": "yes"}},
            {"Type": "SingleHeader", "SingleWeightConfig": {"Weight": 0.1}},
            {**HEADER, **weight(0.1)},
        ],
    )
    def test_what_it_may_not_say(self, pair: StagingPair, traffic: dict[str, Any]) -> None:
        with assert_refused("InvalidArgument", 400):
            pair.create_policy(traffic)

    @pytest.mark.rule(
        "continuous-deployment/header-prefix",
        "continuous-deployment/weight-range",
        "continuous-deployment/session-stickiness",
    )
    @pytest.mark.parametrize(
        "traffic", [HEADER, weight(0), weight(0.15, IdleTTL=300, MaximumTTL=3600)]
    )
    def test_what_it_may_say(self, pair: StagingPair, traffic: dict[str, Any]) -> None:
        policy = pair.create_policy(traffic)
        shown = pair.cloudfront.get_continuous_deployment_policy(Id=policy)[
            "ContinuousDeploymentPolicy"
        ]
        assert shown["ContinuousDeploymentPolicyConfig"] == traffic_of(pair.domain, traffic)
        (entry,) = pair.cloudfront.list_continuous_deployment_policies()[
            "ContinuousDeploymentPolicyList"
        ]["Items"]
        assert entry["ContinuousDeploymentPolicy"] == shown

    @pytest.mark.rule("continuous-deployment/policy-once")
    def test_it_names_one_staging_distribution_that_no_other_policy_names(
        self, lab: Lab, pair: StagingPair
    ) -> None:
        create = pair.cloudfront.create_continuous_deployment_policy
        primary = pair.cloudfront.get_distribution(Id=pair.primary)["Distribution"]["DomainName"]
        for names in (
            listed(primary),
            listed("d0000000000000.cloudfront.net"),
            listed(),
            listed(pair.domain, primary),
        ):
            with assert_refused("InvalidArgument", 400):
                create(
                    ContinuousDeploymentPolicyConfig={
                        **traffic_of(pair.domain),
                        "StagingDistributionDnsNames": names,
                    }
                )
        with assert_refused("InvalidArgument", 400):
            lab.account().cloudfront.create_continuous_deployment_policy(
                ContinuousDeploymentPolicyConfig=traffic_of(pair.domain)
            )
        wrong = {
            **traffic_of(pair.domain),
            "StagingDistributionDnsNames": {"Quantity": 2, "Items": [pair.domain]},
        }
        with assert_refused("InconsistentQuantities", 400):
            create(ContinuousDeploymentPolicyConfig=wrong)
        policy = pair.create_policy()
        with assert_refused("ContinuousDeploymentPolicyAlreadyExists", 409):
            pair.create_policy()
        with assert_refused("StagingDistributionInUse", 409):
            pair.create_policy(weight(0.1))
        other = pair.copy()["Distribution"]["DomainName"]
        second = create(ContinuousDeploymentPolicyConfig=traffic_of(other))[
            "ContinuousDeploymentPolicy"
        ]["Id"]
        with assert_refused("StagingDistributionInUse", 409):
            pair.update_policy(second, traffic_of(pair.domain))
        pair.delete_policy(policy)
        pair.update_policy(second, traffic_of(pair.domain))

    def test_versions(self, lab: Lab, pair: StagingPair) -> None:
        policy = pair.create_policy()
        first = pair.cloudfront.get_continuous_deployment_policy(Id=policy)["ETag"]
        change = {
            "Id": policy,
            "ContinuousDeploymentPolicyConfig": traffic_of(pair.domain, weight(0.1)),
        }
        with assert_refused("InvalidIfMatchVersion", 400):
            pair.cloudfront.update_continuous_deployment_policy(**change)
        assert (
            pair.cloudfront.update_continuous_deployment_policy(**change, IfMatch=first)["ETag"]
            != first
        )
        with assert_refused("PreconditionFailed", 412):
            pair.cloudfront.update_continuous_deployment_policy(**change, IfMatch=first)
        with assert_refused("PreconditionFailed", 412):
            pair.cloudfront.delete_continuous_deployment_policy(Id=policy, IfMatch=first)
        with assert_refused("NoSuchContinuousDeploymentPolicy", 404):
            lab.account().cloudfront.get_continuous_deployment_policy(Id=policy)
        # Nothing is attached, so the edge knows it immediately.
        assert followed(lab, policy)["weight"] == 0.1
        pair.delete_policy(policy)
        with assert_refused("NoSuchContinuousDeploymentPolicy", 404):
            pair.cloudfront.get_continuous_deployment_policy(Id=policy)

    @pytest.mark.rule("quota/staging")
    def test_20_policies(self, pair: StagingPair) -> None:
        pair.create_policy()
        domains = [pair.copy()["Distribution"]["DomainName"] for _ in range(19)]
        for domain in domains:
            pair.cloudfront.create_continuous_deployment_policy(
                ContinuousDeploymentPolicyConfig=traffic_of(domain)
            )
        listing = pair.cloudfront.list_continuous_deployment_policies(MaxItems="7")[
            "ContinuousDeploymentPolicyList"
        ]
        assert (listing["Quantity"], listing["MaxItems"], len(listing["Items"])) == (20, 7, 7)
        with assert_refused("TooManyContinuousDeploymentPolicies", 400):
            pair.create_policy(weight(0.1))


class TestAttachment:
    @pytest.mark.rule(
        "continuous-deployment/attached-by-update", "continuous-deployment/update-replaces"
    )
    def test_the_edge_follows_once_the_primary_is_deployed(
        self, lab: Lab, pair: StagingPair
    ) -> None:
        policy = pair.create_policy(weight(0.1, IdleTTL=300, MaximumTTL=600))
        lab.advance()
        pair.update(pair.primary, ContinuousDeploymentPolicyId=policy)
        assert served(lab, pair.primary)["continuous_deployment_policy_id"] is None
        lab.advance()
        assert served(lab, pair.primary)["continuous_deployment_policy_id"] == policy
        assert followed(lab, policy) == {
            "enabled": True,
            "staging_domains": [pair.domain],
            "type": "SingleWeight",
            "header": None,
            "value": None,
            "weight": 0.1,
            "idle_ttl": 300,
            "maximum_ttl": 600,
            "resets": 0,
        }
        # A change of the policy is deployed with the primary, which is InProgress.
        etag = pair.etag(pair.primary)
        pair.update_policy(policy, traffic_of(pair.domain))
        assert pair.status(pair.primary) == "InProgress"
        assert pair.etag(pair.primary) == etag
        assert followed(lab, policy)["type"] == "SingleWeight"
        lab.advance()
        assert pair.status(pair.primary) == "Deployed"
        assert (followed(lab, policy)["header"], followed(lab, policy)["resets"]) == (
            "aws-cf-cd-trial",
            1,
        )

    @pytest.mark.rule("continuous-deployment/attached-by-update")
    def test_a_policy_has_one_primary_which_existed_before(
        self, account: Account, pair: StagingPair
    ) -> None:
        policy = pair.create_policy()
        with assert_refused("InvalidArgument", 400):
            account.create_distribution(ContinuousDeploymentPolicyId=policy)
        with assert_refused("NoSuchContinuousDeploymentPolicy", 404):
            pair.update(
                pair.primary, ContinuousDeploymentPolicyId="00000000-0000-0000-0000-000000000000"
            )
        with assert_refused("InvalidArgument", 400):
            pair.update(pair.staging, ContinuousDeploymentPolicyId=policy)
        pair.update(pair.primary, ContinuousDeploymentPolicyId=policy)
        other = account.create_distribution()["Distribution"]["Id"]
        with assert_refused("ContinuousDeploymentPolicyInUse", 409):
            pair.update(other, ContinuousDeploymentPolicyId=policy)

    @pytest.mark.rule(
        "continuous-deployment/no-http3", "continuous-deployment/no-completion-timeout"
    )
    def test_not_with_http3_nor_with_a_completion_timeout(
        self, account: Account, pair: StagingPair
    ) -> None:
        slow = {**custom_origin("web"), "ResponseCompletionTimeout": 60}
        policy = pair.create_policy()
        for changes in ({"HttpVersion": "http2and3"}, {"Origins": listed(slow)}):
            with assert_refused("InvalidArgument", 400):
                pair.update(pair.staging, **changes)
            with assert_refused("InvalidArgument", 400):
                pair.update(pair.primary, ContinuousDeploymentPolicyId=policy, **changes)
        pair.update(pair.primary, HttpVersion="http2and3")
        with assert_refused("InvalidArgument", 400):
            pair.copy()
        pair.update(pair.primary, HttpVersion="http2", ContinuousDeploymentPolicyId=policy)

    @pytest.mark.rule("continuous-deployment/limited-changes")
    def test_the_two_differ_only_in_what_may_be_tried(
        self, account: Account, pair: StagingPair
    ) -> None:
        policy = pair.create_policy()
        pair.update(pair.staging, PriceClass="PriceClass_100")
        with assert_refused("IllegalUpdate", 400):
            pair.update(pair.primary, ContinuousDeploymentPolicyId=policy)
        pair.update(pair.staging, PriceClass="PriceClass_All")
        pair.update(pair.primary, ContinuousDeploymentPolicyId=policy)
        for distribution in (pair.primary, pair.staging):
            with assert_refused("IllegalUpdate", 400):
                pair.update(distribution, PriceClass="PriceClass_100")
            pair.update(
                distribution,
                Comment="trial",
                Origins=listed(custom_origin("web"), custom_origin("chat")),
                CacheBehaviors=listed(behavior("chat", "/ws")),
            )

    @pytest.mark.rule("continuous-deployment/web-acl-fixed")
    def test_no_web_acl_comes_or_goes_while_it_is_attached(self, account: Account) -> None:
        web_acl = account.web_acl()
        pair = StagingPair(account, WebACLId=web_acl)
        bare = StagingPair(account)
        pair.update(pair.primary, ContinuousDeploymentPolicyId=pair.create_policy())
        bare.update(bare.primary, ContinuousDeploymentPolicyId=bare.create_policy())
        with assert_refused("IllegalUpdate", 400):
            pair.update(pair.primary, WebACLId="")
        with assert_refused("InvalidArgument", 400):
            account.cloudfront.disassociate_distribution_web_acl(
                Id=pair.primary, IfMatch=pair.etag(pair.primary)
            )
        for distribution in (bare.primary, bare.staging):
            with assert_refused("IllegalUpdate", 400):
                bare.update(distribution, WebACLId=web_acl)
            with assert_refused("InvalidArgument", 400):
                account.cloudfront.associate_distribution_web_acl(
                    Id=distribution, IfMatch=bare.etag(distribution), WebACLArn=web_acl
                )
        bare.update(bare.primary, ContinuousDeploymentPolicyId="")
        bare.update(bare.primary, WebACLId=web_acl)

    @pytest.mark.rule("continuous-deployment/policy-in-use", "continuous-deployment/staging-in-use")
    def test_what_is_in_use_stays(self, lab: Lab, pair: StagingPair) -> None:
        policy = pair.create_policy()
        pair.update(pair.primary, ContinuousDeploymentPolicyId=policy)
        lab.advance()
        with assert_refused("ContinuousDeploymentPolicyInUse", 409):
            pair.delete_policy(policy)
        with assert_refused("StagingDistributionInUse", 409):
            pair.update(pair.staging, Enabled=False)
        pair.update(pair.primary, ContinuousDeploymentPolicyId="")
        with assert_refused("ContinuousDeploymentPolicyInUse", 409):
            pair.delete_policy(policy)
        lab.advance()
        with assert_refused("StagingDistributionInUse", 409):
            pair.update(pair.staging, Enabled=False)
        pair.delete_policy(policy)
        pair.update(pair.staging, Enabled=False)
        lab.advance()
        pair.cloudfront.delete_distribution(Id=pair.staging, IfMatch=pair.etag(pair.staging))

    @pytest.mark.rule("continuous-deployment/staging-in-use")
    def test_a_disabled_staging_distribution_is_not_deleted_while_a_policy_names_it(
        self, lab: Lab, pair: StagingPair
    ) -> None:
        pair.update(pair.staging, Enabled=False)
        policy = pair.create_policy()
        lab.advance()
        with assert_refused("PreconditionFailed", 412):
            pair.cloudfront.delete_distribution(Id=pair.staging, IfMatch=pair.etag(pair.staging))
        pair.delete_policy(policy)
        pair.cloudfront.delete_distribution(Id=pair.staging, IfMatch=pair.etag(pair.staging))


class TestPromotion:
    @pytest.mark.rule(
        "continuous-deployment/promote",
        "continuous-deployment/promote-needs-both",
        "continuous-deployment/promote-keeps",
        "continuous-deployment/promote-disables",
    )
    def test_a_public_origin_becomes_a_private_one(self, lab: Lab, account: Account) -> None:
        """The Developer Guide's whole migration: copy, change, try, promote, clean up."""
        name = f"ws-{account.number}.example.com"
        certificate = viewer_certificate(account.certificate(name))
        private = account.deployed_vpc_origin()
        pair = StagingPair(
            account, Comment="public", Aliases=listed(name), ViewerCertificate=certificate
        )
        pair.update(
            pair.staging,
            Comment="private",
            Origins=listed(custom_origin("web"), vpc_origin("chat", private)),
            CacheBehaviors=listed(behavior("chat", "/ws")),
        )
        policy = pair.create_policy()
        pair.update(pair.primary, ContinuousDeploymentPolicyId=policy)
        lab.advance()
        assert followed(lab, policy)["enabled"] is True

        with assert_refused("PreconditionFailed", 412):
            pair.promote(f"{pair.etag(pair.staging)}, {pair.etag(pair.primary)}")
        with assert_refused("InvalidIfMatchVersion", 400):
            pair.promote(pair.etag(pair.primary))
        before = pair.config(pair.primary)
        policy_etag = pair.cloudfront.get_continuous_deployment_policy(Id=policy)["ETag"]
        done = pair.promote()
        assert done["Distribution"]["Status"] == "InProgress"
        after, staging = pair.config(pair.primary), pair.config(pair.staging)
        for kept in ("Aliases", "ContinuousDeploymentPolicyId", "CallerReference", "Staging"):
            assert after[kept] == before[kept]
        for copied in staging.keys() - {
            "Aliases",
            "ContinuousDeploymentPolicyId",
            "CallerReference",
            "Staging",
        }:
            assert after[copied] == staging[copied], copied
        assert after["Comment"] == "private"
        shown = pair.cloudfront.get_continuous_deployment_policy(Id=policy)
        assert (
            shown["ContinuousDeploymentPolicy"]["ContinuousDeploymentPolicyConfig"]["Enabled"]
            is False
        )
        assert shown["ETag"] != policy_etag

        # The edge stops following the policy when it has the new configuration, not before.
        assert (
            followed(lab, policy)["enabled"],
            served(lab, pair.primary)["config"]["Comment"],
        ) == (True, "public")
        lab.advance()
        assert (
            followed(lab, policy)["enabled"],
            served(lab, pair.primary)["config"]["Comment"],
        ) == (False, "private")

        pair.update(pair.primary, ContinuousDeploymentPolicyId="")
        lab.advance()
        pair.delete_policy(policy)
        pair.update(pair.staging, Enabled=False)
        lab.advance()
        pair.cloudfront.delete_distribution(Id=pair.staging, IfMatch=pair.etag(pair.staging))
        users = account.cloudfront.list_distributions_by_vpc_origin_id(VpcOriginId=private)[
            "DistributionIdList"
        ]
        assert users["Items"] == [pair.primary]

    def test_only_of_the_staging_distribution_that_the_policy_names(
        self, pair: StagingPair
    ) -> None:
        with assert_refused("IllegalUpdate", 400):
            pair.promote()
        pair.update(pair.primary, ContinuousDeploymentPolicyId=pair.create_policy())
        other = pair.copy()["Distribution"]["Id"]
        both = f"{pair.etag(pair.primary)},{pair.etag(other)}"
        promote = pair.cloudfront.update_distribution_with_staging_config
        with assert_refused("IllegalUpdate", 400):
            promote(Id=pair.primary, StagingDistributionId=other, IfMatch=both)
        with assert_refused("NoSuchDistribution", 404):
            promote(Id=pair.primary, StagingDistributionId="E0000000000000", IfMatch=both)
        with assert_refused("InvalidArgument", 400):
            promote(Id=pair.primary, IfMatch=both)
        pair.promote(f"{pair.etag(pair.primary)},{pair.etag(pair.staging)}")
