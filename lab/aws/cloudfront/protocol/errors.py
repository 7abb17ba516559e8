"""CloudFront's errors: code, message, and the HTTP status from botocore's model."""

from __future__ import annotations

from lab.aws.cloudfront.protocol.service_model import SERVICE_MODEL

# Codes that all AWS services share, so the model does not declare them.
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
    """An error reply. A code that AWS does not have is a bug and raises KeyError."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = STATUSES[code]

    def __str__(self) -> str:
        return f"{self.code} ({self.status}): {self.message}"


def invalid(message: str) -> CloudFrontError:
    """InvalidArgument, AWS's code if there is none more specific."""
    return CloudFrontError("InvalidArgument", message)
