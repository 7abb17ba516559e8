"""Continuous deployment policies: create, get, update, delete, list.

What a policy forbids for the distributions that it joins is in rules/continuous_deployment.py.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation, check_if_match, new_etag, page
from lab.aws.cloudfront.entities.lifecycle import (
    Config,
    ContinuousDeploymentPolicy,
    Distribution,
    switches,
)
from lab.aws.cloudfront.operations.distributions import redeploy
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.continuous_deployment import differences, primary_of

_HEADER_PREFIX = "aws-cf-cd-"
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,256}", re.IGNORECASE)
_VALUE = re.compile(r"[ -~]{1,1783}")
_LARGEST_WEIGHT = 0.15
_TTLS = range(300, 3601)
_CONFIGS = {"SingleHeader": "SingleHeaderConfig", "SingleWeight": "SingleWeightConfig"}


def create_policy(context: Context, call: Call) -> Values:
    """CreateContinuousDeploymentPolicy. Checks in order: arguments, quota, other policies."""
    config = call.parameters["ContinuousDeploymentPolicyConfig"]
    staging = _checked(context, config)
    own = _of_account(context)
    limit = context.quotas["continuous_deployment_policies"]
    if len(own) >= limit:
        raise CloudFrontError(
            "TooManyContinuousDeploymentPolicies",
            f"You have reached the maximum number of continuous deployment policies, {limit}.",
        )
    if any(policy.config == config for policy in own):
        raise CloudFrontError(
            "ContinuousDeploymentPolicyAlreadyExists",
            "A continuous deployment policy with this configuration already exists.",
        )
    _check_unused(staging, own)
    policy = ContinuousDeploymentPolicy(
        account=context.account,
        id=str(uuid.uuid4()),
        etag=new_etag(),
        config=config,
        modified=context.real_time,
        rollout=[(context.now, config)],
    )
    context.store.continuous_deployment_policies.put(policy)
    location = (
        f"https://cloudfront.amazonaws.com/2020-05-31/continuous-deployment-policy/{policy.id}"
    )
    return {"ContinuousDeploymentPolicy": _shown(policy), "ETag": policy.etag, "Location": location}


def get_policy(context: Context, call: Call) -> Values:
    """GetContinuousDeploymentPolicy."""
    policy = _find(context, call.parameters["Id"])
    return {"ContinuousDeploymentPolicy": _shown(policy), "ETag": policy.etag}


def get_policy_config(context: Context, call: Call) -> Values:
    """GetContinuousDeploymentPolicyConfig."""
    policy = _find(context, call.parameters["Id"])
    return {"ContinuousDeploymentPolicyConfig": policy.config, "ETag": policy.etag}


def update_policy(context: Context, call: Call) -> Values:
    """UpdateContinuousDeploymentPolicy: replaces the whole configuration.

    An attached policy reaches the edges with its primary distribution, which is deployed again.
    """
    policy = _find(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), policy.etag)
    config = call.parameters["ContinuousDeploymentPolicyConfig"]
    staging = _checked(context, config)
    _check_unused(staging, [other for other in _of_account(context) if other.id != policy.id])
    primary = primary_of(context, policy.id)
    moment = context.now
    if primary is not None:
        different = differences(primary.latest.config, staging.latest.config)
        if different:
            raise invalid(
                f"The staging distribution differs from the primary one in {', '.join(different)}."
            )
        moment = redeploy(context, primary).latest.deployed_at
    changed = revised(context, policy, config, moment)
    return {"ContinuousDeploymentPolicy": _shown(changed), "ETag": changed.etag}


def delete_policy(context: Context, call: Call) -> Values:
    """DeleteContinuousDeploymentPolicy: not while an edge serves, or will serve, a primary
    distribution with it.
    """
    policy = _find(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), policy.etag)
    if any(
        entity.follows(policy.id, context.now) for entity in context.store.distributions.values()
    ):
        raise CloudFrontError(
            "ContinuousDeploymentPolicyInUse",
            "You cannot delete a continuous deployment policy that is associated with a "
            "primary distribution.",
        )
    context.store.continuous_deployment_policies.drop(policy)
    return {}


def list_policies(context: Context, call: Call) -> Values:
    """ListContinuousDeploymentPolicies: the account's own, in pages; Quantity counts all of
    them.
    """
    own = _of_account(context)
    listed = page(
        context,
        own,
        call.parameters,
        lambda policy: policy.id,
        lambda policy: {"ContinuousDeploymentPolicy": _shown(policy)},
    )
    shown = {name: listed[name] for name in ("NextMarker", "MaxItems", "Items") if name in listed}
    return {"ContinuousDeploymentPolicyList": {**shown, "Quantity": len(own)}}


def revised(
    context: Context, policy: ContinuousDeploymentPolicy, config: Config, moment: float
) -> ContinuousDeploymentPolicy:
    """The policy with a new configuration that the edges follow from lab time `moment` on;
    stored.
    """
    changed = dataclasses.replace(
        policy,
        etag=new_etag(),
        config=config,
        modified=context.real_time,
        rollout=[*policy.live(context.now), (moment, config)],
        resets=policy.resets + (switches(policy.config) != switches(config)),
    )
    context.store.continuous_deployment_policies.put(changed)
    return changed


def _of_account(context: Context) -> list[ContinuousDeploymentPolicy]:
    return [
        policy
        for policy in context.store.continuous_deployment_policies.values()
        if policy.account == context.account
    ]


def _find(context: Context, policy_id: str) -> ContinuousDeploymentPolicy:
    policy = context.store.continuous_deployment_policies.get(policy_id)
    if policy is None or policy.account != context.account:
        raise CloudFrontError(
            "NoSuchContinuousDeploymentPolicy",
            "The specified continuous deployment policy does not exist.",
        )
    return policy


def _checked(context: Context, config: Config) -> Distribution:
    """Refuse an invalid configuration; gives its staging distribution."""
    names = config["StagingDistributionDnsNames"].get("Items") or []
    if len(names) != 1:
        raise invalid("The parameter StagingDistributionDnsNames must have exactly one item.")
    found = [
        entity
        for entity in context.store.distributions.values()
        if entity.account == context.account and entity.domain == names[0].lower()
    ]
    if not found or not found[0].latest.staging:
        raise invalid(
            "The parameter StagingDistributionDnsNames does not name a staging "
            f"distribution: {names[0]}"
        )
    traffic = config.get("TrafficConfig")
    if traffic is not None:
        _check_traffic(traffic)
    elif config["Enabled"]:
        raise invalid("The parameter TrafficConfig is required for a policy that is enabled.")
    return found[0]


def _check_traffic(traffic: Config) -> None:
    wanted = _CONFIGS[traffic["Type"]]
    given = [name for name in _CONFIGS.values() if traffic.get(name) is not None]
    if given != [wanted]:
        raise invalid(
            f"A TrafficConfig of type {traffic['Type']} must have {wanted} and nothing else."
        )
    if wanted == "SingleHeaderConfig":
        header, value = traffic[wanted]["Header"], traffic[wanted]["Value"]
        if not header.lower().startswith(_HEADER_PREFIX) or not _HEADER.fullmatch(header):
            raise invalid(f"The parameter Header must begin with {_HEADER_PREFIX}: {header}")
        if not _VALUE.fullmatch(value):
            raise invalid("The parameter Value must have 1 to 1783 printable characters.")
        return
    if not 0 <= traffic[wanted]["Weight"] <= _LARGEST_WEIGHT:
        raise invalid(f"The parameter Weight must be 0 to {_LARGEST_WEIGHT}.")
    stickiness = traffic[wanted].get("SessionStickinessConfig")
    if stickiness is None:
        return
    idle, most = stickiness["IdleTTL"], stickiness["MaximumTTL"]
    if idle not in _TTLS or most not in _TTLS or idle > most:
        raise invalid(
            "IdleTTL and MaximumTTL must be 300 to 3600 seconds, and IdleTTL not more than "
            "MaximumTTL."
        )


def _check_unused(staging: Distribution, others: list[ContinuousDeploymentPolicy]) -> None:
    if any(staging.domain in other.staging_domains for other in others):
        raise CloudFrontError(
            "StagingDistributionInUse",
            "A continuous deployment policy for this staging distribution already exists.",
        )


def _shown(policy: ContinuousDeploymentPolicy) -> Values:
    return {
        "Id": policy.id,
        "LastModifiedTime": policy.modified,
        "ContinuousDeploymentPolicyConfig": policy.config,
    }


OPERATIONS: Mapping[str, Operation] = {
    "CreateContinuousDeploymentPolicy": create_policy,
    "GetContinuousDeploymentPolicy": get_policy,
    "GetContinuousDeploymentPolicyConfig": get_policy_config,
    "UpdateContinuousDeploymentPolicy": update_policy,
    "DeleteContinuousDeploymentPolicy": delete_policy,
    "ListContinuousDeploymentPolicies": list_policies,
}
