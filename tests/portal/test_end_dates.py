"""End dates: who sets them, what is said before they come, and the removal request when they have
passed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.utils import timezone

from portal.people.models import Membership
from portal.requests.actions import cancel_request, stream_of
from portal.requests.end_dates import announce_ends, demand_end_date, reminder_due, set_end_date
from portal.requests.lifecycle import Allowed, Denied
from portal.requests.models import EndDate, EndpointRequest
from provisioning.models import Endpoint, Event
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.portal.test_endpoint_changes import built

pytestmark = pytest.mark.django_db
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days_left", "reminded", "due"),
    [
        (15, None, None),
        (14, None, 14),
        (13, 14, None),
        (3, 14, 3),
        (3, None, 3),
        (2, 3, None),
        (1, 3, 1),
        (1, 1, None),
        (0, 1, None),
        (0, None, None),
    ],
)
def test_each_reminder_is_due_once_and_of_missed_ones_the_latest(
    days_left: int, reminded: int | None, due: int | None
) -> None:
    assert reminder_due(days_left, reminded) == due


def told(endpoint: Endpoint) -> list[str]:
    kinds = Event.objects.filter(stream_id=stream_of(endpoint), kind__startswith="endpoint.")
    return list(kinds.order_by("seq").values_list("kind", flat=True))


def test_the_team_is_told_three_times_and_then_the_removal_is_requested_once(
    people: Cast,
) -> None:
    endpoint = built(people)
    end = set_end_date(people.ben, endpoint, "2027-02-01", now=NOON)
    assert isinstance(end, EndDate)
    stream = stream_of(endpoint)
    for day in range(40):
        announce_ends(NOON + timedelta(days=day))
        announce_ends(NOON + timedelta(days=day, seconds=1))
    kinds = Event.objects.filter(stream_id=stream, kind="endpoint.ends_soon")
    assert [event.data["days"] for event in kinds.order_by("seq")] == [14, 3, 1]
    removal = EndpointRequest.objects.get(action="remove")
    assert (removal.requester, removal.endpoint) == (people.ben, endpoint)
    assert removal.justification == "Its end date, 2027-02-01, has passed."

    # Cancelled, it does not come again by itself; renewed, the endpoint has another end.
    assert isinstance(cancel_request(people.ana, removal, now=NOON), Allowed)
    announce_ends(NOON + timedelta(days=50))
    assert EndpointRequest.objects.filter(action="remove").count() == 1
    renewed = set_end_date(people.ana, endpoint, "2027-06-01", now=NOON)
    assert isinstance(renewed, EndDate)
    announce_ends(NOON + timedelta(days=151))
    assert EndpointRequest.objects.filter(action="remove").count() == 1
    announce_ends(NOON + timedelta(days=152))
    assert EndpointRequest.objects.filter(action="remove").count() == 2


def test_who_set_it_and_left_is_replaced_by_another_member(people: Cast) -> None:
    endpoint = built(people)
    set_end_date(people.ben, endpoint, "2027-01-05", now=NOON)
    Membership.objects.filter(person=people.ben).delete()
    announce_ends(NOON + timedelta(days=10))
    assert EndpointRequest.objects.get(action="remove").requester == people.ana


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2027-01-01", "bad_date"),
        ("2026-12-31", "bad_date"),
        ("2037-01-02", "bad_date"),
        ("tomorrow", "bad_date"),
        ("9999-99-99", "bad_date"),
        ("\x00", "bad_date"),
        ("2027-01-02", ""),
        ("2036-12-29", ""),
    ],
)
def test_an_end_lies_in_the_next_ten_years(people: Cast, text: str, code: str) -> None:
    outcome = set_end_date(people.ana, built(people), text, now=NOON)
    assert (outcome.code if isinstance(outcome, Denied) else "") == code


def test_only_its_team_sets_it_and_may_take_it_away_unless_the_platform_demands_one(
    people: Cast, settings: Any
) -> None:
    endpoint = built(people)
    refusal = set_end_date(people.olga, endpoint, "2027-02-01", now=NOON)
    assert isinstance(refusal, Denied)
    assert refusal.code == "not_your_team"
    assert set_end_date(people.ana, endpoint, "", now=NOON) is None
    assert not EndDate.objects.exists()

    settings.ENDPOINT_MAX_DAYS = 90
    demand_end_date(endpoint, people.ana, NOON)
    assert EndDate.objects.get().on.isoformat() == "2027-04-01"
    for text in ("", "2027-04-02"):
        refusal = set_end_date(people.ana, endpoint, text, now=NOON)
        assert isinstance(refusal, Denied)
        assert refusal.code == "bad_date"


def test_page_and_api_set_and_show_it(people: Cast) -> None:
    endpoint = built(people)
    on = (timezone.now() + timedelta(days=40)).date()
    page, client = f"/endpoints/{endpoint.pk}/", signed_in(people.ana)
    answer = client.post(f"{page}end-date/", {"end_date": on.isoformat()}, follow=True)
    assert f"It ends on {on}." in text_of(answer)
    assert f"Ends on {on.day} {on:%B %Y}" in text_of(answer)
    assert client.get(f"/api/v1{page[:-1]}").json()["end_date"] == on.isoformat()
    wrong = client.put(
        f"/api/v1{page}end-date", {"end_date": "soon"}, content_type="application/json"
    )
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_date")
    taken = client.put(f"/api/v1{page}end-date", {}, content_type="application/json")
    assert (taken.status_code, taken.json()["end_date"]) == (200, "")
    assert told(endpoint) == ["endpoint.end_date", "endpoint.end_date"]


@pytest.mark.parametrize(
    ("name", "days", "fits"),
    [
        ("REMOVAL_GRACE_DAYS", 30, True),
        ("REMOVAL_GRACE_DAYS", 31, False),
        ("REMOVAL_GRACE_DAYS", -1, False),
        ("ENDPOINT_MAX_DAYS", 3650, True),
        ("ENDPOINT_MAX_DAYS", 3651, False),
        ("HEAD_START_HOURS", 720, True),
        ("HEAD_START_HOURS", 721, False),
    ],
)
def test_a_period_that_no_request_could_have_stops_the_start(
    settings: Any, name: str, days: int, fits: bool
) -> None:
    setattr(settings, name, days)
    assert ("portal.E008" in [one.id for one in run_checks()]) is not fits
