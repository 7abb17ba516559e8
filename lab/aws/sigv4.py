"""What a request's SigV4 Authorization header says. The lab does not verify signatures."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request")


@dataclass(frozen=True)
class CredentialScope:
    """The key that signed a request, and the Region and service that it was signed for."""

    access_key: str
    region: str
    service: str

    @classmethod
    def of(cls, authorization: str) -> CredentialScope | None:
        """From the Authorization header; None if it is not a SigV4 one."""
        found = _CREDENTIAL.search(authorization)
        return None if found is None else cls(*found.groups())
