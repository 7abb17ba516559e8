"""Follows the AWS process: asks for `/_lab/state` several times a second and keeps the last good
answer.

It decides when a new state is taken over. It must never give up: the AWS process may start later,
restart, or be away.
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
    """The newest state known, and the task that keeps it so."""

    def __init__(self, aws_url: str, apply: Callable[[State], Awaitable[None]]) -> None:
        self._url = f"{aws_url}/_lab/state"
        self._apply = apply
        self._complained = ""
        self._version: int | None = None

    async def follow(self, first: asyncio.Event) -> None:
        """Poll for ever; sets `first` when the first state has been taken over."""
        while True:
            try:
                asked = time.monotonic()
                state = await asyncio.to_thread(self._fetch)
                if state is not None:
                    await self._apply(state)
                    self._version = state.version
                    first.set()
                self._complained = ""
                # A large account that changes all the time must not keep either process busy with
                # reading it.
                await asyncio.sleep(max(POLL_SECONDS, 4 * (time.monotonic() - asked)))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._complain(error)
                await asyncio.sleep(AWAY_SECONDS)

    def _fetch(self) -> State | None:
        """The state, or None when it is the one already known."""
        query = "?follow=1" if self._version is None else f"?follow=1&version={self._version}"
        with urllib.request.urlopen(self._url + query, timeout=REQUEST_TIMEOUT) as reply:  # noqa: S310 - our own loopback
            return None if reply.status == 204 else parse_state(json.load(reply))

    def _complain(self, error: Exception) -> None:
        """Say it once, not five times a second. That nobody listens yet is the normal start and
        needs no words.
        """
        text = f"{type(error).__name__}: {error}"
        quiet = isinstance(error, urllib.error.URLError) and isinstance(
            error.reason, ConnectionRefusedError
        )
        if text != self._complained and not quiet:
            print(f"edge: no new state from {self._url}: {text}", file=sys.stderr, flush=True)
        self._complained = text
