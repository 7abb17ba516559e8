"""Reports target health and public listener addresses to the AWS process.

Reports are sent when something changed, and repeated now and then in case the AWS process
restarted. A lost report is simply repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Sequence

from lab.edge.account.load_balancers import DRAINING, Target, TargetGroup
from lab.edge.balancers.rules.target_health import TargetHealth
from lab.edge.wire.open_sockets import DrainingTarget

LOOK_SECONDS = 0.5
REPEAT_SECONDS = 10.0
REQUEST_TIMEOUT = 5.0


class EdgeReporter:
    """Holds the latest report and delivers it."""

    def __init__(self, aws_url: str) -> None:
        self._url = f"{aws_url}/_lab/edge"
        self._newest = b""
        self._delivered = b""

    def publish(
        self,
        health: Sequence[tuple[TargetGroup, Target, TargetHealth]],
        draining: Sequence[DrainingTarget],
        public: dict[str, str],
    ) -> None:
        """Set the report. Healthy targets are left out: the account assumes that anyway."""
        targets = [
            {
                "group": group.arn,
                "id": target.id,
                "port": target.port,
                "state": state.state,
                "reason": state.reason,
                "description": state.description,
            }
            for group, target, state in health
            if state.reason
        ]
        targets += [
            {"group": one.group, "id": one.id, "port": one.port, "state": DRAINING}
            for one in draining
        ]
        self._newest = json.dumps({"targets": targets, "public": public}).encode()

    async def run(self, refresh: Callable[[], None]) -> None:
        """Deliver for ever. `refresh` publishes changes that come without an event."""
        delivered_at = 0.0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            refresh()
            newest = self._newest
            if newest == self._delivered and time.monotonic() - delivered_at < REPEAT_SECONDS:
                continue
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._post, newest)
                self._delivered, delivered_at = newest, time.monotonic()

    def _post(self, report: bytes) -> None:
        request = urllib.request.Request(self._url, report, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT):  # noqa: S310 - our own loopback
            pass
