"""What tests of app kinds share: the servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app_kinds.servers import AppServers


@pytest.fixture(scope="session")
def servers() -> Iterator[AppServers]:
    """Servers on this machine, started when a test asks for them."""
    with AppServers() as running:
        yield running
