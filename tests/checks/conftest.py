"""What tests of checks share."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from provisioning.models import AwsAccount, Endpoint
from tests.checks.origins import HOST, Authority
from tests.provisioning.examples import ACCOUNT, spec

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    """The chat team's, with a name of its own."""
    account = AwsAccount.objects.create(account_id=ACCOUNT, name="Chat")
    wanted = spec()
    return Endpoint.objects.create(
        account=account,
        owner="chat",
        name=wanted.name,
        spec_data=wanted.to_dict(),
        domain_name="d111.cloudfront.net",
        created_at=NOW,
    )


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that probes trust."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def good_tls(authority: Authority) -> ssl.SSLContext:
    """A certificate for the host that is asked for."""
    return authority.server(HOST)
