"""CloudFront as a whole: finds a request's operation, throttles, runs it in a transaction, and
replies.

Every failure becomes one of AWS's errors. Time changes entities in `settle` only.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from lab.aws.cloudfront.context import Context, Operation
from lab.aws.cloudfront.entities.lifecycle import Distribution, VpcOrigin
from lab.aws.cloudfront.entities.store import CloudFrontStore
from lab.aws.cloudfront.operations import (
    continuous_deployment_policies,
    distributions,
    distributions_by_resource,
    domain_associations,
    domain_conflicts,
    invalidations,
    policies,
    resource_policies,
    signing_keys,
    staging_distributions,
    tagging,
    vpc_origins,
    web_acls,
)
from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.protocol.rest_xml import (
    Router,
    new_request_id,
    read_call,
    write_error,
    write_reply,
)
from lab.aws.cloudfront.rules.resource_shares import refuse_share
from lab.aws.cloudfront.throttling import Bucket, is_read, take
from lab.aws.database import LabDatabase
from lab.aws.moto_backend import MotoBackend
from lab.aws.moto_patches import use_quotas
from lab.aws.replies import HttpReply
from lab.aws.settings import LabSettings
from lab.clock import LabClock

log = logging.getLogger(__name__)

OPERATIONS: Mapping[str, Operation] = {
    **vpc_origins.OPERATIONS,
    **distributions.OPERATIONS,
    **distributions_by_resource.OPERATIONS,
    **staging_distributions.OPERATIONS,
    **continuous_deployment_policies.OPERATIONS,
    **web_acls.OPERATIONS,
    **domain_conflicts.OPERATIONS,
    **domain_associations.OPERATIONS,
    **invalidations.OPERATIONS,
    **tagging.OPERATIONS,
    **policies.OPERATIONS,
    **signing_keys.OPERATIONS,
    **resource_policies.OPERATIONS,
}

WhyNot: TypeAlias = Callable[[Mapping[str, str], str, Mapping[str, Any]], str | None]


class CloudFront:
    """The CloudFront service of all the lab's accounts."""

    def __init__(
        self, moto: MotoBackend, database: LabDatabase, clock: LabClock, settings: LabSettings
    ) -> None:
        self.moto = moto
        self.settings = settings
        self.store = CloudFrontStore(database)
        self.calls: Counter[str] = Counter()
        self._database = database
        self._clock = clock
        self.edges_at: Callable[[], float] = clock.now
        """The lab time up to which the edge knows everything; now, if none runs."""
        self.why_not_allowed: WhyNot = lambda headers, operation, parameters: None
        """Why the caller's policies do not allow an operation."""
        self._buckets: dict[tuple[str, bool], Bucket] = {}
        self._router = Router.for_all_operations()
        self._next_change = 0.0
        self._settled_until = 0.0
        # Status changes by time; with the store's changes they make up the version.
        self._settled = 0
        use_quotas(lambda: settings.quotas)
        moto.guards["ram"] = partial(refuse_share, self.store)

    @property
    def version(self) -> int:
        """Grows with every change, by a caller or by time (after `settle`)."""
        return self.store.changes + self._settled

    def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> HttpReply:
        """Answer one request. `path` and `query` are as sent, `headers` have lower-case names."""
        request_id = new_request_id()
        try:
            call = read_call(self._router, method, path, query, headers, body)
            name = call.operation.name
            operation = OPERATIONS.get(name)
            if operation is None:
                raise CloudFrontError("UnsupportedOperation", f"The lab does not implement {name}.")
            with self.moto.lock:
                self.calls[name] += 1
                why = self.why_not_allowed(headers, name, call.parameters)
                if why:
                    raise CloudFrontError("AccessDenied", why)
                context = self._context(headers, name)
                self._throttle(context.account, name)
                self.settle()
                before = self.store.changes
                with self._database.transaction():
                    result = operation(context, call)
                if self.store.changes != before:
                    self._expect_changes()
            return write_reply(call.operation, result, request_id)
        except CloudFrontError as error:
            return write_error(error, request_id)
        except Exception:
            log.exception("a bug of the lab: %s %s", method, path)
            sorry = CloudFrontError(
                "InternalError", "We encountered an internal error. Please try again."
            )
            return write_error(sorry, request_id)

    def tags_of(self, arn: str) -> Mapping[str, str] | None:
        """The tags of a distribution or VPC origin; None if it does not exist."""
        kind, _, entity_id = arn.rpartition(":")[2].partition("/")
        entity: Distribution | VpcOrigin | None = None
        if kind == "distribution":
            entity = self.store.distributions.get(entity_id)
        elif kind == "vpcorigin":
            entity = self.store.vpc_origins.get(entity_id)
        return None if entity is None else entity.tags

    def change(self, what: Callable[[Context], None]) -> None:
        """Make a change of the lab's own, which is no operation and belongs to no account, in a
        transaction.
        """
        with self.moto.lock:
            self.settle()
            with self._database.transaction():
                what(self._context({}, "change"))
            self._expect_changes()

    def settle(self) -> None:
        """Count status changes that are due, and finish deletions. Cheap if nothing is due."""
        if self._clock.now() < self._next_change:
            return
        with self.moto.lock:
            now = self._clock.now()
            if now < self._next_change:
                return
            context = self._context({}, "settle")
            for origin in list(self.store.vpc_origins.values()):
                if origin.gone(now):
                    with self._database.transaction():
                        self.store.vpc_origins.drop(origin)
                        vpc_origins.detach_if_last(context, origin)
            self._settled += 1
            self._settled_until = now
            self._expect_changes()

    def _expect_changes(self) -> None:
        # From the last `settle` on, so that no change in between is missed.
        now = self._settled_until
        moments = [
            moment
            for origin in self.store.vpc_origins.values()
            for moment in origin.changes_after(now)
        ]
        for distribution in self.store.distributions.values():
            moments.extend(distribution.changes_after(now))
        for policy in self.store.continuous_deployment_policies.values():
            moments.extend(policy.changes_after(now))
        self._next_change = min(moments, default=float("inf"))

    def _throttle(self, account: str, operation: str) -> None:
        """Count the call against the account's rate, in real time: a faster lab does not allow more
        calls.
        """
        reading = is_read(operation)
        rates = self.settings.rates
        rate, burst = (
            (rates.read_rate, rates.read_burst)
            if reading
            else (rates.write_rate, rates.write_burst)
        )
        if not rate:
            return
        left = take(self._buckets.get((account, reading)), time.monotonic(), rate, burst)
        if left is None:
            raise CloudFrontError("Throttling", "Rate exceeded")
        self._buckets[account, reading] = left

    def _context(self, headers: Mapping[str, str], operation: str) -> Context:
        """What the operation works with; a read may see an earlier state."""
        now, lag = self._clock.now(), self.settings.read_lag
        self.store.history.begin(now, lag)
        return Context(
            change_account=self.moto.change,
            store=self.store.as_of(now - lag) if lag and is_read(operation) else self.store,
            quotas=self.settings.quotas,
            account=self.moto.account_of(headers),
            now=now,
            real_time=time.time(),
            edges_at=self.edges_at(),
        )
