"""botocore's service models, loaded once for the whole process.

botocore caches them per session, and moto opens dozens of sessions; EC2's model alone is several
megabytes of JSON.
"""

from __future__ import annotations

import functools

import botocore.session
from botocore.loaders import create_loader


def share_loader() -> None:
    """Let all sessions of this process share one loader, including those that moto opens at
    import.
    """
    vars(botocore.session)["create_loader"] = functools.cache(create_loader)
