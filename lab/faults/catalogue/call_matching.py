"""Which calls to AWS a call fault hits, and the error that it answers (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

CLOUDFRONT = "cloudfront"
ONLY_SOME = ("third-party-edit", "quota-reached")
"""AwsCall faults that make sense for some operations only."""

# boto3 clients whose name is not the one their requests are signed for.
CLIENT_NAMES: Mapping[str, str] = {
    "apigateway": "apigateway",
    "apigatewayv2": "apigateway",
    "cloudwatch": "monitoring",
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tagging",
    "service-quotas": "servicequotas",
    "ses": "email",
    "sesv2": "email",
    "stepfunctions": "states",
}
_WITH_A_DISTRIBUTIONS_ETAG = frozenset(
    {
        "AssociateDistributionWebACL",
        "DeleteDistribution",
        "DisassociateDistributionWebACL",
        "UpdateDistribution",
        "UpdateDistributionWithStagingConfig",
    }
)
_MADE_BY_WRITES = (
    "Create",
    "Update",
    "Associate",
    "Copy",
    "Authorize",
    "Register",
    "Tag",
    "Allocate",
)


@dataclass(frozen=True, slots=True)
class AwsCall:
    """One call to AWS. `resource` is the id in CloudFront's URI, if there is one; `own` calls are
    the lab's.
    """

    service: str
    operation: str
    account: str
    resource: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True)
class CallError:
    """An error that AWS returns instead of a result."""

    status: int
    code: str
    message: str


def matches_call(name: str, given: Mapping[str, Any], call: AwsCall) -> bool:
    """Whether a call fault with these parameters hits a call."""
    if "account" in given and given["account"] != call.account:
        return False
    if "service" in given and given["service"].lower() != call.service.lower():
        return False
    if "operation" in given:
        named = bool(call.operation) and fnmatchcase(
            call.operation.lower(), given["operation"].lower()
        )
        return named and can_hit(name, call.service, call.operation)
    if name == "third-party-edit":
        return call.operation == "UpdateDistribution"
    return can_hit(name, call.service, call.operation)


def can_hit(name: str, service: str, operation: str) -> bool:
    """Whether a call fault makes sense for an operation: some operations have no ETag or quota."""
    if name == "third-party-edit":
        return service == CLOUDFRONT and operation in _WITH_A_DISTRIBUTIONS_ETAG
    if name == "quota-reached":
        return operation.startswith(_MADE_BY_WRITES)
    return True


def error_for(name: str, call: AwsCall) -> CallError | None:
    """The error that a call fault answers; None for faults that do something else."""
    ec2 = call.service == "ec2"
    match name:
        case "throttled" if ec2:
            return CallError(503, "RequestLimitExceeded", "Request limit exceeded.")
        case "throttled":
            return CallError(400, "Throttling", "Rate exceeded")
        case "server-error" if call.service == CLOUDFRONT:
            return CallError(
                500, "InternalError", "We encountered an internal error. Please try again."
            )
        case "server-error":
            return CallError(
                503, "Unavailable" if ec2 else "ServiceUnavailable", "The service is unavailable."
            )
        case "access-denied" if ec2:
            return CallError(
                403, "UnauthorizedOperation", "You are not authorized to perform this operation."
            )
        case "access-denied":
            return CallError(403, "AccessDenied", "Access denied")
        case "expired-token" if ec2:
            return CallError(400, "RequestExpired", "Request has expired.")
        case "expired-token":
            return CallError(
                403, "ExpiredToken", "The security token included in the request is expired"
            )
        case "quota-reached":
            code, message = QUOTA_ERRORS.get(
                call.operation, _OTHER_QUOTA.get(call.service, _UNKNOWN_QUOTA)
            )
            return CallError(400, code, message)
        case _:
            return None


# API references: each operation's error when its quota is exceeded.
QUOTA_ERRORS: Mapping[str, tuple[str, str]] = {
    "CreateVpcOrigin": (
        "EntityLimitExceeded",
        "You have reached the limit of VPC origins in this account.",
    ),
    "CreateDistribution": ("TooManyDistributions", "You have reached the limit of distributions."),
    "CreateDistributionWithTags": (
        "TooManyDistributions",
        "You have reached the limit of distributions.",
    ),
    "UpdateDistribution": (
        "TooManyCacheBehaviors",
        "The distribution has too many cache behaviors.",
    ),
    "CreateOriginRequestPolicy": (
        "TooManyOriginRequestPolicies",
        "You have reached the limit of policies.",
    ),
    "AuthorizeSecurityGroupIngress": (
        "RulesPerSecurityGroupLimitExceeded",
        "The maximum number of rules per security group has been reached.",
    ),
    "CreateSecurityGroup": (
        "SecurityGroupLimitExceeded",
        "The maximum number of security groups has been reached.",
    ),
    "CreateLoadBalancer": ("TooManyLoadBalancers", "You have reached the limit of load balancers."),
    "CreateTargetGroup": ("TooManyTargetGroups", "You have reached the limit of target groups."),
    "RegisterTargets": ("TooManyTargets", "You have reached the limit of targets."),
}
_OTHER_QUOTA: Mapping[str, tuple[str, str]] = {
    CLOUDFRONT: ("EntityLimitExceeded", "You have reached a limit of this account."),
    "ec2": ("ResourceLimitExceeded", "You have reached a limit of this account."),
}
_UNKNOWN_QUOTA = ("LimitExceeded", "You have reached a limit of this account.")
