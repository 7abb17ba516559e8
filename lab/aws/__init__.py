"""The lab's AWS endpoint: moto for EC2, ELBv2, STS and the rest, and our own CloudFront."""

from __future__ import annotations

from lab.aws.descriptions import read_once

# Before anything imports moto.
read_once()
