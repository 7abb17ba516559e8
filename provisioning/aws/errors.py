"""How every error of AWS is to be seen: one table from code to "passes by itself or not, and who
can fix it".

It decides nothing about a run and never retries. Everything that leaves `edge/` as a failure is an
EdgeError; no botocore exception gets past this module. A write that was not answered may have
happened: its error is transient, and whoever made it looks before trying again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore import exceptions
from botocore.parsers import ResponseParserError

NO_ANSWER = "NoAnswer"
UNREADABLE_ANSWER = "UnreadableAnswer"
NO_CREDENTIALS = "NoCredentials"
INVALID_REQUEST = "InvalidRequest"
UNKNOWN_ELEMENTS = "UnknownElements"
OVER_BUDGET = "OverBudget"

IN_USE = frozenset(
    {"CannotDeleteEntityWhileInUse", "CannotUpdateEntityWhileInUse", "ResourceInUse"}
)
ABSENT = frozenset(
    {
        "EntityNotFound",
        "NoSuchDistribution",
        "NoSuchResource",
        "LoadBalancerNotFound",
        "TargetGroupNotFound",
        "InvalidInstanceID.NotFound",
        "InvalidGroup.NotFound",
        "InvalidPermission.NotFound",
        "InvalidSecurityGroupRuleId.NotFound",
        "NoSuchEntity",
        "ResourceNotFoundException",
        "NoSuchResourceException",
    }
)
EXISTING = frozenset(
    {"EntityAlreadyExists", "DistributionAlreadyExists", "InvalidPermission.Duplicate"}
)
STALE = frozenset({"PreconditionFailed", "InvalidIfMatchVersion"})


class AwsError(Exception):
    """AWS refused a call, or did not answer it. `retry_after` is in seconds; `fix` says who can do
    what.
    """

    def __init__(
        self,
        operation: str,
        code: str,
        message: str,
        request_id: str = "",
        transient: bool = False,
        retry_after: float | None = None,
        fix: str = "",
    ) -> None:
        super().__init__(operation, code, message, request_id, transient, retry_after, fix)
        self.operation = operation
        self.code = code
        self.message = message
        self.request_id = request_id
        self.transient = transient
        self.retry_after = retry_after
        self.fix = fix

    def __str__(self) -> str:
        message = self.message.strip().rstrip(".") or "no reason given"
        request = f", request id {self.request_id}" if self.request_id else ""
        return f"{self.operation}: {message} ({self.code}{request})."

    @property
    def is_in_use(self) -> bool:
        """Something still refers to the thing, or did a moment ago."""
        return self.code in IN_USE

    @property
    def is_absent(self) -> bool:
        """The thing does not exist (any more). When undoing, that is success."""
        return self.code in ABSENT

    @property
    def already_exists(self) -> bool:
        """A thing of this name exists: perhaps our own earlier attempt. Look again."""
        return self.code in EXISTING

    @property
    def is_stale(self) -> bool:
        """Somebody changed the thing since it was read. Read it again."""
        return self.code in STALE


@dataclass(frozen=True)
class View:
    """How a code is seen: whether it passes by itself, and what a person can do."""

    transient: bool
    fix: str = ""


_ASK_IAM = (
    "Ask whoever administers the account to allow this action for the portal's role. The "
    "portal's operators have the "
    "whole policy: docs/iam-policy.json."
)
_QUOTA = (
    "Remove what is no longer used, or ask AWS for a higher quota in the Service Quotas console."
)
_TRUST = (
    "The account's role edge-portal must trust the portal's own identity and name the same "
    "ExternalId. "
    "Ask whoever administers the account to compare both."
)
_CLOCK = "Set the clock of the machine that the portal runs on."
_KEYS = "Ask whoever operates the portal to renew the AWS credentials it runs with."

# For one operation only, before the general table.
OPERATION_VIEWS: dict[tuple[str, str], View] = {
    ("CreateVpcOrigin", "AccessDenied"): View(
        False,
        "The role needs cloudfront:CreateVpcOrigin and cloudfront:TagResource, and for the "
        "account's first VPC origin "
        "iam:CreateServiceLinkedRole on role/aws-service-role/vpcorigin.cloudfront.amazonaws.com/"
        "AWSServiceRoleForCloudFrontVPCOrigin. AWS names no action when only the latter is "
        "missing. Or have the role "
        "made once: aws iam create-service-linked-role --aws-service-name "
        "vpcorigin.cloudfront.amazonaws.com",
    ),
    ("CreateVpcOrigin", "InvalidArgument"): View(
        False,
        "AWS does not accept this target. It must be active, have a security group, lie in "
        "a VPC with an internet "
        "gateway attached, and not be a Gateway Load Balancer or have TLS listeners. Run "
        "the preflight again.",
    ),
    ("CreateVpcOrigin", "EntityLimitExceeded"): View(
        False, f"The account's VPC origins are used up. {_QUOTA}"
    ),
    ("AssumeRole", "AccessDenied"): View(False, _TRUST),
    ("UpdateDistribution", "EntityLimitExceeded"): View(
        False,
        "A VPC origin serves 50 distributions at most. Choose a distribution that uses this "
        "target already, or take "
        "the target out of one that no longer needs it.",
    ),
    ("UpdateDistribution", "EntityNotFound"): View(
        False, "The VPC origin is gone. Start the run again."
    ),
    ("UpdateDistribution", "IllegalUpdate"): View(
        False, "Somebody changed what must not change. Look at the distribution."
    ),
}

VIEWS: dict[str, View] = {
    # Passing by themselves: throttling
    "Throttling": View(True),
    "ThrottlingException": View(True),
    "ThrottledException": View(True),
    "RequestThrottled": View(True),
    "RequestThrottledException": View(True),
    "RequestLimitExceeded": View(True),
    "TooManyRequestsException": View(True),
    "BandwidthLimitExceeded": View(True),
    "SlowDown": View(True),
    "PriorRequestNotComplete": View(True),
    OVER_BUDGET: View(True, "Nothing to do: it is asked when it is its turn."),
    # Passing by themselves: the other side is unwell, or we did not hear it
    "ServiceUnavailable": View(True),
    "Unavailable": View(True),
    "InternalError": View(True),
    "InternalFailure": View(True),
    "InternalServiceError": View(True),
    "RequestTimeout": View(True),
    NO_ANSWER: View(
        True, "Nothing to do: the portal looks whether the change was made, and goes on from there."
    ),
    UNREADABLE_ANSWER: View(
        True, "Nothing to do: the portal looks whether the change was made, and goes on from there."
    ),
    # Passing once something around the portal is put right; the request itself is sound
    NO_CREDENTIALS: View(True, _KEYS),
    "AuthFailure": View(True, _KEYS),
    "InvalidClientTokenId": View(True, _KEYS),
    "UnrecognizedClientException": View(True, _KEYS),
    "SignatureDoesNotMatch": View(True, _KEYS),
    "ExpiredToken": View(True, _KEYS),
    "ExpiredTokenException": View(True, _KEYS),
    "RequestExpired": View(True, _CLOCK),
    "RequestTimeTooSkewed": View(True, _CLOCK),
    # Passing after another look
    "PreconditionFailed": View(
        True, "Somebody else changed it at the same time. The portal reads it again."
    ),
    "InvalidIfMatchVersion": View(
        True, "Somebody else changed it at the same time. The portal reads it again."
    ),
    "CannotDeleteEntityWhileInUse": View(
        True, "Remove it from every distribution; AWS needs minutes to let go."
    ),
    "ResourceInUse": View(True, "Something still refers to it; AWS needs minutes to let go."),
    # Existing or absent
    "EntityAlreadyExists": View(False, "A thing of this name exists already. Rename or remove it."),
    "DistributionAlreadyExists": View(
        False, "A distribution was made with this reference already."
    ),
    "InvalidPermission.Duplicate": View(False, "The rule exists already."),
    "EntityNotFound": View(False, "It was removed. Start again."),
    "NoSuchDistribution": View(
        False, "The distribution was removed, or is in another account. Choose another."
    ),
    "NoSuchEntity": View(False, "It does not exist in the account."),
    "ResourceNotFoundException": View(False, "It was removed, or is in another account or Region."),
    "NoSuchResourceException": View(False, "AWS does not know it in this account and Region."),
    "NoSuchResource": View(False, "It was removed. Start again."),
    "LoadBalancerNotFound": View(
        False, "The load balancer was removed, or is in another account. Choose another."
    ),
    "TargetGroupNotFound": View(
        False, "The target group was removed. Look at the load balancer's listeners."
    ),
    "InvalidInstanceID.NotFound": View(
        False, "The instance was terminated, or is in another account. Choose another."
    ),
    "InvalidGroup.NotFound": View(
        False, "The security group was removed. Look at the target's security groups."
    ),
    "InvalidPermission.NotFound": View(False),
    "InvalidSecurityGroupRuleId.NotFound": View(False),
    # Permissions
    "AccessDenied": View(False, _ASK_IAM),
    "AccessDeniedException": View(False, _ASK_IAM),
    "UnauthorizedOperation": View(False, _ASK_IAM),
    "OperationNotPermitted": View(
        False, "The account's policies forbid it. Ask whoever administers the account."
    ),
    "OptInRequired": View(
        False, "The account is not signed up for the service. Ask whoever administers the account."
    ),
    "UnsupportedOperation": View(
        False, "AWS does not offer this in the Region of the target. Choose another Region."
    ),
    # Quotas
    "EntityLimitExceeded": View(False, _QUOTA),
    "TooManyOrigins": View(False, f"The distribution has as many origins as it may. {_QUOTA}"),
    "TooManyCacheBehaviors": View(
        False, f"The distribution has as many behaviors as it may. {_QUOTA}"
    ),
    "TooManyDistributionsAssociatedToOriginRequestPolicy": View(False, _QUOTA),
    "RulesPerSecurityGroupLimitExceeded": View(
        False,
        "The security group has no room for another rule; CloudFront's prefix list counts "
        "as 55 of 60. "
        "Remove rules, or ask AWS for more rules per security group.",
    ),
    # What is there does not allow it
    "CannotUpdateEntityWhileInUse": View(
        False, "A VPC origin cannot be changed while a distribution uses it. Make a new one."
    ),
    "IllegalUpdate": View(False, "AWS does not allow this change. Make a new one instead."),
    "IllegalDelete": View(
        False, "AWS does not allow deleting it now. Wait until it is Deployed, then try again."
    ),
    "NoSuchOrigin": View(
        False,
        "A behavior names an origin that is not in the distribution. Look at the distribution.",
    ),
    "NoSuchCachePolicy": View(False, "The cache policy was removed. Look at the distribution."),
    "NoSuchOriginRequestPolicy": View(
        False, "The origin request policy was removed. Choose another."
    ),
    "InvalidViewerCertificate": View(
        False, "Look at the distribution's certificate in ACM, us-east-1."
    ),
    "CNAMEAlreadyExists": View(
        False, "Another distribution already answers for this name. Remove it there first."
    ),
    "InvalidWebACLId": View(
        False, "The distribution's web ACL is gone. Choose another in the CloudFront console."
    ),
    "InvalidOriginReadTimeout": View(
        False, "The account allows a smaller read timeout only. Lower it, or raise the quota."
    ),
    "InvalidOriginKeepaliveTimeout": View(
        False, "The account allows a smaller keep-alive only. Lower it, or raise the quota."
    ),
    "StagingDistributionInUse": View(
        False, "A continuous deployment is under way. Finish or stop it first."
    ),
    "ContinuousDeploymentPolicyInUse": View(
        False, "A continuous deployment is under way. Finish or stop it first."
    ),
    "InvalidArgument": View(
        False, "AWS does not accept a value. Compare the request with the message."
    ),
    "InconsistentQuantities": View(
        False, "This is a fault of the portal. Tell its operators the request id."
    ),
    "InvalidTagging": View(
        False, "AWS does not accept the portal's tags. Look for a tag policy in the organisation."
    ),
    "TagPolicyViolation": View(
        False, "A tag policy of the organisation forbids the portal's tags. Ask its administrators."
    ),
    INVALID_REQUEST: View(False, "This is a fault of the portal. Tell its operators."),
    UNKNOWN_ELEMENTS: View(False, "Update the portal's boto3, then try again."),
}

_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.UnauthorizedSSOTokenError,
    exceptions.ProfileNotFound,
    exceptions.ConfigParseError,
    exceptions.NoRegionError,
)


def translate(error: Exception, operation: str) -> AwsError:
    """What an exception of botocore means. An EdgeError is returned as it is."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, exceptions.ClientError):
        return _answered(error, operation)
    if isinstance(error, exceptions.ParamValidationError):
        return _own(operation, INVALID_REQUEST, error)
    if isinstance(error, _NO_CREDENTIALS):
        return _own(operation, NO_CREDENTIALS, error)
    if isinstance(error, ResponseParserError):
        return _own(operation, UNREADABLE_ANSWER, error)
    # HTTPClientError and what botocore raises around it: refused, reset, timed out, cut off in the
    # middle
    return _own(operation, NO_ANSWER, error)


@contextmanager
def calling(operation: str) -> Iterator[None]:
    """Around one call to AWS: whatever botocore raises comes out as an EdgeError."""
    try:
        yield
    except (exceptions.BotoCoreError, exceptions.ClientError, ResponseParserError) as error:
        raise translate(error, operation) from error


def view(operation: str, code: str, http_status: int) -> View:
    """The table, the operation's own rows first. Of codes it does not know, 429 and 5xx pass by
    themselves.
    """
    known = OPERATION_VIEWS.get((operation, code)) or VIEWS.get(code)
    return known or View(http_status == 429 or http_status >= 500)


def _own(operation: str, code: str, error: Exception) -> AwsError:
    seen = VIEWS[code]
    return AwsError(operation, code, str(error), transient=seen.transient, fix=seen.fix)


def _answered(error: exceptions.ClientError, operation: str) -> AwsError:
    response: dict[str, Any] = dict(error.response)
    metadata = response.get("ResponseMetadata") or {}
    detail = response.get("Error") or {}
    # A role is assumed on the way to another call; the refusal is then AssumeRole's.
    operation = error.operation_name or operation
    code = str(detail.get("Code") or "Unknown")
    seen = view(operation, code, int(metadata.get("HTTPStatusCode") or 0))
    return AwsError(
        operation,
        code,
        str(detail.get("Message") or ""),
        str(metadata.get("RequestId") or ""),
        seen.transient,
        _seconds((metadata.get("HTTPHeaders") or {}).get("retry-after")),
        seen.fix,
    )


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by AWS."""
    return (
        float(header) if header and header.strip().isascii() and header.strip().isdigit() else None
    )
