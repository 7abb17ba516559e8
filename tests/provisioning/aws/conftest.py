"""The lab's AWS endpoint for the adapter's tests; the adapter finds it by AWS_ENDPOINT_URL, as it
finds AWS.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioning.aws.session import AccountRef, Aws
from tests.lab.account import CHAT_ACCOUNT, REGION, Account, Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two items a page, so that every list has more than one page."""
    running = Lab(tmp_path_factory.mktemp("edge-lab"), quotas={"page_size": 2})
    running.start()
    yield running
    running.end()


@pytest.fixture(autouse=True)
def portal_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal's own keys, from the environment as boto3 takes them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def enter(account_id: str) -> Aws:
    """The portal in an app account, through its role."""
    return Aws(
        AccountRef(account_id, REGION, f"arn:aws:iam::{account_id}:role/edge-portal", "external-id")
    )


@pytest.fixture
def account(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An empty account, as its owner sees it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", lab.url)
    return lab.account()


@pytest.fixture
def aws(account: Account) -> Aws:
    """The same empty account, as the portal sees it."""
    return enter(account.number)


@pytest.fixture(scope="session")
def chat_clients() -> Aws:
    """One set of clients for all tests of the seeded account: each takes 40 ms to make."""
    return enter(CHAT_ACCOUNT)


@pytest.fixture
def chat(lab: Lab, chat_clients: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The seeded account of team Chat. Tests only read in it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", lab.url)
    return chat_clients
