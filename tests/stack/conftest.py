"""Ports for the stories of this folder."""

from __future__ import annotations

import pytest

from tests.ports import free_ports


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    return free_ports().web
