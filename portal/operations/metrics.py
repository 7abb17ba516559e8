"""The metrics of this process, and of the portal as its rows show it.

`docs/operations.md` lists every metric; a test compares the two.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from portal.endpoints.health import with_health
from portal.operations.models import TickRecord
from portal.operations.observe import longest_due
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from portal.retention import housekeeping
from provisioning.models import AccountQuota, DriftFinding, Endpoint, Run


class PortalCollector(Collector):
    """What the rows say at the time of the scrape: the same from every process."""

    def collect(self) -> Iterable[Metric]:
        """Every metric; only `portal_database_up` while PostgreSQL does not answer."""
        up = GaugeMetricFamily("portal_database_up", "1 if PostgreSQL answers.")
        close_old_connections()
        try:
            found = list(_from_rows())
        except DatabaseError:
            found = []
        up.add_metric([], float(bool(found)))
        yield up
        yield from found

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask PostgreSQL."""
        return ()


@functools.cache
def registry() -> CollectorRegistry:
    """The process's registry, with the portal's rows."""
    REGISTRY.register(PortalCollector())
    return REGISTRY


def _from_rows() -> Iterator[Metric]:
    now = timezone.now()
    requests = GaugeMetricFamily(
        "portal_requests", "Endpoint requests, by action and state.", labels=["action", "state"]
    )
    counted = EndpointRequest.objects.order_by().values_list("action", "state")
    for action, state, number in counted.annotate(number=Count("pk")):
        requests.add_metric([action, state], number)
    yield requests

    waiting = EndpointRequest.objects.filter(state=State.AWAITING_APPROVAL)
    oldest = waiting.aggregate(at=Min("planned_at"))["at"]
    yield GaugeMetricFamily(
        "portal_oldest_approval_seconds",
        "How long the oldest request has waited for an approval; 0 if none waits.",
        value=(now - oldest).total_seconds() if oldest else 0.0,
    )

    runs = GaugeMetricFamily("portal_runs", "Runs that are not over, by state.", labels=["state"])
    counted_states = (*Run.ACTIVE, Run.State.STUCK, Run.State.QUARANTINED)
    in_state = Run.objects.filter(state__in=counted_states).order_by()
    numbers = dict(in_state.values_list("state").annotate(number=Count("pk")))
    for run_state in counted_states:
        runs.add_metric([run_state.value], numbers.get(run_state.value, 0))
    yield runs

    due = GaugeMetricFamily(
        "portal_due_seconds",
        "How long the oldest due work of a kind has waited for a worker.",
        labels=["work"],
    )
    for kind, seconds in longest_due(now).items():
        due.add_metric([kind], seconds)
    yield due

    ticks = GaugeMetricFamily(
        "portal_tick_age_seconds", "Seconds since the ticker last ran a package.", labels=["tick"]
    )
    for tick in TickRecord.objects.all():
        ticks.add_metric([tick.name], (now - tick.at).total_seconds())
    yield ticks
    yield from _of_endpoints()
    yield from _of_accounts()
    yield from _of_retention(now)


def _of_endpoints() -> Iterator[Metric]:
    labels = ["account", "team", "endpoint"]
    health = GaugeMetricFamily(
        "portal_endpoint_health",
        "1 for the health that a deployed endpoint has: live, failing, drifted or unknown.",
        labels=[*labels, "health"],
    )
    connect = GaugeMetricFamily(
        "portal_endpoint_connect_seconds",
        "How long the last check of an endpoint took until its handshake was answered.",
        labels=labels,
    )
    privacy = GaugeMetricFamily(
        "portal_endpoint_privacy",
        "1 for the outcome of an endpoint's last privacy audit.",
        labels=[*labels, "outcome"],
    )
    deployed = Endpoint.objects.filter(state=Endpoint.State.DEPLOYED).select_related("health")
    for one in with_health(deployed, timezone.now()):
        names = [one.account_id, one.owner, one.name]
        health.add_metric([*names, one.health_status], 1)
        last = getattr(one, "health", None)
        if last is not None and last.connect_ms is not None:
            connect.add_metric(names, last.connect_ms / 1000)
        if last is not None and last.privacy:
            privacy.add_metric([*names, last.privacy], 1)
    return iter((health, connect, privacy))


def _of_accounts() -> Iterator[Metric]:
    used = GaugeMetricFamily(
        "portal_quota_used",
        "How much of an AWS quota is used, as the last comparison saw it.",
        labels=["account", "resource", "scope"],
    )
    limits = GaugeMetricFamily(
        "portal_quota_limit", "The quota.", labels=["account", "resource", "scope"]
    )
    for quota in AccountQuota.objects.all():
        where = [quota.account_id, quota.resource, quota.scope]
        used.add_metric(where, quota.used)
        limits.add_metric(where, quota.quota)
    drift = GaugeMetricFamily(
        "portal_drift_findings",
        "Differences between AWS and what was approved.",
        labels=["account"],
    )
    found = DriftFinding.objects.to_resolve(timezone.now()).order_by()
    for account, number in found.values_list("account").annotate(number=Count("pk")):
        drift.add_metric([account], number)
    budget = GaugeMetricFamily(
        "portal_aws_budget_calls_per_second",
        "CloudFront calls per second that each account may use.",
        value=settings.CLOUDFRONT_CALLS_PER_SECOND,
    )
    return iter((used, limits, drift, budget))


def _of_retention(now: datetime) -> Iterator[Metric]:
    deleted = GaugeMetricFamily(
        "portal_retention_deleted_rows", "Rows deleted because they were old.", labels=["kind"]
    )
    emptied = GaugeMetricFamily(
        "portal_retention_deleted_transcripts",
        "Transcripts deleted of checks that are kept.",
        labels=["kind"],
    )
    behind = GaugeMetricFamily(
        "portal_retention_days_behind",
        "For how many days there is something to delete that was not.",
        labels=["kind"],
    )
    for kind, task in housekeeping.recorded(housekeeping.kinds(), now):
        deleted.add_metric([kind.name], task.deleted)
        emptied.add_metric([kind.name], task.emptied)
        behind.add_metric([kind.name], kind.days_behind(task, now))
    return iter((deleted, emptied, behind))
