"""What the edge tells the AWS process: health of targets, and where public load balancers listen on
this machine.

It decides when to tell it: when it is news, and now and then again, because the other process may
have restarted. It must never wait for an answer anywhere but in its own task, nor complain: a
report that is lost is repeated.
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
    """The newest report and the task that delivers it."""

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
        """This is how things are now. Healthy targets are left out: that is what the account
        believes anyway.
        """
        targets = [
            {
                "group": group.arn,
                "id": target.id,
                "port": target.port,
                "state": known.state,
                "reason": known.reason,
                "description": known.description,
            }
            for group, target, known in health
            if known.reason
        ]
        targets += [
            {"group": one.group, "id": one.id, "port": one.port, "state": DRAINING}
            for one in draining
        ]
        self._newest = json.dumps({"targets": targets, "public": public}).encode()

    async def run(self, refresh: Callable[[], None]) -> None:
        """Deliver for ever; `refresh` publishes what changes without an event."""
        told = 0.0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            refresh()
            newest = self._newest
            if newest == self._delivered and time.monotonic() - told < REPEAT_SECONDS:
                continue
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._post, newest)
                self._delivered, told = newest, time.monotonic()

    def _post(self, report: bytes) -> None:
        asked = urllib.request.Request(self._url, report, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(asked, timeout=REQUEST_TIMEOUT):  # noqa: S310 - our own loopback
            pass
