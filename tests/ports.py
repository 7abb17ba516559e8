"""Ports for what tests start: below the range from which the kernel takes ports for clients, and
nobody else's.

A port that the kernel gave as free may be a client's a moment later, and two workers may choose the
same one at once. So each worker has blocks of its own.
"""

from __future__ import annotations

import itertools
import os
import secrets

from stack.ports import Ports, is_free

FIRST, LAST, BLOCK = 10_000, 30_000, 10
MAX_WORKERS = 8

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % MAX_WORKERS
_mine = range(FIRST + _worker * BLOCK, LAST, MAX_WORKERS * BLOCK)
# Another run on this machine begins elsewhere.
_turn = itertools.count(secrets.randbelow(len(_mine)))


def free_ports() -> Ports:
    """Six ports in a row that nobody listens on."""
    for _ in _mine:
        base = _mine[next(_turn) % len(_mine)]
        if all(is_free(base + offset) for offset in range(6)):
            return Ports.from_base(base)
    raise OSError("no six free ports in a row")


def free_port() -> int:
    """One such port."""
    return free_ports().web
