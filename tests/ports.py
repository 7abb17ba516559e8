"""Ports for what tests start: below the range from which the kernel takes ports for clients.

A port that the kernel gave as free may be a client's a moment later, when several workers run tests.
"""

from __future__ import annotations

from stack.ports import Ports


def free_port() -> int:
    """A port nobody listens on."""
    return Ports.free().web
