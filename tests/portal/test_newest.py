"""The newest rows of several teams, a page at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.newest import OneOf
from portal.pages.paging import page_of
from portal.people.models import Team
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from tests.portal.endpoint_requests import ask, put
from tests.portal.people import NOW, Cast, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> Cast:
    return make_cast()


@pytest.mark.parametrize("slugs", [[], ["chat"], ["chat", "trading"], ["chat", "empty"]])
def test_pages_of_teams_show_each_row_once_and_in_order(people: Cast, slugs: list[str]) -> None:
    Team.objects.create(slug="empty", name="Empty")
    for number in range(11):
        # Some at the same moment, and a run of one team's.
        at = NOW + timedelta(seconds=number // 3)
        own = number % 4 == 0 or number > 8
        made = ask(people.ana if own else people.tara, people.chat if own else people.trading)
        EndpointRequest.objects.filter(pk=made.pk).update(created_at=at)
        if number == 5:
            put(made, State.CANCELLED)
    rows = EndpointRequest.objects.exclude(state=State.CANCELLED)
    of = OneOf("team_id", Team.objects.filter(slug__in=slugs).values("pk"))
    shown: list[EndpointRequest] = []
    before = ""
    while True:
        page = page_of(rows, before, 2, of=of)
        shown += page
        if not page.older:
            break
        before = page.older
    expected = rows.filter(team__slug__in=slugs).order_by("-created_at", "-pk")
    assert shown == list(expected)
    assert len(shown) == {0: 0, 1: 5, 2: 10}[len([one for one in slugs if one != "empty"])]


def test_a_list_of_which_nothing_can_be_is_empty(people: Cast) -> None:
    ask(people.ana, people.chat)
    of = OneOf("team_id", Team.objects.values("pk"))
    assert not page_of(EndpointRequest.objects.filter(state__in=[]), "", of=of)
