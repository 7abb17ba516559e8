"""botocore's descriptions of AWS's services, read once for the whole process.

botocore keeps them for one session, and moto opens sessions by the dozen: EC2's description alone,
several megabytes of JSON, would be parsed at each. It decides nothing; what is read must never be
changed by those who share it.
"""

from __future__ import annotations

import functools

import botocore.session
from botocore.loaders import create_loader


def share_loader() -> None:
    """Let every session of this process share one loader, also those that moto opens while it is
    imported.
    """
    vars(botocore.session)["create_loader"] = functools.cache(create_loader)
