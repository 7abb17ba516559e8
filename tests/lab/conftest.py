"""One AWS endpoint for all tests of the lab's AWS side. Every test uses a new account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.account import Account, Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("lab"))
    running.start()
    yield running
    running.end()


@pytest.fixture
def account(lab: Lab) -> Account:
    return lab.account()


@pytest.fixture
def no_fault_stays_set(lab: Lab) -> Iterator[None]:
    """Faults hit the endpoint that all tests share."""
    yield
    lab.delete("/_lab/faults")
