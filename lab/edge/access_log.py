"""The edge's access log: one JSON line per finished request or WebSocket connection, in CloudFront's field names.

It decides the fields (standard logs reference; a WebSocket's line is written when it closes and says ws or wss).
It must never be read by the edge itself.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lab.edge.answers import POP
from lab.edge.forwarding import ViewerRequest

CLIENT_LEFT = 0


@dataclass(slots=True)
class AccessRecord:
    """One line in the making. Times are seconds of a monotonic clock; bytes are what the viewer's socket carried."""

    request: ViewerRequest
    request_id: str
    started: float = field(default_factory=time.monotonic)
    status: int = CLIENT_LEFT
    result_type: str = "Error"
    detail: str = "ClientCommError"
    distribution_id: str = "-"
    distribution_domain: str = "-"
    path_pattern: str = "-"
    first_byte: float | None = None
    websocket: bool = False
    content_type: str = "-"

    def begin(self, status: int, result_type: str, detail: str) -> None:
        """The response starts now."""
        self.status, self.result_type, self.detail = status, result_type, detail
        self.first_byte = time.monotonic()

    def line(self, sent: int, received: int, finished: float, at: datetime) -> str:
        """The line, for a connection that carried so many bytes to and from the viewer."""
        request = self.request
        protocol = request.scheme
        if self.websocket:
            protocol = "wss" if protocol == "https" else "ws"
        seconds = finished - self.started
        return json.dumps(
            {
                "date": at.strftime("%Y-%m-%d"),
                "time": at.strftime("%H:%M:%S"),
                "x-edge-location": POP,
                "sc-bytes": sent,
                "c-ip": request.address,
                "c-port": request.port,
                "cs-method": request.method,
                "cs(Host)": self.distribution_domain,
                "cs-uri-stem": request.path,
                "cs-uri-query": request.query or "-",
                "sc-status": f"{self.status:03d}",
                "cs(User-Agent)": request.header("user-agent") or "-",
                "x-edge-result-type": self.result_type,
                "x-edge-response-result-type": self.result_type,
                "x-edge-detailed-result-type": self.detail,
                "x-edge-request-id": self.request_id,
                "x-host-header": request.header("host") or "-",
                "cs-protocol": protocol,
                "cs-protocol-version": f"HTTP/{request.http_version}",
                "cs-bytes": received,
                "time-taken": round(seconds, 3),
                "time-to-first-byte": round((self.first_byte or finished) - self.started, 3),
                "x-forwarded-for": request.header("x-forwarded-for") or "-",
                "ssl-protocol": request.tls.partition(":")[0] or "-",
                "ssl-cipher": request.tls.partition(":")[2] or "-",
                "sc-content-type": self.content_type,
                "cache-behavior-path-pattern": self.path_pattern,
                "distribution-id": self.distribution_id,
            }
        )

    def write(self, sent: int, received: int) -> None:
        """Write the line to standard output."""
        print(self.line(sent, received, time.monotonic(), datetime.now(UTC)), file=sys.stdout, flush=True)
