"""What every test may ask for: a database, a Redis, and a stack. Each starts only when a test asks.

DATABASE_URL and REDIS_URL of the environment win, so that a build machine may bring its own
servers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from stack.browser import find_browser
from stack.processes import Supervisor
from stack.services import Postgres, Redis
from tests.ports import free_ports

# Enough to catch what a change breaks, and the same every time, however busy the machine; `make
# soak` searches further.
settings.register_profile(
    "suite",
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("suite")

NO_BROWSER = "no Chromium on PATH (chromium, chromium-browser, google-chrome) nor in .venv/browsers"


@pytest.fixture(scope="session")
def services_dir() -> Iterator[Path]:
    """A short path: unix sockets have little room for their names."""
    with tempfile.TemporaryDirectory(prefix="edge-portal-tests-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def supervisor(services_dir: Path) -> Iterator[Supervisor]:
    """Keeps the services of this test session alive, and ends them with it."""
    supervisor = Supervisor(services_dir / "run", services_dir / "logs", say=print)
    yield supervisor
    supervisor.stop()


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest, services_dir: Path) -> str:
    """URL of a PostgreSQL server that runs."""
    if given := os.environ.get("DATABASE_URL"):
        return given
    supervisor: Supervisor = request.getfixturevalue("supervisor")
    postgres = Postgres(services_dir / "postgres", durable=False)
    postgres.prepare()
    child = postgres.child(os.environ)
    supervisor.start(child)
    supervisor.wait_ready(child)
    postgres.ensure_database()
    return postgres.url()


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest, services_dir: Path) -> str:
    """URL of a Redis server that runs."""
    if given := os.environ.get("REDIS_URL"):
        return given
    supervisor: Supervisor = request.getfixturevalue("supervisor")
    redis = Redis(services_dir / "redis", free_ports().redis, password="only-for-tests")
    redis.prepare()
    child = redis.child(os.environ)
    supervisor.start(child)
    supervisor.wait_ready(child)
    return redis.url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_url: str) -> None:
    """pytest-django asks this before it makes the test database: point Django at the server
    above.
    """
    import environ
    from django.db import connections

    connections["default"].settings_dict.update(environ.Env.db_url_config(database_url))


@pytest.fixture(scope="session", autouse=True)
def rows_are_deleted() -> Iterator[None]:
    """After a test that commits, each row is deleted. Django's flush truncates all tables, which
    takes PostgreSQL a hundred times as long, and makes content types and permissions again: those
    stay.
    """
    from django.db import connections, transaction
    from django.test import TransactionTestCase

    stay = {"django_content_type", "auth_permission"}

    def delete_rows(case: TransactionTestCase) -> None:
        for name in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
            connection = connections[name]
            found = connection.introspection.django_table_names(
                only_existing=True, include_views=False
            )
            statements = [
                f'DELETE FROM "{table}"'  # noqa: S608 - the models' own tables
                for table in sorted({*found} - stay)
            ]
            with transaction.atomic(name), connection.cursor() as cursor:
                # Its trigger refuses each DELETE.
                cursor.execute(f"TRUNCATE requests_approval; {'; '.join(statements)}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete_rows)
        yield


BROWSER_TESTS_SKIPPED = pytest.StashKey["BrowserTestsSkipped"]()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the Chromium that browser tests drive. Tests that ask for it carry the mark
    `browser`.
    """
    path = find_browser()
    if path is None:
        pytest.skip(NO_BROWSER)
    return path


class BrowserTestsSkipped:
    """Remembers which browser tests did not run, and why; with several workers their reports all
    come by here.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and "browser" in report.keywords:
            told = report.longrepr
            reason = told[-1] if isinstance(told, tuple) else str(told)
            self.reasons[report.nodeid] = reason.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BROWSER_TESTS_SKIPPED] = BrowserTestsSkipped()
    config.pluginmanager.register(config.stash[BROWSER_TESTS_SKIPPED])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A build machine says REQUIRE_BROWSER=1: there a browser test that did not run is a
    failure.
    """
    if (
        session.config.stash[BROWSER_TESTS_SKIPPED].reasons
        and os.environ.get("REQUIRE_BROWSER") == "1"
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say plainly how many browser tests did not run and why."""
    skipped = config.stash[BROWSER_TESTS_SKIPPED].reasons
    for reason in sorted(set(skipped.values())):
        count = sum(each == reason for each in skipped.values())
        tests = "1 browser test" if count == 1 else f"{count} browser tests"
        terminalreporter.write_line(f"{tests} did not run: {reason}", yellow=True, bold=True)
