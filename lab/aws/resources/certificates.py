"""What a distribution may refer to in other services of an account: certificates and web ACLs, as
moto keeps them.

It decides how moto's objects become plain values. It must never change an account, and its callers
hold the lab's lock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import acm_backends
from moto.iam.models import iam_backends

# CloudFront reads certificates and web ACLs of this Region only.
REGION = "us-east-1"
# Where moto keeps IAM, and the web ACLs of scope CLOUDFRONT.
_GLOBAL = "global"
_CERTIFICATE_ARN = re.compile(r"arn:aws:acm:([a-z0-9-]+):(\d{12}):certificate/[\w-]+")


@dataclass(frozen=True)
class Certificate:
    """A viewer certificate: the names it is for, in lower case, and whether it may be used."""

    names: tuple[str, ...]
    issued: bool

    def covers(self, alias: str) -> bool:
        """True if the alias, in lower case, is one of its names; a wildcard stands for exactly one
        label.
        """
        _, dot, parent = alias.partition(".")
        return alias in self.names or (bool(dot) and f"*.{parent}" in self.names)


def find_certificate(account: str, arn: str) -> Certificate | None:
    """The account's ACM certificate of that ARN; None if there is none, or if it is not in
    us-east-1.
    """
    found = _CERTIFICATE_ARN.fullmatch(arn)
    if found is None or found.groups() != (REGION, account):
        return None
    try:
        kept = acm_backends[account][REGION].get_certificate(arn)
    except CertificateNotFound:
        return None
    return Certificate(_lowered(kept.common_name, *kept.sans), kept.status == "ISSUED")


def has_server_certificate(account: str, certificate_id: str) -> bool:
    """True if the account's IAM has a server certificate with that id."""
    return certificate_id in iam_backends[account][_GLOBAL].certificates


def _lowered(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in names if name))
