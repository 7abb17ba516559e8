"""CloudFront access log rows, as people paste them or as they are fetched (PURE).

Decides how JSON, the tab-separated W3C form and a CSV export are read, also as the tools wrap them
that people search logs with, and which fields matter to a handshake. It must never guess a field's
place: W3C rows need their #Fields line, or the documented order of 33 fields, and CSV its first
line. Sources: CloudFront Developer Guide, standard logging reference; Athena User Guide, querying
CloudFront logs; CloudWatch Logs User Guide, Logs Insights and subscription filters.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import unquote

from checks.protocol.transcript import storable
from provisioning.redaction.masking import mask_text, mask_url

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
        """Whether this is the row of a request with a method that no handshake has: then it is
        another request's.
        """
        return self.method not in ("", "GET")

    def like(self, path: str, status: int) -> bool:
        """Whether it is the row of a handshake of this path that ended with this status."""
        return not self.of_no_handshake and (self.path, self.status) == (path, status)

    def __str__(self) -> str:
        asked = f"{self.method} {self.path}" if self.of_no_handshake else self.path
        parts = (f"{self.status:03} {asked}", f"result {self.result}", f"detail {self.detail}")
        return "CloudFront's log: " + ", ".join(part for part in parts if part)


def parse_log_rows(text: str) -> tuple[LogRow, ...]:
    """Every row of a pasted text. Raises LogRowError when there is none, or for text that is too
    long.
    """
    if len(text) > MAX_TEXT:
        raise LogRowError(
            f"The text has more than {MAX_TEXT // 1024} KiB; paste only the rows of the "
            "failed handshake."
        )
    rows = tuple(_row(found) for found in islice(_records(text), MAX_ROWS))
    if not rows:
        raise LogRowError(
            "No row found. Paste whole rows of CloudFront's standard log: JSON, tab-separated, or "
            "CSV with its header line, for example a Logs Insights export with @message."
        )
    return rows


_KNOWN = frozenset({"sc-status", "x-edge-result-type", "x-edge-detailed-result-type"})
"""A record without any of these says nothing of a handshake."""
_OTHER_NAMES = {
    "status": "sc-status",
    "request-id": "x-edge-request-id",
    "uri": "cs-uri-stem",
    "method": "cs-method",
}
"""What Athena's documented tables call them, with hyphens."""
_DATE, _TIME, _STATUS = (
    re.compile(pattern) for pattern in (r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d", r"\d{3}")
)
_WRAPPERS = ("events", "message", "@message", "logEvents", "Records", "results")
"""Where CloudWatch Logs keeps rows, and in which they are texts."""
_MESSAGE = "@message"
"""The column of a Logs Insights export that holds the row."""
_ROW_STARTS = r"(?:\d{4}-\d\d-\d\d\t|\{\s*\"|#(?:Fields|Version):)"
_FILE_PREFIX = re.compile(rf"[^\s{{\"\[#][^\t{{\"]*?:(?:\d+:)?(?={_ROW_STARTS})")
"""What grep, zgrep and ripgrep write before a row that they found: the file, perhaps the line."""
_TAIL_PREFIX = re.compile(r"\d{4}-\d\d-\d\dT\S+\s+\S+\s+(?=\{)")
"""What `aws logs tail` writes before a message: its time and its log stream."""
_GZIP, _GZIP_BASE64 = "\x1f", "H4sI"
_DEEPEST = 5
"""A document, its events, one event, its message, and a list around it all."""
MAX_SECONDS = 1e9


def _records(text: str) -> Iterator[Mapping[str, Any]]:
    if text.startswith(_GZIP):
        raise LogRowError("This is a gzip file. Paste its text: zcat FILE, or gzip -dc FILE.")
    stripped = _without_prefixes(text.strip().removeprefix("\ufeff"))
    if stripped.startswith(_GZIP_BASE64):
        stripped = _unzipped(stripped)
    if stripped.startswith(("'", '"{', '"[')):
        stripped = _unquoted(stripped)
    if stripped.startswith(("[", "{")):
        yield from _of_json(stripped)
        return
    first = next((line for line in stripped.splitlines() if line.strip()), "")
    if "," in first and "\t" not in first and _KNOWN & set(map(_name, next(csv.reader([first])))):
        yield from ({_name(key): value for key, value in row.items()} for row in _of_csv(stripped))
        return
    if _MESSAGE in first and "\t" not in first and _MESSAGE in next(csv.reader([first])):
        for row in _of_csv(stripped):
            yield from _of_message(row.get(_MESSAGE, ""))
        return
    yield from _of_lines(stripped)


def _without_prefixes(text: str) -> str:
    """The lines without the file names that grep, or the times that `aws logs tail`, puts before
    each.
    """
    prefix = next((one for one in (_FILE_PREFIX, _TAIL_PREFIX) if one.match(text)), None)
    if prefix is None:
        return text
    return "\n".join(prefix.sub("", line, count=1) for line in text.splitlines())


def _unquoted(text: str) -> str:
    """A JSON text as a shell or a program quotes it."""
    if text.startswith("'"):
        return text.strip("'").strip()
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value.strip() if isinstance(value, str) else text


def _unzipped(text: str) -> str:
    """The data of a CloudWatch Logs subscription: gzip in base64."""
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)
        unpacked = zlib.decompressobj(31).decompress(packed, MAX_TEXT)
    except (binascii.Error, zlib.error) as error:
        raise LogRowError("This looks like gzip data in base64, but cannot be unpacked.") from error
    return unpacked.decode("utf-8", "replace").strip()


def _of_message(message: str) -> Iterator[Mapping[str, Any]]:
    """A row that stands as text in another: JSON, or the fields of the standard log."""
    if message.lstrip().startswith("{"):
        yield from _of_json(message.strip())
    elif message.strip():
        yield from _of_lines(message)


def _of_json(text: str) -> Iterator[Mapping[str, Any]]:
    """One JSON value after the other, on lines of their own or not, with commas between them or
    not.
    """
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = text[place:].strip()
            raise LogRowError(f"Invalid JSON: {_start_of(line)!r}. Paste whole rows.") from error
        yield from _rows_within(value)
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1


def _rows_within(value: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The records in a value: itself, those of a list, or those that a wrapper of CloudWatch Logs
    holds.
    """
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        # GetQueryResults of Logs Insights names each field of a row.
        named = [isinstance(one, dict) and {"field", "value"} <= one.keys() for one in value]
        if value and all(named):
            value = [{str(one["field"]): one["value"] for one in value}]
        for item in value:
            yield from _rows_within(item, depth + 1)
    elif isinstance(value, str) and depth and value.lstrip().startswith("{"):
        yield from _of_json(value.strip())
    elif isinstance(value, str) and depth and "\t" in value and _DATE.match(value):
        yield from _of_lines(value)
    elif isinstance(value, dict) and isinstance(packed := _awslogs(value), str):
        yield from _of_json(_unzipped(packed))
    elif isinstance(value, dict):
        record = {_name(key): found for key, found in value.items()}
        # The status of GetQueryResults is that of the query.
        if _KNOWN & record.keys() and not isinstance(value.get("results"), list):
            yield record
        else:
            for wrapper in _WRAPPERS:
                yield from _rows_within(value.get(wrapper), depth + 1)


def _awslogs(value: Mapping[str, Any]) -> Any:
    """The packed data of an event that CloudWatch Logs sends to a subscriber, if it is one."""
    inner = value.get("awslogs")
    return inner.get("data") if isinstance(inner, dict) else None


def _of_csv(text: str) -> Iterator[Mapping[str, str]]:
    try:
        for row in csv.DictReader(text.splitlines()):
            yield {
                key: value
                for key, value in row.items()
                if isinstance(key, str) and isinstance(value, str)
            }
    except csv.Error as error:
        raise LogRowError(f"Invalid CSV: {error}.") from error


def _of_lines(text: str) -> Iterator[Mapping[str, str]]:
    names: Sequence[str] = ()
    for line in text.splitlines():
        if line.lower().startswith("#fields:"):
            names = [_name(found) for found in line.partition(":")[2].split()]
            if not _KNOWN & set(names):
                raise LogRowError(
                    "The #Fields line names neither sc-status nor x-edge-detailed-result-type."
                )
        elif line.strip() and not line.startswith("#"):
            cells = line.strip("\r\n").split("\t") if "\t" in line else line.split()
            if names:
                if len(cells) != len(names):
                    raise LogRowError(
                        f"#Fields names {len(names)} fields; this line has {len(cells)}: "
                        f"{_start_of(line)!r}"
                    )
                yield dict(zip(names, cells, strict=True))
            else:
                _judge_standard(line, cells)
                yield dict(zip(FIELDS, cells, strict=False))


def _judge_standard(line: str, cells: Sequence[str]) -> None:
    """Whether a row without #Fields has the standard order, as far as its first fields tell."""
    if len(cells) < 15:
        raise LogRowError(
            f"A row has at least 15 fields; this line has {len(cells)}: {_start_of(line)!r}. "
            "Paste the #Fields line with it."
        )
    if not (
        _DATE.fullmatch(cells[0]) and _TIME.fullmatch(cells[1]) and _STATUS.fullmatch(cells[8])
    ):
        raise LogRowError(
            "Not a row of CloudFront's standard log, which starts with date "
            f"and time: {_start_of(line)!r}. For rows with custom fields, or of a "
            "real-time log, paste a #Fields line before them."
        )


def _start_of(line: str) -> str:
    """Enough of a line to find it by, without credentials."""
    return mask_text(line, guess=True)[:60]


def _name(column: Any) -> str:
    """A field's name as CloudFront writes it; Athena's columns have underscores."""
    name = str(column).strip().strip('"').replace("_", "-")
    return _OTHER_NAMES.get(name.lower(), name.lower())


def _row(found: Mapping[str, Any]) -> LogRow:
    def text(name: str) -> str:
        value = found.get(name)
        said = storable("" if value is None else str(value))
        # Queries and cookies are not read; a Referer's are not either. Ids of requests are random.
        return "" if said == "-" else mask_text(said[:512])

    status = text("sc-status")
    return LogRow(
        request_id=text("x-edge-request-id"),
        status=int(status) if re.fullmatch(r"[0-9]{1,3}", status) else 0,
        result=text("x-edge-result-type"),
        detail=text("x-edge-detailed-result-type"),
        path=mask_url(storable(unquote(text("cs-uri-stem")))),
        host=text("x-host-header"),
        protocol=text("cs-protocol"),
        path_pattern=text("cache-behavior-path-pattern"),
        seconds=_seconds(text("time-taken")),
        method=text("cs-method").upper(),
    )


def _seconds(said: str) -> float | None:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", said):
        return None
    return min(float(said), MAX_SECONDS)
