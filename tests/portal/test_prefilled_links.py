"""A verdict opens the request that puts it right, filled in, or nothing at all."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from checks.diagnosis.transcript_rules import Diagnosis
from checks.diagnosis.verdicts import BY_REQUEST, VERDICTS, Certainty, VerdictCode
from checks.models import Check
from portal.people.models import Person
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from portal.requests.prefilled_links import prefilled_links, prefilled_links_after_check
from portal.requests.suggested_requests import suggest_request, suggest_request_anywhere
from provisioning.models import Endpoint
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import complete_answers, parse_spec
from tests.checks.seen import answered
from tests.lab.account import Lab
from tests.portal.endpoint_requests import ANSWERS, form_answers, plan_again
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.portal.test_pages_endpoints import checked

SPEC = parse_spec(
    complete_answers({**ANSWERS, "max_silence_seconds": 45, "subprotocols": ["chat.v1", "chat.v2"]})
)
LINK = re.compile(r'href="(/requests/new/\?[^"]+)"(?!>Clone)')


def offered(
    code: VerdictCode,
    path: str = "/ws/room",
    taken: tuple[str, ...] = ("/ws/chat",),
    spec: EndpointSpec = SPEC,
) -> Any:
    return suggest_request(code, spec, team="chat", path=path, taken=taken)


def test_only_what_a_new_endpoint_can_put_right_opens_a_request() -> None:
    assert set(BY_REQUEST) <= set(VERDICTS)
    for code in VERDICTS:
        assert bool(offered(code)) is (code in BY_REQUEST), code
        assert bool(suggest_request_anywhere(code)) is (code in BY_REQUEST), code
    for never in (
        "WSE-LIVE",
        "WSE-504-SG",
        "WSE-502-VPCORIGIN",
        "WSE-502-2025",
        "WSE-403-ORIGIN",
        "WSE-IDLE-ALB",
    ):
        assert never not in BY_REQUEST, "nothing of this goes away behind another endpoint"


@pytest.mark.parametrize(
    ("path", "taken", "why"),
    [
        (
            "/ws/chat",
            ("/ws/chat",),
            "an endpoint has it: its behavior is to be repaired, not to be made twice",
        ),
        ("/ws/room", ("/ws/*",), "a pattern of an endpoint covers it"),
        ("/ws/room", ("/ws/chat", "/ws/roo?"), "a pattern of another endpoint covers it"),
        ("/", (), "nobody may take over every request"),
        ("/ws/*", (), "a star would take more than what was tested"),
        ("/ws/caf%C3%A9", (), "CloudFront takes no such pattern"),
        ("/" + "x" * 300, (), "too long for a pattern"),
    ],
)
def test_a_path_that_no_request_can_have_opens_none(
    path: str, taken: tuple[str, ...], why: str
) -> None:
    assert offered("WSE-PATH", path, taken) is None, why
    assert offered("WSE-PATH", "/ws/room", ()) is not None


def test_the_answers_are_those_of_the_endpoint_and_of_the_path() -> None:
    said = dict(offered("WSE-PATH", "/ws/Room.7/").answers)
    assert said["name"] == "team-chat-ws-room-7"
    assert said["justification"].startswith(
        "WSE-PATH (Another behavior serves this path): found by a check of"
    )
    made = parse_spec(
        complete_answers({key: said[key] for key in said.keys() - {"team", "justification"}})
    )
    assert (made.target_arn, made.distribution_id, made.path_patterns) == (
        SPEC.target_arn,
        SPEC.distribution_id,
        ("/ws/Room.7/",),
    )
    assert (made.max_silence_seconds, made.subprotocols) == (45, ("chat.v1", "chat.v2"))
    long = dict(offered("WSE-PATH", "/" + "a/" * 40).answers)
    assert len(long["name"]) <= 40
    assert all(
        len(dict(offered(code, "/" + "a" * 200).answers)["justification"]) <= 500
        for code in BY_REQUEST
    )


def failing(
    endpoint: Endpoint,
    path: str = "/ws/room?room=1",
    code: VerdictCode = "WSE-PATH",
    certainty: Certainty = Certainty.MEDIUM,
) -> Check:
    """A test of a path of one's own that failed, with `code` behind the first verdict."""
    check = checked(
        endpoint,
        answered("HTTP/1.1 500 Oops\r\nServer: app\r\n"),
        options={"path": path} if path else {},
    )
    found = Diagnosis(VERDICTS[code], certainty, ("the behavior * gets this path",))
    check.findings = [*check.findings, found.to_dict()]
    check.save()
    return check


def links(page: Any) -> list[str]:
    return [html.unescape(link) for link in LINK.findall(page.content.decode())]


def test_each_link_opens_the_form_with_these_values(
    people: Cast, endpoint: Endpoint, lab: Lab
) -> None:
    check = failing(endpoint)
    client = signed_in(people.ana)
    assert links(client.get(f"/endpoints/{endpoint.pk}/?check={check.pk}")) == [
        prefilled_links_after_check(people.ana, check)["WSE-PATH"].url
    ]
    found = prefilled_links(people.ana, endpoint, "/ws/room?room=1")
    for code, fix in BY_REQUEST.items():
        prefilled = found[code]
        form = client.get(prefilled.url)
        shown, said = form.context["form"], parse_qs(urlsplit(prefilled.url).query)
        assert {field: shown.text(field) for field in said} == {
            "team": "chat",
            "account_id": endpoint.account_id,
            "distribution_id": endpoint.spec.distribution_id,
            "target_arn": endpoint.spec.target_arn,
            "name": "team-chat-ws-room",
            "path_patterns": "/ws/room",
            "max_silence_seconds": "30",
            "justification": f"{code} ({VERDICTS[code].title}): "
            f"found by a check of team-chat at /ws/room. {fix}",
        }
        for value in (
            "team-chat-ws-room",
            'value="/ws/room"',
            endpoint.spec.target_arn,
            fix,
        ):
            assert value in form.content.decode(), value


def test_the_request_can_be_planned_as_it_opens(people: Cast, endpoint: Endpoint, lab: Lab) -> None:
    real = form_answers(lab)
    endpoint.spec_data |= {
        "target_arn": real["target_arn"],
        "distribution_id": real["distribution_id"],
    }
    endpoint.save()
    check = failing(endpoint)
    [link] = links(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/?check={check.pk}"))
    sent = signed_in(people.ana).post(
        "/requests/new/", dict(parse_qsl(urlsplit(link).query)) | {"send": "1"}
    )
    made = EndpointRequest.objects.order_by("-created_at").first()
    assert made is not None
    assert sent["Location"] == f"/requests/{made.pk}/"
    plan_again(made)
    assert made.state == State.AWAITING_APPROVAL, made.reason
    assert [
        item["title"] for item in made.plan_data["items"] if item["resource"] == "behavior"
    ] == [f"Behavior /ws/room in {real['distribution_id']}"]


@pytest.mark.parametrize(
    ("path", "code", "certainty"),
    [
        ("/ws/room", "WSE-504-SG", Certainty.HIGH),
        ("/ws/room", "WSE-403-APP", Certainty.HIGH),
        ("", "WSE-PATH", Certainty.HIGH),
        ("/ws/chat?a=1", "WSE-400-NOKEY", Certainty.HIGH),
        ("/ws/room", "WSE-PATH", Certainty.LOW),
    ],
)
def test_a_verdict_without_one_shows_none(
    people: Cast, endpoint: Endpoint, path: str, code: VerdictCode, certainty: Certainty
) -> None:
    check = failing(endpoint, path, code, certainty)
    for page in (
        f"/endpoints/{endpoint.pk}/",
        f"/help/verdicts/{code}/",
        "/help/troubleshooting/",
    ):
        assert links(signed_in(people.ana).get(f"{page}?check={check.pk}")) == [], page


def test_another_endpoints_path_is_not_offered_until_that_endpoint_is_gone(
    people: Cast, endpoint: Endpoint
) -> None:
    spec = endpoint.spec_data | {"name": "rooms", "path_patterns": ["/ws/r*"]}
    other = Endpoint.objects.create(
        account=endpoint.account,
        owner="trading",
        name="rooms",
        spec_data=spec,
        created_at=endpoint.created_at,
    )
    assert not prefilled_links(people.ana, endpoint, "/ws/room")
    other.state = Endpoint.State.ABSENT
    other.save()
    assert set(prefilled_links(people.ana, endpoint, "/ws/room")) == set(BY_REQUEST)


def test_who_may_not_ask_for_the_team_is_offered_nothing(people: Cast, endpoint: Endpoint) -> None:
    check = failing(endpoint)

    def seen_by(person: Person, page: str) -> list[str]:
        return links(signed_in(person).get(page))

    for page in (
        f"/endpoints/{endpoint.pk}/?check={check.pk}",
        f"/help/verdicts/WSE-PATH/?check={check.pk}",
    ):
        assert len(seen_by(people.ben, page)) == 1
        assert seen_by(people.olga, page) == seen_by(people.rita, page) == []
    assert (
        signed_in(people.tara).get(f"/help/verdicts/WSE-PATH/?check={check.pk}").status_code == 404
    )
    for nonsense in ("x", "6f2b0a3e-0000-4000-8000-000000000000"):
        assert (
            signed_in(people.ana).get(f"/help/troubleshooting/?check={nonsense}").status_code == 404
        )


def test_help_opens_the_request_of_the_test_it_was_opened_from_or_one_to_be_filled_in(
    people: Cast, endpoint: Endpoint
) -> None:
    check = failing(endpoint)
    client = signed_in(people.ana)
    page = client.get(f"/endpoints/{endpoint.pk}/?check={check.pk}").content.decode()
    for address in (
        f"/help/verdicts/WSE-PATH/?check={check.pk}",
        f"/help/troubleshooting/?check={check.pk}",
    ):
        assert address in page
        help_page = client.get(address)
        assert {
            parse_qs(urlsplit(link).query)["path_patterns"][0] for link in links(help_page)
        } == {"/ws/room"}
        assert "Check of team-chat" in text_of(help_page)
    [link] = links(client.get("/help/verdicts/WSE-PATH/"))
    assert set(parse_qs(urlsplit(link).query)) == {"justification"}
    assert len(links(client.get("/help/troubleshooting/"))) >= len(BY_REQUEST) - 1
    assert links(signed_in(people.olga).get("/help/troubleshooting/")) == []
    assert links(client.get("/help/verdicts/WSE-504-SG/")) == []
