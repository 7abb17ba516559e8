"""What an account contains, for the form and its inline preflight: read live, bounded in time and
cached briefly.

A page never waits longer than WAIT_SECONDS for AWS. The query continues in the background, so that
the next request finds the answer, and simultaneous readers share it. Nothing is stored. Views
decide who may read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillLooking
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from django.utils import timezone

from provisioning.aws import distributions, targets
from provisioning.aws.errors import AwsError
from provisioning.facts.snapshot import Snapshot, TargetFacts
from provisioning.models import AwsAccount

WAIT_SECONDS = 3.0
FRESH = timedelta(seconds=30)
FRESH_AFTER_TROUBLE = timedelta(seconds=5)
REMEMBERED = 200
LOOKS_AT_ONCE = 6

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Inventory:
    """What can be chosen in an account."""

    targets: tuple[TargetFacts, ...]
    distributions: tuple[distributions.DistributionSummary, ...]


@dataclass(frozen=True)
class Look(Generic[Seen]):
    """`seen` and when; or the trouble in words, and who can fix it; or neither: AWS has not
    answered yet.
    """

    seen: Seen | None = None
    at: datetime | None = None
    trouble: str = ""
    fix: str = ""

    @property
    def pending(self) -> bool:
        """Asked, but no answer yet. Ask again in a moment."""
        return self.seen is None and not self.trouble


class Looks:
    """Looks under way and looks remembered, shared by all threads of the process."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._asked: OrderedDict[tuple[str, ...], Future[Look[Any]]] = OrderedDict()

    def look(self, key: tuple[str, ...], ask: Callable[[], Seen], now: datetime) -> Look[Seen]:
        """The remembered look if it is fresh, else a new one, awaited for at most
        `wait_seconds`.
        """
        with self._lock:
            future = self._asked.get(key)
            if future is None or _stale(future, now):
                self._pool = self._pool or ThreadPoolExecutor(LOOKS_AT_ONCE, "inventory")
                future = self._asked[key] = self._pool.submit(_ask, ask)
            self._asked.move_to_end(key)
            while len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)
        try:
            return cast("Look[Seen]", future.result(self._wait_seconds))
        except StillLooking:
            return Look()

    def forget(self, account_id: str) -> None:
        """Ask AWS again next time, after a change in the account."""
        with self._lock:
            for key in [key for key in self._asked if account_id in key]:
                del self._asked[key]


_looks = Looks()


def inventory_of(account: AwsAccount, now: datetime) -> Look[Inventory]:
    """The account's targets in its Region, and its distributions."""

    def ask() -> Inventory:
        aws = account.client()
        listed = tuple(one for one in distributions.list_all(aws) if not one.staging)
        return Inventory(targets.list_targets(aws, account.region), listed)

    return _looks.look(("inventory", account.pk), ask, now)


def snapshot_of(
    account: AwsAccount, target_arn: str, distribution_id: str, now: datetime
) -> Look[Snapshot]:
    """One target and one distribution looked at closely, with the account's VPC origins."""

    def ask() -> Snapshot:
        return account.snapshot_for(target_arn, distribution_id, permissions=True)

    return _looks.look(("snapshot", account.pk, target_arn, distribution_id), ask, now)


def forget(account: AwsAccount) -> None:
    """Ask AWS again next time."""
    _looks.forget(account.pk)


def _ask(ask: Callable[[], Seen]) -> Look[Seen]:
    try:
        return Look(ask(), timezone.now())
    except AwsError as error:
        return Look(None, timezone.now(), str(error), error.fix)


def _stale(future: Future[Look[Any]], now: datetime) -> bool:
    """A look under way is never stale; one that ended in an unforeseen exception always is."""
    if not future.done():
        return False
    if future.exception() is not None:
        return True
    look = future.result()
    fresh = FRESH_AFTER_TROUBLE if look.seen is None else FRESH
    return look.at is None or now - look.at > fresh
