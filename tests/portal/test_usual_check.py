"""The usual check of an endpoint: shown before approval, changed later without AWS, by page and
API.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from checks.models import Check
from checks.protocol.handshake_options import parse_fields
from portal.endpoints.actions import save_check
from portal.requests.endpoint_changes import submit_change
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint, Event
from tests.checks.seen import answered
from tests.lab.account import Lab
from tests.portal.endpoint_requests import form_answers, planned_in_lab
from tests.portal.page_text import text_of
from tests.portal.people import Cast, bearer, signed_in
from tests.portal.test_pages_endpoints import checked

SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


def put(person: Any, endpoint: Endpoint, body: Any) -> Any:
    return Client().put(
        f"/api/v1/endpoints/{endpoint.pk}/usual-check",
        json.dumps(body),
        content_type="application/json",
        headers=bearer(person),
    )


def test_the_form_shows_what_a_check_will_send_and_takes_another_kind(
    people: Cast, lab: Lab
) -> None:
    page = signed_in(people.ana).get(
        "/requests/new/preview/", form_answers(lab, path_patterns="/socket.io/*")
    )
    words = text_of(page)
    assert SOCKET_IO in words
    assert "Socket.IO 3 or 4" in words
    assert "No message, only a WebSocket ping" in words
    assert "After each heartbeat of the app: send 3" in words

    page = signed_in(people.ana).post("/requests/new/", form_answers(lab, app_kind="echo"))
    assert page.status_code == 302
    made = EndpointRequest.objects.get()
    assert made.spec.app_kind == "echo"
    assert made.spec.check_script.startswith("send edge check {nonce}")


def test_the_approver_sees_what_the_portal_sends_to_the_app(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    words = text_of(signed_in(people.olga).get(f"/approvals/{request.pk}/"))
    assert "What the portal sends to the app" in words
    assert "No message, only a WebSocket ping" in words


def test_the_team_changes_the_usual_check_and_it_is_made(people: Cast, endpoint: Endpoint) -> None:
    address = f"/endpoints/{endpoint.pk}/checks/usual/"
    assert "Any WebSocket server" in text_of(signed_in(people.ana).get(address))
    before = endpoint.spec
    said = {"app_kind": "echo", "check_path": "/ws/chat?room=1", "stay_open_seconds": "0"}
    assert signed_in(people.ana).post(address, said).status_code == 302

    after = Endpoint.objects.get(pk=endpoint.pk).spec
    assert (after.app_kind, after.check_path, after.stay_open_seconds) == (
        "echo",
        "/ws/chat?room=1",
        0,
    )
    assert after.allowed_methods == before.allowed_methods, "nothing changes in AWS"
    assert Check.objects.get().options == {}, "the usual check is made"
    told = Event.objects.get(kind="endpoint.usual_check_changed")
    assert told.text.startswith("ana changed the usual check: kind of app")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"check_path": "/other"}, "/other does not match /ws/chat"),
        ({"check_script": "shout hi"}, "Line 1: begins with 'shout'"),
        ({"check_headers": "Cookie: session=abc"}, "Secret"),
        ({"stay_open_seconds": "61"}, "Enter a whole number from 0 to 60"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    people: Cast, endpoint: Endpoint, said: dict[str, str], words: str
) -> None:
    page = signed_in(people.ana).post(f"/endpoints/{endpoint.pk}/checks/usual/", said)
    assert page.status_code == 422
    assert words in text_of(page)
    answer = put(people.ana, endpoint, said)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == list(said)
    assert Endpoint.objects.get(pk=endpoint.pk).spec == endpoint.spec
    assert not Check.objects.exists()


def test_by_api_what_is_absent_follows_from_the_kind(people: Cast, endpoint: Endpoint) -> None:
    url = f"/api/v1/endpoints/{endpoint.pk}/usual-check"
    shown = Client().get(url, headers=bearer(people.ana)).json()
    assert (shown["app_kind"], shown["sends"], shown["check_path"]) == ("plain", [], "/ws/chat")

    answer = put(people.ana, endpoint, {"app_kind": "graphql-transport-ws"})
    assert answer.status_code == 202
    shown = Client().get(url, headers=bearer(people.ana)).json()
    assert shown["sends"] == ['send {"type":"connection_init"}']
    assert shown["subprotocols"] == ["graphql-transport-ws"]
    assert shown["heartbeat"].startswith('send {"type":"pong"} after each message')


def test_only_those_who_may_check_it_change_it(people: Cast, endpoint: Endpoint) -> None:
    body = {"app_kind": "echo"}
    assert put(people.olga, endpoint, body).status_code == 202
    assert put(people.tara, endpoint, body).status_code == 404
    assert put(people.rita, endpoint, body).status_code == 403


def test_one_that_is_running_is_not_mixed_up_with_the_new_one(
    people: Cast, endpoint: Endpoint
) -> None:
    assert put(people.ana, endpoint, {"app_kind": "echo"}).status_code == 202
    again = put(people.ana, endpoint, {"app_kind": "plain"})
    assert again.status_code == 409
    assert Endpoint.objects.get(pk=endpoint.pk).spec.app_kind == "echo"


def test_a_change_under_way_decides_about_the_usual_check(people: Cast, endpoint: Endpoint) -> None:
    change = submit_change(people.ben, endpoint, {"stay_open_seconds": 9}, now=timezone.now())
    assert isinstance(change, EndpointRequest)
    refused = put(people.ana, endpoint, {"app_kind": "echo"})
    assert (refused.status_code, refused.json()["code"]) == (409, "request_under_way")
    EndpointRequest.objects.filter(pk=change.pk).update(state="verifying")
    assert put(people.ana, endpoint, {"app_kind": "echo"}).status_code == 202


def test_a_saved_check_becomes_the_usual_one(people: Cast, endpoint: Endpoint) -> None:
    options = parse_fields({"path": "/ws/chat?room=1", "script": "expect json $.type within 5"})
    saved = save_check(
        people.ana,
        endpoint,
        "room",
        options,
        every_minutes=0,
        after_changes=False,
        now=timezone.now(),
    )
    custom = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/checks/custom/")
    address = f"/endpoints/{endpoint.pk}/checks/usual/?saved={saved.pk}"  # type: ignore[union-attr]
    assert address in custom.content.decode()
    form = signed_in(people.ana).get(address).context["form"]
    assert form["check_path"].value() == "/ws/chat?room=1"
    assert form["check_script"].value() == "expect json $.type within 5"


def test_an_app_of_another_kind_is_recognized_and_offered(people: Cast, endpoint: Endpoint) -> None:
    refused = answered(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n",
        body='{"code":0,"message":"Transport unknown"}',
    )
    checked(endpoint, refused)
    page = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/")
    assert "This looks like Socket.IO 3 or 4." in text_of(page)
    assert f"/endpoints/{endpoint.pk}/checks/usual/?kind=socketio" in page.content.decode()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"check_headers": "Authorization: Bearer ${secret:API_TOKEN}"}, "Bearer API_TOKEN"),
        ({"check_path": "/ws/chat?token=${secret:API_TOKEN}"}, "/ws/chat?token=API_TOKEN"),
        ({"subprotocols": "chat, ${secret:API_TOKEN}"}, "chat, API_TOKEN"),
    ],
)
def test_the_page_gives_commands_with_the_names_of_secrets(
    people: Cast, endpoint: Endpoint, said: dict[str, str], shown: str
) -> None:
    endpoint.spec_data = endpoint.spec_data | said
    if "subprotocols" in said:
        endpoint.spec_data["subprotocols"] = said["subprotocols"].split(", ")
    endpoint.save(update_fields=["spec_data"])
    page = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/")
    assert page.status_code == 200
    assert shown in text_of(page)


def test_a_kind_whose_clients_post_says_that_cloudfront_blocks_it_until_a_change_allows_it(
    people: Cast, endpoint: Endpoint
) -> None:
    ana, page = signed_in(people.ana), f"/endpoints/{endpoint.pk}/"
    assert endpoint.spec.allowed_methods == "GET,HEAD"
    assert "POST is blocked" not in text_of(ana.get(page))
    endpoint.spec_data |= {"app_kind": "socketio", "path_patterns": ["/socket.io/*"]}
    endpoint.save()
    shown = ana.get(page)
    assert "Socket.IO 3 or 4 clients also send POST to this path" in text_of(shown)
    assert "As built. Today the portal would choose another value." in text_of(shown)
    change = f"/endpoints/{endpoint.pk}/change/?allowed_methods="
    assert change in shown.content.decode()
    assert ana.get(change).context["form"].text("allowed_methods") == ""
    assert "Request a change" not in text_of(signed_in(people.rita).get(page))
    asked = {"allowed_methods": "", "path_patterns": "/socket.io/*"}
    request = submit_change(people.ana, endpoint, asked, now=timezone.now())
    assert isinstance(request, EndpointRequest)
    endpoint.spec_data = request.spec_data
    endpoint.save()
    assert "POST" in endpoint.spec.allowed_methods
    assert "POST is blocked" not in text_of(ana.get(page))
