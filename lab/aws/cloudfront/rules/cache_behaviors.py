"""Rules for a distribution's cache behaviors, part of rules/distribution_config.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Config
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.rules.policy_kinds import KINDS, check_attachable
from lab.aws.cloudfront.rules.trusted_key_groups import check_trusted
from lab.aws.cloudfront.rules.viewer_config import check_unique

_READS = frozenset({"GET", "HEAD"})
_METHOD_SETS = (
    _READS,
    _READS | {"OPTIONS"},
    _READS | {"OPTIONS", "PUT", "PATCH", "POST", "DELETE"},
)
_CACHED_METHOD_SETS = _METHOD_SETS[:2]
_PATH_PATTERN = re.compile(r"[A-Za-z0-9_\-.*$/~\"'@:+&?=!,;()\[\]]{1,255}")
_VIEWER_EVENTS = frozenset({"viewer-request", "viewer-response"})
# Quotas page: functions per behavior, legacy forwarding.
_MAX_LAMBDA_FUNCTIONS = 4
_MAX_FUNCTIONS = 2
_MAX_FORWARDED = 10


def behaviors_of(config: Config) -> list[Config]:
    """The ordered behaviors, without the default one."""
    return list((config.get("CacheBehaviors") or {}).get("Items") or [])


def all_behaviors_of(config: Config) -> list[Config]:
    """The default behavior, then the ordered ones."""
    return [config["DefaultCacheBehavior"], *behaviors_of(config)]


def check_behaviors(context: Context, config: Config, own_id: str | None) -> None:
    """Number of behaviors, unique path patterns, and everything that they refer to."""
    ordered = behaviors_of(config)
    limit = context.quotas["cache_behaviors"]
    if len(ordered) > limit:
        raise CloudFrontError(
            "TooManyCacheBehaviors",
            f"You cannot create more cache behaviors for the distribution than {limit}.",
        )
    check_unique(
        (behavior["PathPattern"].removeprefix("/") for behavior in ordered),
        "The parameter PathPattern {} is a duplicate.",
    )
    for behavior in ordered:
        if not _PATH_PATTERN.fullmatch(behavior["PathPattern"]):
            raise invalid(f"The parameter PathPattern is not valid: {behavior['PathPattern']}")
    origins = {origin["Id"]: origin for origin in config["Origins"].get("Items") or []}
    groups = {group["Id"]: group for group in (config.get("OriginGroups") or {}).get("Items") or []}
    for behavior in all_behaviors_of(config):
        target = behavior["TargetOriginId"]
        if target not in origins and target not in groups:
            raise CloudFrontError(
                "NoSuchOrigin", "One or more of your origins or origin groups do not exist."
            )
        _check_methods(behavior, to_group=target in groups)
        _check_policies(behavior)
        _check_legacy_forwarding(behavior)
        check_trusted(context, behavior)
        _check_functions(behavior)
        if _reaches_vpc_origin(target, origins, groups):
            _check_vpc_origin_behavior(behavior)
    for kind in KINDS:
        # Each policy once, since counting its users visits every distribution.
        for policy_id in dict.fromkeys(
            behavior.get(kind.field) for behavior in all_behaviors_of(config)
        ):
            if policy_id:
                check_attachable(context, kind, policy_id, own_id)


def _check_methods(behavior: Config, *, to_group: bool) -> None:
    methods = behavior.get("AllowedMethods")
    if methods is None:
        return
    allowed = frozenset(methods.get("Items") or [])
    cached = frozenset((methods.get("CachedMethods") or {}).get("Items") or _READS)
    if allowed not in _METHOD_SETS:
        raise invalid(
            "The parameter AllowedMethods must be one of the three sets that CloudFront knows."
        )
    if cached not in _CACHED_METHOD_SETS or not cached <= allowed:
        raise invalid(
            "The parameter CachedMethods must be GET and HEAD, or these and OPTIONS, and be "
            "allowed."
        )
    if to_group and "POST" in allowed:
        raise invalid(
            "The parameter AllowedMethods cannot include POST, PUT, PATCH, or DELETE for a "
            "cached behavior associated "
            "with an origin group."
        )


def _check_policies(behavior: Config) -> None:
    cache_policy = behavior.get("CachePolicyId")
    legacy = behavior.get("ForwardedValues")
    if cache_policy and legacy is not None:
        raise invalid(
            "The parameter ForwardedValues cannot be used when a cache policy is associated "
            "to the cache behavior."
        )
    if not cache_policy and legacy is None:
        raise invalid("A cache behavior must have either CachePolicyId or ForwardedValues.")
    if behavior.get("OriginRequestPolicyId") and not cache_policy:
        raise invalid("A cache behavior with an origin request policy must have a cache policy.")


def _check_legacy_forwarding(behavior: Config) -> None:
    legacy = behavior.get("ForwardedValues")
    if legacy is None:
        return
    least = behavior.get("MinTTL", 0)
    usual = behavior.get("DefaultTTL", max(86_400, least))
    most = behavior.get("MaxTTL", max(31_536_000, usual))
    if not 0 <= least <= usual <= most:
        raise CloudFrontError(
            "InvalidTTLOrder",
            "The order of TTLs is not valid: MinTTL, DefaultTTL and MaxTTL must not fall.",
        )
    if least and "*" in _names(legacy, "Headers"):
        raise invalid("The parameter MinTTL must be 0 when all headers are forwarded.")
    cookies = legacy["Cookies"]
    names = _names(cookies, "WhitelistedNames")
    if (cookies["Forward"] == "whitelist") != bool(names):
        raise CloudFrontError(
            "InvalidForwardCookies",
            "WhitelistedNames must be given for Forward whitelist, and only then.",
        )
    for found, code in (
        (names, "TooManyCookieNamesInWhiteList"),
        (_names(legacy, "Headers"), "TooManyHeadersInForwardedValues"),
        (_names(legacy, "QueryStringCacheKeys"), "TooManyQueryStringParameters"),
    ):
        if len(found) > _MAX_FORWARDED:
            raise CloudFrontError(
                code, f"A behavior cannot name more than {_MAX_FORWARDED} of them."
            )


def _check_functions(behavior: Config) -> None:
    for name, most, too_many, wrong in (
        (
            "LambdaFunctionAssociations",
            _MAX_LAMBDA_FUNCTIONS,
            "TooManyLambdaFunctionAssociations",
            "InvalidLambdaFunctionAssociation",
        ),
        (
            "FunctionAssociations",
            _MAX_FUNCTIONS,
            "TooManyFunctionAssociations",
            "InvalidFunctionAssociation",
        ),
    ):
        events = [found["EventType"] for found in _names(behavior, name)]
        if len(events) > most:
            raise CloudFrontError(too_many, f"A behavior can have at most {most} of {name}.")
        if len(set(events)) < len(events):
            raise CloudFrontError(wrong, "A behavior can have one function for each event type.")
        if name == "FunctionAssociations" and not _VIEWER_EVENTS.issuperset(events):
            raise CloudFrontError(
                wrong, "CloudFront Functions run on viewer-request and viewer-response only."
            )


def _check_vpc_origin_behavior(behavior: Config) -> None:
    """What VPC origins do not support, according to the Developer Guide."""
    if (behavior.get("GrpcConfig") or {}).get("Enabled"):
        raise invalid("gRPC is not supported for a VPC origin.")
    if any(
        found["EventType"].startswith("origin-")
        for found in _names(behavior, "LambdaFunctionAssociations")
    ):
        raise CloudFrontError(
            "InvalidLambdaFunctionAssociation",
            "Lambda@Edge origin triggers are not supported for a VPC origin.",
        )


def _reaches_vpc_origin(
    target: str, origins: Mapping[str, Config], groups: Mapping[str, Config]
) -> bool:
    members = [member["OriginId"] for member in _names(groups.get(target) or {}, "Members")] or [
        target
    ]
    return any((origins.get(member) or {}).get("VpcOriginConfig") for member in members)


def _names(config: Config, name: str) -> list[Any]:
    return list((config.get(name) or {}).get("Items") or [])
