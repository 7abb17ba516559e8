"""What AWS last said about a resource that runs wait for, and what a later read makes of it.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

VPC_ORIGIN, DISTRIBUTION = "vpc-origin", "distribution"
GONE, DEPLOYED = "Gone", "Deployed"


@dataclass(frozen=True)
class Watched:
    """A resource's status, and `detail` as the last full read showed it. `written_at` is our own
    last write to it.
    """

    status: str
    detail: Mapping[str, Any]
    written_at: datetime
    seen_at: datetime

    def observed(
        self, status: str, detail: Mapping[str, Any] | None, *, began: datetime, now: datetime
    ) -> Watched | None:
        """What is known after a read that began at `began`; None if a later write of ours outdates
        the read. Without `detail` it was no full read.
        """
        if began < self.written_at:
            return None
        kept = self.detail if detail is None else detail
        return replace(self, status=status, detail=kept, seen_at=now)
