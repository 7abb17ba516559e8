"""Faults of calls to AWS: refused, lost, cut off, or answered with nonsense (DATA)."""

from __future__ import annotations

from lab.faults.catalogue.fault import CALL, Fault, FaultKind, Signature


def _call(
    name: str, description: str, seen: str, error: str = "", takes: tuple[str, ...] = CALL
) -> Fault:
    return Fault(name, description, FaultKind.CALLS, Signature(seen), takes=takes, error=error)


FAULTS: tuple[Fault, ...] = (
    _call(
        "throttled",
        "Matching calls are throttled; nothing is done.",
        "Throttling 400 (EC2: RequestLimitExceeded 503)",
        "Throttling",
    ),
    _call(
        "server-error",
        "Matching calls fail with a server error; nothing is done.",
        "InternalError 500 (EC2 and load balancers: Unavailable 503)",
        "InternalError",
    ),
    _call(
        "timeout-before",
        "Matching calls are never answered; nothing is done.",
        "a read timeout",
    ),
    _call(
        "timeout-after-success",
        "Matching calls are performed, but never answered.",
        "a read timeout",
    ),
    _call(
        "connection-reset",
        "The connection is reset instead of an answer; nothing is done.",
        "a reset",
    ),
    _call(
        "reset-after-success",
        "Matching calls are performed, then the connection is reset.",
        "a reset",
    ),
    _call(
        "half-body",
        "Matching calls are performed, but only half of the answer arrives.",
        "an incomplete answer",
    ),
    _call(
        "wrong-xml",
        "Matching calls are performed, but the answer is a proxy's web page.",
        "200 that is not AWS's XML",
    ),
    _call(
        "access-denied",
        "Matching calls are denied; the error does not name the missing action.",
        "AccessDenied 403 (EC2: UnauthorizedOperation)",
        "AccessDenied",
    ),
    _call(
        "expired-token",
        "Matching calls fail because the session has expired.",
        "ExpiredToken 403 (EC2: RequestExpired 400)",
        "ExpiredToken",
    ),
    _call(
        "quota-reached",
        "Matching creates and updates fail because a quota is exceeded.",
        "the operation's own error, such as EntityLimitExceeded 400",
        "EntityLimitExceeded",
    ),
    _call(
        "never-deployed",
        "Running deployments of distributions and VPC origins never complete.",
        "status stays InProgress or Deploying",
        takes=("account",),
    ),
    _call(
        "third-party-edit",
        "Someone else changes the distribution's comment just before each matching call, so the "
        "ETag is stale.",
        "PreconditionFailed 412",
        "PreconditionFailed",
    ),
)
