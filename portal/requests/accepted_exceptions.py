"""Accepted exceptions: what besides CloudFront may reach a target, because an approver says so.

Approving a plan accepts what it lists; `portal.endpoints.privacy_exceptions` accepts what an audit
found later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db import transaction

from checks.privacy import exceptions
from portal.people.models import Person
from portal.requests.lifecycle import Denied
from provisioning import events
from provisioning.models import Endpoint, Event

UNTIL_HELP = "A date such as 2027-02-28. It counts through that day (UTC)."


def last_day(now: datetime) -> date:
    """The last day for which an exception can be accepted today."""
    return (now + timedelta(days=settings.PRIVACY_EXCEPTION_DAYS)).astimezone(UTC).date()


def end_of(text: str, now: datetime) -> datetime | Denied:
    """When an exception ends that is accepted through this day; without one, as late as
    possible.
    """
    latest = last_day(now)
    try:
        day = date.fromisoformat(text) if text else latest
    except ValueError:
        return Denied("bad_date", f"“{text[:20]}” is not a date. {UNTIL_HELP}")
    if not now.astimezone(UTC).date() <= day <= latest:
        return Denied(
            "bad_date",
            f"Exceptions can end between today and {latest}.",
        )
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def accept_exposures(
    person: Person,
    endpoint: Endpoint,
    exposures: Sequence[str],
    *,
    reason: str,
    until: datetime,
    stream: str,
    now: datetime,
    plan_digest: str = "",
) -> None:
    """Accept these ways past CloudFront, with an event."""
    with transaction.atomic():
        exceptions.accept(
            endpoint,
            exposures,
            by=str(person),
            reason=reason,
            until=until,
            now=now,
            plan_digest=plan_digest,
        )
        if stream:
            day = (until - timedelta(days=1)).date()
            events.append(
                stream,
                "endpoint.exposures_accepted",
                f"{person} accepted through {day}: {'; '.join(exposures)}.",
                at=now,
                level=Event.Level.WARNING,
                data={"by": person.username, "endpoint": str(endpoint.pk), "reason": reason},
            )
