"""Rules for primary and staging distributions: what may differ, and what may change while a policy
joins them.
"""

from __future__ import annotations

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Config, ContinuousDeploymentPolicy, Distribution
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.rules.viewer_config import aliases_of

# Developer Guide, "Update primary and staging distributions": what may change while a policy is
# attached.
_CHANGEABLE = frozenset(
    {
        "CacheBehaviors",
        "Comment",
        "CustomErrorResponses",
        "DefaultCacheBehavior",
        "DefaultRootObject",
        "Logging",
        "OriginGroups",
        "Origins",
        "Restrictions",
    }
)
# Members that each of the two has on its own.
_OWN = frozenset(
    {"Aliases", "CallerReference", "ContinuousDeploymentPolicyId", "Enabled", "Staging"}
)
_HTTP3 = frozenset({"http3", "http2and3"})


def check_continuous_deployment(context: Context, config: Config, own_id: str | None) -> None:
    """A configuration's policy and staging flag must fit it and its counterpart.

    :raises CloudFrontError: the first broken rule.
    """
    before = context.store.distributions[own_id].latest.config if own_id is not None else None
    staging, policy_id = bool(config.get("Staging")), config.get("ContinuousDeploymentPolicyId")
    if before is not None and bool(before.get("Staging")) != staging:
        raise CloudFrontError(
            "IllegalUpdate", "You cannot make a staging distribution of a primary one, or back."
        )
    if staging or policy_id:
        _check_fit(config)
    if staging:
        _check_staging(config)
    elif policy_id:
        _check_attachment(context, config, str(policy_id), own_id)
    if own_id is not None and before is not None:
        _check_change(context, context.store.distributions[own_id], before, config)


def differences(one: Config, other: Config) -> list[str]:
    """The members that differ between a primary and its staging distribution, but must not."""
    return sorted(
        name
        for name in (one.keys() | other.keys()) - _CHANGEABLE - _OWN
        if (one.get(name) or "") != (other.get(name) or "")
    )


def staging_of(context: Context, policy: ContinuousDeploymentPolicy) -> Distribution | None:
    """The staging distribution of a policy."""
    for entity in context.store.distributions.values():
        if entity.account == policy.account and entity.domain in policy.staging_domains:
            return entity
    return None


def primary_of(context: Context, policy_id: str) -> Distribution | None:
    """The distribution whose newest configuration has the policy."""
    for entity in context.store.distributions.values():
        if entity.latest.continuous_deployment_policy_id == policy_id:
            return entity
    return None


def policy_of(context: Context, staging: Distribution) -> ContinuousDeploymentPolicy | None:
    """The policy of a staging distribution; there is at most one."""
    for policy in context.store.continuous_deployment_policies.values():
        if policy.account == staging.account and staging.domain in policy.staging_domains:
            return policy
    return None


def _check_fit(config: Config) -> None:
    """Refuse what continuous deployment does not support, for both distributions."""
    if config.get("HttpVersion") in _HTTP3:
        raise invalid("The parameter HTTP3 is not supported for Continuous Deployment Policy.")
    if any(
        origin.get("ResponseCompletionTimeout") for origin in config["Origins"].get("Items") or []
    ):
        raise invalid(
            "The parameter ResponseCompletionTimeout is not supported for Continuous "
            "Deployment Policy."
        )


def _check_staging(config: Config) -> None:
    if config.get("ContinuousDeploymentPolicyId"):
        raise invalid(
            "A continuous deployment policy belongs to a primary distribution, not to a "
            "staging one."
        )
    if aliases_of(config):
        raise invalid("The parameter Aliases is not supported for a staging distribution.")


def _check_attachment(context: Context, config: Config, policy_id: str, own_id: str | None) -> None:
    if own_id is None:
        raise invalid("Continuous deployment policy is not supported during distribution creation.")
    policy = context.store.continuous_deployment_policies.get(policy_id)
    if policy is None or policy.account != context.account:
        raise CloudFrontError(
            "NoSuchContinuousDeploymentPolicy",
            "The specified continuous deployment policy does not exist.",
        )
    primary = primary_of(context, policy_id)
    if primary is not None and primary.id != own_id:
        raise CloudFrontError(
            "ContinuousDeploymentPolicyInUse",
            "The continuous deployment policy is associated with another primary distribution.",
        )
    staging = staging_of(context, policy)
    if staging is not None:
        _check_same(config, staging.latest.config)


def _check_change(context: Context, own: Distribution, before: Config, config: Config) -> None:
    if not own.latest.staging:
        if own.latest.continuous_deployment_policy_id:
            _check_same(before, config)
            if aliases_of(before) != aliases_of(config):
                raise _not_supported(["Aliases"])
        return
    policy = policy_of(context, own)
    if policy is None:
        return
    if before["Enabled"] and not config["Enabled"]:
        raise CloudFrontError(
            "StagingDistributionInUse",
            "The specified staging distribution is currently used by a continuous "
            "deployment policy.",
        )
    if primary_of(context, policy.id) is not None:
        _check_same(before, config)


def _check_same(one: Config, other: Config) -> None:
    different = differences(one, other)
    if different:
        raise _not_supported(different)


def _not_supported(names: list[str]) -> CloudFrontError:
    return CloudFrontError(
        "IllegalUpdate",
        "One or more fields updated are not supported for continuous deployment: "
        f"{', '.join(names)}.",
    )
