"""Celery tasks of provisioning, and the tick that finds what is due."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from datetime import datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from provisioning import head_starts, poller, runner
from provisioning.dispatch import Dispatch
from provisioning.engine.turn import LeaseLost
from provisioning.models import AwsAccount, HeadStart, Run
from provisioning.sagas import SAGAS
from provisioning.step_times import CREATE_ENDPOINT, resource_times

MAX_DISPATCHED = 200
DISPATCH_AGAIN_SECONDS = 5.0
_mentions = Dispatch()


@shared_task
def advance_run(run_id: int, fence: int | None = None) -> None:
    """Advance one run until it has to wait, unless it was claimed since `fence` was read."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
    lease = runner.claim(
        run_id,
        holder=holder,
        now=timezone.now(),
        seconds=settings.PROVISIONING_LEASE_SECONDS,
        fence=fence,
    )
    if lease is None:
        return
    run = lease.run
    with (
        bound_contextvars(run=run.pk, endpoint=str(run.endpoint_id), stream=run.stream),
        suppress(LeaseLost),  # another worker has the run and continues it
    ):
        try:
            runner.advance(
                lease, SAGAS[run.saga], clock=timezone.now, pace=settings.PROVISIONING_PACE
            )
        except (DatabaseError, LeaseLost):
            raise
        except Exception as fault:
            lease.record_fault(fault, timezone.now())


@shared_task
def sweep_account(account_id: str) -> None:
    """Sweep one account for every run that waits in it."""
    seconds = sweep_seconds()
    account = poller.claim_sweep(account_id, timezone.now(), seconds=seconds)
    if account is not None:
        usual = resource_times(account, SAGAS[CREATE_ENDPOINT].steps)
        poller.sweep(account, clock=timezone.now, seconds=seconds, usual=usual)


@shared_task
def advance_head_start(head_start_id: int) -> None:
    """Advance one head start."""
    head_starts.work(head_start_id, clock=timezone.now)


def tick(now: datetime) -> None:
    """Dispatch due runs, sweeps and head starts to the workers, the longest due first.

    1. At most MAX_DISPATCHED runs that no worker has claimed yet. If workers are behind, more
       messages would only queue up, be out of date when they are read, and delay sweeps and new
       runs behind them.
    2. A run that is still due after a few seconds is dispatched again: a lost message costs
       seconds, never a run. The second of two messages for the same run does nothing.
    """
    patience = timedelta(seconds=DISPATCH_AGAIN_SECONDS)
    with transaction.atomic():
        room = max(0, MAX_DISPATCHED - Run.objects.dispatched(now, since=now - patience).count())
        waiting = Run.objects.to_dispatch(now, not_since=now - patience).order_by("due_at")
        due = list(waiting.select_for_update(skip_locked=True).values_list("pk", "fence")[:room])
        Run.objects.filter(pk__in=[pk for pk, _ in due]).update(dispatched_at=now)
    for run_id, fence in due:
        advance_run.delay(run_id, fence)
    for account_id in AwsAccount.objects.due_for_sweep(now).values_list("pk", flat=True):
        sweep_account.delay(account_id)
    waiting_for_approval = HeadStart.objects.filter(due_at__lte=now).order_by("due_at")
    for head_start_id, _ in _mentions.due(waiting_for_approval.values_list("pk", "due_at"), now):
        advance_head_start.delay(head_start_id)


def sweep_seconds() -> float:
    """The most seconds between two sweeps of an account."""
    return max(0.5, float(settings.PROVISIONING_SWEEP_SECONDS) / float(settings.PROVISIONING_PACE))
