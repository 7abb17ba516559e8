"""What is due for live endpoints: their scheduled privacy audits."""

from __future__ import annotations

from datetime import datetime

from portal.endpoints import privacy_audits


def tick(now: datetime) -> None:
    """Request every privacy audit that is due."""
    privacy_audits.request_due_audits(now)
