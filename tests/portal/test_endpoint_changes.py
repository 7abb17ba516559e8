"""Asking for the change or the removal of an endpoint: who may, what can change, and what is said
where it cannot.
"""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from checks.models import Check
from portal.endpoints.actions import rename_endpoint
from portal.people.models import Person
from portal.requests.actions import cancel_request, request_under_way, retry_request
from portal.requests.endpoint_changes import answers_of, submit_change, submit_removal
from portal.requests.lifecycle import Allowed, Denied, State
from portal.requests.models import EndpointRequest
from portal.requests.phases import phases
from provisioning.engine.decide import Finish
from provisioning.models import Endpoint, JournalEntry, Run
from provisioning.sagas.change_endpoint import endpoint_after
from provisioning.spec.parsing import SpecError
from tests.portal.endpoint_requests import ask, deploy, planned, put, told_by
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def built(people: Cast) -> Endpoint:
    """An endpoint of Chat as its run left it."""
    request = planned(ask(people.ana, people.chat))
    endpoint = deploy(request)
    run = Run.objects.create(
        endpoint=endpoint,
        saga="create-endpoint",
        stream=request.stream,
        plan_data=request.plan_data,
        plan_digest=request.plan_digest,
        state=Run.State.DONE,
        due_at=NOW,
        created_at=NOW,
        finished_at=NOW,
    )
    EndpointRequest.objects.filter(pk=request.pk).update(run=run)
    return endpoint


def test_a_change_keeps_what_it_does_not_name(people: Cast) -> None:
    endpoint = built(people)
    before = endpoint.spec
    request = submit_change(people.ben, endpoint, {"path_patterns": "/ws/new"}, now=NOW)
    assert isinstance(request, EndpointRequest)
    assert (request.action, request.state, request.endpoint) == (
        "change",
        State.PLANNING,
        endpoint,
    )
    assert request.spec.path_patterns == ("/ws/new",)
    kept = ("name", "target_arn", "distribution_id", "http_port", "read_timeout")
    assert [getattr(request.spec, one) for one in kept] == [getattr(before, one) for one in kept]
    assert request.spec.handshake_path == "/ws/new", "what follows from the path follows it"


def test_a_usual_check_that_was_set_later_stays_through_a_change(people: Cast) -> None:
    endpoint = built(people)
    endpoint.spec_data = endpoint.spec_data | {"stay_open_seconds": 9}
    endpoint.save()
    assert answers_of(endpoint)["stay_open_seconds"] == 9
    request = submit_change(people.ana, endpoint, {"read_timeout": "50"}, now=NOW)
    assert isinstance(request, EndpointRequest)
    assert (request.spec.stay_open_seconds, request.spec.read_timeout) == (9, 50)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "other"}, "name"),
        ({"account_id": "999999999999"}, "account_id"),
        ({"distribution_id": "E0000000000000"}, "distribution_id"),
        ({"path_patterns": "no-slash"}, "path_patterns"),
        ({"target_arn": "nonsense"}, "target_arn"),
    ],
)
def test_what_a_change_cannot_reach_is_named(
    people: Cast, changes: dict[str, Any], field: str
) -> None:
    endpoint = built(people)
    with pytest.raises(SpecError) as refusal:
        submit_change(people.ana, endpoint, changes, now=NOW)
    assert {one.field for one in refusal.value.errors} >= {field}
    assert not EndpointRequest.objects.exclude(action="create").exists()


Submit = Callable[[Person, Endpoint], EndpointRequest | Denied]


def removal(person: Person, endpoint: Endpoint) -> EndpointRequest | Denied:
    return submit_removal(person, endpoint, now=NOW)


def change(person: Person, endpoint: Endpoint) -> EndpointRequest | Denied:
    return submit_change(person, endpoint, {"read_timeout": 50}, now=NOW)


@pytest.mark.parametrize("submit", [removal, change])
def test_only_its_team_may_ask_and_one_thing_at_a_time(people: Cast, submit: Submit) -> None:
    endpoint = built(people)
    for stranger in (people.tara, people.olga, people.max):
        refusal = submit(stranger, endpoint)
        assert isinstance(refusal, Denied)
        assert refusal.code == "not_your_team"
    request = submit(people.ana, endpoint)
    assert isinstance(request, EndpointRequest)
    assert request_under_way(endpoint) == request
    for second in (removal, change):
        refusal = second(people.ben, endpoint)
        assert isinstance(refusal, Denied)
        assert refusal.code == "request_under_way"
    assert isinstance(cancel_request(people.ana, request, now=NOW), Allowed)
    assert isinstance(submit(people.ben, endpoint), EndpointRequest)


@pytest.mark.parametrize("state", ["wanted", "retired", "absent"])
def test_only_what_is_deployed_can_be_changed_or_removed(people: Cast, state: str) -> None:
    endpoint = built(people)
    Endpoint.objects.update(state=state)
    for submit in (removal, change):
        refusal = submit(people.ana, endpoint)
        assert isinstance(refusal, Denied)
        assert refusal.code == "wrong_state"


@pytest.mark.parametrize(("days", "fits"), [(-1, False), (0, True), (30, True), (31, False)])
def test_a_grace_period_is_at_most_a_month(people: Cast, days: int, fits: bool) -> None:
    endpoint = built(people)
    if fits:
        request = submit_removal(people.ana, endpoint, grace_days=days, now=NOW)
        assert isinstance(request, EndpointRequest)
        assert request.grace_days == days
        return
    with pytest.raises(SpecError, match="0 to 30"):
        submit_removal(people.ana, endpoint, grace_days=days, now=NOW)


def test_over_the_api_each_refusal_says_what_to_do(people: Cast) -> None:
    endpoint = built(people)
    client = signed_in(people.ana)
    url = f"/api/v1/endpoints/{endpoint.pk}"

    def sent(path: str, body: dict[str, Any]) -> tuple[int, str, list[str]]:
        answer = client.post(f"{url}/{path}", body, content_type="application/json")
        said = answer.json()
        return (
            answer.status_code,
            said.get("code", ""),
            [e["field"] for e in said.get("errors", [])],
        )

    assert sent("change", {"nonsense": 1, "ws_path": "x"})[::2] == (422, ["nonsense"])
    assert sent("change", {"ws_path": "x"})[::2] == (422, ["ws_path"])
    assert sent("change", {"name": "other"})[::2] == (422, ["name"])
    assert sent("remove", {"grace_days": "31"})[::2] == (422, ["grace_days"])
    assert sent("remove", {"grace_days": "5", "justification": "Moved."})[0] == 201
    assert sent("remove", {})[:2] == (409, "request_under_way")
    foreign = signed_in(people.tara).post(f"{url}/remove", {}, content_type="application/json")
    assert foreign.status_code == 404
    wrong_door = client.post(
        "/api/v1/requests", {"action": "remove"}, content_type="application/json"
    )
    assert wrong_door.status_code == 422
    assert "posted below the endpoint" in wrong_door.content.decode()


def test_the_pages_ask_for_both_and_offer_neither_twice(people: Cast) -> None:
    endpoint = built(people)
    client: Client = signed_in(people.ana)
    page = f"/endpoints/{endpoint.pk}/"
    assert f"{page}remove/" in client.get(page).content.decode()
    assert f"{page}remove/" not in signed_in(people.olga).get(page).content.decode()

    asking = text_of(client.get(f"{page}remove/"))
    assert "Clients can no longer connect to" in asking
    refused = client.post(f"{page}remove/", {"grace_days": "99", "justification": ""})
    assert refused.status_code == 422
    assert "Required. Say why it is not needed any more." in text_of(refused)
    sent = client.post(f"{page}remove/", {"grace_days": "3", "justification": "Moved away."})
    request = EndpointRequest.objects.get(action="remove")
    assert sent["Location"] == f"/requests/{request.pk}/"
    assert (request.grace_days, request.justification) == (3, "Moved away.")

    assert f"{page}remove/" not in client.get(page).content.decode()
    told = text_of(client.get(page))
    assert "Remove an endpoint: planning." in told
    again = client.get(f"{page}change/", follow=True)
    assert "Another request for this endpoint is not over" in text_of(again)


def test_what_is_out_of_service_is_not_checked_and_its_request_says_how_to_restore_it(
    people: Cast,
) -> None:
    endpoint = built(people)
    at = {"requested_at": NOW, "due_at": NOW, "retry_until": NOW, "finished_at": NOW}
    told_by(Check.objects.create(endpoint=endpoint, ok=True, verdict="WSE-LIVE", **at))
    here = f"/endpoints/{endpoint.pk}/"
    in_service = ("The endpoint is live", "Connect from your machine", "Compare now", "How often")
    before = text_of(signed_in(people.ana).get(here))
    assert [words for words in in_service if words in before] == list(in_service)
    request = submit_removal(people.ana, endpoint, now=NOW)
    assert isinstance(request, EndpointRequest)
    Endpoint.objects.update(state="retired")
    run = endpoint.runs.get()
    run.plan_data = run.plan_data | {"grace_seconds": 7200}
    run.save()
    entry = {"step": "grace", "kind": "working", "direction": "forward", "at": NOW, "since": NOW}
    JournalEntry.objects.create(run=run, seq=1, **entry)
    put(request, State.OUT_OF_SERVICE, reason="It can be restored until Sunday.", run=run)
    out = text_of(signed_in(people.ana).get(here))
    assert [words for words in in_service if words in out] == []
    assert "taken out of the distribution passed" in out
    until = (NOW + timedelta(hours=2)).strftime("%-d %B, %H:%M")
    assert f"Out of service since {NOW:%-d %B, %H:%M} UTC; it can be restored until {until}" in out
    assert "Restore the endpoint" in out
    assert "Restore the endpoint" not in text_of(signed_in(people.rita).get(here))
    page = text_of(signed_in(people.ana).get(f"/requests/{request.pk}/"))
    assert "Out of service" in page
    assert "Why is it still needed?" in page
    auditor = text_of(signed_in(people.rita).get(f"/requests/{request.pk}/"))
    assert "Out of service" in auditor
    assert "Why is it still needed?" not in auditor


def test_a_removal_says_the_days_asked_for_and_what_a_fast_clock_makes_of_them() -> None:
    items = [{"resource": "behavior", "action": "delete"}]
    plan = {"action": "remove", "items": items, "grace_seconds": 7 * 86_400 // 45}
    grace = next(one for one in phases(plan, pace=45) if one.days is not None)
    assert (grace.days, grace.seconds, grace.pivot) == (7, 13_440, True)


def test_a_live_endpoint_is_renamed_without_a_request(people: Cast) -> None:
    endpoint = built(people)
    url = f"/endpoints/{endpoint.pk}/"
    other = Endpoint.objects.get(pk=endpoint.pk)
    other.pk, other.name = None, "taken"
    other.id = uuid.uuid4()
    other.save(force_insert=True)
    for person, name, said in (
        (people.ana, "taken", "already has an endpoint named taken"),
        (people.ana, "No Name", "lower-case letters, digits and hyphens"),
        (people.olga, "mine", "Only its team can rename"),
    ):
        answer = signed_in(person).post(f"{url}rename/", {"name": name}, follow=True)
        assert said in text_of(answer)
        endpoint.refresh_from_db()
        assert endpoint.name == "team-chat"

    renamed = signed_in(people.ben).post(
        f"/api/v1{url}rename", {"name": "room-chat"}, content_type="application/json"
    )
    assert (renamed.status_code, renamed.json()["name"]) == (200, "room-chat")
    endpoint.refresh_from_db()
    assert (endpoint.name, endpoint.spec.name) == ("room-chat", "room-chat")
    follows = submit_change(people.ana, endpoint, {"read_timeout": 50}, now=NOW)
    assert isinstance(follows, EndpointRequest)
    assert follows.spec.name == "room-chat"


def test_a_clone_starts_from_the_same_settings_without_what_is_this_ones_own(
    people: Cast,
) -> None:
    endpoint = built(people)
    endpoint.spec_data = endpoint.spec_data | {"stay_open_seconds": 9}
    endpoint.save()

    def link() -> str:
        page = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/").content.decode()
        found = re.search(r'href="(/requests/new/[^"]+)">Clone', page)
        assert found
        return html.unescape(found[1])

    assert endpoint.spec.distribution_id in link(), "the team has no other account"
    people.chat.accounts.add(*people.trading.accounts.all())
    form = signed_in(people.ana).get(link()).context["form"]
    answers = form.answers()
    assert answers["path_patterns"] == ("/ws/chat",)
    assert answers["stay_open_seconds"] == 9
    assert not {"name", "target_arn", "distribution_id"} & set(answers)


def test_drift_is_not_restored_in_an_account_that_the_team_has_lost(people: Cast) -> None:
    page = f"/endpoints/{built(people).pk}/restore/"
    assert signed_in(people.ana).get(page).status_code == 405
    people.chat.accounts.clear()
    answer = signed_in(people.ana).post(page, follow=True)
    assert "Chat cannot use this account." in text_of(answer)
    assert not EndpointRequest.objects.filter(action="change").exists()


def test_a_key_counts_for_one_endpoint_and_one_thing_to_do(people: Cast) -> None:
    endpoint = built(people)
    second = Endpoint.objects.get(pk=endpoint.pk)
    second.pk, second.name = uuid.uuid4(), "second"
    second.save(force_insert=True)
    ticket = {"external_system": "s" * 40, "external_id": "T" * 120}
    client = signed_in(people.ana)

    def removed(one: Endpoint, body: dict[str, str], key: str) -> tuple[int, str]:
        headers = {"Idempotency-Key": key} if key else {}
        answer = client.post(
            f"/api/v1/endpoints/{one.pk}/remove",
            body,
            content_type="application/json",
            headers=headers,
        )
        return answer.status_code, answer.json().get("id", "")

    first = removed(endpoint, {}, "k")
    assert first[0] == 201
    assert removed(endpoint, {}, "k") == (200, first[1])
    other = removed(second, {}, "k")
    assert (other[0], other[1] != first[1]) == (201, True)
    EndpointRequest.objects.filter(action="remove").update(state=State.CANCELLED)
    longest = removed(endpoint, ticket, "")
    assert longest[0] == 201
    assert removed(endpoint, ticket, "") == (200, longest[1])


def failed_change(people: Cast, endpoint: Endpoint) -> EndpointRequest:
    """A change of the endpoint that was approved and rolled back."""
    request = submit_change(people.ana, endpoint, {"read_timeout": 50}, now=NOW)
    assert isinstance(request, EndpointRequest)
    applied = endpoint.applied_plan()
    assert applied is not None
    plan = applied | {"spec": request.spec_data, "action": "change", "applied": applied}
    run = Run.objects.create(
        endpoint=endpoint,
        saga="change-endpoint",
        stream=request.stream,
        plan_data=plan,
        plan_digest=applied["digest"],
        state=Run.State.UNDONE,
        due_at=NOW,
        created_at=NOW,
        finished_at=NOW,
    )
    return put(request, State.FAILED, run=run, plan_data=plan)


def test_a_failed_change_is_retried_under_the_endpoints_new_name(people: Cast) -> None:
    endpoint = built(people)
    request = failed_change(people, endpoint)
    assert isinstance(rename_endpoint(people.ben, endpoint, "room-chat", now=NOW), Endpoint)
    namesake = Endpoint.objects.get(pk=endpoint.pk)
    namesake.pk, namesake.name = uuid.uuid4(), "team-chat"
    namesake.spec_data = namesake.spec_data | {"path_patterns": ["/elsewhere"]}
    namesake.save(force_insert=True)

    assert isinstance(retry_request(people.ana, request, now=NOW), Allowed)
    request.refresh_from_db()
    assert request.run is not None
    after = endpoint_after(request.run, Finish(undone=False), NOW)
    Endpoint.objects.filter(pk=endpoint.pk).update(**after)
    endpoint.refresh_from_db()
    assert (endpoint.name, endpoint.spec.name) == ("room-chat", "room-chat")
    assert endpoint.spec.read_timeout == 50
    assert signed_in(people.rita).get(f"/endpoints/{endpoint.pk}/").status_code == 200
