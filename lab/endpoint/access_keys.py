"""Which callers the endpoint refuses before it looks at their request.

A request must be signed with SigV4. An access key in AWS's own form must be one that the lab
issued; any other key, such as `lab`, is accepted. Signatures are not verified.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lab.aws.replies import HttpReply, error_reply, protocol_of
from lab.aws.sigv4 import CredentialScope

_AWSS_KEY = re.compile("(?:AKIA|ASIA)[A-Z0-9]{16}")


def refuse_caller(
    service: str, authorization: str, known: Callable[[str], bool]
) -> HttpReply | None:
    """AWS's error for a caller that AWS would not accept; None for any other.

    `known` says whether the lab has issued an access key.
    """
    if not authorization:
        return error_reply(
            service, 403, "MissingAuthenticationToken", "Request is missing Authentication Token"
        )
    credential = CredentialScope.of(authorization)
    if credential is None:
        why = (
            "Authorization header requires a 'Credential' of key, date, Region, service and "
            "aws4_request."
        )
        return error_reply(service, 400, "IncompleteSignature", why)
    if not _AWSS_KEY.fullmatch(credential.access_key) or known(credential.access_key):
        return None
    if service == "ec2":
        why = "AWS was not able to validate the provided access credentials"
        return error_reply(service, 401, "AuthFailure", why)
    json = protocol_of(service) == "json"
    code, status = ("UnrecognizedClientException", 400) if json else ("InvalidClientTokenId", 403)
    return error_reply(
        service, status, code, "The security token included in the request is invalid."
    )
