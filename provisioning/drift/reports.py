"""Drift reports: requested hourly or by a person, made by one worker each, stored as findings.

A finding lasts until a report that saw its source no longer shows it. Events tell the endpoint's
readers when drift begins, changes and ends; nothing is repaired.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, transaction
from django.db.models import Exists, OuterRef, Q, Subquery

from provisioning import events
from provisioning.aws.errors import AwsError
from provisioning.drift.comparison import Difference
from provisioning.drift.observe import Observed, observe
from provisioning.due_work import Work, announce
from provisioning.facts.quota_use import OK, told
from provisioning.models import (
    AccountQuota,
    AwsAccount,
    DriftFinding,
    DriftReport,
    Endpoint,
    Event,
    Run,
)

BY_SCHEDULE = "the schedule"
LEASE_SECONDS = 300.0
TURN_SECONDS = 30.0
AT_ONCE = 20
KEPT = timedelta(days=30)
BETWEEN_RUNS = timedelta(minutes=1)
"""The least time between two reports of an account, however many runs end in it."""
TOLD_AT_ONCE = 3
log = logging.getLogger(__name__)


def request_report(account: AwsAccount, *, by: str, now: datetime) -> DriftReport:
    """Request a report; returns the one under way if there is one."""
    while True:
        under_way = account.drift_reports.filter(finished_at__isnull=True).first()
        if under_way is not None:
            return under_way
        row = DriftReport(account=account, requested_by=by[:150], requested_at=now, due_at=now)
        # Of two at once, the second finds the first's.
        DriftReport.objects.bulk_create([row], ignore_conflicts=True)
        announce(Work.DRIFT_REPORTS)


def request_due_reports(now: datetime) -> int:
    """Request a report of every account with endpoints or open findings whose last one is too old,
    or older than the end of a run there; return how many. Reports are kept for a month.
    """
    if not settings.DRIFT_EVERY_MINUTES:
        return 0
    made = DriftReport.objects.filter(account=OuterRef("pk"))
    accounts = AwsAccount.objects.annotate(
        last=Subquery(made.order_by("-requested_at").values("requested_at")[:1])
    ).exclude(Exists(made.filter(finished_at__isnull=True)))
    ended = Run.objects.filter(endpoint__account=OuterRef("pk"), finished_at__gt=OuterRef("last"))
    too_old = Q(last=None) | Q(last__lte=now - timedelta(minutes=settings.DRIFT_EVERY_MINUTES))
    overtaken = Q(last__lte=now - BETWEEN_RUNS) & Exists(ended)
    deployed = Endpoint.objects.filter(account=OuterRef("pk"), state=Endpoint.State.DEPLOYED)
    found = DriftFinding.objects.open().filter(account=OuterRef("pk"))
    due = accounts.filter(Exists(deployed) | Exists(found)).filter(too_old | overtaken)
    requested = list(due.order_by("pk")[:AT_ONCE])
    for account in requested:
        request_report(account, by=BY_SCHEDULE, now=now)
        account.drift_reports.filter(finished_at__lt=now - KEPT).delete()
    return len(requested)


def due_reports(now: datetime) -> list[tuple[int, datetime]]:
    """Reports that want a worker, with their due time."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    rows = DriftReport.objects.filter(free, finished_at__isnull=True, due_at__lte=now)
    return list(rows.order_by("due_at").values_list("pk", "due_at")[:AT_ONCE])


def make_report(report_id: int, *, clock: Callable[[], datetime]) -> None:
    """Make a due report that no other worker is making: ask AWS, compare, store. Without room in
    the call budget it is due again later.
    """
    now = clock()
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    ours = DriftReport.objects.filter(pk=report_id, finished_at__isnull=True)
    until = now + timedelta(seconds=LEASE_SECONDS)
    if ours.filter(free, due_at__lte=now).update(lease_until=until) != 1:
        return
    report = ours.select_related("account").get()
    try:
        observed = observe(report.account)
    except AwsError as error:
        pause = timedelta(seconds=error.retry_after or TURN_SECONDS)
        ours.filter(lease_until=until).update(lease_until=None, due_at=clock() + pause)
        return
    except DatabaseError:
        raise
    except Exception as fault:
        log.exception("drift report of %s: a bug of the portal", report.account_id)
        observed = Observed(troubles=[f"The portal itself failed ({type(fault).__name__})."])
    if not connection.in_atomic_block:
        close_old_connections()
    _store(report, observed, clock())


def _store(report: DriftReport, observed: Observed, now: datetime) -> None:
    """The findings as they are now, and the events of what began, changed and ended."""
    with transaction.atomic():
        # Locks the account's findings against another report whose lease has ended.
        account = AwsAccount.objects.select_for_update(no_key=True).get(pk=report.account_id)
        unfinished = DriftReport.objects.filter(pk=report.pk, finished_at__isnull=True)
        if not unfinished.update(
            finished_at=now, lease_until=None, troubles=[one[:500] for one in observed.troubles]
        ):
            return
        _store_quotas(account, observed, now)
        endpoints = {one.key: one for one in account.endpoints.all()}
        known = {_key(one): one for one in account.drift_findings.open().select_related("endpoint")}
        news: dict[Endpoint, list[str]] = {}
        for found in observed.differences:
            endpoint = endpoints.get(found.endpoint)
            row = known.pop(_key_of(found, endpoint), None)
            changed = row is None or (row.approved, row.seen) != (found.approved, found.seen)
            _keep(account, endpoint, found, row, now)
            if changed and endpoint is not None:
                news.setdefault(endpoint, []).append(str(found))
        over = [one for one in known.values() if one.source in observed.sources]
        DriftFinding.objects.filter(pk__in=[one.pk for one in over]).update(resolved_at=now)
        for endpoint, texts in news.items():
            more = len(texts) - TOLD_AT_ONCE
            told = "; ".join(texts[:TOLD_AT_ONCE]) + (f"; and {more} more" if more > 0 else "")
            text = f"AWS differs from the approved plan: {told}."
            tell(endpoint, "endpoint.drift_found", text, Event.Level.WARNING, now)
        for endpoint in {one.endpoint for one in over if one.endpoint} - set(news):
            if not endpoint.drift_findings.open().exists():
                text = "AWS matches the approved plan again."
                tell(endpoint, "endpoint.drift_over", text, Event.Level.GOOD, now)


def account_stream(account: AwsAccount) -> str:
    """The stream of events about an account as a whole."""
    return f"account:{account.pk}"


def _store_quotas(account: AwsAccount, observed: Observed, now: datetime) -> None:
    """What is used of AWS's quotas, and an event where the room changes between enough, low and
    none. What was not seen this time keeps its figures, with their time.
    """
    known = {(one.resource, one.scope): one.level for one in account.quotas.all()}
    for use in observed.uses:
        AccountQuota.objects.update_or_create(
            account=account,
            resource=use.resource,
            scope=use.scope,
            defaults={
                "used": use.used,
                "quota": use.quota,
                "assumed": use.assumed,
                "level": use.level,
                "seen_at": now,
            },
        )
        if text := told(use, known.get((use.resource, use.scope), OK)):
            level = Event.Level.GOOD if use.level == OK else Event.Level.WARNING
            data = {"resource": use.resource, "scope": use.scope, "left": use.left}
            events.append(
                account_stream(account), f"quota.{use.level}", text, at=now, level=level, data=data
            )


def _keep(
    account: AwsAccount,
    endpoint: Endpoint | None,
    found: Difference,
    row: DriftFinding | None,
    now: datetime,
) -> None:
    """Store a difference. What somebody agreed to was as it was then, not as it has become."""
    text = events.redact(f"{found}.")
    row = row or DriftFinding(
        account=account,
        endpoint=endpoint,
        code=found.code,
        resource=found.resource,
        subject=found.subject[:300],
        setting=found.setting[:120],
        first_seen_at=now,
    )
    if (row.approved, row.seen) != (found.approved, found.seen):
        row.ignored_until, row.ignored_by, row.ignored_reason = None, "", ""
    row.approved, row.seen, row.source = found.approved, found.seen, found.source
    row.text, row.last_seen_at = text, now
    row.save()


def _key(row: DriftFinding) -> tuple[object, ...]:
    return (row.endpoint_id, row.source, row.code, row.resource, row.subject, row.setting)


def _key_of(found: Difference, endpoint: Endpoint | None) -> tuple[object, ...]:
    subject, setting = found.subject[:300], found.setting[:120]
    of = endpoint.pk if endpoint else None
    return (of, found.source, found.code, found.resource, subject, setting)


def tell(endpoint: Endpoint, kind: str, text: str, level: str, now: datetime, **more: str) -> None:
    """An event in the stream that the endpoint's readers follow: of its newest run, or of the team
    that has taken it over since.
    """
    run = endpoint.runs.order_by("-created_at").first()
    if stream := endpoint.event_stream or (run.stream if run else ""):
        data = {"endpoint": str(endpoint.pk)} | more
        events.append(stream, kind, text, at=now, level=level, data=data)
