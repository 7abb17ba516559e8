"""What CloudFront refuses in a distribution's configuration.

Reports the first broken rule, in the order of the functions below. The XML's form has been checked
before (protocol/rest_xml.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Config
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.rules.cache_behaviors import check_behaviors
from lab.aws.cloudfront.rules.continuous_deployment import check_continuous_deployment
from lab.aws.cloudfront.rules.multi_tenant import check_multi_tenant
from lab.aws.cloudfront.rules.viewer_config import (
    check_aliases,
    check_countries,
    check_error_pages,
    check_unique,
    check_web_acl,
)
from lab.aws.cloudfront.rules.vpc_origin_sharing import may_use

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*)(\.[A-Za-z0-9_-]+)+\.?")
_ORIGIN_KINDS = ("S3OriginConfig", "CustomOriginConfig", "VpcOriginConfig")
_LARGEST_READ_TIMEOUT = 120
_LARGEST_KEEPALIVE = 300
# Quotas page, custom headers: characters of a name, of a value, and of all together.
_LONGEST_HEADER_NAME = 256
_LONGEST_HEADER_VALUE = 1783
_LONGEST_HEADERS = 10_240
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Developer Guide, "Custom headers that CloudFront can't add to origin requests".
_FORBIDDEN_HEADERS = frozenset(
    {
        "cache-control",
        "connection",
        "content-length",
        "cookie",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "request-range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
    }
)
_FORBIDDEN_PREFIXES = ("x-amz-", "x-edge-")
# Developer Guide, "Create an origin group": statuses that can trigger a failover.
_FAILOVER_CODES = frozenset({400, 403, 404, 416, 429, 500, 502, 503, 504})


def check_distribution(context: Context, config: Config, own_id: str | None) -> None:
    """Refuse an invalid configuration; `own_id` is the distribution that is updated, if any.

    :raises CloudFrontError: the first broken rule.
    """
    for rule in _RULES:
        rule(context, config, own_id)


def origins_of(config: Config) -> list[Config]:
    """The origins, in order."""
    return list(config["Origins"].get("Items") or [])


def _check_plain_fields(_context: Context, config: Config, _own_id: str | None) -> None:
    if not 1 <= len(config["CallerReference"]) <= 128:
        raise invalid("The parameter CallerReference must have 1 to 128 characters.")
    if len(config["Comment"]) > 128:
        raise invalid("The parameter Comment is too long.")
    if config.get("DefaultRootObject", "").startswith("/"):
        raise CloudFrontError(
            "InvalidDefaultRootObject", "The default root object must not begin with a slash."
        )


def _check_origins(context: Context, config: Config, _own_id: str | None) -> None:
    origins = origins_of(config)
    if not origins:
        raise invalid("The parameter Origins must have at least one item.")
    limit = context.quotas["origins"]
    if len(origins) > limit:
        raise CloudFrontError(
            "TooManyOrigins", f"You cannot have more than {limit} origins for each distribution."
        )
    ids = [origin["Id"] for origin in origins]
    check_unique(ids, "The parameter Origin Id {} is a duplicate.")
    for origin in origins:
        _check_origin(origin)
        _check_custom_headers(context, origin)


def _check_origin_groups(context: Context, config: Config, _own_id: str | None) -> None:
    groups = (config.get("OriginGroups") or {}).get("Items") or []
    limit = context.quotas["origin_groups"]
    if len(groups) > limit:
        raise CloudFrontError(
            "TooManyOriginGroupsPerDistribution",
            f"You cannot have more than {limit} origin groups.",
        )
    origins = {origin["Id"] for origin in origins_of(config)}
    check_unique(
        [*origins, *(group["Id"] for group in groups)],
        "The parameter Origin Group Id {} is a duplicate.",
    )
    for group in groups:
        members = [member["OriginId"] for member in group["Members"].get("Items") or []]
        if len(set(members)) != 2:
            raise invalid(f"The origin group {group['Id']} must have two different members.")
        if not origins.issuperset(members):
            raise CloudFrontError(
                "NoSuchOrigin", "One or more of your origins or origin groups do not exist."
            )
        codes = group["FailoverCriteria"]["StatusCodes"].get("Items") or []
        if not codes or not _FAILOVER_CODES.issuperset(codes):
            raise invalid(
                f"The failover criteria of {group['Id']} must be statuses of "
                f"{sorted(_FAILOVER_CODES)}."
            )


def _check_origin(origin: Config) -> None:
    name = origin["Id"]
    if not 1 <= len(name) <= 128:
        raise invalid("The parameter Origin Id must have 1 to 128 characters.")
    if not _HOST_NAME.fullmatch(origin["DomainName"]):
        raise invalid(
            "The parameter Origin DomainName does not refer to a valid host: "
            f"{origin['DomainName']}"
        )
    path = origin.get("OriginPath", "")
    if path and (not path.startswith("/") or path.endswith("/")):
        raise invalid(
            f"The parameter OriginPath of {name} must begin with a slash and not end with one."
        )
    kinds = [kind for kind in _ORIGIN_KINDS if origin.get(kind) is not None]
    if len(kinds) != 1:
        raise invalid(f"The origin {name} must have exactly one of {', '.join(_ORIGIN_KINDS)}.")
    if not 1 <= origin.get("ConnectionAttempts", 3) <= 3:
        raise invalid("The parameter ConnectionAttempts must be 1, 2 or 3.")
    if not 1 <= origin.get("ConnectionTimeout", 10) <= 10:
        raise invalid("The parameter ConnectionTimeout must be 1 to 10 seconds.")
    shield = origin.get("OriginShield") or {}
    if shield.get("Enabled") and not shield.get("OriginShieldRegion"):
        raise invalid("The parameter OriginShieldRegion is required when Origin Shield is enabled.")
    kind = origin[kinds[0]]
    read_timeout = kind.get("OriginReadTimeout", 30)
    if not 1 <= read_timeout <= _LARGEST_READ_TIMEOUT:
        raise CloudFrontError(
            "InvalidOriginReadTimeout",
            f"The read timeout of {name} must be 1 to {_LARGEST_READ_TIMEOUT} seconds.",
        )
    if not 1 <= kind.get("OriginKeepaliveTimeout", 5) <= _LARGEST_KEEPALIVE:
        raise CloudFrontError(
            "InvalidOriginKeepaliveTimeout",
            f"The keep-alive timeout of {name} must be 1 to {_LARGEST_KEEPALIVE} seconds.",
        )
    completion = origin.get("ResponseCompletionTimeout")
    if completion and completion < read_timeout:
        raise invalid(
            "The parameter ResponseCompletionTimeout must not be less than OriginReadTimeout."
        )
    if kinds[0] == "CustomOriginConfig":
        for field in ("HTTPPort", "HTTPSPort"):
            if kind[field] not in (80, 443) and not 1024 <= kind[field] <= 65535:
                raise invalid(f"The parameter {field} of {name} must be 80, 443 or 1024-65535.")


def _check_custom_headers(context: Context, origin: Config) -> None:
    headers = (origin.get("CustomHeaders") or {}).get("Items") or []
    limit = context.quotas["custom_headers"]
    if len(headers) > limit:
        raise CloudFrontError(
            "TooManyOriginCustomHeaders", f"You cannot add more than {limit} custom headers."
        )
    check_unique(
        (header["HeaderName"].lower() for header in headers),
        "The parameter HeaderName {} is a duplicate.",
    )
    for header in headers:
        name, value = header["HeaderName"], header["HeaderValue"]
        if not _HEADER_NAME.fullmatch(name) or len(name) > _LONGEST_HEADER_NAME:
            raise invalid(f"The parameter HeaderName is not valid: {name}")
        if name.lower() in _FORBIDDEN_HEADERS or name.lower().startswith(_FORBIDDEN_PREFIXES):
            raise invalid(f"The parameter HeaderName is one that CloudFront cannot add: {name}")
        if len(value) > _LONGEST_HEADER_VALUE or any(ord(character) < 0x20 for character in value):
            raise invalid(f"The parameter HeaderValue of {name} is not valid.")
    if (
        sum(len(header["HeaderName"]) + len(header["HeaderValue"]) for header in headers)
        > _LONGEST_HEADERS
    ):
        raise invalid(
            f"The custom headers of {origin['Id']} are longer than {_LONGEST_HEADERS} "
            "characters together."
        )


def _check_vpc_origins(context: Context, config: Config, own_id: str | None) -> None:
    limit = context.quotas["distributions_per_vpc_origin"]
    for origin in origins_of(config):
        named = origin.get("VpcOriginConfig")
        if not named:
            continue
        origin_id = named["VpcOriginId"]
        found = context.store.vpc_origins.get(origin_id)
        owner = named.get("OwnerAccountId") or context.account
        if (
            found is None
            or owner != found.account
            or found.deleted_at is not None
            or not may_use(context, found)
        ):
            raise CloudFrontError(
                "EntityNotFound", f"The specified vpc origin does not exist: {origin_id}"
            )
        used_by = [
            other.id
            for other in context.store.distributions.values()
            if other.id != own_id and other.uses(origin_id, context.now)
        ]
        known = own_id is not None and context.store.distributions[own_id].uses(
            origin_id, context.now
        )
        if not known and found.status(context.now) != "Deployed":
            raise invalid(f"The VPC origin {origin_id} is not deployed yet.")
        if len(used_by) >= limit:
            raise CloudFrontError(
                "EntityLimitExceeded",
                f"The VPC origin {origin_id} is used by {limit} distributions, the limit.",
            )


_RULES: tuple[Callable[[Context, Config, str | None], None], ...] = (
    _check_plain_fields,
    check_continuous_deployment,
    _check_origins,
    _check_origin_groups,
    _check_vpc_origins,
    check_behaviors,
    check_multi_tenant,
    check_aliases,
    check_web_acl,
    check_error_pages,
    check_countries,
)
