"""Celery tasks of provisioning, and the tick that finds what is due. A task is: load by id, call,
done.
"""

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

from provisioning import poller, runner
from provisioning.models import AwsAccount, Run
from provisioning.sagas import SAGAS

MOST_MENTIONED = 200
MENTION_AGAIN_SECONDS = 5.0


@shared_task
def advance_run(run_id: int, fence: int | None = None) -> None:
    """Advance one run as far as it gets without waiting, unless somebody has taken it since the
    fence was read.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
    lease = runner.claim(
        run_id,
        holder=holder,
        now=timezone.now(),
        seconds=settings.PROVISIONING_LEASE_SECONDS,
        fence=fence,
    )
    if lease is not None:
        with suppress(runner.LeaseLost):  # another worker has the run, and goes on with it
            try:
                runner.advance(
                    lease,
                    SAGAS[lease.run.saga],
                    clock=timezone.now,
                    pace=settings.PROVISIONING_PACE,
                )
            except (DatabaseError, runner.LeaseLost):
                raise
            except Exception as fault:
                lease.note_fault(fault, timezone.now())


@shared_task
def sweep_account(account_id: str) -> None:
    """Look at one account for everybody who waits in it."""
    seconds = sweep_seconds()
    account = poller.claim_sweep(account_id, timezone.now(), seconds=seconds)
    if account is not None:
        poller.sweep(account, clock=timezone.now, seconds=seconds)


def tick(now: datetime) -> None:
    """Tell the workers of due runs and due sweeps, the longest due first.

    1. Of no more runs than so many that nobody has taken yet. Where workers are behind, more words
       would only queue up, be stale when they are read, and keep sweeps and new runs waiting behind
       them.
    2. One that is still due after a few seconds is mentioned again: a lost word costs seconds,
       never a run. A word that is heard twice does nothing the second time, so nobody who tries
       again overtakes those still unheard.
    """
    patience = timedelta(seconds=MENTION_AGAIN_SECONDS)
    with transaction.atomic():
        room = max(0, MOST_MENTIONED - Run.objects.mentioned(now, since=now - patience).count())
        untold = Run.objects.to_mention(now, not_since=now - patience).order_by("due_at")
        due = list(untold.select_for_update(skip_locked=True).values_list("pk", "fence")[:room])
        Run.objects.filter(pk__in=[pk for pk, _ in due]).update(mentioned_at=now)
    for run_id, fence in due:
        advance_run.delay(run_id, fence)
    for account_id in AwsAccount.objects.due_for_sweep(now).values_list("pk", flat=True):
        sweep_account.delay(account_id)


def sweep_seconds() -> float:
    """Seconds between two looks at an account."""
    return max(0.5, float(settings.PROVISIONING_SWEEP_SECONDS) / float(settings.PROVISIONING_PACE))
