"""The lab's AWS endpoint: moto for EC2, ELBv2, STS and the rest, and our own CloudFront."""

from __future__ import annotations

from lab.aws.botocore_loader import share_loader

# Before anything imports moto.
share_loader()
