"""Certificates of ACM, as load balancers and distributions name them by ARN. It judges none."""

from __future__ import annotations

from typing import Any, cast

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import CLOUDFRONT_REGION, Aws
from provisioning.facts.certificate import Certificate

_ACM = "acm"
DELETED = "DELETED"


def certificate(aws: Aws, arn: str) -> Certificate:
    """The certificate; of one that is not ACM's only the ARN, of one that is gone the status
    DELETED (our word).
    """
    parts = arn.split(":")
    if len(parts) < 6 or parts[2] != _ACM:
        return Certificate(arn)
    try:
        with calling("DescribeCertificate"):
            answer = aws.acm_read(parts[3] or CLOUDFRONT_REGION).describe_certificate(
                CertificateArn=arn
            )
    except AwsError as error:
        if error.is_absent:
            return Certificate(arn, status=DELETED)
        raise
    found = cast("Any", answer["Certificate"])
    names = dict.fromkeys((found.get("DomainName", ""), *found.get("SubjectAlternativeNames", ())))
    expires = found.get("NotAfter")
    return Certificate(
        arn,
        tuple(name for name in names if name),
        found.get("Status", ""),
        found.get("Type", ""),
        expires.date().isoformat() if expires else "",
    )
