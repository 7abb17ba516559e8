"""Further probes, saved checks and log rows over the API, each permission beside its refusal."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.verdicts import VERDICTS
from checks.models import Check, Probe, SavedCheck
from checks.output.comparison import Cell
from checks.output.reports import Report
from checks.preflight import Fix
from checks.probe.probe_request import BOUNDS
from checks.protocol.handshake_options import FIELDS
from portal.api.checks import CHECK, FINDING, FIX, VERDICT
from portal.api.probes import PROBE, PROBE_SUMMARY
from portal.api.saved_checks import LAST_CHECK, SAVED_CHECK
from portal.endpoints.actions import MAX_SAVED_CHECKS, SCHEDULES
from portal.json_fields import Object
from portal.pages.forms import CustomCheckForm
from portal.people.models import ApiToken, Person
from provisioning.models import Endpoint
from tests.checks.seen import answered
from tests.portal.people import Cast, bearer
from tests.portal.test_api_input import code
from tests.portal.test_pages_endpoints import checked
from tests.portal.test_pages_probes import REFUSED, ROW, finished

NOWHERE = "6f2b0a3e-0000-4000-8000-000000000000"


@pytest.fixture
def url(endpoint: Endpoint) -> str:
    return f"/api/v1/endpoints/{endpoint.pk}"


def post(person: Person, url: str, body: Any = None, **token: Any) -> Any:
    content = json.dumps({} if body is None else body)
    return Client().post(
        url, content, content_type="application/json", headers=bearer(person, **token)
    )


def get(person: Person, url: str, **token: Any) -> Any:
    return Client().get(url, headers=bearer(person, **token))


def faults(answer: Any) -> dict[str, str]:
    assert code(answer) == (422, "invalid_fields")
    return {fault["field"]: fault["message"] for fault in answer.json()["errors"]}


def fields(shown: dict[str, Any], described: Object) -> None:
    """The document names exactly what is shown."""
    assert set(shown) == set(described.required), described.name


class TestProbes:
    """Asked for one at a time, read until they have ended."""

    def test_ana_asks_for_one_and_reads_what_it_found(
        self, people: Cast, endpoint: Endpoint, url: str
    ) -> None:
        asked = post(people.ana, f"{url}/probes", {"kind": "crowd", "number": "4"})
        assert asked.status_code == 202
        shown = asked.json()
        assert (shown["state"], shown["kind"], shown["number"], shown["requested_by"]) == (
            "running",
            "crowd",
            4,
            "ana",
        )
        assert (
            post(people.ben, f"{url}/probes", {"kind": "crowd", "number": 4}).json()["id"]
            == shown["id"]
        ), "the same"
        assert code(post(people.ben, f"{url}/probes", {"kind": "idle", "number": 9})) == (
            409,
            "busy",
        )
        place = urlsplit(asked["Location"]).path
        assert get(people.ana, place)["Retry-After"] == "1"
        rows = (("client 1", (Cell("good"), Cell("bad", "lost"))),)
        finished(
            Probe.objects.get(),
            Report(False, "3 of 4 heard.", ("client 1 …",), "WSE-1006", ("In", "Heard"), rows),
        )
        read = get(people.ben, place)
        assert "Retry-After" not in read
        found = read.json()
        assert (found["ok"], found["headline"], found["lines"]) == (
            False,
            "3 of 4 heard.",
            ["client 1 …"],
        )
        assert found["rows"] == [
            {
                "title": "client 1",
                "cells": [{"state": "good", "text": ""}, {"state": "bad", "text": "lost"}],
            }
        ]
        assert found["verdict"]["title"] == VERDICTS["WSE-1006"].title
        assert found["verdict"]["request_url"] is None
        fields(found, PROBE)
        fields(found["verdict"], VERDICT)

    def test_numbers_and_paths_are_those_of_the_kind(self, people: Cast, url: str) -> None:
        for kind, number in (
            ("reconnect", 5),
            ("crowd", 3),
            ("broadcast", 3),
            ("idle", 75),
            ("routes", 0),
        ):
            assert post(people.ana, f"{url}/probes", {"kind": kind}).json()["number"] == number, (
                "the usual one"
            )
            Probe.objects.all().delete()
        for body, field, says in (
            ({}, "kind", "Choose one of: plain get, journey, routes, negotiation"),
            ({"kind": "log rows"}, "kind", "Choose one of"),
            ({"kind": ["crowd"]}, "kind", "Choose one of"),
            ({"kind": "crowd", "number": 500}, "number", "from 2 to 12"),
            ({"kind": "idle", "number": "many"}, "number", "A whole number"),
            ({"kind": "idle", "number": 2.5}, "number", "A whole number"),
            ({"kind": "idle", "number": True}, "number", "A whole number"),
            ({"kind": "idle", "path": "/ws"}, "path", "takes a number, not a path"),
            ({"kind": "routes", "number": 3}, "number", "takes no number"),
            ({"kind": "routes", "path": "room"}, "path", "start with a slash"),
            ({"kind": "routes", "times": 3}, "times", "Unknown field"),
        ):
            assert says in faults(post(people.ana, f"{url}/probes", body))[field], body
        wrong = faults(
            post(people.ana, f"{url}/probes", {"number": "x", "path": 3, "x_ticket": "1"})
        )
        assert set(wrong) == {"number", "path", "kind"}, "all at once"
        assert set(BOUNDS) == {
            ProbeKind.RECONNECT,
            ProbeKind.CROWD,
            ProbeKind.BROADCAST,
            ProbeKind.IDLE,
        }
        assert not Probe.objects.exists()

    def test_who_may_test_may_probe_and_others_read_or_know_of_nothing(
        self, people: Cast, endpoint: Endpoint, url: str
    ) -> None:
        body = {"kind": "plain get"}
        assert code(post(people.tara, f"{url}/probes", body)) == (404, "not_found")
        assert code(post(people.rita, f"{url}/probes", body)) == (403, "not_your_team")
        assert code(post(people.ana, f"{url}/probes", body, scopes=["requests:read"])) == (
            403,
            "missing_scope",
        )
        made = post(people.olga, f"{url}/probes", body, scopes=["requests:write"])
        assert made.status_code == 202
        place = urlsplit(made["Location"]).path
        assert get(people.rita, place, scopes=["requests:read"]).status_code == 200
        assert code(get(people.rita, place, scopes=["requests:write"])) == (403, "missing_scope")
        for hidden in (place, f"{url}/probes"):
            assert code(get(people.tara, hidden)) == (404, "not_found")
        assert code(get(people.ana, f"{url}/probes/{NOWHERE}")) == (404, "not_found")
        Endpoint.objects.update(state=Endpoint.State.WANTED, domain_name="")
        assert code(post(people.ana, f"{url}/probes", body)) == (409, "wrong_state")

    def test_they_are_paged_in_one_query(
        self, people: Cast, endpoint: Endpoint, url: str, django_assert_num_queries: Any
    ) -> None:
        now = timezone.now()
        for minute in range(5):
            at = now - timedelta(minutes=minute // 2)
            probe = Probe.objects.create(
                endpoint=endpoint, kind=ProbeKind.ROUTES, requested_at=at, due_at=at, finished_at=at
            )
            finished(probe, Report(True, f"number {minute}") if minute else None)
        headers, seen, cursor = bearer(people.ana), [], ""
        Client().get(url, headers=headers)
        while True:
            with django_assert_num_queries(3):  # token, endpoint, page
                answer = (
                    Client().get(f"{url}/probes?limit=2&cursor={cursor}", headers=headers).json()
                )
            seen += answer["probes"]
            if answer["next_cursor"] is None:
                break
            cursor = answer["next_cursor"]
        assert len({one["id"] for one in seen}) == 5
        assert sorted(one["headline"] for one in seen) == [
            "",
            "number 1",
            "number 2",
            "number 3",
            "number 4",
        ]
        fields(seen[0], PROBE_SUMMARY)
        for query in ("limit=0", "cursor=x", "kind=routes"):
            assert get(people.ana, f"{url}/probes?{query}").status_code == 400
        odd = next(one for one in seen if not one["headline"])
        assert get(people.ana, urlsplit(odd["url"]).path).json()["verdict"] is None, (
            "stored by another version"
        )


class TestSavedChecks:
    """Saved, listed, made by hand, scheduled, dropped."""

    def test_a_check_is_saved_changed_made_and_dropped(
        self, people: Cast, endpoint: Endpoint, url: str
    ) -> None:
        body = {
            "name": "Room 1",
            "path": "/ws/chat?room=1",
            "every_minutes": 60,
            "after_changes": True,
        }
        saved = post(people.ana, f"{url}/saved-checks", body)
        assert saved.status_code == 201
        shown = saved.json()
        assert (shown["options"]["path"], shown["every_minutes"], shown["after_changes"]) == (
            "/ws/chat?room=1",
            60,
            True,
        )
        assert shown["next_due_at"]
        fields(shown, SAVED_CHECK)
        again = post(
            people.ben,
            f"{url}/saved-checks",
            body | {"every_minutes": "15", "after_changes": "false"},
        )
        assert (again.status_code, again["Location"]) == (200, saved["Location"])
        assert (again.json()["every_minutes"], again.json()["after_changes"]) == (15, False)
        assert SavedCheck.objects.count() == 1

        place = urlsplit(saved["Location"]).path
        made = post(people.ana, f"{place}/checks")
        assert made.status_code == 202
        assert made.json()["options"]["path"] == "/ws/chat?room=1"
        assert post(people.ana, f"{place}/checks").json()["id"] == made.json()["id"], (
            "one at a time"
        )
        assert code(post(people.ana, f"{url}/checks")) == (409, "busy")
        Check.objects.update(finished_at=timezone.now(), ok=False, verdict="WSE-404-PATH")
        last = get(people.ana, place).json()["last_check"]
        assert (last["ok"], last["verdict"]) == (False, "WSE-404-PATH")
        assert last["url"] == made.json()["url"]
        fields(last, LAST_CHECK)

        dropped = Client().delete(place, headers=bearer(people.ana))
        assert (dropped.status_code, dropped.content) == (204, b"")
        assert code(get(people.ana, place)) == (404, "not_found")
        assert code(post(people.ana, f"{place}/checks")) == (404, "not_found")
        assert get(people.ana, urlsplit(made["Location"]).path).status_code == 200, (
            "what it found stays"
        )

    def test_what_cannot_be_saved_is_said_field_by_field(
        self, people: Cast, endpoint: Endpoint, url: str
    ) -> None:
        wrong = post(
            people.ana,
            f"{url}/saved-checks",
            {"every_minutes": 7, "after_changes": "maybe", "script": 3, "rate": "1"},
        )
        assert set(faults(wrong)) == {"name", "every_minutes", "after_changes", "script", "rate"}
        for name in ("", "  ", "x" * 61, "two\nlines"):
            assert set(faults(post(people.ana, f"{url}/saved-checks", {"name": name}))) == {"name"}
        for name in ("ghp_0123456789abcdefghijABCDEFGHIJ", "room token=hunter2-hunter2"):
            answer = post(people.ana, f"{url}/saved-checks", {"name": name})
            assert code(answer) == (422, "credential_in_name")
            assert name not in answer.content.decode()
        secret = post(
            people.ana,
            f"{url}/saved-checks",
            {"name": "a", "headers": "Cookie: sid=1", "path": "room"},
        )
        assert set(faults(secret)) == {"headers", "path"}
        assert "looks like a credential" in faults(secret)["headers"]
        assert not SavedCheck.objects.exists()
        assert [str(minutes) for minutes in SCHEDULES] == [
            value for value, _ in CustomCheckForm.schedules
        ]
        SavedCheck.objects.bulk_create(
            SavedCheck(endpoint=endpoint, name=f"check {number}")
            for number in range(MAX_SAVED_CHECKS)
        )
        assert code(post(people.ana, f"{url}/saved-checks", {"name": "one more"})) == (
            409,
            "too_many",
        )
        assert post(people.ana, f"{url}/saved-checks", {"name": "check 3"}).status_code == 200

    def test_others_read_or_know_of_nothing(
        self, people: Cast, endpoint: Endpoint, url: str
    ) -> None:
        saved = SavedCheck.objects.create(endpoint=endpoint, name="usual")
        place = f"{url}/saved-checks/{saved.pk}"
        for person, refusal in (
            (people.tara, (404, "not_found")),
            (people.rita, (403, "not_your_team")),
        ):
            assert code(post(person, f"{url}/saved-checks", {"name": "mine"})) == refusal
            assert code(post(person, f"{place}/checks")) == refusal
            assert code(Client().delete(place, headers=bearer(person))) == refusal
        assert get(people.rita, place).json()["name"] == "usual"
        for hidden in (place, f"{url}/saved-checks"):
            assert code(get(people.tara, hidden)) == (404, "not_found")
            assert code(get(people.ana, hidden, scopes=["requests:write"])) == (
                403,
                "missing_scope",
            )
        reading = bearer(people.ana, scopes=["requests:read"])
        assert code(Client().delete(place, headers=reading)) == (403, "missing_scope")
        for wrong in (10**30, saved.pk + 1):
            assert code(get(people.ana, f"{url}/saved-checks/{wrong}")) == (404, "not_found")
        assert code(Client().put(place, headers=bearer(people.ana))) == (405, "method_not_allowed")
        assert SavedCheck.objects.get().name == "usual"

    def test_a_list_costs_the_same_whatever_it_holds(
        self, people: Cast, endpoint: Endpoint, url: str, django_assert_num_queries: Any
    ) -> None:
        headers = bearer(people.ana)
        Client().get(url, headers=headers)
        for number in range(3):
            saved = SavedCheck.objects.create(endpoint=endpoint, name=f"check {number}")
            checked(endpoint, answered(REFUSED), saved=saved)
        with django_assert_num_queries(3):  # token, endpoint, page
            listed = Client().get(f"{url}/saved-checks", headers=headers).json()["saved_checks"]
        assert [one["name"] for one in listed] == ["check 0", "check 1", "check 2"]
        assert {one["last_check"]["verdict"] for one in listed} == {"WSE-502-ORIGIN"}


def test_log_rows_are_weighed_by_a_worker(people: Cast, endpoint: Endpoint, url: str) -> None:
    check = checked(endpoint, answered(REFUSED))
    place = f"{url}/checks/{check.pk}/log-rows"
    asked = post(people.ana, place, {"rows": ROW})
    assert asked.status_code == 202
    assert asked.json()["kind"] == "log rows"
    assert urlsplit(asked.json()["check"]).path == f"{url}/checks/{check.pk}"
    assert code(post(people.ana, place, {"rows": ROW})) == (409, "busy")
    Probe.objects.all().delete()
    for rows, says in (
        ("", "Required"),
        ("nonsense", "A row has at least"),
        (ROW.replace("abc", "z"), "request-id is abc"),
    ):
        assert says in faults(post(people.ana, place, {"rows": rows}))["rows"]
    assert code(post(people.rita, place, {"rows": ROW})) == (403, "not_your_team")
    assert code(post(people.tara, place, {"rows": ROW})) == (404, "not_found")
    Check.objects.update(finished_at=None)
    assert code(post(people.ana, place, {"rows": ROW})) == (409, "busy")
    assert not Probe.objects.exists()


def test_a_verdict_carries_the_request_that_puts_it_right(
    people: Cast, endpoint: Endpoint, url: str, django_assert_num_queries: Any
) -> None:
    page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    check = checked(endpoint, answered(page), options={"path": "/ws/room"})
    place = f"{url}/checks/{check.pk}"
    headers = bearer(people.ana)
    Client().get(url, headers=headers)
    with django_assert_num_queries(
        4
    ):  # token, check with endpoint, membership, paths that are taken
        shown = Client().get(place, headers=headers).json()
    assert shown["verdict"]["code"] == "WSE-200-SPA"
    assert "/requests/new/?team=chat&" in shown["verdict"]["request_url"]
    assert shown["findings"][0]["request_url"] == shown["verdict"]["request_url"]
    fields(shown, CHECK)
    fields(shown["findings"][0], FINDING)
    assert shown["findings"][0]["here"] is None
    Check.objects.update(
        findings=[{**check.findings[0], "here": asdict(Fix("EC2 > sg-1", "aws ec2"))}]
    )
    here = get(people.ana, place).json()["findings"][0]["here"]
    fields(here, FIX)
    assert here["console"] == "EC2 > sg-1"
    assert get(people.rita, place).json()["verdict"]["request_url"] is None, "rita asks for nobody"
    own = checked(endpoint, answered(page))
    assert get(people.ana, f"{url}/checks/{own.pk}").json()["verdict"]["request_url"] is None, (
        "the path has its behavior"
    )
    probe = Probe.objects.create(
        endpoint=endpoint,
        kind=ProbeKind.PLAIN_GET,
        path="/ws/room",
        requested_at=timezone.now(),
        due_at=timezone.now(),
    )
    finished(probe, Report(False, "A page.", (), "WSE-200-SPA"))
    assert (
        "/requests/new/?"
        in get(people.ana, f"{url}/probes/{probe.pk}").json()["verdict"]["request_url"]
    )


ODD: tuple[Any, ...] = (
    None,
    [[]],
    {"a": 1},
    -1,
    2**53 - 1,
    1.5,
    True,
    " ",
    "x" * 3000,
    "\x7f\u202e",
    "٣",
)


def test_no_body_is_our_fault(people: Cast, endpoint: Endpoint, url: str) -> None:
    check = checked(endpoint, answered(REFUSED))
    bodies: tuple[tuple[str, Any], ...] = (
        ("probes", lambda odd: {"kind": odd, "number": odd, "path": odd}),
        ("probes", lambda odd: {"kind": "crowd", "number": odd}),
        (
            "saved-checks",
            lambda odd: dict.fromkeys(("name", "every_minutes", "after_changes", *FIELDS), odd),
        ),
        (f"checks/{check.pk}/log-rows", lambda odd: {"rows": odd}),
    )
    headers = bearer(people.ana)
    for place, body in bodies:
        for odd in ODD:
            content = json.dumps(body(odd))
            answer = Client().post(
                f"{url}/{place}", content, content_type="application/json", headers=headers
            )
            assert answer.status_code in (201, 202, 409, 422), (content, answer.content)


@pytest.mark.parametrize("scope", list(ApiToken.Scope.values))
def test_the_endpoint_names_where_all_of_it_is(
    people: Cast, endpoint: Endpoint, url: str, scope: str
) -> None:
    answer = get(people.ana, url, scopes=[scope])
    if scope != ApiToken.Scope.READ:
        assert code(answer) == (403, "missing_scope")
        return
    links = answer.json()["links"]
    for link in ("probes", "saved_checks"):
        assert get(people.ana, urlsplit(links[link]).path).status_code == 200
