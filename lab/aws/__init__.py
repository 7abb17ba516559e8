"""AWS's control plane: our own CloudFront, moto for every other service, and what the edge reads of
both.

It never serves a viewer (`lab.edge` does), listens on no port (`lab.endpoint` does), and knows of
no faults.
"""

from __future__ import annotations

from lab.aws.botocore_loader import share_loader

# Before anything imports moto.
share_loader()
