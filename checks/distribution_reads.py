"""Reads where distributions lead their paths: once for all checks of a round, in every worker.

Each reading counts against the account's call budget, and a round checks many endpoints of one
distribution at the same moment.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime

from checks.preflight.serving import routes_of
from provisioning.aws import distributions
from provisioning.aws.errors import AwsError
from provisioning.locks import try_lock
from provisioning.models import AwsAccount, DistributionReading

LOOK_AGAIN_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 60.0
log = logging.getLogger(__name__)


def read_routes(
    account: AwsAccount, distribution_id: str, *, since: datetime, now: datetime
) -> DistributionReading | None:
    """The distribution, as a reading that began at `since` or later saw it; None if that took too
    long.

    1. A reading that began late enough serves everybody, also one to which AWS gave no answer.
    2. Else the first to get the lock reads, and the others wait for what it stores.
    """
    kept = DistributionReading.objects.filter(
        account=account, distribution_id=distribution_id, began_at__gte=since
    )
    give_up = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < give_up:
        if found := kept.first():
            return found
        with try_lock(f"read {account.pk} {distribution_id}") as held:
            if held:
                # Whoever had the lock until now may have stored one.
                return kept.first() or _read(account, distribution_id, now)
        time.sleep(LOOK_AGAIN_SECONDS)
    return None


def _read(account: AwsAccount, distribution_id: str, now: datetime) -> DistributionReading:
    seen: dict[str, object] = {"began_at": now, "etag": "", "routes": None, "error": ""}
    try:
        record = distributions.read(account.client(), distribution_id)
    except AwsError as error:
        log.info("distribution %s was not read: %s", distribution_id, error)
        seen["error"] = str(error)
    else:
        if record is not None:
            seen |= {"etag": record.etag, "routes": routes_of(record.config)}
    return DistributionReading.objects.update_or_create(
        account=account, distribution_id=distribution_id, defaults=seen
    )[0]
