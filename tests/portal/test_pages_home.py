"""The first page and the list of requests: what is shown to whom, empty and full."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checks.models import Check
from portal.pages.home import OPEN_SHOWN
from portal.pages.paging import PAGE_SIZE
from portal.people.models import Person
from portal.requests.lifecycle import State
from provisioning.models import AwsAccount, Endpoint, Run, Watch
from tests.portal.endpoint_requests import ask, deploy, put, told_by
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.provisioning.examples import ACCOUNT

pytestmark = pytest.mark.django_db


def build(
    people: Cast, name: str, *, owner: str = "chat", minutes_ago: int = 0, ok: bool | None = True
) -> Endpoint:
    """An endpoint that was deployed, and tested unless `ok` is None."""
    at = timezone.now() - timedelta(minutes=minutes_ago)
    source = ask(people.ana, people.chat)
    spec = source.spec_data | {"name": name}
    endpoint = deploy(source, owner=owner, name=name, spec_data=spec, created_at=at, deployed_at=at)
    if ok is not None:
        told_by(
            Check.objects.create(
                endpoint=endpoint,
                requested_at=at,
                due_at=at,
                retry_until=at,
                finished_at=at,
                ok=ok,
                verdict="WSE-LIVE",
            )
        )
    return endpoint


def test_an_empty_page_says_what_to_do(people: Cast) -> None:
    page = text_of(signed_in(people.ana).get("/"))
    assert "No endpoints yet" in page
    assert "Request an endpoint" in page


def test_somebody_without_a_team_is_told_whom_to_ask(people: Cast) -> None:
    stranger = Person.objects.create_user("sam")
    page = text_of(signed_in(stranger).get("/"))
    assert "You are not in a team yet" in page
    assert "Request an endpoint" not in page
    assert "Only team members can request an endpoint" in text_of(
        signed_in(stranger).get("/requests/new/")
    )
    assert "view and approve requests, but not make them" in text_of(
        signed_in(people.olga).get("/requests/new/")
    )
    assert "view everything, but not request" in text_of(
        signed_in(people.rita).get("/requests/new/")
    )
    assert "Contact the platform team" in text_of(Client().get("/sign-in/"))


def test_each_sees_their_own_teams_endpoints(people: Cast) -> None:
    build(people, "chat-one")
    build(people, "trade-one", owner="trading")
    assert "chat-one" in text_of(signed_in(people.ana).get("/"))
    assert "trade-one" not in text_of(signed_in(people.ana).get("/"))
    assert "trade-one" not in text_of(signed_in(people.ana).get("/?team=trading"))
    everything = text_of(signed_in(people.rita).get("/"))
    assert "chat-one" in everything
    assert "trade-one" in everything
    assert "chat-one" not in text_of(signed_in(people.rita).get("/?team=trading"))


def test_the_state_is_said_in_words(people: Cast) -> None:
    build(people, "good", ok=True)
    build(people, "broken", ok=False)
    build(people, "untested", ok=None)
    page = text_of(signed_in(people.ana).get("/"))
    assert "good Live" in page
    assert "broken Handshake failing" in page
    assert "untested Deployed, not checked yet" in page
    assert "wss://d111111abcdef8.cloudfront.net/ws/chat" in page


def test_what_is_under_way_stands_on_top(people: Cast) -> None:
    ask(people.ana, people.chat)
    page = text_of(signed_in(people.ben).get("/"))
    assert "In progress" in page
    assert "Planning" in page


@pytest.mark.parametrize("page", ["/", "/approvals/"])
def test_stuck_requests_stand_above_everything_for_those_who_look_after_all(
    people: Cast, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr("portal.pages.home.STUCK_SHOWN", 1)
    stuck = ask(people.ana, people.chat)
    assert "Stuck:" not in text_of(signed_in(people.olga).get(page))
    put(stuck, State.STUCK, reason="DeleteVpcOrigin: no.")
    for person in (people.olga, people.rita):
        seen = signed_in(person).get(page)
        assert "Stuck: 1 request needs a platform admin" in text_of(seen)
        assert "DeleteVpcOrigin: no." in text_of(seen)
        assert f'href="/requests/{stuck.pk}/"' in seen.content.decode()
        assert "All stuck requests" not in text_of(seen)
        assert "In progress" not in text_of(seen), "nothing is said twice"
    hers = text_of(signed_in(people.ana).get(page))
    assert "needs a platform admin" not in hers
    assert ("Stuck: the rollback failed" in hers) is (page == "/"), "among her team's, under way"
    put(ask(people.ana, people.chat), State.STUCK, reason="No.")
    both = signed_in(people.olga).get(page)
    assert "Stuck: 2 requests need a platform admin" in text_of(both)
    assert '"/requests/?state=stuck"' in both.content.decode()


def test_older_endpoints_are_a_link_away_and_nothing_is_shown_twice(people: Cast) -> None:
    for number in range(PAGE_SIZE + 3):
        build(people, f"e{number:02}", minutes_ago=number, ok=None)
    client = signed_in(people.ana)
    first = client.get("/")
    assert "e00" in text_of(first)
    assert f"e{PAGE_SIZE:02}" not in text_of(first)
    older = client.get("/", {"before": first.context["page"].older})
    assert f"e{PAGE_SIZE:02}" in text_of(older)
    assert "e00" not in text_of(older)
    assert "Newest" in text_of(older)
    assert "e00" in text_of(client.get("/?before=nonsense"))


def test_queries_do_not_grow_with_the_list(people: Cast) -> None:
    client = signed_in(people.ana)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            client.get("/")
            client.get("/requests/")
        return len(seen)

    build(people, "one")
    ask(people.ana, people.chat)
    few = queries()
    for number in range(8):
        build(people, f"more-{number}")
        ask(people.ana, people.chat)
    assert queries() <= few + 1


def test_requests_are_filtered_by_state(people: Cast) -> None:
    put(ask(people.ana, people.chat), State.REJECTED)
    client = signed_in(people.ana)
    assert "team-chat" in text_of(client.get("/requests/?state=rejected"))
    assert "No matching requests" in text_of(client.get("/requests/?state=live"))
    assert "team-chat" in text_of(client.get("/requests/?state=no-such-state"))


def test_an_account_that_cannot_be_seen_is_told_to_the_platform_team_while_somebody_waits_there(
    people: Cast,
) -> None:
    endpoint = build(people, "chat-one")
    account = AwsAccount.objects.filter(pk=ACCOUNT)
    account.update(last_sweep_error="AccessDenied: sts:AssumeRole", last_sweep_at=timezone.now())
    assert "cannot read" not in text_of(signed_in(people.olga).get("/")), "nobody waits there"
    now = timezone.now()
    watched = Watch.objects.create(
        account=endpoint.account,
        resource="distribution",
        aws_id="E1",
        status="InProgress",
        written_at=now,
        seen_at=now,
    )
    run = Run.objects.create(
        endpoint=endpoint,
        saga="create-endpoint",
        stream="s",
        plan_data={},
        watch=watched,
        state="waiting",
        due_at=now,
        created_at=now,
    )
    page = text_of(signed_in(people.olga).get("/"))
    assert f"cannot read the state of AWS in the account Chat production ({ACCOUNT})" in page
    assert "AccessDenied: sts:AssumeRole" in page
    assert "cannot read" not in text_of(signed_in(people.ana).get("/")), (
        "nothing that a team could do about it"
    )
    Run.objects.filter(pk=run.pk).update(state="done")
    assert "cannot read" not in text_of(signed_in(people.olga).get("/"))


def test_what_is_under_way_beyond_ten_is_one_click_away(people: Cast) -> None:
    def page(url: str = "/") -> str:
        return signed_in(people.rita).get(url).content.decode()

    for _ in range(OPEN_SHOWN):
        ask(people.ana, people.chat)
    assert "More in progress" not in page()
    ask(people.ana, people.chat)
    assert '<a href="/requests/">More in progress' in page()
    assert '<a href="/requests/?team=chat">More in progress' in page("/?team=chat")
    assert "More in progress" not in page("/?team=trading")


def test_the_navigation_says_where_a_page_belongs(people: Cast, endpoint: Endpoint) -> None:
    for path, name in (
        ("/", "My endpoints"),
        (f"/endpoints/{endpoint.pk}/checks/custom/", "My endpoints"),
        (f"/endpoints/{endpoint.pk}/probes/", "My endpoints"),
        (f"/endpoints/{endpoint.pk}/privacy/", "My endpoints"),
        ("/requests/", "Requests"),
        ("/help/troubleshooting/", "Help"),
        ("/help/verify-audit/", "Help"),
    ):
        page = signed_in(people.ana).get(path).content.decode()
        assert page.count('aria-current="page"') == 1, path
        assert f'aria-current="page">{name}</a>' in page, path
