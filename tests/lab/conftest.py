"""One AWS endpoint for all tests of the lab's AWS side; every test takes an account of its own."""

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
