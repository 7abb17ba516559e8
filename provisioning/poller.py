"""One look at an account for everybody who waits in it.

List calls serve every waiting run at once; Get calls are made only where that is fewer, and to
confirm a change before anybody is told. The number of calls grows with the account's size, never
with the runs in flight.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.db.models import Q

from provisioning.aws import distributions, vpc_origins
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import Aws
from provisioning.facts.names import DistributionId, VpcOriginId
from provisioning.models import AwsAccount, Run, Watch
from provisioning.watches import GONE, note_look

LONGEST_PAUSE_SECONDS = 300.0
log = logging.getLogger(__name__)

Seen = tuple[Watch, str, Mapping[str, Any] | None]
"""A watch, the status that AWS says now, and the detail where it was looked at closely."""


def claim_sweep(account_id: str, now: datetime, *, seconds: float) -> AwsAccount | None:
    """Take the account's next look; None when it is not due or somebody else took it."""
    due = AwsAccount.objects.due_for_sweep(now).filter(pk=account_id)
    if due.update(next_sweep_at=now + timedelta(seconds=seconds)) != 1:
        return None
    return AwsAccount.objects.get(pk=account_id)


def sweep(account: AwsAccount, *, clock: Callable[[], datetime], seconds: float) -> None:
    """1. What is waited for, and not settled.
    2. List (or Get, where fewer) VPC origins and distributions; confirm each changed status with
       one Get.
    3. Note what was seen and wake the waiters, all in a moment, so that those who can go together
       are due together.
    A throttled look keeps what it saw, and doubles the pause to the next one, up to five minutes.
    One for which the budget of calls does not suffice goes on as usual, from what it saw.
    """
    began = clock()
    aws = account.client()
    waiting = Watch.objects.filter(account=account).filter(
        Q(waiters__state__in=[Run.State.WAITING, Run.State.UNDOING])
    )
    watches = list(waiting.distinct())
    seen: list[Seen] = []
    trouble: AwsError | None = None
    looks = itertools.chain(
        _vpc_origins_seen(aws, [w for w in watches if w.resource == Watch.Resource.VPC_ORIGIN]),
        _distributions_seen(aws, [w for w in watches if w.resource == Watch.Resource.DISTRIBUTION]),
    )
    try:
        for look in looks:
            seen.append(look)
    except AwsError as error:
        trouble = error
    except DatabaseError:
        raise
    except Exception as fault:
        log.exception("account %s: a fault of the portal while looking", account.pk)
        trouble = AwsError(
            "Looking", "portal_fault", f"The portal itself failed ({type(fault).__name__})"
        )
    for watch, status, detail in seen:
        note_look(account, watch.resource, watch.aws_id, status, detail, began=began, now=clock())
    if trouble is None:
        AwsAccount.objects.filter(pk=account.pk).update(last_sweep_at=clock(), last_sweep_error="")
    elif trouble.code != OVER_BUDGET:
        # Jitter, not a secret
        pause = min(seconds * 2, LONGEST_PAUSE_SECONDS) * random.uniform(0.9, 1.1)  # noqa: S311
        next_at = clock() + timedelta(seconds=trouble.retry_after or pause)
        AwsAccount.objects.filter(pk=account.pk).update(
            last_sweep_error=str(trouble)[:300], next_sweep_at=next_at
        )


def distribution_detail(record: distributions.DistributionRecord) -> dict[str, object]:
    """What a watch keeps of a distribution: which origins it has, and which behavior leads
    where.
    """
    return {
        "etag": record.etag,
        "origins": [origin.id for origin in record.facts.origins],
        "behaviors": {
            behavior.path_pattern: behavior.target_origin_id for behavior in record.facts.behaviors
        },
    }


def _vpc_origins_seen(aws: Aws, watches: list[Watch]) -> Iterator[Seen]:
    listed = (
        {origin.id: origin.status for origin in vpc_origins.list_all(aws)}
        if len(watches) > 1
        else {}
    )
    for watch in watches:
        status = listed.get(VpcOriginId(watch.aws_id), GONE) if len(watches) > 1 else ""
        if status != watch.status:
            record = vpc_origins.read(aws, VpcOriginId(watch.aws_id))
            status = record.facts.status if record else GONE
        yield watch, status, None


def _distributions_seen(aws: Aws, watches: list[Watch]) -> Iterator[Seen]:
    listed = {d.id: d.status for d in distributions.list_all(aws)} if len(watches) > 1 else {}
    for watch in watches:
        status = listed.get(DistributionId(watch.aws_id), GONE) if len(watches) > 1 else ""
        detail = None
        if status != watch.status:
            record = distributions.read(aws, DistributionId(watch.aws_id))
            status = record.status if record else GONE
            detail = distribution_detail(record) if record else {}
        yield watch, status, detail
