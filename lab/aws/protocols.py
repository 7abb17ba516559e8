"""DATA. How AWS's services write down an error, by the name that requests are signed for.

It decides which form and which code stand for "your input is wrong" and "no such operation" in each
protocol.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["ec2", "query", "rest-xml", "json"]

_QUERY = frozenset(
    {
        "",
        "autoscaling",
        "cloudformation",
        "elasticache",
        "elasticbeanstalk",
        "elasticloadbalancing",
        "iam",
        "monitoring",
        "rds",
        "redshift",
        "ses",
        "sns",
        "sts",
    }
)
_REST_XML = frozenset({"cloudfront", "route53", "s3"})
_BAD_INPUT: dict[Protocol, str] = {
    "ec2": "InvalidParameterValue",
    "query": "ValidationError",
    "rest-xml": "InvalidInput",
    "json": "ValidationException",
}
_NO_SUCH_OPERATION: dict[Protocol, str] = {
    "ec2": "InvalidAction",
    "query": "InvalidAction",
    "rest-xml": "NoSuchOperation",
    "json": "UnknownOperationException",
}


def protocol_of(service: str) -> Protocol:
    """The protocol of a service's errors; both JSON protocols have the same, and newer services
    speak JSON.
    """
    if service == "ec2":
        return "ec2"
    if service in _QUERY:
        return "query"
    return "rest-xml" if service in _REST_XML else "json"


def bad_input(service: str) -> str:
    """The code for input that cannot be what the service expects."""
    return _BAD_INPUT[protocol_of(service)]


def no_such_operation(service: str) -> str:
    """The code for an operation that the service, as far as the lab has it, does not know."""
    return _NO_SUCH_OPERATION[protocol_of(service)]
