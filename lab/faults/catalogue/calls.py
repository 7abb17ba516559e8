"""FaultManager of the AWS endpoint: calls that are refused, lost, cut or answered with nonsense
(DATA).
"""

from __future__ import annotations

from lab.faults.catalogue.fault import CALL, Fault, FaultKind, Signature


def _call(
    name: str, description: str, seen: str, error: str = "", takes: tuple[str, ...] = CALL
) -> Fault:
    return Fault(name, description, FaultKind.CALLS, Signature(seen), takes=takes, error=error)


FAULTS: tuple[Fault, ...] = (
    _call(
        "throttled",
        "Matching calls are refused because there were too many of them; nothing is done.",
        "Throttling 400 (EC2: RequestLimitExceeded 503)",
        "Throttling",
    ),
    _call(
        "server-error",
        "Matching calls fail with an error of AWS's own; nothing is done.",
        "InternalError 500 (EC2 and load balancers: Unavailable 503)",
        "InternalError",
    ),
    _call(
        "timeout-before",
        "Matching calls are never answered, and nothing is done.",
        "a read timeout",
    ),
    _call(
        "timeout-after-success", "Matching calls are done, but never answered.", "a read timeout"
    ),
    _call(
        "connection-reset",
        "The connection is reset in the place of an answer; nothing is done.",
        "a reset",
    ),
    _call(
        "reset-after-success", "Matching calls are done, then the connection is reset.", "a reset"
    ),
    _call(
        "half-body",
        "Matching calls are done, but only half of the answer arrives.",
        "an answer that breaks off",
    ),
    _call(
        "wrong-xml",
        "Matching calls are done, but the answer is a proxy's web page.",
        "200 that is not AWS's XML",
    ),
    _call(
        "access-denied",
        "Matching calls are refused without a word about which action is missing.",
        "AccessDenied 403 (EC2: UnauthorizedOperation)",
        "AccessDenied",
    ),
    _call(
        "expired-token",
        "Matching calls are refused because the session has expired.",
        "ExpiredToken 403 (EC2: RequestExpired 400)",
        "ExpiredToken",
    ),
    _call(
        "quota-reached",
        "Matching creations and changes are refused because a quota is used up.",
        "the operation's own error, such as EntityLimitExceeded 400",
        "EntityLimitExceeded",
    ),
    _call(
        "never-deployed",
        "Distributions and VPC origins of the account that are being deployed stay so.",
        "Status InProgress or Deploying, for ever",
        takes=("account",),
    ),
    _call(
        "third-party-edit",
        "Somebody else changes the distribution's comment just before each matching call, "
        "so that its ETag is stale.",
        "PreconditionFailed 412",
        "PreconditionFailed",
    ),
)
