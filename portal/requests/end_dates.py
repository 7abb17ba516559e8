"""End dates of endpoints: set and renewed by the team, announced before they come, and turned into
a removal request when they have passed. Nothing is deleted without an approval.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import transaction

from portal.people.models import Person, Team
from portal.requests.actions import stream_of
from portal.requests.endpoint_changes import submit_removal
from portal.requests.lifecycle import Denied
from portal.requests.models import EndDate, EndpointRequest
from provisioning import events
from provisioning.models import Endpoint

REMIND_DAYS = (14, 3, 1)
"""How many days before the end the team is told, the earliest first."""
LONGEST_DAYS = 3650
DATE_HELP = "Write the last day as YYYY-MM-DD, in UTC."
log = logging.getLogger(__name__)


def last_possible(now: datetime) -> date:
    """The latest end date that the platform allows."""
    return today(now) + timedelta(days=settings.ENDPOINT_MAX_DAYS or LONGEST_DAYS)


def today(now: datetime) -> date:
    """The day in UTC."""
    return now.astimezone(UTC).date()


def reminder_due(days_left: int, reminded: int | None) -> int | None:
    """The reminder to send with so many days left, after the one that was sent last; None if none
    is due. Of several that were missed, the latest.
    """
    due = [days for days in REMIND_DAYS if 0 < days_left <= days]
    return min(due) if due and (reminded is None or min(due) < reminded) else None


def set_end_date(
    person: Person, endpoint: Endpoint, text: str, *, now: datetime
) -> EndDate | Denied | None:
    """Set or renew the end date; "" removes it, where the platform demands none. Gives the new
    one, if any.
    """
    if not person.belongs_to(endpoint.owner):
        return Denied("not_your_team", "Only its team can set the end date of this endpoint.")
    if endpoint.state != Endpoint.State.DEPLOYED:
        return Denied("wrong_state", "Only a deployed endpoint has an end date.")
    if not text and settings.ENDPOINT_MAX_DAYS:
        return Denied("bad_date", f"Every endpoint needs an end date here. {DATE_HELP}")
    try:
        on = date.fromisoformat(text) if text else None
    except ValueError:
        return Denied("bad_date", f"“{text[:20]}” is not a date. {DATE_HELP}")
    latest = last_possible(now)
    if on is not None and not today(now) < on <= latest:
        return Denied("bad_date", f"Choose a day from tomorrow to {latest}.")
    with transaction.atomic():
        Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        EndDate.objects.filter(endpoint=endpoint).delete()
        said = f"{person} removed the end date." if on is None else f"{person} set the end to {on}."
        data = {"by": person.username, "end_date": on.isoformat() if on else ""}
        events.append(stream_of(endpoint), "endpoint.end_date", said, at=now, data=data)
        return EndDate.objects.create(endpoint=endpoint, on=on, set_by=person) if on else None


def demand_end_date(endpoint: Endpoint, person: Person, now: datetime) -> None:
    """Give a new endpoint the latest end date, where the platform demands one."""
    if settings.ENDPOINT_MAX_DAYS:
        EndDate.objects.get_or_create(
            endpoint=endpoint, defaults={"on": last_possible(now), "set_by": person}
        )


def announce_ends(now: datetime) -> int:
    """Tell the teams whose endpoints end soon, and request the removal of those whose end has
    passed. Returns how many were told or requested.
    """
    soon = EndDate.objects.filter(
        on__lte=today(now) + timedelta(days=REMIND_DAYS[0]),
        endpoint__state=Endpoint.State.DEPLOYED,
        removal__isnull=True,
    )
    return sum(_announce(pk, now) for pk in soon.order_by("on", "pk").values_list("pk", flat=True))


def _announce(pk: int, now: datetime) -> bool:
    """One of them. Its row is locked, so that two tickers tell a thing once."""
    with transaction.atomic():
        end = EndDate.objects.select_for_update(skip_locked=True).filter(pk=pk).first()
        if end is None or end.removal_id:
            return False
        days_left = (end.on - today(now)).days
        if days_left < 0:
            return _request_removal(end, now)
        reminder = reminder_due(days_left, end.reminded)
        if reminder is None:
            return False
        EndDate.objects.filter(pk=end.pk).update(reminded=reminder)
        when = "tomorrow" if days_left == 1 else f"in {days_left} days, on {end.on}"
        text = f"{end.endpoint.name} ends {when}. Renew it on its page if it is still needed."
        data = {"end_date": end.on.isoformat(), "days": days_left}
        stream = stream_of(end.endpoint)
        events.append(stream, "endpoint.ends_soon", text, at=now, level="warning", data=data)
        return True


def _request_removal(end: EndDate, now: datetime) -> bool:
    """Request it in the name of the person who set the date, or of another member of the team."""
    team = Team.objects.filter(slug=end.endpoint.owner).first()
    members = Person.objects.filter(is_active=True, memberships__team=team).order_by("pk")
    asker = members.filter(pk=end.set_by_id).first() or members.first()
    if asker is None:
        log.warning("endpoint %s has ended, but its team has no active member", end.endpoint_id)
        return False
    purpose = f"Its end date, {end.on}, has passed."
    outcome = submit_removal(asker, end.endpoint, now=now, justification=purpose)
    if not isinstance(outcome, EndpointRequest):
        return False  # Another request is not over; asked again afterwards.
    EndDate.objects.filter(pk=end.pk).update(removal=outcome)
    return True
