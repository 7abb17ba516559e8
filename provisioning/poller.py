"""One sweep of an account for every run that waits in it.

List calls serve all waiting runs; Get calls are made only where that takes fewer, and to confirm a
change before runs are woken. The number of calls grows with the account's size, never with the
number of runs in flight.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Count, Q

from provisioning.aws import distributions, vpc_origins
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import Aws
from provisioning.facts.names import DistributionId, VpcOriginId
from provisioning.facts.step_times import StepTime
from provisioning.facts.sweep_interval import Wait, next_sweep_seconds
from provisioning.facts.watched import GONE
from provisioning.models import AwsAccount, Run, Watch
from provisioning.watches import record_observation

LONGEST_PAUSE_SECONDS = 300.0
QUICKEST_SECONDS = 2.0
"""The least time between two sweeps of an account, of AWS's time."""
log = logging.getLogger(__name__)

Seen = tuple[Watch, str, Mapping[str, Any] | None]
"""A watch, its current status in AWS, and the detail if it was read in full."""


def claim_sweep(account_id: str, now: datetime, *, seconds: float) -> AwsAccount | None:
    """Claim the account's next sweep. None if it is not due or another worker claimed it."""
    due = AwsAccount.objects.due_for_sweep(now).filter(pk=account_id)
    if due.update(next_sweep_at=now + timedelta(seconds=seconds)) != 1:
        return None
    return AwsAccount.objects.get(pk=account_id)


def sweep(
    account: AwsAccount,
    *,
    clock: Callable[[], datetime],
    seconds: float,
    usual: Mapping[str, StepTime],
) -> None:
    """1. Find the watches that runs wait for.
    2. List (or Get, if that takes fewer calls) VPC origins and distributions; confirm each changed
       status with one Get.
    3. Record all observations and wake the runs in one go, so that runs that can write together
       become due together.
    4. Choose when the next one is due: within `seconds`, and sooner when AWS is about to be done.
       `usual` says how long it takes, by kind of resource.
    If AWS throttles the sweep, it keeps what it saw, and the pause until the next one doubles, up
    to five minutes. If the call budget runs out, the next sweep continues as usual.
    """
    began = clock()
    aws = account.client()
    waiting = Watch.objects.filter(account=account).filter(
        Q(waiters__state__in=[Run.State.WAITING, Run.State.UNDOING])
    )
    watches = list(waiting.annotate(waiting=Count("waiters")))
    seen: list[Seen] = []
    failure: AwsError | None = None
    looks = itertools.chain(
        vpc_origins_seen(aws, [w for w in watches if w.resource == Watch.Resource.VPC_ORIGIN]),
        distributions_seen(aws, [w for w in watches if w.resource == Watch.Resource.DISTRIBUTION]),
    )
    try:
        for look in looks:
            seen.append(look)
    except AwsError as error:
        failure = error
    except DatabaseError:
        raise
    except Exception as fault:
        log.exception("account %s: internal error during the sweep", account.pk)
        failure = AwsError(
            "Sweep", "portal_fault", f"Internal error in the portal ({type(fault).__name__})"
        )
    for watch, status, detail in seen:
        record_observation(
            account, watch.resource, watch.aws_id, status, detail, began=began, now=clock()
        )
    if failure is None:
        now = clock()
        AwsAccount.objects.filter(pk=account.pk).update(
            last_sweep_at=now,
            last_sweep_error="",
            next_sweep_at=began + timedelta(seconds=_next_sweep(seen, usual, now, seconds)),
        )
    elif failure.code != OVER_BUDGET:
        # Jitter, not a secret
        pause = min(seconds * 2, LONGEST_PAUSE_SECONDS) * random.uniform(0.9, 1.1)  # noqa: S311
        next_at = clock() + timedelta(seconds=failure.retry_after or pause)
        AwsAccount.objects.filter(pk=account.pk).update(
            last_sweep_error=str(failure)[:300], next_sweep_at=next_at
        )


def _next_sweep(
    seen: Sequence[Seen], usual: Mapping[str, StepTime], now: datetime, seconds: float
) -> float:
    """Seconds until the next sweep, by the resources whose status has not changed."""
    pace = float(settings.PROVISIONING_PACE)
    waits = [
        Wait(
            vars(watch)["waiting"], (now - watch.written_at).total_seconds(), usual[watch.resource]
        )
        for watch, status, _ in seen
        if status == watch.status
    ]
    return next_sweep_seconds(
        waits,
        calls=len({watch.resource for watch, _, _ in seen}),
        pace=pace,
        quickest=min(QUICKEST_SECONDS / pace, seconds),
        slowest=seconds,
    )


def vpc_origins_seen(aws: Aws, watches: list[Watch]) -> Iterator[Seen]:
    """What AWS says about the VPC origins of these watches now."""
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


def distributions_seen(aws: Aws, watches: list[Watch]) -> Iterator[Seen]:
    """What AWS says about the distributions of these watches now."""
    listed = {d.id: d.status for d in distributions.list_all(aws)} if len(watches) > 1 else {}
    for watch in watches:
        status = listed.get(DistributionId(watch.aws_id), GONE) if len(watches) > 1 else ""
        detail = None
        if status != watch.status:
            record = distributions.read(aws, DistributionId(watch.aws_id))
            status = record.status if record else GONE
            detail = distributions.outline(record) if record else {}
        yield watch, status, detail
