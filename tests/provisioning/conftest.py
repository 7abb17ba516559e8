"""One AWS endpoint of the lab, with a clock that is only stepped, for all tests of provisioning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.account import Lab
from tests.provisioning.machine import Machine


@pytest.fixture(scope="session")
def stepped_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("stepped-lab"))
    running.start()
    yield running
    running.end()


@pytest.fixture
def machine(stepped_lab: Lab, db: None, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stepped_lab.url)
    return Machine(stepped_lab)
