"""One row of CloudFront's access log (standard logs reference, with the fields of version 2).

A WebSocket's row is written when the connection closes. It says ws or wss and counts all its bytes.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from lab.edge.http.messages import POP, Header, ViewerRequest

CLIENT_LEFT = 0
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/")
# CloudFront leaves characters unescaped that RFC 1738 calls safe or reserved.
_UNESCAPED = "/:;=?@&#%$-_.+!*'(),~[]"


@dataclass(slots=True)
class AccessRecord:
    """A row that is being collected. Times are seconds of a monotonic clock.

    `result_type` classifies the response when it begins; `broken` means it did not arrive complete.
    """

    request: ViewerRequest
    request_id: str
    started: float = field(default_factory=time.monotonic)
    status: int = CLIENT_LEFT
    result_type: str = "Error"
    detail: str = "ClientCommError"
    distribution_id: str = "-"
    distribution_domain: str = "-"
    path_pattern: str = "-"
    logs_cookies: bool = False
    logged: bool = True
    first_byte: float | None = None
    origin_first_byte: float | None = None
    websocket: bool = False
    content_type: str = "-"
    content_length: str = "-"
    content_range: tuple[str, str] = ("-", "-")
    broken: bool = False
    cut_by: str = ""

    def begin(
        self, status: int, result_type: str, detail: str, headers: tuple[Header, ...] = ()
    ) -> None:
        """Record that the response starts now, with these headers."""
        self.status, self.result_type, self.detail = status, result_type, detail
        self.first_byte = time.monotonic()
        named = {name.lower(): value for name, value in headers}
        self.content_type = named.get("content-type", "-")
        self.content_length = named.get("content-length", "-")
        found = _RANGE.match(named.get("content-range", ""))
        self.content_range = (found[1], found[2]) if found else ("-", "-")

    def break_off(self, detail: str) -> None:
        """Record that the response ended before it was complete."""
        self.broken, self.detail = True, detail

    def origin_answered(self) -> None:
        """Record that the origin's first byte has arrived."""
        self.origin_first_byte = time.monotonic()

    def row(self, sent: int, received: int, finished: float, at: datetime) -> dict[str, Any]:
        """The finished row: bytes `sent` to and `received` from the viewer, and the time of its
        end, monotonic (`finished`) and in UTC (`at`).
        """
        request = self.request
        protocol = request.scheme
        if self.websocket:
            protocol = "wss" if protocol == "https" else "ws"
        return {
            "date": at.strftime("%Y-%m-%d"),
            "time": at.strftime("%H:%M:%S"),
            "timestamp(ms)": int(at.timestamp() * 1000),
            "x-edge-location": POP,
            "sc-bytes": sent,
            "c-ip": request.address,
            "cs-method": request.method,
            "cs(Host)": self.distribution_domain,
            "cs-uri-stem": quote(request.path, _UNESCAPED),
            "sc-status": f"{self.status:03d}",
            "cs(Referer)": _header(request, "referer"),
            "cs(User-Agent)": _header(request, "user-agent"),
            "cs-uri-query": request.query or "-",
            "cs(Cookie)": _header(request, "cookie") if self.logs_cookies else "-",
            "x-edge-result-type": "Error" if self.broken else self.result_type,
            "x-edge-request-id": self.request_id,
            "x-host-header": request.header("host") or "-",
            "cs-protocol": protocol,
            "cs-bytes": received,
            "time-taken": round(finished - self.started, 3),
            "x-forwarded-for": request.header("x-forwarded-for") or "-",
            "ssl-protocol": request.tls.partition(":")[0] or "-",
            "ssl-cipher": request.tls.partition(":")[2] or "-",
            "x-edge-response-result-type": self.result_type,
            "cs-protocol-version": f"HTTP/{request.http_version}",
            "fle-status": "-",
            "fle-encrypted-fields": "-",
            "c-port": request.port,
            "time-to-first-byte": round((self.first_byte or finished) - self.started, 3),
            "x-edge-detailed-result-type": self.detail,
            "sc-content-type": self.content_type,
            "sc-content-len": self.content_length,
            "sc-range-start": self.content_range[0],
            "sc-range-end": self.content_range[1],
            "c-country": request.country or "-",
            "cache-behavior-path-pattern": self.path_pattern,
            "origin-fbl": "-"
            if self.origin_first_byte is None
            else round(self.origin_first_byte - self.started, 3),
            "DistributionId": self.distribution_id,
            # The lab's own field, only if a hop cut the WebSocket: which one, and why.
            **({"lab-cut-by": self.cut_by} if self.cut_by else {}),
        }


def _header(request: ViewerRequest, name: str) -> str:
    return quote(request.header(name), _UNESCAPED) or "-"
