"""What each AWS error means: one table from code to "transient or not, and who can fix it how".

Every failure that leaves `provisioning.aws` is an AwsError; no botocore exception gets past this
module. A write without an answer may have happened: its error is transient, and the caller observes
before it tries again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore import exceptions
from botocore.parsers import ResponseParserError

from provisioning.redaction.masking import KnownSecrets

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
    """AWS refused a call or did not answer it. `retry_after` is in seconds; `fix` says who can do
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

    def without(self, secrets: KnownSecrets) -> AwsError:
        """The same, where its message repeats none of these."""
        return AwsError(
            self.operation,
            self.code,
            secrets.mask(self.message),
            self.request_id,
            self.transient,
            self.retry_after,
            self.fix,
        )

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
        """The resource was changed since it was read. Read it again."""
        return self.code in STALE


@dataclass(frozen=True)
class ErrorMeaning:
    """What a code means: whether it is transient, and what a person can do."""

    transient: bool
    fix: str = ""


_ASK_IAM = (
    "Ask the account's administrator to allow this action for the portal's role (full policy: "
    "docs/iam-policy.json)."
)
_QUOTA = "Delete what is no longer used, or request a higher quota in the Service Quotas console."
_TRUST = (
    "The account's role edge-portal must trust the portal's identity and require the same "
    "ExternalId. Ask the account's administrator to compare both."
)
_CLOCK = "Set the clock of the machine on which the portal runs."
_KEYS = "Ask the portal's operators to renew its AWS credentials."

# For one operation only, before the general table.
OPERATION_MEANINGS: dict[tuple[str, str], ErrorMeaning] = {
    ("CreateVpcOrigin", "AccessDenied"): ErrorMeaning(
        False,
        "The role needs cloudfront:CreateVpcOrigin and cloudfront:TagResource, and for the "
        "account's first VPC origin "
        "iam:CreateServiceLinkedRole on role/aws-service-role/vpcorigin.cloudfront.amazonaws.com/"
        "AWSServiceRoleForCloudFrontVPCOrigin. AWS names no action when only the latter is "
        "missing. Or create "
        "the role once: aws iam create-service-linked-role --aws-service-name "
        "vpcorigin.cloudfront.amazonaws.com",
    ),
    ("CreateVpcOrigin", "InvalidArgument"): ErrorMeaning(
        False,
        "AWS does not accept this target. It must be active, have a security group, be in a "
        "VPC with an internet gateway, and not be a Gateway Load Balancer or have TLS listeners. "
        "Run the preflight again.",
    ),
    ("CreateVpcOrigin", "EntityLimitExceeded"): ErrorMeaning(
        False, f"The account has reached its quota of VPC origins. {_QUOTA}"
    ),
    ("AssumeRole", "AccessDenied"): ErrorMeaning(False, _TRUST),
    ("UpdateDistribution", "EntityLimitExceeded"): ErrorMeaning(
        False,
        "A VPC origin can serve at most 50 distributions. Choose a distribution that already uses "
        "this target, or remove the target from one that no longer needs it.",
    ),
    ("UpdateDistribution", "EntityNotFound"): ErrorMeaning(
        False,
        "A VPC origin that the distribution names was deleted, or is no longer shared with this "
        "account. Check the target again: the answer names its path and account.",
    ),
    ("UpdateDistribution", "IllegalUpdate"): ErrorMeaning(
        False, "AWS does not allow this change. Check the distribution."
    ),
}

MEANINGS: dict[str, ErrorMeaning] = {
    # Transient: throttling
    "Throttling": ErrorMeaning(True),
    "ThrottlingException": ErrorMeaning(True),
    "ThrottledException": ErrorMeaning(True),
    "RequestThrottled": ErrorMeaning(True),
    "RequestThrottledException": ErrorMeaning(True),
    "RequestLimitExceeded": ErrorMeaning(True),
    "TooManyRequestsException": ErrorMeaning(True),
    "BandwidthLimitExceeded": ErrorMeaning(True),
    "SlowDown": ErrorMeaning(True),
    "PriorRequestNotComplete": ErrorMeaning(True),
    OVER_BUDGET: ErrorMeaning(True, "No action needed: the portal calls AWS at its turn."),
    # Transient: AWS is unwell, or its answer was lost
    "ServiceUnavailable": ErrorMeaning(True),
    "Unavailable": ErrorMeaning(True),
    "InternalError": ErrorMeaning(True),
    "InternalFailure": ErrorMeaning(True),
    "InternalServiceError": ErrorMeaning(True),
    "RequestTimeout": ErrorMeaning(True),
    NO_ANSWER: ErrorMeaning(
        True, "No action needed: the portal checks if the change was made, and continues."
    ),
    UNREADABLE_ANSWER: ErrorMeaning(
        True, "No action needed: the portal checks if the change was made, and continues."
    ),
    # Transient until the portal's surroundings are fixed; the request itself is sound
    NO_CREDENTIALS: ErrorMeaning(True, _KEYS),
    "AuthFailure": ErrorMeaning(True, _KEYS),
    "InvalidClientTokenId": ErrorMeaning(True, _KEYS),
    "UnrecognizedClientException": ErrorMeaning(True, _KEYS),
    "SignatureDoesNotMatch": ErrorMeaning(True, _KEYS),
    "ExpiredToken": ErrorMeaning(True, _KEYS),
    "ExpiredTokenException": ErrorMeaning(True, _KEYS),
    "RequestExpired": ErrorMeaning(True, _CLOCK),
    "RequestTimeTooSkewed": ErrorMeaning(True, _CLOCK),
    # Transient: read again
    "PreconditionFailed": ErrorMeaning(
        True, "It was changed at the same time. The portal reads it again."
    ),
    "InvalidIfMatchVersion": ErrorMeaning(
        True, "It was changed at the same time. The portal reads it again."
    ),
    "CannotDeleteEntityWhileInUse": ErrorMeaning(
        True, "Remove it from every distribution; AWS takes minutes to release it."
    ),
    "ResourceInUse": ErrorMeaning(
        True, "Something still uses it; AWS takes minutes to release it."
    ),
    # Existing or absent
    "EntityAlreadyExists": ErrorMeaning(
        False, "The name is already in use. Rename or delete the existing resource."
    ),
    "DistributionAlreadyExists": ErrorMeaning(
        False, "A distribution with this reference already exists."
    ),
    "InvalidPermission.Duplicate": ErrorMeaning(False, "The rule already exists."),
    "EntityNotFound": ErrorMeaning(False, "It no longer exists."),
    "NoSuchDistribution": ErrorMeaning(
        False, "The distribution was deleted, or is in another account. Choose another."
    ),
    "NoSuchEntity": ErrorMeaning(False, "It does not exist in the account."),
    "ResourceNotFoundException": ErrorMeaning(
        False, "It was deleted, or is in another account or Region."
    ),
    "NoSuchResourceException": ErrorMeaning(
        False, "AWS does not know it in this account and Region."
    ),
    "NoSuchResource": ErrorMeaning(False, "It no longer exists."),
    "LoadBalancerNotFound": ErrorMeaning(
        False, "The load balancer was deleted, or is in another account. Choose another."
    ),
    "TargetGroupNotFound": ErrorMeaning(
        False, "The target group was deleted. Check the load balancer's listeners."
    ),
    "InvalidInstanceID.NotFound": ErrorMeaning(
        False, "The instance was terminated, or is in another account. Choose another."
    ),
    "InvalidGroup.NotFound": ErrorMeaning(
        False, "The security group was deleted. Check the target's security groups."
    ),
    "InvalidPermission.NotFound": ErrorMeaning(False),
    "InvalidSecurityGroupRuleId.NotFound": ErrorMeaning(False),
    # Permissions
    "AccessDenied": ErrorMeaning(False, _ASK_IAM),
    "AccessDeniedException": ErrorMeaning(False, _ASK_IAM),
    "UnauthorizedOperation": ErrorMeaning(False, _ASK_IAM),
    "OperationNotPermitted": ErrorMeaning(
        False, "The account's policies forbid it. Ask the account's administrator."
    ),
    "OptInRequired": ErrorMeaning(
        False, "The account is not signed up for the service. Ask its administrator."
    ),
    "UnsupportedOperation": ErrorMeaning(
        False, "AWS does not offer this in the Region of the target. Choose another Region."
    ),
    # Quotas
    "EntityLimitExceeded": ErrorMeaning(False, _QUOTA),
    "TooManyOrigins": ErrorMeaning(
        False, f"The distribution has reached its quota of origins. {_QUOTA}"
    ),
    "TooManyCacheBehaviors": ErrorMeaning(
        False, f"The distribution has reached its quota of behaviors. {_QUOTA}"
    ),
    "TooManyDistributionsAssociatedToOriginRequestPolicy": ErrorMeaning(False, _QUOTA),
    "RulesPerSecurityGroupLimitExceeded": ErrorMeaning(
        False,
        "The security group is full; CloudFront's prefix list alone counts as 55 of 60 rules. "
        "Remove rules, or request a higher quota of rules per security group.",
    ),
    # The current state does not allow it
    "CannotUpdateEntityWhileInUse": ErrorMeaning(
        False, "A VPC origin cannot be changed while a distribution uses it. Create a new one."
    ),
    "IllegalUpdate": ErrorMeaning(
        False, "AWS does not allow this change. Create a new one instead."
    ),
    "IllegalDelete": ErrorMeaning(
        False, "AWS cannot delete it now. Wait until it is deployed, then try again."
    ),
    "NoSuchOrigin": ErrorMeaning(
        False,
        "A behavior names an origin that the distribution does not have. Check the distribution.",
    ),
    "NoSuchCachePolicy": ErrorMeaning(
        False, "The cache policy was deleted. Check the distribution."
    ),
    "NoSuchOriginRequestPolicy": ErrorMeaning(
        False, "The origin request policy was deleted. Choose another."
    ),
    "InvalidViewerCertificate": ErrorMeaning(
        False, "Check the distribution's certificate in ACM, us-east-1."
    ),
    "CNAMEAlreadyExists": ErrorMeaning(
        False, "Another distribution already has this domain name. Remove it there first."
    ),
    "InvalidWebACLId": ErrorMeaning(
        False, "The distribution's web ACL was deleted. Choose another in the CloudFront console."
    ),
    "InvalidOriginReadTimeout": ErrorMeaning(
        False, "The response timeout exceeds the account's quota. Lower it, or raise the quota."
    ),
    "InvalidOriginKeepaliveTimeout": ErrorMeaning(
        False, "The keep-alive timeout exceeds the account's quota. Lower it, or raise the quota."
    ),
    "StagingDistributionInUse": ErrorMeaning(
        False, "A continuous deployment is under way. Finish or stop it first."
    ),
    "ContinuousDeploymentPolicyInUse": ErrorMeaning(
        False, "A continuous deployment is under way. Finish or stop it first."
    ),
    "InvalidArgument": ErrorMeaning(False, "AWS does not accept a value; the message says which."),
    "InconsistentQuantities": ErrorMeaning(
        False, "Internal error in the portal. Tell its operators the request ID."
    ),
    "InvalidTagging": ErrorMeaning(
        False, "AWS does not accept the portal's tags. Check the organization's tag policies."
    ),
    "TagPolicyViolation": ErrorMeaning(
        False, "The organization's tag policy forbids the portal's tags. Ask its administrators."
    ),
    INVALID_REQUEST: ErrorMeaning(False, "Internal error in the portal. Tell its operators."),
    UNKNOWN_ELEMENTS: ErrorMeaning(False, "Update the portal's boto3, then try again."),
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
    """What a botocore exception means. An AwsError is returned as it is."""
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
    # HTTPClientError and its kin: connection refused, reset, timed out or cut off
    return _own(operation, NO_ANSWER, error)


@contextmanager
def calling(operation: str) -> Iterator[None]:
    """Around one call to AWS: every botocore exception becomes an AwsError."""
    try:
        yield
    except (exceptions.BotoCoreError, exceptions.ClientError, ResponseParserError) as error:
        raise translate(error, operation) from error


def error_meaning(operation: str, code: str, http_status: int) -> ErrorMeaning:
    """The table's row, the operation's own first. An unknown code is transient with 429 or 5xx."""
    known = OPERATION_MEANINGS.get((operation, code)) or MEANINGS.get(code)
    return known or ErrorMeaning(http_status == 429 or http_status >= 500)


def _own(operation: str, code: str, error: Exception) -> AwsError:
    seen = MEANINGS[code]
    return AwsError(operation, code, str(error), transient=seen.transient, fix=seen.fix)


def _answered(error: exceptions.ClientError, operation: str) -> AwsError:
    response: dict[str, Any] = dict(error.response)
    metadata = response.get("ResponseMetadata") or {}
    detail = response.get("Error") or {}
    # A role may be assumed before another call; then AssumeRole was refused.
    operation = error.operation_name or operation
    code = str(detail.get("Code") or "Unknown")
    seen = error_meaning(operation, code, int(metadata.get("HTTPStatusCode") or 0))
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
