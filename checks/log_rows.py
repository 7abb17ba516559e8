"""CloudFront access log rows, as people paste them or as they are fetched (PURE).

Decides how JSON lines, a JSON array and the tab-separated W3C form are read, and which fields matter to a handshake. It
must never guess a field's place: the W3C form needs its #Fields line, or the documented order of 33 fields.
Source: CloudFront Developer Guide, standard logging reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

MAX_TEXT = 256 * 1024
MAX_ROWS = 200

FIELDS: Sequence[str] = (
    "date",
    "time",
    "x-edge-location",
    "sc-bytes",
    "c-ip",
    "cs-method",
    "cs(Host)",
    "cs-uri-stem",
    "sc-status",
    "cs(Referer)",
    "cs(User-Agent)",
    "cs-uri-query",
    "cs(Cookie)",
    "x-edge-result-type",
    "x-edge-request-id",
    "x-host-header",
    "cs-protocol",
    "cs-bytes",
    "time-taken",
    "x-forwarded-for",
    "ssl-protocol",
    "ssl-cipher",
    "x-edge-response-result-type",
    "cs-protocol-version",
    "fle-status",
    "fle-encrypted-fields",
    "c-port",
    "time-to-first-byte",
    "x-edge-detailed-result-type",
    "sc-content-type",
    "sc-content-len",
    "sc-range-start",
    "sc-range-end",
)
"""The standard order, used when a pasted row has no #Fields line."""


class LogRowError(ValueError):
    """Text that holds no readable row; says what was expected."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row: `status` 0 when the viewer left first; `detail` is x-edge-detailed-result-type."""

    request_id: str
    status: int
    result: str
    detail: str
    path: str
    host: str
    protocol: str
    path_pattern: str = ""
    seconds: float | None = None
    method: str = ""

    @property
    def of_no_handshake(self) -> bool:
        """Whether this is the row of a request with a method that no handshake has: then it is another request's."""
        return self.method not in ("", "GET")

    def __str__(self) -> str:
        asked = f"{self.method} {self.path}" if self.of_no_handshake else self.path
        parts = (f"{self.status:03} {asked}", f"result {self.result}", f"detail {self.detail}")
        return "CloudFront's log: " + ", ".join(part for part in parts if part)


def parse_log_rows(text: str) -> tuple[LogRow, ...]:
    """Every row of a pasted text. Raises LogRowError when there is none, or for text that is too long."""
    if len(text) > MAX_TEXT:
        raise LogRowError(
            f"The text has more than {MAX_TEXT // 1024} KiB; paste only the rows of the failed handshake."
        )
    rows = tuple(_row(found) for _, found in zip(range(MAX_ROWS), _records(text), strict=False))
    if not rows:
        raise LogRowError("No row was found. Paste whole lines of CloudFront's standard log, JSON or tab-separated.")
    return rows


def _records(text: str) -> Iterator[Mapping[str, Any]]:
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            listed = json.loads(stripped)
        except (ValueError, RecursionError) as error:
            raise LogRowError(f"This begins like a JSON list but is none: {error}") from error
        yield from (item for item in listed if isinstance(item, dict))
        return
    names = FIELDS
    for line in stripped.splitlines():
        if line.startswith("#Fields:"):
            names = line.removeprefix("#Fields:").split()
        elif line.startswith("{"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise LogRowError(f"This line begins like JSON but is none: {line[:60]!r}") from error
            if isinstance(record, dict):
                yield record
        elif line.strip() and not line.startswith("#"):
            cells = line.split("\t") if "\t" in line else line.split()
            if len(cells) < 15:
                raise LogRowError(f"A row has at least 15 fields; this line has {len(cells)}: {line[:60]!r}")
            yield dict(zip(names, cells, strict=False))


def _row(found: Mapping[str, Any]) -> LogRow:
    def text(name: str) -> str:
        value = str(found.get(name, "") if found.get(name) is not None else "")
        return "" if value == "-" else value[:512]

    status = text("sc-status")
    seconds = text("time-taken")
    return LogRow(
        request_id=text("x-edge-request-id"),
        status=int(status) if status.isdecimal() and len(status) < 6 else 0,
        result=text("x-edge-result-type"),
        detail=text("x-edge-detailed-result-type"),
        path=unquote(text("cs-uri-stem")),
        host=text("x-host-header"),
        protocol=text("cs-protocol"),
        path_pattern=text("cache-behavior-path-pattern"),
        seconds=float(seconds) if seconds.replace(".", "", 1).isdecimal() else None,
        method=text("cs-method").upper(),
    )
