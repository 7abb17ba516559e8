"""Approving and rejecting on the pages: who may, what they read, and what a stale page leads to."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from portal.pages.paging import page_of
from portal.people.models import Membership, Person
from portal.requests.lifecycle import State
from portal.requests.models import Approval, EndpointRequest
from provisioning.models import AwsAccount, Endpoint
from tests.lab.account import Lab
from tests.portal.endpoint_requests import ask, plan_again, planned, planned_in_lab
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.provisioning.examples import ACCOUNT


def test_petra_reads_and_approves_exactly_this_plan(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people, target="int-orders")
    client = signed_in(people.olga)
    queue = client.get("/approvals/")
    assert "Waiting for you" in text_of(queue)
    assert "1 waiting for you" in text_of(queue)
    page = client.get(f"/approvals/{request.pk}/")
    words = text_of(page)
    assert f"You approve plan {request.plan_digest[:8]}" in words
    assert f'name="digest" value="{request.plan_digest}"' in page.content.decode()
    assert words.index("In the plan") < words.index("checks passed")
    assert "What else could be affected" in words
    sent = client.post(
        f"/requests/{request.pk}/decide/",
        {"decision": "approve", "digest": request.plan_digest, "reason": "Looks right"},
    )
    assert sent["Location"] == f"/requests/{request.pk}/"
    request.refresh_from_db()
    assert request.state == State.PROVISIONING
    assert Approval.objects.get().reason == "Looks right"
    assert "No plans are waiting for approval" in text_of(client.get("/approvals/"))


def test_of_two_clicks_the_second_is_no_refusal_but_another_decision_is(
    people: Cast, lab: Lab
) -> None:
    request = planned_in_lab(lab, people)
    approval = {"decision": "approve", "digest": request.plan_digest}
    rejection = {"decision": "reject", "reason": "Use /ws/support"}
    olga, paul = (
        signed_in(people.olga),
        signed_in(Person.objects.create_user("paul", role=Person.Role.APPROVER)),
    )
    url = f"/requests/{request.pk}/decide/"
    assert [olga.post(url, approval).get("Location") for _ in range(2)] == [
        f"/requests/{request.pk}/"
    ] * 2
    for refused in (olga.post(url, rejection), paul.post(url, approval)):
        assert refused.status_code == 409
        assert "Your decision was not recorded" in text_of(refused)
    EndpointRequest.objects.filter(pk=request.pk).update(
        state=State.PLANNING, revision=request.revision + 1
    )
    assert olga.post(url, approval).status_code == 409, "that was another plan"
    assert Approval.objects.count() == 1


def test_rejecting_needs_a_reason_which_the_team_then_sees(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    client = signed_in(people.olga)
    without = client.post(f"/requests/{request.pk}/decide/", {"decision": "reject", "reason": "  "})
    assert without.status_code == 422
    assert "Give a reason" in text_of(without)
    client.post(
        f"/requests/{request.pk}/decide/", {"decision": "reject", "reason": "Use /ws/support"}
    )
    request.refresh_from_db()
    assert request.state == State.REJECTED
    assert "Use /ws/support" in text_of(signed_in(people.ana).get(f"/requests/{request.pk}/"))


def test_who_may_not_decide_sees_why_and_no_buttons(people: Cast, lab: Lab) -> None:
    Membership.objects.create(person=people.olga, team=people.chat)
    own = planned_in_lab(lab, people, people.olga)
    people_and_reasons: tuple[tuple[Person, str], ...] = (
        (people.olga, "You submitted this request"),
        (people.ana, "Only an approver"),
        (people.rita, "Only an approver"),
    )
    for person, reason in people_and_reasons:
        client = signed_in(person)
        page = client.get(f"/approvals/{own.pk}/")
        assert reason in text_of(page)
        assert "Approve plan" not in text_of(page)
        assert reason in text_of(client.get("/approvals/"))
        refused = client.post(
            f"/requests/{own.pk}/decide/", {"decision": "approve", "digest": own.plan_digest}
        )
        assert refused.status_code == 409
        assert reason in text_of(refused)
    own.refresh_from_db()
    assert own.state == State.AWAITING_APPROVAL
    other = Person.objects.create_user("paul", role=Person.Role.PLATFORM_ADMIN)
    signed_in(other).post(
        f"/requests/{own.pk}/decide/", {"decision": "approve", "digest": own.plan_digest}
    )
    own.refresh_from_db()
    assert own.state == State.PROVISIONING


def test_what_is_ones_own_to_decide_stands_first_however_much_waits_for_others(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.pages.approvals.page_of", partial(page_of, size=2))
    asked = [planned(ask(who, people.chat)) for who in [people.ana] * 3 + [people.olga] * 3]
    ana, olga = asked[2::-1], asked[:2:-1]

    def pages(person: Person) -> list[tuple[list[EndpointRequest], list[EndpointRequest]]]:
        client, seen, query = signed_in(person), [], ""
        while True:
            page = client.get(f"/approvals/?{query}").context
            seen.append((page["mine"], [one for one, _ in page["others"]]))
            if not page["page"].older:
                return seen
            query = urlencode({"before": page["page"].older})

    assert pages(people.olga) == [(ana[:2], []), (ana[2:], olga[:1]), ([], olga[1:])]
    everything = [*olga, *ana]
    assert pages(people.rita) == [([], everything[:2]), ([], everything[2:4]), ([], everything[4:])]
    assert "3 waiting for you" in text_of(signed_in(people.olga).get("/"))


def test_a_plan_that_changed_since_it_was_read_is_shown_with_what_changed(
    people: Cast, lab: Lab
) -> None:
    request = planned_in_lab(lab, people)
    read = request.plan_digest
    EndpointRequest.objects.filter(pk=request.pk).update(
        state=State.PLANNING, due_at=timezone.now(), answers=request.answers | {"read_timeout": 60}
    )
    plan_again(request)
    stale = signed_in(people.olga).post(
        f"/requests/{request.pk}/decide/", {"decision": "approve", "digest": read}
    )
    words = text_of(stale)
    assert stale.status_code == 409
    assert "Your decision was not recorded" in words
    assert "Response timeout (seconds): was 30, is now 60" in words
    assert f"Approve plan {request.plan_digest[:8]}" in words
    assert not Approval.objects.exists()


def test_neither_button_is_no_decision(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    sent = signed_in(people.olga).post(
        f"/requests/{request.pk}/decide/", {"digest": request.plan_digest}
    )
    assert sent["Location"] == f"/approvals/{request.pk}/"
    assert not Approval.objects.exists()


def test_neighbors_are_named_only_to_those_who_see_every_team(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    at = timezone.now()
    for name, owner in (("their-feed", "trading"), ("our-feed", "chat")):
        Endpoint.objects.create(
            account=AwsAccount.objects.get(pk=ACCOUNT),
            owner=owner,
            name=name,
            spec_data=request.spec_data | {"name": name},
            created_at=at,
        )
    approver = text_of(signed_in(people.olga).get(f"/approvals/{request.pk}/"))
    assert "their-feed (trading)" in approver
    assert "Same VPC origin our-feed" in approver
    member = text_of(signed_in(people.ana).get(f"/approvals/{request.pk}/"))
    assert "our-feed" in member
    assert "their-feed" not in member
    assert "Other teams 1 more" in member
