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
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillFetching
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from django.utils import timezone

from provisioning.aws import distributions, targets
from provisioning.aws.errors import AwsError
from provisioning.aws.thread_pool import ThreadPool
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts
from provisioning.models import AwsAccount

WAIT_SECONDS = 3.0
FRESH = timedelta(seconds=30)
FRESH_AFTER_ERROR = timedelta(seconds=5)
MAX_CACHED = 200
MAX_CONCURRENT_FETCHES = 6

Value = TypeVar("Value")


@dataclass(frozen=True)
class Inventory:
    """What can be chosen in an account."""

    targets: tuple[TargetFacts, ...]
    distributions: tuple[distributions.DistributionSummary, ...]


@dataclass(frozen=True)
class Fetched(Generic[Value]):
    """`value` and when AWS gave it; or the error in words, and who can fix it; or neither: AWS has
    not answered yet.
    """

    value: Value | None = None
    at: datetime | None = None
    error: str = ""
    fix: str = ""

    @property
    def pending(self) -> bool:
        """Asked, but no answer yet. Ask again in a moment."""
        return self.value is None and not self.error


class FetchCache:
    """Queries to AWS under way and recent answers, shared by all threads of the process."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._pool: ThreadPool | None = None
        self._queries: OrderedDict[tuple[str, ...], Future[Fetched[Any]]] = OrderedDict()

    def fetch(
        self, key: tuple[str, ...], ask: Callable[[], Value], now: datetime
    ) -> Fetched[Value]:
        """The cached answer if it is fresh, else a new one, awaited for at most `wait_seconds`."""
        with self._lock:
            future = self._queries.get(key)
            if future is None or _stale(future, now):
                self._pool = self._pool or ThreadPool(MAX_CONCURRENT_FETCHES, "inventory")
                future = self._queries[key] = self._pool.submit(_ask, ask)
            self._queries.move_to_end(key)
            while len(self._queries) > MAX_CACHED:
                self._queries.popitem(last=False)
        try:
            return cast("Fetched[Value]", future.result(self._wait_seconds))
        except StillFetching:
            return Fetched()

    def forget(self, account_id: str) -> None:
        """Ask AWS again next time, after a change in the account."""
        with self._lock:
            for key in [key for key in self._queries if account_id in key]:
                del self._queries[key]


_cache = FetchCache()


def inventory_of(account: AwsAccount, now: datetime) -> Fetched[Inventory]:
    """The account's targets in its Region, and its distributions."""

    def ask() -> Inventory:
        aws = account.client()
        listed = tuple(one for one in distributions.list_all(aws) if not one.staging)
        return Inventory(targets.list_targets(aws, account.region), listed)

    return _cache.fetch(("inventory", account.pk), ask, now)


def snapshot_of(
    account: AwsAccount, target_arn: str, distribution_id: str, now: datetime
) -> Fetched[Snapshot]:
    """One target and one distribution in detail, with the account's VPC origins."""

    def ask() -> Snapshot:
        return account.snapshot_for(target_arn, distribution_id, permissions=True)

    return _cache.fetch(("snapshot", account.pk, target_arn, distribution_id), ask, now)


def forget(account: AwsAccount) -> None:
    """Ask AWS again next time."""
    _cache.forget(account.pk)


def _ask(ask: Callable[[], Value]) -> Fetched[Value]:
    try:
        return Fetched(ask(), timezone.now())
    except AwsError as error:
        return Fetched(None, timezone.now(), str(error), error.fix)


def _stale(future: Future[Fetched[Any]], now: datetime) -> bool:
    """A query under way is never stale; one that ended in an unforeseen exception always is."""
    if not future.done():
        return False
    if future.exception() is not None:
        return True
    fetched = future.result()
    fresh = FRESH_AFTER_ERROR if fetched.value is None else FRESH
    return fetched.at is None or now - fetched.at > fresh
