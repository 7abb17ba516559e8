"""The newest log rows: printed as they are written, kept in memory, and read over HTTP.

CloudFront delivers logs late; so can the lab.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from lab.edge.http.messages import Answer, json_answer
from lab.edge.logs.access_log import AccessRecord

MAX_ROWS = 10_000
MAX_ROWS_PER_ANSWER = 1000
LOGS = "/_lab/logs"
# Host names that belong to the lab itself, never to a distribution.
OWN_NAMES = frozenset({"lab.localhost", "localhost", "127.0.0.1"})


class LogStore:
    """The newest rows of all distributions."""

    def __init__(self, delay_seconds: Callable[[], float], most: int = MAX_ROWS) -> None:
        self._delay = delay_seconds
        self._rows: deque[tuple[float, dict[str, Any]]] = deque(maxlen=most)

    def put(self, record: AccessRecord, sent: int, received: int) -> None:
        """Write the row of a request that has just ended."""
        if not record.logged:
            return
        ended = datetime.now(UTC)
        row = record.row(sent, received, time.monotonic(), ended)
        self._rows.append((ended.timestamp(), row))
        print(json.dumps(row), file=sys.stdout, flush=True)

    def answer(self, query: str) -> Answer:
        """Rows by `distribution` (an id), `since` (Unix seconds; rows that ended later) and
        `limit`; each is optional.

        Oldest first. `next` is the `since` of the following page.
        """
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        since, limit = (
            _number(asked.get("since", "0")),
            _number(asked.get("limit", str(MAX_ROWS_PER_ANSWER))),
        )
        if since is None or limit is None or not 1 <= limit <= MAX_ROWS_PER_ANSWER:
            error = (
                f"since must be a number of seconds, limit a number from 1 to {MAX_ROWS_PER_ANSWER}"
            )
            return json_answer(400, {"error": error})
        wanted = asked.get("distribution")
        delivered = time.time() - self._delay()
        found = [
            (ended, row)
            for ended, row in self._rows
            if since < ended <= delivered and wanted in (None, row["DistributionId"])
        ][: int(limit)]
        return json_answer(
            200, {"rows": [row for _, row in found], "next": found[-1][0] if found else since}
        )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
