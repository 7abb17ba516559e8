"""What CloudFront refuses in a distribution's configuration.

It decides the first thing that is wrong with a configuration whose form is already right (wire.py saw to that),
in the order of the functions below. It must never store or change anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.errors import CloudFrontError, invalid
from lab.aws.cloudfront.lifecycle import Config
from lab.aws.cloudfront.managed_policies import CACHE_POLICIES, ORIGIN_REQUEST_POLICIES

_METHOD_SETS = (
    frozenset({"GET", "HEAD"}),
    frozenset({"GET", "HEAD", "OPTIONS"}),
    frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}),
)
_CACHED_METHOD_SETS = _METHOD_SETS[:2]
_PATH_PATTERN = re.compile(r"[A-Za-z0-9_\-.*$/~\"'@:+&?=!,;()\[\]]{1,255}")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*)(\.[A-Za-z0-9_-]+)+\.?")
_ALIAS = re.compile(r"(?=.{1,253}$)(\*\.)?([A-Za-z0-9_-]+\.)+[A-Za-z]{2,}")
_ORIGIN_KINDS = ("S3OriginConfig", "CustomOriginConfig", "VpcOriginConfig")
_LARGEST_READ_TIMEOUT = 120
_LARGEST_KEEPALIVE = 300
# The five managed response headers policies; the lab has no custom ones yet.
_RESPONSE_HEADERS_POLICIES = frozenset(
    {
        "60669652-455b-4ae9-85a4-c4c02393f86c",
        "5cc3b908-e619-4b99-88e5-2cf7f45965bd",
        "67f7725c-6f97-4210-82d7-5512b31e9d03",
        "e61eb60c-9c35-4d20-a928-2b84e02af89c",
        "eaab4381-ed33-4a86-88ca-d9558dc6cd63",
    }
)


def check_distribution(context: Context, config: Config, own_id: str | None) -> None:
    """Refuse a configuration that CloudFront would refuse; `own_id` is the distribution that is updated, if any.

    :raises CloudFrontError: the first rule that is broken.
    """
    for rule in _RULES:
        rule(context, config, own_id)


def origins_of(config: Config) -> list[Config]:
    """The origins, in order."""
    return list(config["Origins"].get("Items") or [])


def behaviors_of(config: Config) -> list[Config]:
    """The ordered behaviors, in order, without the default one."""
    return list((config.get("CacheBehaviors") or {}).get("Items") or [])


def _check_plain_fields(_context: Context, config: Config, _own_id: str | None) -> None:
    if not 1 <= len(config["CallerReference"]) <= 128:
        raise invalid("The parameter CallerReference must have 1 to 128 characters.")
    if len(config["Comment"]) > 128:
        raise invalid("The parameter Comment is too long.")
    if config.get("DefaultRootObject", "").startswith("/"):
        raise CloudFrontError("InvalidDefaultRootObject", "The default root object must not begin with a slash.")
    if config.get("ContinuousDeploymentPolicyId"):
        raise CloudFrontError(
            "NoSuchContinuousDeploymentPolicy", "The specified continuous deployment policy does not exist."
        )


def _check_origins(context: Context, config: Config, _own_id: str | None) -> None:
    origins = origins_of(config)
    if not origins:
        raise invalid("The parameter Origins must have at least one item.")
    limit = context.quotas["origins"]
    if len(origins) > limit:
        raise CloudFrontError("TooManyOrigins", f"You cannot have more than {limit} origins for each distribution.")
    ids = [origin["Id"] for origin in origins]
    _unique(ids, "The parameter Origin Id {} is a duplicate.")
    for origin in origins:
        _check_origin(origin)


def _check_origin(origin: Config) -> None:
    name = origin["Id"]
    if not 1 <= len(name) <= 128:
        raise invalid("The parameter Origin Id must have 1 to 128 characters.")
    if not _HOST_NAME.fullmatch(origin["DomainName"]):
        raise invalid(f"The parameter Origin DomainName does not refer to a valid host: {origin['DomainName']}")
    path = origin.get("OriginPath", "")
    if path and (not path.startswith("/") or path.endswith("/")):
        raise invalid(f"The parameter OriginPath of {name} must begin with a slash and not end with one.")
    kinds = [kind for kind in _ORIGIN_KINDS if origin.get(kind) is not None]
    if len(kinds) != 1:
        raise invalid(f"The origin {name} must have exactly one of {', '.join(_ORIGIN_KINDS)}.")
    if not 1 <= origin.get("ConnectionAttempts", 3) <= 3:
        raise invalid("The parameter ConnectionAttempts must be 1, 2 or 3.")
    if not 1 <= origin.get("ConnectionTimeout", 10) <= 10:
        raise invalid("The parameter ConnectionTimeout must be 1 to 10 seconds.")
    kind = origin[kinds[0]]
    read_timeout = kind.get("OriginReadTimeout", 30)
    if not 1 <= read_timeout <= _LARGEST_READ_TIMEOUT:
        raise CloudFrontError(
            "InvalidOriginReadTimeout", f"The read timeout of {name} must be 1 to {_LARGEST_READ_TIMEOUT} seconds."
        )
    if not 1 <= kind.get("OriginKeepaliveTimeout", 5) <= _LARGEST_KEEPALIVE:
        raise CloudFrontError(
            "InvalidOriginKeepaliveTimeout",
            f"The keep-alive timeout of {name} must be 1 to {_LARGEST_KEEPALIVE} seconds.",
        )
    completion = origin.get("ResponseCompletionTimeout")
    if completion and completion < read_timeout:
        raise invalid("The parameter ResponseCompletionTimeout must not be less than OriginReadTimeout.")
    if kinds[0] == "CustomOriginConfig":
        for field in ("HTTPPort", "HTTPSPort"):
            if kind[field] not in (80, 443) and not 1024 <= kind[field] <= 65535:
                raise invalid(f"The parameter {field} of {name} must be 80, 443 or 1024-65535.")


def _check_vpc_origins(context: Context, config: Config, own_id: str | None) -> None:
    limit = context.quotas["distributions_per_vpc_origin"]
    for origin in origins_of(config):
        named = origin.get("VpcOriginConfig")
        if not named:
            continue
        origin_id = named["VpcOriginId"]
        found = context.store.vpc_origins.get(origin_id)
        owner = named.get("OwnerAccountId") or context.account
        if found is None or found.account != context.account or owner != found.account or found.deleted_at is not None:
            raise CloudFrontError("EntityNotFound", f"The specified vpc origin does not exist: {origin_id}")
        used_by = [
            other.id
            for other in context.store.distributions.values()
            if other.id != own_id and other.uses(origin_id, context.now)
        ]
        known = own_id is not None and context.store.distributions[own_id].uses(origin_id, context.now)
        if not known and found.status(context.now) != "Deployed":
            raise invalid(f"The VPC origin {origin_id} is not deployed yet.")
        if len(used_by) >= limit:
            raise CloudFrontError(
                "EntityLimitExceeded",
                f"The VPC origin {origin_id} is used by {limit} distributions, the limit.",
            )


def _check_behaviors(context: Context, config: Config, _own_id: str | None) -> None:
    ordered = behaviors_of(config)
    limit = context.quotas["cache_behaviors"]
    if len(ordered) > limit:
        raise CloudFrontError(
            "TooManyCacheBehaviors", f"You cannot create more cache behaviors for the distribution than {limit}."
        )
    _unique(
        [behavior["PathPattern"].removeprefix("/") for behavior in ordered],
        "The parameter PathPattern {} is a duplicate.",
    )
    for behavior in ordered:
        if not _PATH_PATTERN.fullmatch(behavior["PathPattern"]):
            raise invalid(f"The parameter PathPattern is not valid: {behavior['PathPattern']}")
    groups = (config.get("OriginGroups") or {}).get("Items") or []
    origins = {origin["Id"]: origin for origin in origins_of(config)}
    group_ids = {group["Id"] for group in groups}
    for behavior in [config["DefaultCacheBehavior"], *ordered]:
        target = behavior["TargetOriginId"]
        if target not in origins and target not in group_ids:
            raise CloudFrontError("NoSuchOrigin", "One or more of your origins or origin groups do not exist.")
        _check_methods(behavior)
        _check_policies(context, behavior)
        if (origins.get(target) or {}).get("VpcOriginConfig"):
            _check_vpc_origin_behavior(behavior)


def _check_methods(behavior: Config) -> None:
    methods = behavior.get("AllowedMethods")
    if methods is None:
        return
    allowed = frozenset(methods.get("Items") or [])
    cached = frozenset((methods.get("CachedMethods") or {}).get("Items") or ["GET", "HEAD"])
    if allowed not in _METHOD_SETS:
        raise invalid("The parameter AllowedMethods must be one of the three sets that CloudFront knows.")
    if cached not in _CACHED_METHOD_SETS or not cached <= allowed:
        raise invalid("The parameter CachedMethods must be GET and HEAD, or these and OPTIONS, and be allowed.")


def _check_policies(context: Context, behavior: Config) -> None:
    cache_policy = behavior.get("CachePolicyId")
    legacy = behavior.get("ForwardedValues")
    if cache_policy and legacy is not None:
        raise invalid(
            "The parameter ForwardedValues cannot be used when a cache policy is associated to the cache behavior."
        )
    if not cache_policy and legacy is None:
        raise invalid("A cache behavior must have either CachePolicyId or ForwardedValues.")
    if cache_policy and cache_policy not in CACHE_POLICIES:
        raise CloudFrontError("NoSuchCachePolicy", "The specified cache policy does not exist.")
    request_policy = behavior.get("OriginRequestPolicyId")
    if request_policy:
        if not cache_policy:
            raise invalid("A cache behavior with an origin request policy must have a cache policy.")
        custom = context.store.origin_request_policies.get(request_policy)
        if request_policy not in ORIGIN_REQUEST_POLICIES and (custom is None or custom.account != context.account):
            raise CloudFrontError("NoSuchOriginRequestPolicy", "The specified origin request policy does not exist.")
    headers_policy = behavior.get("ResponseHeadersPolicyId")
    if headers_policy and headers_policy not in _RESPONSE_HEADERS_POLICIES:
        raise CloudFrontError("NoSuchResponseHeadersPolicy", "The specified response headers policy does not exist.")


def _check_vpc_origin_behavior(behavior: Config) -> None:
    """What the Developer Guide lists as not supported with a VPC origin."""
    if (behavior.get("GrpcConfig") or {}).get("Enabled"):
        raise invalid("gRPC is not supported for a VPC origin.")
    functions = (behavior.get("LambdaFunctionAssociations") or {}).get("Items") or []
    if any(function["EventType"].startswith("origin-") for function in functions):
        raise CloudFrontError(
            "InvalidLambdaFunctionAssociation", "Lambda@Edge origin triggers are not supported for a VPC origin."
        )


def _check_aliases(context: Context, config: Config, own_id: str | None) -> None:
    aliases = [alias.lower() for alias in (config.get("Aliases") or {}).get("Items") or []]
    if not aliases:
        return
    limit = context.quotas["aliases"]
    if len(aliases) > limit:
        raise CloudFrontError("TooManyDistributionCNAMEs", f"You cannot have more than {limit} aliases.")
    _unique(aliases, "The parameter CNAME {} is a duplicate.")
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise invalid(f"The parameter CNAME contains an invalid name: {alias}")
    certificate = config.get("ViewerCertificate") or {}
    if not certificate.get("ACMCertificateArn") and not certificate.get("IAMCertificateId"):
        raise CloudFrontError(
            "InvalidViewerCertificate",
            "To add an alternate domain name (CNAME) to a CloudFront distribution, you must attach a trusted "
            "certificate that validates your authorization to use the domain name.",
        )
    for other in context.store.distributions.values():
        taken = {alias.lower() for alias in (other.latest.config.get("Aliases") or {}).get("Items") or []}
        if other.id != own_id and taken.intersection(aliases):
            raise CloudFrontError(
                "CNAMEAlreadyExists",
                "One or more of the CNAMEs you provided are already associated with a different resource.",
            )


def _unique(names: list[str], message: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise invalid(message.format(name))
        seen.add(name)


_RULES: tuple[Callable[[Context, Config, str | None], None], ...] = (
    _check_plain_fields,
    _check_origins,
    _check_vpc_origins,
    _check_behaviors,
    _check_aliases,
)
