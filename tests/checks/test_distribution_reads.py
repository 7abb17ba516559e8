"""Reading where a distribution leads its paths once for all checks, in every worker."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection

from checks import distribution_reads
from provisioning.aws import distributions
from provisioning.aws.errors import AwsError
from provisioning.locks import lock_number
from provisioning.models import AwsAccount, DistributionReading

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DISTRIBUTION = "E1A2B3C4D5E6F7"
pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> AwsAccount:
    return AwsAccount.objects.create(account_id="111122223333", name="Chat")


def test_a_worker_waits_for_what_another_is_reading(
    account: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"read {account.pk} {DISTRIBUTION}"
    number = lock_number(name)
    with psycopg.connect(
        **connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
    ) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [number])
        waits = []

        def the_other_is_done(seconds: float) -> None:
            waits.append(seconds)
            DistributionReading.objects.create(
                account=account, distribution_id=DISTRIBUTION, began_at=NOW, etag="E1"
            )

        monkeypatch.setattr(time, "sleep", the_other_is_done)
        found = distribution_reads.read_routes(account, DISTRIBUTION, since=NOW, now=NOW)
    assert found is not None
    assert (found.etag, len(waits)) == ("E1", 1)


def test_a_distribution_that_aws_does_not_show_is_asked_for_once_a_round(
    account: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def throttled(_: object, distribution_id: str) -> None:
        asked.append(distribution_id)
        raise AwsError("GetDistribution", "Throttling", "Rate exceeded")

    monkeypatch.setattr(distributions, "read", throttled)
    for later in (0, 1, 2):
        found = distribution_reads.read_routes(
            account, DISTRIBUTION, since=NOW, now=NOW + timedelta(seconds=later)
        )
        assert found is not None
        assert (found.routes, found.etag) == (None, "")
        assert "Rate exceeded" in found.error
    assert len(asked) == 1
    after = NOW + timedelta(minutes=15)
    distribution_reads.read_routes(account, DISTRIBUTION, since=after, now=after)
    assert len(asked) == 2
