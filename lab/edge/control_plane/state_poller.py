"""Polls `/_lab/state` of the AWS process, and applies every new version.

It never gives up: the AWS process may start later, restart, or be away.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable

from lab.edge.account.state import State, parse_state

POLL_SECONDS = 0.2
AWAY_SECONDS = 0.5
REQUEST_TIMEOUT = 5.0


class StatePoller:
    """Polls for the account's state."""

    def __init__(self, aws_url: str, apply: Callable[[State], Awaitable[None]]) -> None:
        self._url = f"{aws_url}/_lab/state"
        self._apply = apply
        self._logged = ""
        self._version: int | None = None

    async def follow(self, first: asyncio.Event) -> None:
        """Poll for ever. Sets `first` after the first state was applied."""
        while True:
            try:
                asked = time.monotonic()
                state = await asyncio.to_thread(self._fetch)
                if state is not None:
                    await self._apply(state)
                    self._version = state.version
                    first.set()
                self._logged = ""
                # Parsing a large, ever-changing account must not keep either process busy.
                await asyncio.sleep(max(POLL_SECONDS, 4 * (time.monotonic() - asked)))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._log_error(error)
                await asyncio.sleep(AWAY_SECONDS)

    def _fetch(self) -> State | None:
        """The state, or None if it has not changed."""
        query = "?follow=1" if self._version is None else f"?follow=1&version={self._version}"
        with urllib.request.urlopen(self._url + query, timeout=REQUEST_TIMEOUT) as reply:  # noqa: S310 - our own loopback
            return None if reply.status == 204 else parse_state(json.load(reply))

    def _log_error(self, error: Exception) -> None:
        """Log an error once, not five times a second. A refused connection is normal at startup."""
        text = f"{type(error).__name__}: {error}"
        starting = isinstance(error, urllib.error.URLError) and isinstance(
            error.reason, ConnectionRefusedError
        )
        if text != self._logged and not starting:
            print(f"edge: cannot read {self._url}: {text}", file=sys.stderr, flush=True)
        self._logged = text
