"""CopyDistribution, and promotion of a staging distribution's configuration.

Each copy keeps some members of its own; the rest is copied byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation, check_if_match
from lab.aws.cloudfront.operations import distributions
from lab.aws.cloudfront.operations.continuous_deployment_policies import revised
from lab.aws.cloudfront.protocol.config_editing import (
    aliases_member,
    flag_member,
    text_member,
    with_members,
)
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.distribution_config import check_distribution


def copy_distribution(context: Context, call: Call) -> Values:
    """CopyDistribution: a new staging distribution with the primary's configuration, without
    aliases.
    """
    primary = distributions.find(context, call.parameters["PrimaryDistributionId"])
    check_if_match(call.parameters.get("IfMatch"), primary.latest.etag)
    if not call.parameters.get("Staging"):
        raise invalid("The only valid value of Staging is true.")
    if primary.latest.staging:
        raise invalid("A staging distribution cannot be copied.")
    given = distributions.parse_config(
        with_members(
            primary.latest.raw,
            {
                "CallerReference": text_member(
                    "CallerReference", call.parameters["CallerReference"]
                ),
                "Aliases": aliases_member(()),
                "Enabled": flag_member("Enabled", call.parameters.get("Enabled", True)),
                "ContinuousDeploymentPolicyId": text_member("ContinuousDeploymentPolicyId", ""),
                "Staging": flag_member("Staging", True),
            },
        )
    )
    return distributions.create(context, given, {})


def update_distribution_with_staging_config(context: Context, call: Call) -> Values:
    """UpdateDistributionWithStagingConfig: the staging configuration becomes the primary's, and the
    policy is disabled.

    `If-Match` holds both ETags, the primary's first. The edges stop following the policy when they
    have the new configuration.
    """
    primary = distributions.find(context, call.parameters["Id"])
    staging_id = call.parameters.get("StagingDistributionId")
    if not staging_id:
        raise invalid("The parameter StagingDistributionId is required.")
    staging = distributions.find(context, staging_id)
    versions = [version.strip() for version in call.parameters.get("IfMatch", "").split(",")]
    if len(versions) != 2:
        raise CloudFrontError(
            "InvalidIfMatchVersion",
            "If-Match must have the versions of the primary and of the staging distribution.",
        )
    check_if_match(versions[0], primary.latest.etag)
    check_if_match(versions[1], staging.latest.etag)
    policy = context.store.continuous_deployment_policies.get(
        primary.latest.continuous_deployment_policy_id
    )
    if policy is None or staging.domain not in policy.staging_domains:
        raise CloudFrontError(
            "IllegalUpdate",
            "The primary distribution has no continuous deployment policy that names this "
            "staging distribution.",
        )
    own = primary.latest.config
    given = distributions.parse_config(
        with_members(
            staging.latest.raw,
            {
                "CallerReference": text_member("CallerReference", own["CallerReference"]),
                "Aliases": aliases_member((own.get("Aliases") or {}).get("Items") or ()),
                "ContinuousDeploymentPolicyId": text_member(
                    "ContinuousDeploymentPolicyId", policy.id
                ),
                "Staging": flag_member("Staging", False),
            },
        )
    )
    check_distribution(context, given.config, primary.id)
    changed = distributions.revise(context, primary, given)
    revised(context, policy, {**policy.config, "Enabled": False}, changed.latest.deployed_at)
    return {"Distribution": distributions.shown(context, changed), "ETag": changed.latest.etag}


OPERATIONS: Mapping[str, Operation] = {
    "CopyDistribution": copy_distribution,
    "UpdateDistributionWithStagingConfig": update_distribution_with_staging_config,
}
