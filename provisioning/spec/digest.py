"""The digest that an approval and an idempotency key are bound to."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def digest_of(value: Any) -> str:
    """SHA-256, hex, over the canonical JSON (RFC 8785) of a JSON-ready value."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()
