"""CloudFront's errors: code, HTTP status from botocore's own model, message.

It decides the status of each code and nothing else; who raises what is each operation's business.
"""

from __future__ import annotations

from lab.aws.cloudfront.protocol.service_model import SERVICE_MODEL

# Codes every AWS service knows and the model therefore does not declare.
_COMMON = {
    "MalformedInput": 400,
    "MalformedXML": 400,
    "Throttling": 400,
    "NoSuchOperation": 404,
    "InternalError": 500,
}


def _declared() -> dict[str, int]:
    statuses = dict(_COMMON)
    for name in SERVICE_MODEL.shape_names:
        error = SERVICE_MODEL.shape_for(name).metadata.get("error")
        if error:
            statuses[name] = int(error.get("httpStatusCode", 400))
    return statuses


STATUSES = _declared()


class CloudFrontError(Exception):
    """An answer other than success. A code that AWS does not know is a bug of ours and fails at
    once.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = STATUSES[code]

    def __str__(self) -> str:
        return f"{self.code} ({self.status}): {self.message}"


def invalid(message: str) -> CloudFrontError:
    """InvalidArgument, the code AWS uses when nothing more telling exists."""
    return CloudFrontError("InvalidArgument", message)
