"""HTTP replies of AWS services, and errors in the protocol that a service's clients expect."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

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
# Everything that XML 1.0 cannot hold.
_UNPRINTABLE = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


@dataclass(frozen=True)
class HttpReply:
    """Status, headers and body, before they go on the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Refusal:
    """An error that is not a reply yet: AWS's code and a message."""

    code: str
    message: str


def protocol_of(service: str) -> Protocol:
    """The protocol of a service's errors, by the name that its requests are signed for. Both JSON
    protocols share one form, and newer services use JSON.
    """
    if service == "ec2":
        return "ec2"
    if service in _QUERY:
        return "query"
    return "rest-xml" if service in _REST_XML else "json"


def bad_input(service: str) -> str:
    """The error code for invalid input."""
    return _BAD_INPUT[protocol_of(service)]


def no_such_operation(service: str) -> str:
    """The error code for an operation that the lab's version of the service does not have."""
    return _NO_SUCH_OPERATION[protocol_of(service)]


def printable(text: str) -> str:
    """The text with a question mark for every character that XML cannot hold."""
    return _UNPRINTABLE.sub("?", text)


def error_reply(service: str, status: int, code: str, message: str) -> HttpReply:
    """An error in the protocol that clients of the service expect: EC2's XML, the query protocol's
    XML, or JSON.
    """
    request_id = secrets.token_hex(16)
    text = escape(printable(message))
    protocol = protocol_of(service)
    if protocol == "ec2":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
            f"<Message>{text}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
    elif protocol in ("query", "rest-xml"):
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    else:
        headers = (("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", request_id))
        return HttpReply(status, headers, json.dumps({"__type": code, "message": message}).encode())
    return HttpReply(
        status, (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)), body.encode()
    )
