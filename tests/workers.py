"""Several workers share the suite: decides which tests stay together, and who starts first (pytest
loads this plugin).

Tests that meet in one running thing (a lab, the edge's stage, the whole product) stay together, so
that it starts once. All others go by the module. What takes longest goes first, so that no worker
is left with it at the end. It must never let a lost worker pass for a green run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

TOGETHER = (
    "tests/journeys/",
    "tests/lab_edge/",
    "tests/lab/",
    "tests/provisioning/aws/",
)
"""Folders whose tests share what runs, the longest first."""

ALONE_AND_LONG = (
    "tests/provisioning/test_create_endpoint.py",
    "tests/stack/test_demo.py",
    "tests/stack/test_services.py",
)
"""Modules that take long by themselves."""

LOST = pytest.StashKey[list[str]]()


def group_of(test: str) -> str:
    """Which group a test (its node id) belongs to: a shared folder, or its module."""
    module = test.partition("::")[0]
    return next((folder for folder in TOGETHER if module.startswith(folder)), module)


def in_order(groups: Iterable[str]) -> list[str]:
    """The groups, those that take longest first; the rest as they came."""
    known = [*TOGETHER[:1], *ALONE_AND_LONG, *TOGETHER[1:]]
    return sorted(groups, key=lambda group: known.index(group) if group in known else len(known))


class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out whole groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        for group in reversed(in_order(self.workqueue)):
            self.workqueue.move_to_end(group, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    return ByGroup(config, log)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LOST] = []


@pytest.hookimpl
def pytest_testnodedown(node: Any, error: object | None) -> None:
    if error:
        node.config.stash[LOST].append(f"worker {node.gateway.id} was lost: {error}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[LOST] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash[LOST]:
        terminalreporter.write_line(line, red=True, bold=True)
