"""Fixtures of the portal's tests: the lab's AWS for those that ask for it, and an empty cache of it
for each test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from playwright.sync_api import Browser, expect, sync_playwright
from rest_framework.response import Response
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

from portal.api.base import ApiView
from portal.people import rate_counter
from portal.requests import inventory
from provisioning import budget
from provisioning.aws import session
from provisioning.aws.session import AccountRef, Aws
from provisioning.models import Endpoint
from tests.lab.account import Lab
from tests.portal.endpoint_requests import ask, deploy
from tests.portal.people import Cast, enter_by_role, make_cast

PATIENCE = 30_000
"""Milliseconds for a page to show what it shall: a bound for a busy machine, not a pause."""

CLOSED_PORT = "http://127.0.0.1:9"
"""An AWS endpoint that refuses every connection."""


@pytest.fixture(scope="session", autouse=True)
def few_rounds() -> Iterator[None]:
    """Passwords are hashed as always, but with fewer rounds: a million of them cost half a second
    each time.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1000)
        yield


@pytest.fixture(scope="session", autouse=True)
def static_files_are_listed_once() -> Iterator[None]:
    """Each client of a test is a server of its own, and a server lists the static files when it
    starts, which takes as long as the rest of a test. The later ones get the list of the first.
    """
    listed: dict[str, StaticFile] = {}
    list_files = WhiteNoiseMiddleware.add_files_from_finders

    def list_once(middleware: WhiteNoiseMiddleware) -> None:
        if not listed:
            list_files(middleware)
            listed.update(middleware.files)
        middleware.files.update(listed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", list_once)
        yield


@pytest.fixture(scope="session")
def lab_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab's AWS, seeded."""
    running = Lab(tmp_path_factory.mktemp("pages-lab"))
    running.start()
    yield running
    running.end()


@pytest.fixture(scope="session")
def refused_clients() -> dict[AccountRef, Aws]:
    """The AWS clients of tests without the lab."""
    return {}


@pytest.fixture(autouse=True)
def no_real_aws(refused_clients: dict[AccountRef, Aws], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test without the lab asks of AWS is refused on this machine, at once: the real AWS
    would be asked with keys that it does not know, or be sought in vain without a network.
    """
    monkeypatch.setattr(session, "_accounts", refused_clients)
    monkeypatch.setenv("AWS_ENDPOINT_URL", CLOSED_PORT)


@pytest.fixture(scope="session")
def lab_clients() -> dict[AccountRef, Aws]:
    """The AWS clients of tests with the lab. Clients that another test made lead elsewhere."""
    return {}


@pytest.fixture
def lab(
    lab_process: Lab, lab_clients: dict[AccountRef, Aws], monkeypatch: pytest.MonkeyPatch
) -> Lab:
    """The same, found by AWS_ENDPOINT_URL as AWS would be."""
    monkeypatch.setattr(session, "_accounts", lab_clients)
    monkeypatch.setenv("AWS_ENDPOINT_URL", lab_process.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return lab_process


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from another test, and a page waits for AWS however busy this machine
    is.
    """
    monkeypatch.setattr(inventory, "_cache", inventory.FetchCache(wait_seconds=30))


@pytest.fixture
def counted(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Attempts and calls are counted, from nothing; gives Redis's URL. No later test counts its
    calls to AWS there.
    """
    server = redis.Redis.from_url(redis_url)
    server.flushdb()
    monkeypatch.setattr(settings, "REDIS_URL", redis_url)
    clients = (rate_counter.rate_counter, budget._shared)
    for client in clients:
        client.cache_clear()
    yield redis_url
    for client in clients:
        client.cache_clear()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A Chromium for the tests of one module; each has a context of its own, as if it were another
    person's machine.
    """
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright runs an event loop in this thread; the tests' own queries are between its
        # calls.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        expect.set_options(timeout=PATIENCE)
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def people(db: None, empty_cache: None) -> Cast:
    """Everybody, with accounts that are entered by their roles."""
    people = make_cast()
    enter_by_role()
    return people


@pytest.fixture
def endpoint(people: Cast) -> Endpoint:
    """Ana's, deployed."""
    return deploy(ask(people.ana, people.chat))


@pytest.fixture(autouse=True)
def only_documented_refusals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test asks of the API, no operation refuses with a code that its documentation does
    not list.
    """
    undocumented: list[str] = []
    handle = ApiView.handle_exception

    def watched(view: ApiView, exc: Exception) -> Response:
        answer, operation = handle(view, exc), view.operation
        if operation and answer.data["code"] not in operation.codes:
            undocumented.append(f"{type(view).__name__}: {answer.data['code']}")
        return answer

    monkeypatch.setattr(ApiView, "handle_exception", watched)
    yield
    assert undocumented == []
