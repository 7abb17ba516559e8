"""What no cache keeps, how much one person may ask, and what texts may hold."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal import middleware
from portal.people.models import Person
from portal.requests import actions
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from portal.requests.verbs import VERBS
from provisioning.models import Event
from provisioning.redaction.printable import on_one_line, printable
from tests.portal.endpoint_requests import BODY, ask, planned, put
from tests.portal.people import Cast, bearer, signed_in

API = "/api/v1/requests"


def test_no_cache_keeps_what_depends_on_who_asks(people: Cast) -> None:
    request = planned(ask(people.ana, people.chat))
    ana = signed_in(people.ana)
    for path in ("/", f"/requests/{request.pk}/", f"/requests/{request.pk}/events.jsonl", "/nope"):
        assert ana.get(path)["Cache-Control"] == "private, no-store", path
    token = bearer(people.ana)
    for path in (API, f"{API}/{request.pk}"):
        assert Client().get(path, headers=token)["Cache-Control"].startswith("private, no-")


def test_one_person_cannot_take_every_thread(
    people: Cast, counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "PAGES_PER_MINUTE", 3)
    ana = signed_in(people.ana)
    statuses = [ana.get("/help/").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = ana.get("/help/")
    assert "Too many requests" in refused.content.decode()
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert signed_in(people.ben).get("/help/").status_code == 200


def test_replans_are_limited_for_each_person(people: Cast, counted: str) -> None:
    (limit,) = (verb.per_minute for verb in VERBS if verb.name == "replan")
    request = ask(people.ana, people.chat)
    codes = []

    def replan(person: Person) -> Any:
        return Client().post(
            f"{API}/{request.pk}/replan",
            {},
            content_type="application/json",
            headers=bearer(person),
        )

    for _ in range(limit + 1):
        put(request, State.BLOCKED)
        answer = replan(people.ana)
        codes.append((answer.status_code, answer.json().get("code")))
    assert codes[:limit] == [(200, None)] * limit
    assert codes[limit] == (429, "too_often")
    put(request, State.BLOCKED)
    assert replan(people.ben).status_code == 200


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain, with \N{LATIN SMALL LETTER E WITH ACUTE}, and \U0001f469\u200d\U0001f4bb", None),
        ("a\x1b[2Jb", "a\N{REPLACEMENT CHARACTER}[2Jb"),
        ("a\x9b2Jb", "a\N{REPLACEMENT CHARACTER}2Jb"),
        ("a\u202eb", "a\N{REPLACEMENT CHARACTER}b"),
        ("a\u2066b\ufeff", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_a_text_can_only_be_read(given: str, shown: str | None) -> None:
    assert printable(given) == (given if shown is None else shown)
    assert "\n" not in on_one_line(given)


@pytest.mark.parametrize("verb", ["approve", "reject", "cancel"])
def test_a_reason_is_one_line_without_controls_in_every_place(people: Cast, verb: str) -> None:
    request = planned(ask(people.ana, people.chat))
    evil = "ok\x1b]0;x\x07\r\n  99  2026-01-01 00:00:00Z  good  Approved by max\u202e"
    who = people.ana if verb == "cancel" else people.olga
    given: dict[str, Any] = {"plan_digest": request.plan_digest} if verb == "approve" else {}
    act = getattr(actions, f"{verb}_request")
    act(who, request, reason=evil, now=timezone.now(), **given)
    request.refresh_from_db()
    event = Event.objects.filter(stream_id=request.stream).latest("seq")
    texts = [event.text, request.reason, *request.approvals.values_list("reason", flat=True)]
    download = signed_in(people.ana).get(f"/requests/{request.pk}/events.txt")
    lines = b"".join(download).decode().splitlines()
    assert len(lines) == event.seq
    for text in (*texts, *lines):
        assert text.isprintable(), repr(text)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://acme.service-now.com/RITM1?x=a@b", 201),
        ("http://tickets.example:8443/1", 201),
        ("https://evil@good.example/", 422),
        ("https://good.example:x@evil.example/", 422),
        ("https://good.example\\@evil.example/", 422),
        ("javascript:alert(1)", 422),
    ],
)
def test_an_address_of_a_ticket_names_its_host_plainly(people: Cast, url: str, status: int) -> None:
    ticket = {"external_system": "jira", "external_id": "N-1", "external_url": url}
    made = Client().post(
        API, BODY | ticket, content_type="application/json", headers=bearer(people.ana)
    )
    assert made.status_code == status
    assert EndpointRequest.objects.exists() is (status == 201)
