"""Ports for the stories of this folder."""

from __future__ import annotations

import pytest

from stack.ports import Ports


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    return Ports.free().web
