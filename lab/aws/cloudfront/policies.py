"""Cache policies (managed ones) and origin request policies (managed and custom)."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation, check_if_match, new_etag, page, policy_page
from lab.aws.cloudfront.errors import CloudFrontError, invalid
from lab.aws.cloudfront.lifecycle import Config, OriginRequestPolicy
from lab.aws.cloudfront.managed_policies import CACHE_POLICIES, ORIGIN_REQUEST_POLICIES
from lab.aws.cloudfront.wire import Call, Values

# Managed policies were last changed before any lab existed; the date itself is of no consequence.
_MANAGED_SINCE = 1_755_648_000.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LISTING_BEHAVIORS = ("whitelist", "allExcept", "allViewerAndWhitelistCloudFront")
_PARTS = (
    ("HeadersConfig", "HeaderBehavior", "Headers"),
    ("CookiesConfig", "CookieBehavior", "Cookies"),
    ("QueryStringsConfig", "QueryStringBehavior", "QueryStrings"),
)


def list_cache_policies(context: Context, call: Call) -> Values:
    """ListCachePolicies."""
    wanted = CACHE_POLICIES if _wanted(call) != "custom" else {}
    listed = page(
        context,
        wanted.items(),
        call.parameters,
        lambda item: item[0],
        lambda item: {"Type": "managed", "CachePolicy": _cache_policy(*item)},
    )
    return {"CachePolicyList": policy_page(listed)}


def get_cache_policy(_context: Context, call: Call) -> Values:
    """GetCachePolicy."""
    policy_id = call.parameters["Id"]
    config = _managed_cache_policy(policy_id)
    return {"CachePolicy": _cache_policy(policy_id, config), "ETag": _managed_etag(policy_id)}


def get_cache_policy_config(_context: Context, call: Call) -> Values:
    """GetCachePolicyConfig."""
    policy_id = call.parameters["Id"]
    return {"CachePolicyConfig": _managed_cache_policy(policy_id), "ETag": _managed_etag(policy_id)}


def list_origin_request_policies(context: Context, call: Call) -> Values:
    """ListOriginRequestPolicies."""
    wanted = _wanted(call)
    listed: list[OriginRequestPolicy] = []
    if wanted != "custom":
        listed += [_managed(policy_id, config) for policy_id, config in ORIGIN_REQUEST_POLICIES.items()]
    if wanted != "managed":
        listed += _own(context)
    shown = page(
        context,
        listed,
        call.parameters,
        lambda policy: policy.id,
        lambda policy: {
            "Type": "managed" if policy.id in ORIGIN_REQUEST_POLICIES else "custom",
            "OriginRequestPolicy": _shown(policy),
        },
    )
    return {"OriginRequestPolicyList": policy_page(shown)}


def get_origin_request_policy(context: Context, call: Call) -> Values:
    """GetOriginRequestPolicy."""
    policy = _find(context, call.parameters["Id"])
    return {"OriginRequestPolicy": _shown(policy), "ETag": policy.etag}


def get_origin_request_policy_config(context: Context, call: Call) -> Values:
    """GetOriginRequestPolicyConfig."""
    policy = _find(context, call.parameters["Id"])
    return {"OriginRequestPolicyConfig": policy.config, "ETag": policy.etag}


def create_origin_request_policy(context: Context, call: Call) -> Values:
    """CreateOriginRequestPolicy."""
    config = call.parameters["OriginRequestPolicyConfig"]
    _check(context, config, own_id=None)
    limit = context.quotas["origin_request_policies"]
    if len(_own(context)) >= limit:
        raise CloudFrontError(
            "TooManyOriginRequestPolicies", f"You have reached the limit of {limit} origin request policies."
        )
    policy = OriginRequestPolicy(
        account=context.account, id=str(uuid.uuid4()), etag=new_etag(), config=config, modified=context.wall
    )
    context.store.origin_request_policies.put(policy)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/origin-request-policy/{policy.id}"
    return {"OriginRequestPolicy": _shown(policy), "ETag": policy.etag, "Location": location}


def update_origin_request_policy(context: Context, call: Call) -> Values:
    """UpdateOriginRequestPolicy: allowed while in use; the edge follows at once (lab/README.md, unverified)."""
    policy = _find(context, call.parameters["Id"])
    if policy.id in ORIGIN_REQUEST_POLICIES:
        raise CloudFrontError("IllegalUpdate", "A managed policy cannot be updated.")
    check_if_match(call.parameters.get("IfMatch"), policy.etag)
    config = call.parameters["OriginRequestPolicyConfig"]
    _check(context, config, own_id=policy.id)
    changed = dataclasses.replace(policy, config=config, etag=new_etag(), modified=context.wall)
    context.store.origin_request_policies.put(changed)
    return {"OriginRequestPolicy": _shown(changed), "ETag": changed.etag}


def delete_origin_request_policy(context: Context, call: Call) -> Values:
    """DeleteOriginRequestPolicy: never while a behavior of any live configuration names it."""
    policy = _find(context, call.parameters["Id"])
    if policy.id in ORIGIN_REQUEST_POLICIES:
        raise CloudFrontError("IllegalDelete", "You cannot delete a managed policy.")
    check_if_match(call.parameters.get("IfMatch"), policy.etag)
    if _in_use(context, policy.id):
        raise CloudFrontError(
            "OriginRequestPolicyInUse",
            "Cannot delete the origin request policy because it is attached to one or more cache behaviors.",
        )
    context.store.origin_request_policies.drop(policy)
    return {}


def _wanted(call: Call) -> str:
    return str(call.parameters.get("Type", ""))


def _managed_cache_policy(policy_id: str) -> Config:
    config = CACHE_POLICIES.get(policy_id)
    if config is None:
        raise CloudFrontError("NoSuchCachePolicy", "The specified cache policy does not exist.")
    return config


def _cache_policy(policy_id: str, config: Mapping[str, object]) -> Values:
    return {"Id": policy_id, "LastModifiedTime": _MANAGED_SINCE, "CachePolicyConfig": dict(config)}


def _managed_etag(policy_id: str) -> str:
    return "E" + policy_id.replace("-", "").upper()[:13]


def _managed(policy_id: str, config: Config) -> OriginRequestPolicy:
    return OriginRequestPolicy("aws", policy_id, _managed_etag(policy_id), config, _MANAGED_SINCE)


def _own(context: Context) -> list[OriginRequestPolicy]:
    return [policy for policy in context.store.origin_request_policies.values() if policy.account == context.account]


def _find(context: Context, policy_id: str) -> OriginRequestPolicy:
    managed = ORIGIN_REQUEST_POLICIES.get(policy_id)
    if managed is not None:
        return _managed(policy_id, managed)
    policy = context.store.origin_request_policies.get(policy_id)
    if policy is None or policy.account != context.account:
        raise CloudFrontError("NoSuchOriginRequestPolicy", "The specified origin request policy does not exist.")
    return policy


def _shown(policy: OriginRequestPolicy) -> Values:
    return {"Id": policy.id, "LastModifiedTime": policy.modified, "OriginRequestPolicyConfig": policy.config}


def _check(context: Context, config: Config, own_id: str | None) -> None:
    name = config["Name"]
    if not _NAME.fullmatch(name):
        raise invalid("The name of a policy may have letters, digits, hyphens and underscores, at most 128.")
    if len(config.get("Comment", "")) > 128:
        raise invalid("The parameter Comment is too long.")
    taken = [policy.config["Name"] for policy in _own(context) if policy.id != own_id]
    taken += [managed["Name"] for managed in ORIGIN_REQUEST_POLICIES.values()]
    if name in taken:
        raise CloudFrontError(
            "OriginRequestPolicyAlreadyExists", "An origin request policy with this name already exists."
        )
    for part, behavior, names in _PARTS:
        listed = (config[part].get(names) or {}).get("Items") or []
        if (config[part][behavior] in _LISTING_BEHAVIORS) != bool(listed):
            raise invalid(f"{names} must be given exactly when {behavior} names some.")
    limit = context.quotas["headers_per_origin_request_policy"]
    if len((config["HeadersConfig"].get("Headers") or {}).get("Items") or []) > limit:
        raise CloudFrontError(
            "TooManyHeadersInOriginRequestPolicy", f"An origin request policy can name at most {limit} headers."
        )


def _in_use(context: Context, policy_id: str) -> bool:
    for distribution in context.store.distributions.values():
        for revision in distribution.live(context.now):
            config = revision.config
            behaviors = [config["DefaultCacheBehavior"], *((config.get("CacheBehaviors") or {}).get("Items") or [])]
            if any(behavior.get("OriginRequestPolicyId") == policy_id for behavior in behaviors):
                return True
    return False


OPERATIONS: Mapping[str, Operation] = {
    "ListCachePolicies": list_cache_policies,
    "GetCachePolicy": get_cache_policy,
    "GetCachePolicyConfig": get_cache_policy_config,
    "ListOriginRequestPolicies": list_origin_request_policies,
    "GetOriginRequestPolicy": get_origin_request_policy,
    "GetOriginRequestPolicyConfig": get_origin_request_policy_config,
    "CreateOriginRequestPolicy": create_origin_request_policy,
    "UpdateOriginRequestPolicy": update_origin_request_policy,
    "DeleteOriginRequestPolicy": delete_origin_request_policy,
}
