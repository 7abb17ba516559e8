"""Transfers of a live endpoint to another team: what stands in the way, who may answer an offer,
and who sees what afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checks.actions import request_check
from checks.models import SavedCheck
from portal.endpoints.secrets import add_secret
from portal.people.models import Membership
from portal.requests.actions import retry_request, stream_of
from portal.requests.end_dates import announce_ends, set_end_date
from portal.requests.endpoint_changes import submit_change, submit_removal
from portal.requests.lifecycle import Denied, State
from portal.requests.models import EndpointRequest, Transfer
from portal.requests.transfer_rules import Handover, obstacles
from portal.requests.transfers import (
    accept_transfer,
    decline_transfer,
    end_offers,
    offer_transfer,
    withdraw_transfer,
)
from provisioning.drift import reports
from provisioning.models import Endpoint, Event, PathAssignment, Run
from provisioning.redaction.masking import mask_prose
from tests.portal.endpoint_requests import put
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.portal.test_endpoint_changes import built
from tests.provisioning.examples import ACCOUNT

pytestmark = pytest.mark.django_db
NOW = timezone.now()
FINE = Handover(account=ACCOUNT, team="Trading")


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"same_team": True}, ["same_team"]),
        ({"same_team": True, "contested": ("/ws overlaps /ws/*",)}, ["same_team"]),
        ({"has_members": False}, ["no_members"]),
        ({"has_account": False}, ["account_lost"]),
        ({"contested": ("/ws overlaps /ws/*",)}, ["path_contested"]),
        ({"deployed": False}, ["wrong_state"]),
        ({"open_request": "change an endpoint"}, ["request_under_way"]),
        ({"running": True}, ["request_under_way"]),
        ({"running": True, "open_request": "change an endpoint"}, ["request_under_way"]),
        ({"checking": True}, ["busy"]),
        ({"uses_secrets": ("the usual check",)}, ["secret_in_use"]),
        ({"present": "b"}, []),
        ({"offered": "a", "present": "a"}, []),
        ({"offered": "a", "present": "b"}, ["changed_since"]),
        (
            {
                "has_members": False,
                "has_account": False,
                "contested": ("x",),
                "deployed": False,
                "open_request": "x",
                "checking": True,
                "uses_secrets": ("x", "y"),
                "offered": "a",
            },
            [
                "no_members",
                "account_lost",
                "path_contested",
                "wrong_state",
                "request_under_way",
                "busy",
                "secret_in_use",
                "changed_since",
            ],
        ),
    ],
)
def test_everything_in_the_way_is_said_at_once(changes: dict[str, Any], codes: list[str]) -> None:
    found = obstacles(replace(FINE, **changes))
    assert [one.code for one in found] == codes
    assert all(one.message.endswith(".") for one in found)


@pytest.fixture
def endpoint(people: Cast) -> Endpoint:
    """Chat's, in an account that Trading may use too."""
    made = built(people)
    people.trading.accounts.add(made.account)
    return made


def offered(people: Cast, endpoint: Endpoint) -> Transfer:
    offer = offer_transfer(people.ana, endpoint, "trading", note="You run it now", now=NOW)
    assert isinstance(offer, Transfer)
    return offer


def codes(outcome: object) -> list[str]:
    assert isinstance(outcome, Denied)
    return [one.code for one in outcome.errors] or [outcome.code]


def kinds(stream: str) -> list[str]:
    rows = Event.objects.filter(stream_id=stream).order_by("seq")
    return list(rows.values_list("kind", flat=True))


def test_an_accepted_endpoint_works_for_the_new_team_and_its_past_stays_with_the_old(
    people: Cast, endpoint: Endpoint
) -> None:
    chats = EndpointRequest.objects.get()
    saved = SavedCheck.objects.create(endpoint=endpoint, name="mine", stream=chats.stream)
    set_end_date(people.ben, endpoint, f"{NOW.date() + timedelta(days=30)}", now=NOW)
    failed = submit_change(people.ana, endpoint, {"read_timeout": "50"}, now=NOW)
    assert isinstance(failed, EndpointRequest)
    put(failed, State.FAILED)

    offer = offered(people, endpoint)
    accepted = accept_transfer(people.tara, offer, now=NOW)
    assert isinstance(accepted, Transfer)
    assert (accepted.state, accepted.decided_by) == ("accepted", people.tara)
    again = accept_transfer(people.tara, offer, now=NOW + timedelta(days=99))
    assert again == accepted, "accepting twice is accepting once"
    endpoint.refresh_from_db()
    chats.refresh_from_db()
    assert (endpoint.owner, chats.state, chats.team) == ("trading", State.SUPERSEDED, people.chat)
    tradings = EndpointRequest.objects.get(action="transfer")
    assert (tradings.team, tradings.state, tradings.spec) == (
        people.trading,
        State.LIVE,
        endpoint.spec,
    )
    assert kinds(chats.stream)[-2:] == ["endpoint.transfer_accepted", "request.superseded"]
    assert kinds(tradings.stream) == ["endpoint.received"]

    # Whatever tells of the endpoint from now on tells its new team.
    saved.refresh_from_db()
    reports.tell(endpoint, "endpoint.drift_found", "It differs.", "warning", NOW)
    assert saved.stream == stream_of(endpoint) == tradings.stream
    assert kinds(tradings.stream)[-1] == "endpoint.drift_found"
    announce_ends(NOW + timedelta(days=31))
    removal = EndpointRequest.objects.get(action="remove")
    assert (removal.team, removal.requester) == (people.trading, people.tara)
    put(removal, State.CANCELLED)

    # Chat can do nothing to it any more, not even retry what failed; Trading can.
    refused = retry_request(people.ana, failed, now=NOW)
    assert isinstance(refused, Denied)
    assert "another team" in refused.reason
    for submit in (submit_change, submit_removal):
        given = ({"read_timeout": "40"},) if submit is submit_change else ()
        assert codes(submit(people.ana, endpoint, *given, now=NOW)) == ["not_your_team"]
        made = submit(people.tara, endpoint, *given, now=NOW)
        assert isinstance(made, EndpointRequest)
        assert made.team == people.trading
        put(made, State.CANCELLED)


def test_each_side_sees_what_is_its_own(people: Cast, endpoint: Endpoint) -> None:
    chats, offer = EndpointRequest.objects.get(), offered(people, endpoint)
    ana, tara, max_ = map(signed_in, (people.ana, people.tara, people.max))
    page, address = f"/transfers/{offer.pk}/", f"/endpoints/{endpoint.pk}/"
    assert "Accept or decline" in text_of(tara.get("/"))
    assert "Offered for transfer" in text_of(ana.get("/"))
    assert "Offered for transfer" in text_of(max_.get("/"))
    shown = text_of(tara.get(address, follow=True))
    for told in ("You run it now", endpoint.url, endpoint.spec.target_arn, "Accept for Trading"):
        assert told in shown
    assert "Accept for Trading" not in text_of(ana.get(page))
    assert "Withdraw the offer" in text_of(ana.get(page))
    assert "Offered to Trading" in text_of(ana.get(address))
    assert "Accept for Trading" not in text_of(max_.get(page))
    assert signed_in(people.tara).get(f"/requests/{chats.pk}/").status_code == 404

    done = tara.post(f"{page}accept/", follow=True)
    assert f"{endpoint.name} belongs to Trading now." in text_of(done)
    assert ana.get(address).status_code == 404
    assert "Another team has it now." in text_of(ana.get(f"/requests/{chats.pk}/"))
    assert endpoint.url not in text_of(ana.get(page))
    kept = ana.get(f"/api/v1/requests/{chats.pk}").json()
    assert (kept["state"], kept["endpoint"]["url"]) == ("superseded", "")
    tradings = EndpointRequest.objects.get(action="transfer")
    for client, status in ((tara, 200), (ana, 404), (max_, 200)):
        assert client.get(f"/requests/{tradings.pk}/").status_code == status
        assert client.get(f"/api/v1/requests/{tradings.pk}").status_code == status
    assert tara.get(f"/requests/{chats.pk}/").status_code == 404


def test_only_the_team_that_has_it_offers_and_only_the_other_answers(
    people: Cast, endpoint: Endpoint
) -> None:
    for stranger in (people.tara, people.olga, people.max):
        assert codes(offer_transfer(stranger, endpoint, "trading", now=NOW)) == ["not_your_team"]
    assert codes(offer_transfer(people.ana, endpoint, "nobody", now=NOW)) == ["unknown_team"]
    offer = offered(people, endpoint)
    assert offer_transfer(people.ben, endpoint, "trading", now=NOW) == offer
    for act in (accept_transfer, decline_transfer):
        for stranger in (people.ana, people.olga, people.max):
            assert codes(act(stranger, offer, now=NOW)) == ["not_your_team"]
    assert codes(withdraw_transfer(people.tara, offer, now=NOW)) == ["not_your_team"]
    Membership.objects.filter(person=people.tara).delete()
    assert codes(accept_transfer(people.tara, offer, now=NOW)) == ["not_your_team"]
    assert Endpoint.objects.get().owner == "chat"


def test_an_offer_is_answered_once(people: Cast, endpoint: Endpoint, settings: Any) -> None:
    offer = offered(people, endpoint)
    declined = decline_transfer(people.tara, offer, reason="Not our app", now=NOW)
    assert isinstance(declined, Transfer)
    assert (declined.state, declined.reason) == ("declined", "Not our app")
    assert decline_transfer(people.tara, offer, reason="Again", now=NOW) == declined
    assert codes(accept_transfer(people.tara, offer, now=NOW)) == ["wrong_state"]
    withdrawn = withdraw_transfer(people.ben, offered(people, endpoint), now=NOW)
    assert isinstance(withdrawn, Transfer)
    assert codes(accept_transfer(people.tara, withdrawn, now=NOW)) == ["wrong_state"]

    late = offered(people, endpoint)
    last = NOW + timedelta(days=settings.TRANSFER_OFFER_DAYS)
    assert end_offers(last - timedelta(seconds=1)) == 0
    assert codes(accept_transfer(people.tara, late, now=last)) == ["wrong_state"]
    assert (end_offers(last), end_offers(last)) == (1, 0)
    late.refresh_from_db()
    assert (late.state, late.decided_by) == ("expired", None)
    assert [kind for kind in kinds(stream_of(endpoint)) if "transfer" in kind] == [
        f"endpoint.transfer_{one}"
        for one in ("offered", "declined", "offered", "withdrawn", "offered", "expired")
    ]


def test_what_stands_in_the_way_is_asked_at_the_offer_and_again_at_the_acceptance(
    people: Cast, endpoint: Endpoint
) -> None:
    def refused() -> list[str]:
        """By a new offer, and by the acceptance of one that is open."""
        Transfer.objects.filter(pk=open_offer.pk).update(state="withdrawn")
        at_offer = codes(offer_transfer(people.ana, endpoint, "trading", now=NOW))
        Transfer.objects.filter(pk=open_offer.pk).update(state="offered")
        assert codes(accept_transfer(people.tara, open_offer, now=NOW))[: len(at_offer)] == at_offer
        return at_offer

    open_offer = offered(people, endpoint)
    people.trading.accounts.remove(endpoint.account)
    assert refused() == ["account_lost"]
    people.trading.accounts.add(endpoint.account)

    rest = {"account": endpoint.account, "distribution_id": endpoint.spec.distribution_id}
    reserved = PathAssignment.objects.create(
        path_pattern="/ws/*", owner="chat", created_at=NOW, **rest
    )
    assert refused() == ["path_contested"]
    given = PathAssignment.objects.create(
        path_pattern="/ws/chat", owner="trading", created_at=NOW, **rest
    )

    change = submit_change(people.ana, endpoint, {"read_timeout": "50"}, now=NOW)
    assert isinstance(change, EndpointRequest)
    assert refused() == ["request_under_way"]
    put(change, State.REJECTED)
    Run.objects.update(state=Run.State.WAITING)
    assert refused() == ["request_under_way"]
    Run.objects.update(state=Run.State.DONE)

    check = request_check(endpoint, by="Ana", stream="", now=NOW)
    assert refused() == ["busy"]
    check.delete()

    add_secret(people.ana, people.chat, "TOKEN", "s3cret-value-of-chat", now=NOW)
    saved = SavedCheck.objects.create(
        endpoint=endpoint, name="with a token", options={"path": "/ws/chat?t=${secret:TOKEN}"}
    )
    assert refused() == ["secret_in_use"]
    saved.delete()
    spec = endpoint.spec_data
    Endpoint.objects.update(spec_data=spec | {"origin_headers": "X-Key: ${secret:TOKEN}"})
    assert refused() == ["secret_in_use"]
    Endpoint.objects.update(spec_data=spec | {"read_timeout": 44})
    assert codes(accept_transfer(people.tara, open_offer, now=NOW)) == ["changed_since"]
    Endpoint.objects.update(spec_data=spec)

    # With everything out of the way, it changes hands.
    assert isinstance(accept_transfer(people.tara, open_offer, now=NOW), Transfer)
    assert {reserved.owner, given.owner} == {"chat", "trading"}


def test_api_offers_shows_and_answers(people: Cast, endpoint: Endpoint) -> None:
    ana, tara = signed_in(people.ana), signed_in(people.tara)
    base = f"/api/v1/endpoints/{endpoint.pk}/transfer"

    def post(client: Any, path: str, body: dict[str, Any] | None = None) -> Any:
        return client.post(path, body or {}, content_type="application/json")

    assert tara.get(base).status_code == ana.get(base).status_code == 404
    assert post(tara, base, {"team": "trading"}).status_code == 404
    assert post(ana, base).json()["errors"][0]["field"] == "team"
    assert post(ana, base, {"team": "nobody"}).json()["code"] == "unknown_team"
    people.trading.accounts.remove(endpoint.account)
    SavedCheck.objects.create(endpoint=endpoint, name="x", options={"path": "/${secret:GONE}"})
    blocked = post(ana, base, {"team": "trading"})
    assert (blocked.status_code, blocked.json()["code"]) == (409, "not_transferable")
    assert [one["code"] for one in blocked.json()["errors"]] == ["account_lost", "secret_in_use"]
    SavedCheck.objects.all().delete()
    people.trading.accounts.add(endpoint.account)

    token = "ghp_" + "a1B2c3D4" * 5
    made = post(ana, base, {"team": "trading", "note": f"Yours now {token}"}).json()
    assert made["note"] == mask_prose(f"Yours now {token}", 500)
    assert token not in str(made)
    assert post(ana, base, {"team": "trading"}).json()["id"] == made["id"]
    assert tara.get(base).json() == ana.get(base).json() == made
    assert made["taken_over"]["address"] == endpoint.url
    listed = tara.get("/api/v1/transfers?state=offered&to_team=trading").json()["transfers"]
    assert [one["id"] for one in listed] == [made["id"]]
    one = made["url"].removeprefix("http://testserver")
    one = one[one.index("/api/") :]
    assert post(ana, f"{one}/accept").json()["code"] == "not_your_team"
    assert post(signed_in(people.max), f"{one}/accept").json()["code"] == "not_your_team"
    accepted = post(tara, f"{one}/accept").json()
    assert (accepted["state"], accepted["taken_over"]) == ("accepted", None)
    assert post(tara, f"{one}/accept").json() == accepted
    assert post(ana, f"{one}/withdraw").json()["code"] == "wrong_state"
    assert post(tara, f"{one}/decline", {"reason": "x"}).json()["code"] == "wrong_state"
    assert ana.get(f"/api/v1/endpoints/{endpoint.pk}").status_code == 404
    assert tara.get(f"/api/v1/endpoints/{endpoint.pk}").json()["team"] == "trading"
    kept = ana.get(one).json()
    assert (kept["state"], kept["decided_by"]) == ("accepted", "tara")


def test_the_page_says_all_obstacles_and_keeps_what_was_typed(
    people: Cast, endpoint: Endpoint
) -> None:
    people.trading.accounts.remove(endpoint.account)
    SavedCheck.objects.create(endpoint=endpoint, name="x", options={"path": "/${secret:GONE}"})
    ana, page = signed_in(people.ana), f"/endpoints/{endpoint.pk}/transfer/"
    assert "nothing changes" in text_of(ana.get(page))
    answer = ana.post(page, {"team": "trading", "note": "Take it"})
    assert answer.status_code == 409
    for told in ("Trading cannot use account", "Secrets of its team are sent by", "Take it"):
        assert told in text_of(answer)
    assert ana.post(page, {"team": ""}).status_code == 422
    assert signed_in(people.tara).get(page).status_code == 404
    assert signed_in(people.max).get(page).status_code == 302
