"""Certificates that a distribution can use: ACM's and IAM's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import acm_backends
from moto.iam.models import iam_backends

# CloudFront uses ACM certificates of this Region only.
REGION = "us-east-1"
# moto's Region for IAM.
_GLOBAL = "global"
_CERTIFICATE_ARN = re.compile(r"arn:aws:acm:([a-z0-9-]+):(\d{12}):certificate/[\w-]+")


@dataclass(frozen=True)
class Certificate:
    """A viewer certificate: its names in lower case, and whether it has been issued."""

    names: tuple[str, ...]
    issued: bool

    def covers(self, alias: str) -> bool:
        """True if it is valid for the alias, which is in lower case; a wildcard matches one
        label.
        """
        _, dot, parent = alias.partition(".")
        return alias in self.names or (bool(dot) and f"*.{parent}" in self.names)


def find_certificate(account: str, arn: str) -> Certificate | None:
    """The account's ACM certificate with that ARN; None if there is none in us-east-1."""
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
