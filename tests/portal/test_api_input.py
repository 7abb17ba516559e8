"""Who may call the API, and how it answers malformed bodies, headers and paths."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.models import Check
from portal import problems
from portal.api.auth import CallerThrottle
from portal.api.docs import api_document
from portal.api.urls import resources
from portal.json_body import DEEPEST, LARGEST_BODY, read_json
from portal.people.models import ApiToken, Person
from portal.people.tokens import find_token
from portal.problems import PROBLEMS, ApiProblem
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from portal.requests.ticket_values import MAPPING, ticket_values
from provisioning.models import Endpoint
from tests.portal.endpoint_requests import BODY, FOREIGN_ANSWERS, ask, deploy
from tests.portal.people import Cast, bearer, make_cast

API = "/api/v1/requests"
CALM = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def people(db: None) -> Cast:
    return make_cast()


def code(answer: Any) -> tuple[int, str]:
    assert answer["Content-Type"] == problems.MEDIA_TYPE
    body = json.loads(answer.content)
    assert body["status"] == answer.status_code
    assert body["type"].endswith(f"/api/v1/problems/{body['code']}")
    return answer.status_code, body["code"]


def test_a_token_opens_until_it_expires_is_revoked_or_its_person_leaves(people: Cast) -> None:
    headers, now = bearer(people.ana), timezone.now()
    assert Client().get(API, headers=headers).status_code == 200
    for change, undo in (
        ({"expires_at": now}, {"expires_at": now + timedelta(days=1)}),
        ({"revoked_at": now}, {"revoked_at": None}),
    ):
        ApiToken.objects.update(**change)
        refused = Client().get(API, headers=headers)
        assert code(refused) == (401, "invalid_token")
        assert refused["WWW-Authenticate"].startswith("Bearer")
        ApiToken.objects.update(**undo)
    assert Client().get(API, headers=headers).status_code == 200
    people.ana.is_active = False
    people.ana.save()
    assert code(Client().get(API, headers=headers)) == (401, "invalid_token")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Bearer " + "x" * 9000, "Bearer \xff", "Basic YTpi"],
)
def test_nothing_else_opens(people: Cast, header: str) -> None:
    answer = Client().get(API, headers={"Authorization": header})
    assert answer.status_code == 401


def test_the_use_of_a_token_is_noted_once_a_minute(
    people: Cast, django_assert_num_queries: Any
) -> None:
    clear, now = bearer(people.ana)["Authorization"].removeprefix("Bearer "), timezone.now()
    with django_assert_num_queries(2):
        assert find_token(clear, now)
    with django_assert_num_queries(1):
        assert find_token(clear, now + timedelta(seconds=59))
    with django_assert_num_queries(2):
        assert find_token(clear, now + timedelta(seconds=60))
    assert ApiToken.objects.get().last_used_at == now + timedelta(seconds=60)


def test_a_signed_in_browser_may_read_and_must_prove_itself_to_write(people: Cast) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.ana)
    assert browser.get(API).status_code == 200
    body = json.dumps(BODY)
    assert code(browser.post(API, body, content_type="application/json")) == (403, "csrf")
    token = "a" * 32
    browser.cookies["csrftoken"] = token
    assert (
        browser.post(
            API, body, content_type="application/json", headers={"X-CSRFToken": token}
        ).status_code
        == 201
    )


def test_too_many_calls_wait(people: Cast, counted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CallerThrottle.THROTTLE_RATES, "caller", "2/min")
    headers = bearer(people.ana)
    assert [Client().get(API, headers=headers).status_code for _ in range(3)] == [200, 200, 429]
    assert int(Client().get(API, headers=headers)["Retry-After"]) > 0
    assert Client().get(API, headers=bearer(people.ana)).status_code == 200, (
        "another token has its own measure"
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "one JSON object"),
        (b'"x"', "one JSON object"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 1}}', "twice"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"a": ["\\ud800"]}', "surrogate"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 9007199254740993}', "too large"),
        (b'{"a": ' + b"9" * 6000 + b"}", "too large"),
        (b'{"a": "\xff"}', "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        (b'{"a": ' * 33 + b"1" + b"}" * 33, "deeper"),
        (b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "deeper"),
    ],
)
def test_what_a_person_could_not_have_meant_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(ApiProblem, match=why) as refusal:
        read_json(body)
    assert refusal.value.code == "bad_json"


def test_what_fits_is_read() -> None:
    deep = b'{"a": ' * DEEPEST + b"1" + b"}" * DEEPEST
    assert read_json(deep)
    assert (
        read_json('{"a": "\N{GRINNING FACE}", "b": 9007199254740991, "c": 1.5}'.encode())["c"]
        == 1.5
    )
    assert read_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}
    with pytest.raises(ApiProblem) as refusal:
        read_json(b" " * (LARGEST_BODY + 1))
    assert refusal.value.code == "too_large"


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        ("text/plain", b"{}", (415, "unsupported_media_type")),
        ("application/x-www-form-urlencoded", b"a=1", (415, "unsupported_media_type")),
        ("multipart/form-data; boundary=x", b"--x--", (415, "unsupported_media_type")),
        ("application/json/x", b"{}", (415, "unsupported_media_type")),
        ("\xff", b"{}", (415, "unsupported_media_type")),
        ("application/json", b"[1]", (400, "bad_json")),
        ("application/json; charset=latin-1", b"{}", (422, "invalid_fields")),
        ("application/json", b" " * 70_000, (413, "too_large")),
        ("application/json", b" " * 300_000, (413, "too_large")),
    ],
)
def test_bodies_of_other_kinds(
    people: Cast, content_type: str, content: bytes, expected: tuple[int, str]
) -> None:
    answer = Client().post(API, content, content_type=content_type, headers=bearer(people.ana))
    assert code(answer) == expected


def test_headers_and_representations_that_do_not_fit(people: Cast) -> None:
    headers = bearer(people.ana)
    assert code(Client().get(API, headers=headers | {"Accept": "text/csv"})) == (
        406,
        "not_acceptable",
    )
    for name in ("X-Correlation-ID", "Idempotency-Key"):
        for value in ("x" * 121, "a\xe9b", "a\tb"):
            answer = Client().post(
                API,
                json.dumps(BODY),
                content_type="application/json",
                headers=headers | {name: value},
            )
            assert code(answer) == (400, "bad_header")
    assert not EndpointRequest.objects.exists()


@pytest.mark.parametrize(
    "path", ["", "requests/", "requests/x", "requests/1/events", "nothing", "%00", "requests/%00"]
)
def test_paths_that_do_not_exist(people: Cast, path: str) -> None:
    for method in ("get", "post", "options"):
        assert code(getattr(Client(), method)(f"/api/v1/{path}")) == (404, "not_found")


def test_methods_that_do_not_exist(people: Cast) -> None:
    request = ask(people.ana, people.chat)
    for url, methods in (
        (API, ("put", "patch", "delete", "options")),
        (f"{API}/{request.pk}", ("post", "put", "patch", "delete")),
        (f"{API}/{request.pk}/approve", ("get", "delete")),
    ):
        for method in methods:
            assert code(getattr(Client(), method)(url, headers=bearer(people.olga))) == (
                405,
                "method_not_allowed",
            )


def test_the_documents_are_only_read_and_say_so(db: None) -> None:
    script = Client(enforce_csrf_checks=True)
    for url in (
        "/api/v1/schema",
        "/api/v1/docs",
        "/api/v1/docs/try",
        "/api/v1/problems/not_found",
    ):
        assert script.get(url).status_code == 200
        for method in ("post", "put", "patch", "delete", "options"):
            refused = getattr(script, method)(url)
            assert code(refused) == (405, "method_not_allowed")
            assert refused["Allow"] == "GET, HEAD"


def test_no_time_is_too_early_or_too_late_to_ask_for(people: Cast) -> None:
    ask(people.ana, people.chat)
    headers = bearer(people.ana)

    def cursor(moment: str) -> str:
        return base64.urlsafe_b64encode(json.dumps([moment, uuid4().hex]).encode()).decode()

    for moment, found in (("0001-01-01T00:00:00Z", 1), ("9999-12-31T23:59:59Z", 0)):
        assert (
            len(Client().get(API, {"updated_since": moment}, headers=headers).json()["requests"])
            == found
        )
        assert (
            len(Client().get(API, {"cursor": cursor(moment)}, headers=headers).json()["requests"])
            == 1 - found
        )
    for moment in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        assert code(Client().get(API, {"updated_since": moment}, headers=headers)) == (
            400,
            "bad_parameter",
        )
        assert code(Client().get(API, {"cursor": cursor(moment)}, headers=headers)) == (
            400,
            "bad_cursor",
        )


def test_only_the_head_needs_the_same_scope(people: Cast) -> None:
    url = f"{API}/{ask(people.ana, people.chat).pk}"
    assert Client().head(url, headers=bearer(people.ana, ["requests:read"])).status_code == 200
    assert Client().head(url, headers=bearer(people.ana, ["requests:write"])).status_code == 403
    assert Client().head(f"{API}?limit=1", headers=bearer(people.ana)).status_code == 200


def test_a_database_that_is_away_is_said_as_a_problem(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr("portal.api.requests.page", away)
    answer = Client().get(API, headers=bearer(people.ana))
    assert code(answer) == (503, "unavailable")
    assert answer["Retry-After"]


@CALM
@given(
    said=st.dictionaries(
        st.sampled_from(
            [
                "state",
                "team",
                "external_system",
                "external_id__in",
                "updated_since",
                "cursor",
                "limit",
            ]
        ),
        st.text(max_size=12)
        | st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    )
)
def test_no_query_is_our_fault(people: Cast, said: dict[str, str]) -> None:
    answer = Client().get(API, said, headers=bearer(people.ana))
    assert answer.status_code in (200, 400), answer.content


def test_a_ticket_number_with_odd_signs_is_not_found(people: Cast) -> None:
    for name in ("%00", "a%00b", "x/y", "%F0%9F%98%80", "x" * 500):
        assert code(Client().get(f"{API}/by-external/jira/{name}", headers=bearer(people.ana))) == (
            404,
            "not_found",
        )


def test_endpoints_belong_to_their_teams(people: Cast, django_assert_num_queries: Any) -> None:
    made = deployed(people)
    url = f"/api/v1/endpoints/{made.pk}"
    shown = Client().get(url, headers=bearer(people.tara)).json()
    assert (shown["name"], shown["endpoint_url"]) == ("quotes", "wss://d1.cloudfront.net/ws/chat")
    assert shown["spec"]["target_arn"] == FOREIGN_ANSWERS["target_arn"]
    assert code(Client().get(url, headers=bearer(people.ana))) == (404, "not_found")
    headers = bearer(people.rita)
    Client().get("/api/v1/endpoints", headers=headers)
    with django_assert_num_queries(2):
        assert (
            len(Client().get("/api/v1/endpoints?team=trading", headers=headers).json()["endpoints"])
            == 1
        )
    assert Client().get("/api/v1/endpoints", headers=bearer(people.ana)).json()["endpoints"] == []


def test_a_handshake_is_tested_by_the_team_and_the_platform_team(people: Cast) -> None:
    made = deployed(people)
    url = f"/api/v1/endpoints/{made.pk}/checks"

    def ask_for(person: Person, **more: Any) -> Any:
        return Client().post(
            url, "{}", content_type="application/json", headers=bearer(person, **more)
        )

    assert code(ask_for(people.ana)) == (404, "not_found")
    assert code(ask_for(people.rita)) == (403, "not_your_team")
    assert code(ask_for(people.tara, scopes=["requests:read"])) == (403, "missing_scope")
    asked = ask_for(people.tara)
    assert asked.status_code == 202
    assert (asked.json()["state"], asked.json()["requested_by"]) == ("running", "tara")
    assert ask_for(people.olga).json()["id"] == asked.json()["id"], "one at a time"

    check = urlsplit(asked["Location"]).path
    assert Client().get(check, headers=bearer(people.tara))["Retry-After"]
    assert code(Client().get(check, headers=bearer(people.ana))) == (404, "not_found")
    Check.objects.update(
        finished_at=timezone.now(), ok=True, verdict="WSE-LIVE", transcript_data={"a": 1}
    )
    finished = Client().get(check, headers=bearer(people.tara))
    assert "Retry-After" not in finished
    assert finished.json()["verdict"]["code"] == "WSE-LIVE"
    Endpoint.objects.update(state=Endpoint.State.WANTED)
    assert code(ask_for(people.tara)) == (409, "wrong_state")


def test_a_handshake_of_ones_own_is_asked_for_or_refused_field_by_field(people: Cast) -> None:
    url = f"/api/v1/endpoints/{deployed(people).pk}/checks"

    def ask_for(**body: Any) -> Any:
        return Client().post(
            url, json.dumps(body), content_type="application/json", headers=bearer(people.tara)
        )

    wrong = ask_for(path="room", script="shout", nonsense="x")
    assert code(wrong) == (422, "invalid_fields")
    assert [fault["field"] for fault in wrong.json()["errors"]] == ["nonsense"]
    wrong = ask_for(path="room", script="shout")
    assert {fault["field"]: fault["message"][:22] for fault in wrong.json()["errors"]} == {
        "path": "Paths must start with ",
        "script": "Line 1: begins with 's",
    }
    asked = ask_for(path="/ws/room", script="send hi\nexpect text hi within 2")
    assert asked.status_code == 202
    assert asked.json()["options"]["path"] == "/ws/room"
    assert (
        ask_for(path="/ws/room", script="send hi\nexpect text hi within 2").json()["id"]
        == asked.json()["id"]
    )
    assert code(ask_for()) == (409, "busy")


def deployed(people: Cast) -> Endpoint:
    """Trading's endpoint."""
    return deploy(ask(people.tara, people.trading), name="quotes", domain_name="d1.cloudfront.net")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@CALM
@given(
    change=st.dictionaries(
        st.sampled_from(
            [*BODY, "external_id", "external_system", "requested_for", "opened_by", "x_a"]
        )
        | st.text(max_size=9),
        JSON,
        max_size=4,
    )
)
def test_no_body_is_our_fault(people: Cast, change: dict[str, Any]) -> None:
    answer = Client().post(
        API, json.dumps(BODY | change), content_type="application/json", headers=bearer(people.ana)
    )
    assert answer.status_code in (200, 201, 400, 409, 422), answer.content


def test_the_document_has_every_route_and_what_may_go_wrong() -> None:
    document = api_document()
    assert document["openapi"] == "3.0.3"
    assert len(document["paths"]) == len(resources)
    ids = []
    for methods in document["paths"].values():
        for method, operation in methods.items():
            ids.append(operation["operationId"])
            assert {"401", "403", "429"} <= set(operation["responses"])
            answers = [
                content
                for status, answer in operation["responses"].items()
                if status < "300"
                for content in answer.get("content", {}).values()
            ]
            if method != "delete":
                assert any(content.get("examples") for content in answers), operation["operationId"]
            if method == "post" and operation["operationId"] not in (
                "replanRequest",
                "createCheck",
                "runSavedCheck",
                "compareWithAws",
                "stopIgnoringDriftFinding",
                "acceptTransfer",
                "withdrawTransfer",
            ):
                assert operation["requestBody"]["content"]["application/json"]["examples"]
                assert {"400", "413", "415", "422"} <= set(operation["responses"])
    assert len(set(ids)) == len(ids)
    text = json.dumps(document)
    assert "oneOf" not in text
    assert "allOf" not in text


def test_the_documents_open_without_signing_in_and_without_another_host(db: None) -> None:
    schema = Client().get("/api/v1/schema")
    assert schema.json()["info"]["title"]
    page = Client().get("/api/v1/docs").content.decode()
    assert "createRequest" in page
    assert "//cdn" not in page
    trying = Client().get("/api/v1/docs/try")
    assert b"drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in trying.content
    assert trying.cookies["csrftoken"].value, "for calls that change something"
    assert "data:" in trying["Content-Security-Policy"]
    assert "unsafe" not in trying["Content-Security-Policy"]
    for code_, problem in PROBLEMS.items():
        assert problem.advice in Client().get(f"/api/v1/problems/{code_}").content.decode().replace(
            "&#x27;", "'"
        )
    assert Client().get("/api/v1/problems/nothing").status_code == 404


def test_every_state_has_its_ticket_values() -> None:
    assert set(MAPPING) == set(State)
    live = ticket_values(
        State.LIVE,
        title="Live",
        next_step="Go.",
        reason="",
        url="https://p/1",
        endpoint_url="wss://d/ws",
    )
    assert live["servicenow"]["state"] == "3"
    assert "wss://d/ws" in live["servicenow"]["close_notes"]
    rejected = ticket_values(
        State.REJECTED,
        title="Rejected",
        next_step="",
        reason="No",
        url="https://p/1",
        endpoint_url="",
    )
    assert "Reason: No" in rejected["jira"]["comment"]
    assert (
        ticket_values(State.PLANNING, title="", next_step="", reason="", url="", endpoint_url="")[
            "servicenow"
        ]["close_notes"]
        == ""
    )
