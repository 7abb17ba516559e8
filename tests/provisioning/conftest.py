"""One AWS endpoint of the lab, with a clock that is only stepped, for all tests of provisioning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
def machine(stepped_lab: Lab, db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Machine:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stepped_lab.url)
    # Stories that kill a worker at each boundary of a step kill more of them than any limit allows.
    settings.QUARANTINE_AFTER_LOST_LEASES = 0
    return Machine(stepped_lab)
