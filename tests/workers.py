"""A pytest plugin: how several workers share the suite, when pytest-xdist runs them.

Tests that share one running thing (a lab, the edge's stage, the whole product) stay on one worker,
so that it starts once. All other tests are handed out by module. The longest groups go first, so
that no worker is left with one at the end. A run that lost a worker fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

SHARED_FOLDERS = (
    "tests/journeys/",
    "tests/lab/",
    "tests/lab_edge/",
    "tests/provisioning/aws/",
)
"""Folders whose tests share what they start."""

LONGEST_FIRST = (
    *SHARED_FOLDERS,
    "tests/provisioning/test_crash_matrix.py",
    "tests/provisioning/test_create_endpoint.py",
    "tests/provisioning/test_faults_of_ours.py",
    "tests/stack/test_services.py",
    "tests/stack/test_demo.py",
    "tests/provisioning/test_side_by_side.py",
    "tests/portal/test_console_browser.py",
    "tests/portal/test_console_socket.py",
    "tests/portal/test_pages_browser.py",
    "tests/provisioning/test_budget.py",
    "tests/provisioning/test_ingress_as_approved.py",
    "tests/checks/test_hostile_origins.py",
    "tests/checks/test_prober.py",
    "tests/checks/test_probe_command.py",
    "tests/checks/test_meters.py",
)
"""The groups that take ten seconds or more on their own, as `pytest --durations` shows them."""

LOST_WORKERS = pytest.StashKey[list[str]]()


def group_of(test: str) -> str:
    """The group of a test, given its node id: a shared folder, or its module."""
    module = test.partition("::")[0]
    return next((folder for folder in SHARED_FOLDERS if module.startswith(folder)), module)


def in_order(groups: Iterable[str]) -> list[str]:
    """The groups, the longest first; the rest in the order given."""
    place = {group: number for number, group in enumerate(LONGEST_FIRST)}
    return sorted(groups, key=lambda group: place.get(group, len(place)))


# The hooks of xdist are optional: without it (`-p no:xdist`, a debugger) the tests run in one
# process.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    from tests.group_scheduling import GroupScheduling  # imports xdist

    return GroupScheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LOST_WORKERS] = []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    if error:
        node.config.stash[LOST_WORKERS].append(f"worker {node.gateway.id} was lost: {error}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[LOST_WORKERS] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash[LOST_WORKERS]:
        terminalreporter.write_line(line, red=True, bold=True)
