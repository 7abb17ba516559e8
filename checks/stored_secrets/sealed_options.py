"""What a check or a probe sends, between the request and the worker that sends it.

The row has the options without credentials. If there are any, the options as they are stand
encrypted beside them, for an hour at most, and are deleted when the row is finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from provisioning.secrets.encryption import DecryptionError, decrypt, encrypt

KEPT = timedelta(hours=1)
EXPIRED = "expired"
"""Stands in a row in place of what was deleted unsent."""


class SealExpiredError(Exception):
    """The options were kept for KEPT, and nothing sent them in that time."""

    def __str__(self) -> str:
        return (
            "The credentials of this check are deleted after an hour, and no worker ran it in that "
            "time. Run the check again."
        )


def seal(
    purpose: str, asked: Mapping[str, Any], masked: Mapping[str, Any], *, now: datetime
) -> str:
    """What the row keeps beside the masked options: nothing if they are the same."""
    return "" if asked == masked else encrypt(purpose, json.dumps(dict(asked)), now=now)


def unseal(
    purpose: str, sealed: str, stored: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """The options as they were given. Raises SealExpiredError."""
    if not sealed:
        return dict(stored)
    try:
        asked = json.loads(decrypt(purpose, sealed, now=now, seconds=int(KEPT.total_seconds())))
    except DecryptionError as error:
        raise SealExpiredError from error
    return dict(asked)
