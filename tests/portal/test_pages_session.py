"""Signing in and out, and what people without a session, or of another team, get to see."""

from __future__ import annotations

from unittest.mock import Mock
from uuid import uuid4

import pytest
from django.core import signing
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client

from portal.pages.sign_in import (
    ATTEMPTS_PER_NAME,
    ATTEMPTS_PER_NAME_AND_ADDRESS,
    KNOWN_DEVICE,
)
from portal.people.models import Person
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint
from tests.portal.endpoint_requests import ask
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in

PASSWORD = "only-for-this-test"


@pytest.fixture
def ana(people: Cast) -> Person:
    people.ana.set_password(PASSWORD)
    people.ana.save()
    return people.ana


def test_ana_signs_in_and_gets_the_page_she_asked_for(ana: Person) -> None:
    client = Client()
    asked = client.get("/requests/?state=live")
    assert asked.status_code == 302
    page = client.get(asked["Location"])
    assert "Sign in to continue to the page you requested" in text_of(page)
    signed_in = client.post(
        "/sign-in/", {"username": "ana", "password": PASSWORD, "next": "/requests/?state=live"}
    )
    assert signed_in["Location"] == "/requests/?state=live"
    assert client.get("/requests/?state=live").status_code == 200
    client.post("/sign-out/")
    assert client.get("/").status_code == 302


def test_next_never_leads_away_from_the_portal(ana: Person) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        answer = Client().post(
            "/sign-in/", {"username": "ana", "password": PASSWORD, "next": elsewhere}
        )
        assert answer["Location"] == "/"


def test_whoever_has_signed_in_is_led_on_and_never_round_in_circles(ana: Person) -> None:
    client = signed_in(ana)
    assert client.get("/sign-in/?next=/tokens/")["Location"] == "/tokens/"
    for circle in ("/sign-in/", "/sign-in/?next=/sign-in/", "http://testserver/sign-in/"):
        assert client.get("/sign-in/", {"next": circle})["Location"] == "/"
        entered = Client().post(
            "/sign-in/", {"username": "ana", "password": PASSWORD, "next": circle}
        )
        assert entered["Location"] == "/"


def test_guessing_is_slowed_down_also_for_the_right_password(ana: Person, counted: str) -> None:
    client = Client()
    for _ in range(ATTEMPTS_PER_NAME_AND_ADDRESS):
        wrong = client.post("/sign-in/", {"username": "ana", "password": "wrong"})
        assert "Incorrect username or password." in text_of(wrong)
    refused = client.post("/sign-in/", {"username": "Ana ", "password": PASSWORD})
    assert refused.status_code == 429
    assert "Wait five minutes" in text_of(refused)
    assert client.post("/sign-in/", {"username": "ben", "password": "wrong"}).status_code == 200
    for respelt in ("\N{FULLWIDTH LATIN SMALL LETTER A}na", "an\N{FEMININE ORDINAL INDICATOR}"):
        assert (
            client.post("/sign-in/", {"username": respelt, "password": PASSWORD}).status_code == 429
        ), "the same name"
    from_home = Client(REMOTE_ADDR="192.0.2.7")
    assert from_home.post("/sign-in/", {"username": "ana", "password": PASSWORD}).status_code == 302


def test_a_known_device_passes_while_others_guess(ana: Person, counted: str) -> None:
    known = Client()
    known.post("/sign-in/", {"username": "ana", "password": PASSWORD})
    known.post("/sign-out/")
    for guess in range(ATTEMPTS_PER_NAME):
        guesser = Client(REMOTE_ADDR=f"192.0.2.{guess}")
        guesser.post("/sign-in/", {"username": "ana", "password": "wrong"})
    right = {"username": "ana", "password": PASSWORD}
    assert Client(REMOTE_ADDR="198.51.100.1").post("/sign-in/", right).status_code == 429
    forged = Client(REMOTE_ADDR="198.51.100.1")
    forged.cookies[KNOWN_DEVICE] = signing.dumps(["ana", "1"], salt="another")
    assert forged.post("/sign-in/", right).status_code == 429
    assert known.post("/sign-in/", right).status_code == 302


def test_a_known_device_guesses_no_more_than_others_and_only_for_its_person(
    ana: Person, counted: str
) -> None:
    known = Client()
    known.post("/sign-in/", {"username": "ana", "password": PASSWORD})
    known.post("/sign-out/")
    for _ in range(ATTEMPTS_PER_NAME_AND_ADDRESS):
        known.post("/sign-in/", {"username": "ana", "password": "wrong"})
        known.post("/sign-in/", {"username": "ben", "password": "wrong"})
    for name in ("ana", "ben"):
        refused = known.post("/sign-in/", {"username": name, "password": PASSWORD})
        assert refused.status_code == 429
    elsewhere = Client().post("/sign-in/", {"username": "ana", "password": PASSWORD})
    assert elsewhere.status_code == 302, "its guesses count against no other device"


def test_unknown_names_are_answered_like_wrong_passwords(ana: Person) -> None:
    unknown = Client().post("/sign-in/", {"username": "nobody", "password": "wrong"})
    wrong = Client().post("/sign-in/", {"username": "ana", "password": "wrong"})
    assert text_of(unknown) == text_of(wrong)


def test_a_fragment_never_gets_the_sign_in_page_in_its_place(people: Cast) -> None:
    url = f"/requests/{uuid4()}/standing/"
    answer = Client().get(
        url, headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/requests/"}
    )
    assert answer["HX-Redirect"] == "/sign-in/?next=/requests/&ended=1"
    assert "Your session has ended." in text_of(Client().get(answer["HX-Redirect"]))


def test_a_button_pressed_after_the_session_ended_leads_back_to_its_page(people: Cast) -> None:
    """Its own address takes no GET."""
    mine = ask(people.ana, people.chat)
    page, button = f"/requests/{mine.pk}/?before=9", f"/requests/{mine.pk}/cancel/"
    for came_from, back in (
        (f"http://testserver{page}", page),
        ("https://evil.example/x", "/"),
        ("http://[", "/"),
        ("", "/"),
    ):
        answer = Client().post(button, headers={"Referer": came_from})
        said = Client().get(answer["Location"]).wsgi_request.GET
        assert (said["next"], said["ended"]) == (back, "1")
    assert EndpointRequest.objects.get(pk=mine.pk).state == "planning"


def test_no_cache_gives_a_page_for_a_fragment(people: Cast, endpoint: Endpoint) -> None:
    for client in (signed_in(people.ana), Client()):
        for path in (
            f"/endpoints/{endpoint.pk}/privacy/",
            f"/endpoints/{endpoint.pk}/checks/latest/",
            "/",
        ):
            for headers in ({}, {"HX-Request": "true"}):
                assert "HX-Request" in client.get(path, headers=headers)["Vary"]


def test_headers_nobody_could_mean_lead_to_the_sign_in_page(people: Cast) -> None:
    client, url = Client(), f"/requests/{uuid4()}/standing/"
    answer = client.get(url, headers={"HX-Request": "true", "HX-Current-URL": "http://["})
    assert answer["HX-Redirect"] == "/sign-in/?next=/&ended=1"
    for key in ('"\\000\\000abcdefgh"', "x" * 5000, "%00%00%00%00%00%00%00%00"):
        assert client.get("/", headers={"Cookie": f"sessionid={key}"}).status_code == 302


def test_what_was_typed_is_kept_without_what_the_database_cannot_keep(people: Cast) -> None:
    theirs = ask(people.ana, people.chat)
    EndpointRequest.objects.filter(pk=theirs.pk).update(state="awaiting_approval")
    decision = {"decision": "reject", "reason": "Use\x00 /chat."}
    assert (
        signed_in(people.olga).post(f"/requests/{theirs.pk}/decide/", decision).status_code == 302
    )
    assert EndpointRequest.objects.get(pk=theirs.pk).reason == "Use /chat."
    mine = ask(people.ana, people.chat)
    assert (
        signed_in(people.ana).post(f"/requests/{mine.pk}/cancel/", {"reason": "\x00"}).status_code
        == 302
    )
    assert EndpointRequest.objects.get(pk=mine.pk).state == "cancelled"


def test_a_page_that_is_got_can_be_asked_for_its_head(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "portal.pages.request_form._page", Mock(return_value=HttpResponse())
    )  # the form would ask AWS
    ana, mine = signed_in(people.ana), ask(people.ana, people.chat)
    EndpointRequest.objects.filter(pk=mine.pk).update(state="blocked")
    for path in (
        "/",
        "/requests/",
        "/requests/new/",
        f"/requests/{mine.pk}/edit/",
        "/tokens/",
        "/api/v1/docs",
    ):
        assert ana.head(path).status_code == 200, path
    assert ana.post("/").status_code == 405


def test_a_database_that_is_away_is_no_fault_of_the_page(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = signed_in(people.ana)
    ana.raise_request_exception = False
    for trouble, status in (
        (OperationalError("the server closed the connection"), 503),
        (KeyError("a bug"), 500),
    ):
        monkeypatch.setattr("portal.pages.home.page_of", Mock(side_effect=trouble))
        monkeypatch.setattr("portal.api.requests.page", Mock(side_effect=trouble))
        page, problem = ana.get("/requests/"), ana.get("/api/v1/requests")
        assert (page.status_code, problem.status_code) == (status, status)
        assert (
            page.has_header("Retry-After") == problem.has_header("Retry-After") == (status == 503)
        )
        assert "<h1>" in page.content.decode()
        assert problem["Content-Type"] == "application/problem+json"
    elsewhere = ana.get("/api/v2/requests")
    assert (elsewhere.status_code, elsewhere["Content-Type"]) == (404, "application/problem+json")


def test_another_teams_things_do_not_exist(people: Cast) -> None:
    theirs = ask(people.ana, people.chat)
    tara = signed_in(people.tara)
    nowhere = tara.get(f"/requests/{uuid4()}/")
    assert nowhere.status_code == 404
    for path in ("", "standing/", "events.txt", "edit/"):
        refused = tara.get(f"/requests/{theirs.pk}/{path}")
        assert refused.status_code == 404
        assert refused.content == nowhere.content
    for path in ("cancel/", "retry-stuck/", "close/", "replan/", "decide/"):
        assert tara.post(f"/requests/{theirs.pk}/{path}", {"decision": "reject"}).status_code == 404
    assert tara.get(f"/approvals/{theirs.pk}/").status_code == 404
    assert EndpointRequest.objects.get(pk=theirs.pk).state == "planning"
    assert signed_in(people.ben).get(f"/requests/{theirs.pk}/").status_code == 200
    assert signed_in(people.rita).get(f"/requests/{theirs.pk}/").status_code == 200


def test_nothing_is_changed_by_get(people: Cast) -> None:
    mine = ask(people.ana, people.chat)
    for path in ("cancel/", "retry-stuck/", "close/", "replan/", "decide/"):
        assert signed_in(people.ana).get(f"/requests/{mine.pk}/{path}").status_code == 405


def test_a_form_without_its_token_is_refused_in_words(people: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.ana)
    refused = client.post("/tokens/", {})
    assert refused.status_code == 403
    assert "has expired" in text_of(refused)


def test_pages_forbid_inline_script_and_eval(people: Cast) -> None:
    page = signed_in(people.ana).get("/")
    policy = page["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    body = page.content.decode()
    assert "<style" not in body
    assert "style=" not in body
    assert "onclick" not in body
    assert '"allowEval":false' in body


def test_an_address_that_is_only_read_or_only_pressed_says_so_on_a_page(people: Cast) -> None:
    client = signed_in(people.ana)
    request = ask(people.ana, people.chat)
    assert client.get(f"/requests/{request.pk}/").status_code == 200
    for refused, allowed in (
        (client.post(f"/requests/{request.pk}/"), "GET, HEAD"),
        (client.put("/tokens/"), "GET, HEAD, POST"),
        (client.get(f"/requests/{request.pk}/cancel/"), "POST"),
        (client.get("/sign-out/"), "POST, OPTIONS"),
    ):
        assert (refused.status_code, refused["Allow"]) == (405, allowed)
        assert "Nothing was changed" in text_of(refused)
        assert b'href="/"' in refused.content
    assert client.post("/sign-out/").status_code == 302
