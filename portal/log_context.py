"""The ids that all log lines of one HTTP request, console or task carry.

`request_id` names one HTTP request or one socket: X-Request-ID of the caller, or a new one.
`correlation_id` names what the caller does, across many of them: X-Correlation-ID, or the
request_id. A request for an endpoint keeps it, so that the lines of its run have it, too.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any

import structlog

from provisioning.redaction.carriers import KNOWN_SHAPES

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,127}", re.ASCII)


def request_id_of(header: str) -> str:
    """The caller's id; a new one for a value that is absent, too long, has other characters than
    ids have, or looks like a credential.
    """
    value = header.strip()
    if _REQUEST_ID.fullmatch(value) and not KNOWN_SHAPES.search(value):
        return value
    return uuid.uuid4().hex


def request_id_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The same from the headers of an ASGI scope."""
    name = REQUEST_ID_HEADER.lower().encode()
    given = next((value for key, value in headers if key == name), b"")
    return request_id_of(given.decode("latin-1"))


def current_request_id() -> str:
    """The id of the HTTP request that is being answered; "" elsewhere."""
    return str(_context().get("request_id", ""))


def current_ids() -> dict[str, str]:
    """Both ids, as far as they are known: what a task that is sent now takes along."""
    known = _context()
    return {name: str(known[name]) for name in ("request_id", "correlation_id") if known.get(name)}


def _context() -> dict[str, Any]:
    return structlog.contextvars.get_contextvars()
