"""A primary distribution with its staging copy, and continuous deployment policies for them."""

from __future__ import annotations

from typing import Any

from tests.lab.account import Account, configuration, listed

HEADER = {
    "Type": "SingleHeader",
    "SingleHeaderConfig": {"Header": "aws-cf-cd-trial", "Value": "yes"},
}


def weight(share: float, **stickiness: int) -> dict[str, Any]:
    """A TrafficConfig by weight, with IdleTTL and MaximumTTL if given."""
    config: dict[str, Any] = {"Weight": share}
    if stickiness:
        config["SessionStickinessConfig"] = stickiness
    return {"Type": "SingleWeight", "SingleWeightConfig": config}


def traffic_of(
    domain: str, traffic: dict[str, Any] | None = None, *, enabled: bool = True
) -> dict[str, Any]:
    """A ContinuousDeploymentPolicyConfig."""
    return {
        "StagingDistributionDnsNames": listed(domain),
        "Enabled": enabled,
        "TrafficConfig": traffic or HEADER,
    }


class StagingPair:
    """A primary distribution and its staging copy."""

    def __init__(self, account: Account, **changes: Any) -> None:
        self.account = account
        self.cloudfront = account.cloudfront
        self.primary: str = account.create_distribution(**changes)["Distribution"]["Id"]
        copied = self.copy()["Distribution"]
        self.staging: str = copied["Id"]
        self.domain: str = copied["DomainName"]

    def copy(self, **changes: Any) -> dict[str, Any]:
        given = {
            "PrimaryDistributionId": self.primary,
            "IfMatch": self.etag(self.primary),
            "Staging": True,
            "CallerReference": configuration()["CallerReference"],
            **changes,
        }
        made: dict[str, Any] = self.cloudfront.copy_distribution(**given)
        return made

    def etag(self, distribution: str) -> str:
        return str(self.cloudfront.get_distribution_config(Id=distribution)["ETag"])

    def config(self, distribution: str) -> dict[str, Any]:
        config: dict[str, Any] = self.cloudfront.get_distribution_config(Id=distribution)[
            "DistributionConfig"
        ]
        return config

    def status(self, distribution: str) -> str:
        return str(self.cloudfront.get_distribution(Id=distribution)["Distribution"]["Status"])

    def update(self, distribution: str, **changes: Any) -> None:
        read = self.cloudfront.get_distribution_config(Id=distribution)
        config = {**read["DistributionConfig"], **changes}
        self.cloudfront.update_distribution(
            Id=distribution, IfMatch=read["ETag"], DistributionConfig=config
        )

    def create_policy(self, traffic: dict[str, Any] | None = None, *, enabled: bool = True) -> str:
        config = traffic_of(self.domain, traffic, enabled=enabled)
        made = self.cloudfront.create_continuous_deployment_policy(
            ContinuousDeploymentPolicyConfig=config
        )
        return str(made["ContinuousDeploymentPolicy"]["Id"])

    def update_policy(self, policy: str, config: dict[str, Any]) -> None:
        read = self.cloudfront.get_continuous_deployment_policy_config(Id=policy)
        self.cloudfront.update_continuous_deployment_policy(
            Id=policy, IfMatch=read["ETag"], ContinuousDeploymentPolicyConfig=config
        )

    def delete_policy(self, policy: str) -> None:
        read = self.cloudfront.get_continuous_deployment_policy(Id=policy)
        self.cloudfront.delete_continuous_deployment_policy(Id=policy, IfMatch=read["ETag"])

    def promote(self, etags: str | None = None) -> dict[str, Any]:
        both = f"{self.etag(self.primary)}, {self.etag(self.staging)}" if etags is None else etags
        done: dict[str, Any] = self.cloudfront.update_distribution_with_staging_config(
            Id=self.primary, StagingDistributionId=self.staging, IfMatch=both
        )
        return done
