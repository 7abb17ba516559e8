"""What tests of stored checks share."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from provisioning.models import AwsAccount, Endpoint
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
