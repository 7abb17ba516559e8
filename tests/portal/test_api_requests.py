"""Requests over the API: creating once, reading, deciding; each refusal beside what is allowed."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F
from django.test import Client

from portal.api.create_request import ALIASES, NEW_REQUEST
from portal.people.models import ApiToken, Membership, Person, Team
from portal.requests.actions import approve_request, edit_request
from portal.requests.lifecycle import Allowed, State
from portal.requests.models import Approval, EndpointRequest, IdempotencyKey
from provisioning.models import AwsAccount, Endpoint, Event, Run
from provisioning.spec.fields import ASKED
from tests.portal.endpoint_requests import (
    ANSWERS,
    BODY,
    ask,
    deploy,
    happen,
    long_ago,
    planned,
    put,
)
from tests.portal.people import Cast, bearer, make_cast, signed_in

API = "/api/v1/requests"


@pytest.fixture
def people(db: None) -> Cast:
    return make_cast()


def post(url: str, body: Any, headers: dict[str, str], **more: Any) -> Any:
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    return Client().post(url, content, content_type="application/json", headers=headers, **more)


def get(url: str, headers: dict[str, str]) -> Any:
    return Client().get(url, headers=headers)


def test_a_ticket_system_asks_for_an_endpoint_and_reads_it_back(people: Cast) -> None:
    ticket = {
        "external_system": "servicenow",
        "external_id": "RITM0012345",
        "external_url": "https://acme.example/1",
    }
    body = {
        **BODY,
        **ticket,
        "max_silence_seconds": "45",
        "carries_http_api": "true",
        "origin_domain": "",
        "x_note": 1,
    }
    trust(people.ben)
    headers = bearer(people.ben)

    made = post(
        API,
        body | {"requested_for": "ana@example.com"},
        headers | {"X-Correlation-ID": "RITM0012345"},
    )

    assert made.status_code == 201
    assert made["X-Correlation-ID"] == "RITM0012345"
    assert int(made["Retry-After"]) >= 1
    shown = made.json()
    assert made["Location"] == shown["url"]
    assert (shown["requester"], shown["requested_for"], shown["state"]) == (
        "ben",
        "ana",
        "planning",
    )
    assert shown["spec"]["max_silence_seconds"] == 45
    assert shown["spec"]["path_patterns"] == ["/ws/chat"]
    assert shown["spec"]["allowed_methods"].endswith("DELETE")
    assert shown["ticket"]["servicenow"]["state"] == "1"
    assert shown["correlation_id"] == "RITM0012345"
    assert shown["last_seq"] == 1

    again = get(f"{API}/by-external/servicenow/RITM0012345", headers)
    assert again.json() == shown == get(f"{API}/{shown['id']}", headers).json()


def trust(person: Person) -> None:
    """The account is a trusted integration's."""
    Person.objects.filter(pk=person.pk).update(names_people=True)
    person.names_people = True


@pytest.mark.parametrize("field", ["opened_by", "requested_for"])
def test_whom_an_untrusted_caller_names_is_a_claim_that_bars_nobody(
    people: Cast, field: str
) -> None:
    for who in ("olga", "OLGA@example.com", "nobody-at-all"):
        EndpointRequest.objects.all().delete()
        made = post(API, BODY | {field: who}, bearer(people.ana))
        assert (made.status_code, made.json()["requested_for"]) == (201, "ana"), "tells nothing"
        request = planned(EndpointRequest.objects.get())
        assert request.standing.editor_ids == frozenset()
        event = Event.objects.get(stream_id=request.stream)
        assert f"{who}; that was not verified" in event.text
        assert event.data["claims"] == {field: who}
        assert "opened_by" not in event.data
    decided = approve_request(
        people.olga, request, plan_digest=request.plan_digest, now=request.created_at
    )
    assert isinstance(decided, Allowed)


def test_whoever_names_themselves_is_believed(people: Cast) -> None:
    olga = people.olga
    Membership.objects.create(person=olga, team=people.chat)
    post(API, BODY | {"opened_by": "olga@EXAMPLE.com"}, bearer(olga))
    assert EndpointRequest.objects.get().standing.editor_ids == frozenset({olga.pk})


def test_a_ticket_number_is_the_first_clients_and_nobody_finds_a_strangers(people: Cast) -> None:
    Team.objects.get(slug="trading").accounts.add(AwsAccount.objects.get(pk=BODY["account_id"]))
    squat = BODY | {"external_system": "servicenow", "external_id": "RITM777"}
    url = f"{API}/by-external/servicenow/RITM777"
    first = post(API, squat, bearer(people.ana)).json()["id"]
    second = post(API, squat | {"team": "trading", "name": "x"}, bearer(people.tara)).json()["id"]
    read = [get(url, bearer(one)).json().get("id") for one in (people.ana, people.tara)]
    assert read == [first, second]
    assert get(url, bearer(people.rita)).json()["id"] == first, "sees all, gets the first client's"
    assert get(url, bearer(people.ben)).json()["id"] == first, "a colleague of the first client"
    assert get(f"{url}8", bearer(people.rita)).status_code == 404
    cara = Person.objects.create_user("cara")
    Membership.objects.create(person=cara, team=people.trading)
    assert get(url, bearer(cara)).status_code == 404, "the number is another team's"
    trust(people.tara)
    assert get(url, bearer(people.rita)).json()["id"] == second, "an integration's word counts more"


def test_names_that_ticket_forms_use_are_understood_but_not_together_with_ours(
    people: Cast,
) -> None:
    headers = bearer(people.ana)
    renamed = {
        ("ws_path" if field == "path_patterns" else field): value for field, value in BODY.items()
    }
    assert post(API, renamed, headers).status_code == 201
    both = post(API, renamed | {"path_patterns": "/ws/x"}, headers)
    assert [fault["field"] for fault in both.json()["errors"]] == ["ws_path"]
    wrong = post(API, renamed | {"ws_path": "no-slash"}, headers)
    assert [fault["field"] for fault in wrong.json()["errors"]] == ["ws_path"]


def test_the_same_call_again_gets_the_original(people: Cast) -> None:
    headers = bearer(people.ana) | {"Idempotency-Key": "flow-17"}
    first, again = post(API, BODY, headers), post(API, BODY | {"origin_domain": ""}, headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert again.json()["id"] == first.json()["id"]

    other = post(API, BODY | {"name": "other-chat", "x_new": "1"}, headers)
    assert other.status_code == 409
    assert [fault["field"] for fault in other.json()["errors"]] == ["name", "x_new"]
    elsewhere = post(
        API, BODY | {"name": "other-chat"}, bearer(people.ben) | {"Idempotency-Key": "flow-17"}
    )
    assert elsewhere.status_code == 201, "a key belongs to its person"


def test_a_ticket_is_its_own_key_and_without_any_each_call_is_new(people: Cast) -> None:
    headers = bearer(people.ana)
    body = BODY | {"external_system": "jira", "external_id": "NET-7"}
    first, again = post(API, body, headers), post(API, body, headers)
    assert (first.status_code, again.status_code) == (201, 200)
    by_another_key = post(API, body, headers | {"Idempotency-Key": "on-purpose"})
    assert (by_another_key.status_code, by_another_key.json()["code"]) == (409, "ticket_taken")
    assert by_another_key.json()["errors"][0]["field"] == "external_id"
    assert post(API, BODY, headers).json()["id"] != post(API, BODY, headers).json()["id"]


def test_a_key_is_remembered_for_thirty_days(people: Cast) -> None:
    headers = bearer(people.ana) | {"Idempotency-Key": "monthly"}
    first = post(API, BODY, headers)
    IdempotencyKey.objects.update(created_at=F("created_at") - timedelta(days=29))
    assert post(API, BODY, headers).json()["id"] == first.json()["id"]
    IdempotencyKey.objects.update(created_at=F("created_at") - timedelta(days=2))
    assert post(API, BODY, headers).status_code == 201
    assert IdempotencyKey.objects.count() == 1


def test_a_refused_body_does_not_use_up_its_key(people: Cast) -> None:
    headers = bearer(people.ana) | {"Idempotency-Key": "k"}
    assert post(API, BODY | {"name": "Not A Name"}, headers).status_code == 422
    assert not IdempotencyKey.objects.exists()
    assert post(API, BODY, headers).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_twenty_equal_calls_at_once_make_one_request() -> None:
    headers = bearer(make_cast().ana) | {"Idempotency-Key": "double-click"}
    start, answers = threading.Barrier(20), []

    def call() -> None:
        try:
            start.wait(20)
            answer = post(API, BODY, headers)
            answers.append((answer.status_code, answer.json()["id"]))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len({made for _, made in answers}) == 1
    assert EndpointRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"team": "trading"}, "team", "unknown_team"),
        ({"team": "nobody"}, "team", "unknown_team"),
        ({"team": ["chat"]}, "team", "unknown_team"),
        ({"team": ""}, "team", "required"),
        ({"account_id": "444455556666"}, "target_arn", "other_account"),
        ({"action": "remove"}, "action", "invalid"),
        ({"approved": True}, "approved", "unknown"),
        ({"state": "live"}, "state", "unknown"),
        ({"carries_http_api": "maybe"}, "carries_http_api", "invalid"),
        ({"max_silence_seconds": 1.5}, "max_silence_seconds", "invalid"),
        ({"path_patterns": {"a": 1}}, "path_patterns", "invalid"),
        ({"justification": "x" * 501}, "justification", "invalid"),
        ({"justification": "\x1b[31m"}, "justification", "invalid"),
        ({"external_id": "RITM1"}, "external_system", "required"),
        ({"external_system": "servicenow"}, "external_id", "required"),
        ({"external_system": "servicenow", "external_id": 7}, "external_id", "invalid"),
        ({"external_url": "javascript:alert(1)"}, "external_url", "invalid"),
    ],
)
def test_what_does_not_fit_is_named(
    people: Cast, change: dict[str, Any], field: str, code: str
) -> None:
    answer = post(API, BODY | change, bearer(people.ana))
    assert answer.status_code == 422
    problem = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert (field, code) in [(fault["field"], fault["code"]) for fault in problem["errors"]]
    assert problem["message"] == problem["message"].replace("\n", " ")
    assert problem["correlation_id"] == answer["X-Correlation-ID"]
    assert not EndpointRequest.objects.exists()


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.REJECTED, State.CLOSED])
def test_a_request_whose_endpoint_is_gone_shows_no_address(people: Cast, state: State) -> None:
    request = ask(people.ana, people.chat)
    endpoint = deploy(request)
    url, headers, browser = f"{API}/{request.pk}", bearer(people.ana), signed_in(people.ana)
    assert get(url, headers).json()["endpoint"]["url"] == endpoint.url != ""
    put(request, state)
    Endpoint.objects.filter(pk=endpoint.pk).update(state=Endpoint.State.ABSENT)
    assert get(url, headers).json()["endpoint"]["url"] == ""
    for shown in (
        get(url, headers),
        get(f"/api/v1/endpoints/{endpoint.pk}", headers),
        browser.get(f"/requests/{request.pk}/"),
        browser.get(f"/endpoints/{endpoint.pk}/"),
    ):
        assert endpoint.url not in shown.content.decode()


def test_nobody_is_guessed(people: Cast) -> None:
    trust(people.ana)
    headers = bearer(people.ana)
    for field in ("requested_for", "opened_by"):
        for who in ("nobody", "nobody@example.com", 7, ["ana"]):
            answer = post(API, BODY | {field: who}, headers)
            assert (answer.status_code, answer.json()["code"]) == (422, "unknown_person")
            assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    people.ben.email = "ana@example.com"
    people.ben.save()
    for field in ("requested_for", "opened_by"):
        assert post(API, BODY | {field: "ANA@example.com"}, headers).status_code == 422
        assert post(API, BODY | {field: "ben"}, headers).status_code == 201


def test_a_body_takes_each_setting_of_an_endpoint() -> None:
    taken = {field.name for field in NEW_REQUEST.fields}
    assert {field.name for field in ASKED} <= taken
    assert set(ALIASES.values()) <= taken


def test_lists_are_narrowed_and_paged(people: Cast) -> None:
    made = [ask(people.ana, people.chat, ticket=f"RITM{n}", at=long_ago()) for n in range(5)]
    foreign = ask(people.olga, people.trading)
    put(made[0], State.REJECTED)
    headers = bearer(people.ana)

    def ids(query: str, who: dict[str, str] = headers) -> list[str]:
        return [one["id"] for one in get(f"{API}?{query}", who).json()["requests"]]

    assert len(ids("")) == 5
    assert len(ids("", bearer(people.rita))) == 6, "an auditor reads everything"
    assert ids("team=trading") == []
    assert ids("state=rejected,failed") == [str(made[0].pk)]
    assert set(ids("external_system=servicenow&external_id__in=RITM1,RITM2,X")) == {
        str(made[1].pk),
        str(made[2].pk),
    }
    assert str(foreign.pk) in ids("updated_since=2026-06-01T00:00:00Z", bearer(people.rita))
    assert ids("updated_since=2026-06-01T00:00:00%2B00:00") == []

    seen, cursor = [], ""
    while cursor is not None:
        page = get(f"{API}?limit=2&cursor={cursor}", headers).json()
        seen += [one["id"] for one in page["requests"]]
        cursor = page["next_cursor"]
    assert len(seen) == 5
    assert set(seen) == {str(one.pk) for one in made}, "equal times lose and repeat nothing"


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x", "cursor=WzEsMl0=", "cursor=%00", "cursor=" + "W" * 3000,
        "limit=0", "limit=101", "limit=x", "limit=²", "limit=1&limit=2",
        "state=gone", "state=%00", "team=%00", "external_id__in=1", "external_id_in=1",
        "updated_since=yesterday", "updated_since=2026-01-01",
    ],
)  # fmt: skip
def test_a_parameter_that_does_not_fit_is_refused(people: Cast, query: str) -> None:
    answer = get(f"{API}?{query}", bearer(people.ana))
    assert answer.status_code == 400
    assert answer.json()["code"] in ("bad_parameter", "bad_cursor")


def test_a_list_costs_the_same_whatever_it_holds(
    people: Cast, django_assert_num_queries: Any
) -> None:
    headers = bearer(people.ana)
    get(API, headers)  # notes the token's use
    for _ in range(3):
        ask(people.ana, people.chat)
    with django_assert_num_queries(2):
        get(API, headers)
    for _ in range(20):
        ask(people.ana, people.chat)
    with django_assert_num_queries(2):
        assert len(get(API, headers).json()["requests"]) == 23
    one = EndpointRequest.objects.values_list("pk", flat=True)[0]
    with django_assert_num_queries(2):
        assert get(f"{API}/{one}", headers).status_code == 200


def test_who_has_it_already_is_told_so(people: Cast) -> None:
    request, headers = ask(people.ana, people.chat), bearer(people.ana)
    url = f"{API}/{request.pk}"
    etag = get(url, headers)["ETag"]
    unchanged = get(url, headers | {"If-None-Match": f'"x", {etag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert int(unchanged["Retry-After"]) >= 1
    happen(request)
    assert get(url, headers | {"If-None-Match": etag}).status_code == 200
    put(request, State.LIVE)
    assert "Retry-After" not in get(url, headers)


def test_events_after_a_cursor(people: Cast) -> None:
    request, headers = ask(people.ana, people.chat), bearer(people.ana)
    happen(request, "<b>bold</b>", times=4)
    assert code(get(f"{API}/{request.pk}/events?html=1", headers)) == (400, "bad_parameter")
    page = get(f"{API}/{request.pk}/events?after=1&limit=2&html=true", headers).json()
    assert [event["seq"] for event in page["events"]] == [2, 3]
    assert (page["more"], page["next_after"], page["settled"]) == (True, 3, False)
    assert "&lt;b&gt;bold" in page["events"][0]["html"]
    assert 'data-seq="2"' in page["events"][0]["html"]
    rest = get(f"{API}/{request.pk}/events?after=5", headers).json()
    assert (rest["events"], rest["more"], rest["next_after"]) == ([], False, 5)

    lines = get(f"{API}/{request.pk}/events", headers | {"Accept": "application/x-ndjson"})
    assert lines["Content-Type"].startswith("application/x-ndjson")
    assert [json.loads(line)["seq"] for line in lines.content.splitlines()] == [1, 2, 3, 4, 5]
    bad = get(f"{API}/{request.pk}/events?after=-1", headers | {"Accept": "application/x-ndjson"})
    assert (bad.status_code, bad["Content-Type"]) == (400, "application/problem+json")


def test_an_approver_agrees_to_exactly_the_plan_they_read(people: Cast) -> None:
    request = planned(ask(people.ana, people.chat))
    url, headers = f"{API}/{request.pk}/approve", bearer(people.olga)
    assert code(post(url, {"plan_digest": "e" * 64}, headers)) == (409, "stale_plan")
    assert code(post(url, {}, headers)) == (422, "invalid_fields")
    assert code(post(url, {"plan_digest": request.plan_digest}, bearer(people.ana))) == (
        403,
        "not_approver",
    )
    approved = post(url, {"plan_digest": request.plan_digest, "reason": "Fine"}, headers)
    assert approved.status_code == 200
    assert approved.json()["state"] == "provisioning"
    assert approved.json()["run"]["state"] == "running"
    assert approved.json()["endpoint"]["url"] == "wss://d111111abcdef8.cloudfront.net/ws/chat"
    assert code(post(url, {"plan_digest": request.plan_digest}, headers)) == (409, "wrong_state")


@pytest.mark.parametrize(
    ("who", "refusal"),
    [("requester", "own_request"), ("beneficiary", "beneficiary"), ("last_editor", "editor")],
)
def test_nobody_decides_on_what_is_theirs(people: Cast, who: str, refusal: str) -> None:
    request = planned(ask(people.ana, people.chat))
    EndpointRequest.objects.filter(pk=request.pk).update(**{who: people.olga})
    headers = bearer(people.olga)
    decision = {"plan_digest": request.plan_digest, "reason": "x"}
    assert code(post(f"{API}/{request.pk}/approve", decision, headers)) == (403, refusal)
    assert code(post(f"{API}/{request.pk}/reject", {"reason": "x"}, headers)) == (403, refusal)


def test_whoever_opened_the_ticket_never_decides_on_it_but_another_approver_does(
    people: Cast,
) -> None:
    paul = Person.objects.create_user("paul", role=Person.Role.APPROVER)
    trust(people.ben)
    made = post(
        API, BODY | {"requested_for": "ana", "opened_by": "OLGA@example.com"}, bearer(people.ben)
    )
    assert (made.status_code, made.json()["requester"], made.json()["requested_for"]) == (
        201,
        "ben",
        "ana",
    )
    url = f"{API}/{made.json()['id']}"
    told = get(f"{url}/events", bearer(people.ana)).json()["events"][0]
    assert told["text"] == "ben requested team-chat for Chat. olga opened the ticket."
    assert (told["data"]["by"], told["data"]["opened_by"]) == ("ben", "olga")
    request = planned(EndpointRequest.objects.get())
    assert isinstance(
        edit_request(people.ana, request, ANSWERS | {"read_timeout": 60}, now=request.created_at),
        Allowed,
    )
    request = planned(EndpointRequest.objects.get())
    decision = {"plan_digest": request.plan_digest, "reason": "x"}
    for verb, body in (("approve", decision), ("reject", {"reason": "x"})):
        refused = post(f"{url}/{verb}", body, bearer(people.olga))
        assert code(refused) == (403, "editor")
        assert "You opened or edited this request" in refused.json()["detail"]
    assert not EndpointRequest.objects.to_decide(people.olga).exists()
    stored: dict[str, Any] = {
        "plan_digest": request.plan_digest,
        "revision": request.revision,
        "at": request.created_at,
    }
    with pytest.raises(IntegrityError, match="four eyes"), transaction.atomic():
        Approval.objects.create(request=request, decision="approved", decider=people.olga, **stored)
    assert post(f"{url}/approve", decision, bearer(paul)).json()["state"] == "provisioning"


def test_links_are_what_the_caller_can_use_now(people: Cast) -> None:
    request = planned(ask(people.ana, people.chat))

    def verbs(person: Person) -> list[str]:
        listed = get(API, bearer(person)).json()["requests"][0]["links"]
        assert listed == get(f"{API}/{request.pk}", bearer(person)).json()["links"]
        assert all(url.endswith(f"/{request.pk}/{name}") for name, url in list(listed.items())[2:])
        return list(listed)[3:]

    assert verbs(people.ana) == ["cancel", "replan", "amend"]
    assert verbs(people.olga) == ["approve", "reject"]
    EndpointRequest.objects.update(beneficiary=people.olga)
    assert verbs(people.olga) == [], "it is for her"
    put(request, State.STUCK)
    assert verbs(people.max) == ["retry-stuck", "close"]
    assert verbs(people.ana) == []


def test_rejecting_needs_a_reason(people: Cast) -> None:
    request, headers = planned(ask(people.ana, people.chat)), bearer(people.olga)
    assert code(post(f"{API}/{request.pk}/reject", {}, headers)) == (422, "reason_required")
    rejected = post(f"{API}/{request.pk}/reject", {"reason": "Use the shared one"}, headers).json()
    assert (rejected["state"], rejected["reason"]) == ("rejected", "Use the shared one")
    assert rejected["ticket"]["jira"]["resolution"] == "Declined"


def test_the_team_replans_and_cancels_and_nobody_else(people: Cast) -> None:
    request, headers = planned(ask(people.ana, people.chat)), bearer(people.ben)
    assert code(post(f"{API}/{request.pk}/cancel", {}, bearer(people.olga))) == (
        403,
        "not_your_team",
    )
    assert post(f"{API}/{request.pk}/replan", {}, headers).json()["state"] == "planning"
    assert (
        post(f"{API}/{request.pk}/cancel", {"reason": "No longer needed"}, headers).json()["state"]
        == "cancelled"
    )
    assert code(post(f"{API}/{request.pk}/cancel", {}, headers)) == (409, "wrong_state")
    assert code(post(f"{API}/{request.pk}/cancel", {"reson": "x"}, headers)) == (
        422,
        "invalid_fields",
    )


def test_only_a_platform_admin_has_a_failed_undo_tried_again(people: Cast) -> None:
    request = planned(ask(people.ana, people.chat))
    decision, url = {"plan_digest": request.plan_digest}, f"{API}/{request.pk}/retry-stuck"
    assert post(f"{API}/{request.pk}/approve", decision, bearer(people.olga)).status_code == 200
    Run.objects.update(
        state=Run.State.STUCK, failure={"step": "vpc-origin", "direction": "backward"}
    )
    put(request, State.STUCK, reason="DeleteVpcOrigin: no.")
    assert code(post(url, {}, bearer(people.olga))) == (403, "not_platform_admin")
    Person.objects.filter(pk=people.olga.pk).update(role=Person.Role.PLATFORM_ADMIN)
    tried = post(url, {"reason": "It may again."}, bearer(people.olga)).json()
    assert (tried["state"], tried["reason"], tried["run"]["state"]) == (
        "provisioning",
        "",
        "undoing",
    )
    assert code(post(url, {}, bearer(people.olga))) == (409, "wrong_state")


def test_only_a_platform_admin_closes_what_can_never_be_undone_and_says_why(people: Cast) -> None:
    request = planned(ask(people.ana, people.chat))
    decision, url = {"plan_digest": request.plan_digest}, f"{API}/{request.pk}/close"
    assert post(f"{API}/{request.pk}/approve", decision, bearer(people.olga)).status_code == 200
    Run.objects.update(
        state=Run.State.STUCK, failure={"step": "vpc-origin", "direction": "backward"}
    )
    put(request, State.STUCK, reason="DeleteVpcOrigin: no.")
    assert code(post(url, {"reason": "Lost."}, bearer(people.olga))) == (403, "not_platform_admin")
    Person.objects.filter(pk=people.olga.pk).update(role=Person.Role.PLATFORM_ADMIN)
    assert code(post(url, {}, bearer(people.olga))) == (422, "reason_required")
    closed = post(url, {"reason": "The account is lost."}, bearer(people.olga)).json()
    assert (closed["state"], closed["reason"], closed["settled"]) == (
        "closed",
        "The account is lost.",
        True,
    )
    assert (closed["run"]["state"], closed["endpoint"]["state"]) == ("stuck", "absent")
    assert closed["ticket"]["jira"]["resolution"] == "Failed"
    told = get(f"{API}/{request.pk}/events", bearer(people.olga)).json()["events"][-1]
    assert (told["kind"], told["data"]["left"]) == ("request.closed", [])
    assert code(post(url, {"reason": "x"}, bearer(people.olga))) == (409, "wrong_state")


def test_the_team_takes_up_what_the_preflight_proposes_and_nobody_else(people: Cast) -> None:
    request, headers = planned(ask(people.ana, people.chat)), bearer(people.ben)
    offers = [
        {"label": f"Add {path}", "changes": {"path_patterns": ["/a/*", path]}}
        for path in ("/a", "/b")
    ]
    found = [
        {"code": "PF-PATH-BARE", "level": "warn", "amendment": offer} for offer in (None, *offers)
    ]
    put(request, State.AWAITING_APPROVAL, preflight_data=found)
    url = f"{API}/{request.pk}/amend"
    assert get(f"{API}/{request.pk}", headers).json()["preflight"] == found
    assert code(post(url, {"code": "PF-PATH-BARE"}, bearer(people.olga))) == (403, "not_your_team")
    assert code(post(url, {"code": "PF-GROUP"}, headers)) == (409, "nothing_proposed")
    assert code(post(url, {}, headers)) == (422, "invalid_fields")
    amended = post(url, {"code": "PF-PATH-BARE", "amendment_label": "Add /b"}, headers).json()
    assert (amended["state"], amended["spec"]["path_patterns"]) == ("planning", ["/a/*", "/b"])
    assert code(post(url, {"code": "PF-PATH-BARE"}, headers)) == (409, "wrong_state")


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "/events",
        "/approve",
        "/reject",
        "/cancel",
        "/retry-stuck",
        "/close",
        "/replan",
        "/amend",
    ],
)
def test_another_teams_request_answers_like_one_that_does_not_exist(
    people: Cast, verb: str
) -> None:
    foreign, headers = ask(people.ana, people.chat), bearer(people.tara)
    bodies = {
        "/approve": {"plan_digest": "x"},
        "/reject": {"reason": "x"},
        "/cancel": {"reason": "x"},
    }
    body = bodies.get(verb, {"code": "x"} if verb == "/amend" else {})
    answers = []
    for pk in (foreign.pk, uuid.uuid4()):
        answer = (
            get(f"{API}/{pk}{verb}", headers)
            if verb in ("", "/events")
            else post(f"{API}/{pk}{verb}", body, headers)
        )
        shown = answer.json()
        shown.pop("correlation_id")
        answers.append((answer.status_code, shown))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "", "requests:read"),
        ("post", "", "requests:write"),
        ("get", "/{id}", "requests:read"),
        ("get", "/{id}/events", "requests:read"),
        ("get", "/by-external/servicenow/RITM1", "requests:read"),
        ("post", "/{id}/approve", "approvals:write"),
        ("post", "/{id}/reject", "approvals:write"),
        ("post", "/{id}/cancel", "requests:write"),
        ("post", "/{id}/retry-stuck", "approvals:write"),
        ("post", "/{id}/close", "approvals:write"),
        ("post", "/{id}/replan", "requests:write"),
        ("post", "/{id}/amend", "requests:write"),
    ],
)
def test_each_method_needs_its_scope(people: Cast, method: str, path: str, scope: str) -> None:
    url = API + path.format(id=ask(people.ana, people.chat, ticket="RITM1").pk)
    others = [one for one in ApiToken.Scope.values if one != scope]
    call = get if method == "get" else lambda url, headers: post(url, {}, headers)
    without = call(url, bearer(people.ana, others))
    assert code(without) == (403, "missing_scope")
    assert scope in without.json()["detail"]
    assert call(url, bearer(people.ana, [scope])).json().get("code") != "missing_scope"


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_the_page_of_requests_uses_the_index(people: Cast) -> None:
    """The keyset's condition and order are those of request_by_team."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'request_by_team'")
        assert "created_at DESC, id DESC" in cursor.fetchone()[0]
