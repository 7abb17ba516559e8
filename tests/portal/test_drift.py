"""Drift for people: who sees which findings, who may agree to them, and what is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.requests.actions import cancel_request
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.drift.comparison import VPC_ORIGINS, Code, distribution_source
from provisioning.models import AwsAccount, DriftFinding, DriftReport, Endpoint, Event, Run
from tests.portal.endpoint_requests import ask, deploy, planned, put
from tests.portal.page_text import text_of
from tests.portal.people import Cast, bearer, signed_in
from tests.provisioning.examples import ACCOUNT

API = "/api/v1/drift-findings"


def finding(account_id: str, endpoint: Endpoint | None, **values: Any) -> DriftFinding:
    now = timezone.now()
    usual: dict[str, Any] = {
        "code": Code.CHANGED,
        "resource": "behavior",
        "subject": "/ws/chat",
        "setting": "ViewerProtocolPolicy",
        "approved": "https-only",
        "seen": "allow-all",
        "source": distribution_source("E1A2B3C4D5E6F7"),
        "text": "Behavior /ws/chat: ViewerProtocolPolicy was approved as https-only.",
        "first_seen_at": now,
        "last_seen_at": now,
    }
    return DriftFinding.objects.create(account_id=account_id, endpoint=endpoint, **usual | values)


@pytest.fixture
def changed(people: Cast, endpoint: Endpoint) -> DriftFinding:
    """A behavior of Ana's endpoint, changed by others."""
    Run.objects.create(
        endpoint=endpoint,
        saga="create-endpoint",
        stream="request:1",
        plan_data={},
        state=Run.State.DONE,
        due_at=timezone.now(),
        created_at=timezone.now(),
    )
    return finding(ACCOUNT, endpoint)


@pytest.fixture
def orphan(people: Cast) -> DriftFinding:
    return finding(
        ACCOUNT,
        None,
        code=Code.ORPHAN,
        resource="vpc-origin",
        subject="vo_lost",
        source=VPC_ORIGINS,
        seen="edge-portal-cc, Deployed",
    )


def test_a_team_sees_its_own_findings_and_the_platform_team_all(
    people: Cast, changed: DriftFinding, orphan: DriftFinding
) -> None:
    over = finding(ACCOUNT, changed.endpoint, resolved_at=timezone.now())
    theirs = deploy(ask(people.tara, people.trading, name="theirs"), owner="trading")
    foreign = finding(theirs.account_id, theirs)

    def seen(person: Any, query: str = "") -> set[str]:
        answer = signed_in(person).get(f"{API}{query}")
        return {one["id"] for one in answer.json()["findings"]}

    mine, all_ = {str(changed.pk)}, {str(one.pk) for one in (changed, orphan, foreign)}
    assert str(over.pk) not in seen(people.olga)
    for person, shown in ((people.ana, mine), (people.rita, all_), (people.olga, all_)):
        assert seen(person) == shown
    assert seen(people.olga, "?code=orphan") == {str(orphan.pk)}
    assert seen(people.olga, f"?endpoint={changed.endpoint_id}") == mine
    assert signed_in(people.olga).get(f"{API}?endpoint=x").status_code == 400
    page = "/drift/"
    assert signed_in(people.ana).get(page).status_code == 404
    words = text_of(signed_in(people.rita).get(page))
    assert "Viewer protocol policy" in words
    assert "vo_lost" in words
    assert "Approved https-only In AWS allow-all" in words
    assert "Ignore it for some time" not in words, "an auditor only reads"


@pytest.mark.parametrize(
    ("who", "what", "status"),
    [
        ("ana", "changed", 200),
        ("olga", "changed", 200),
        ("rita", "changed", 403),
        ("tara", "changed", 404),
        ("olga", "orphan", 200),
        ("rita", "orphan", 403),
        ("ana", "orphan", 404),
    ],
)
def test_who_may_agree_to_a_difference(
    people: Cast,
    changed: DriftFinding,
    orphan: DriftFinding,
    who: str,
    what: str,
    status: int,
) -> None:
    row, headers = {"changed": changed, "orphan": orphan}[what], bearer(getattr(people, who))
    client = signed_in(people.ana)
    body = {"reason": "A test", "days": 7}

    def post(verb: str, said: dict[str, Any]) -> Any:
        url = f"{API}/{row.pk}/{verb}"
        return client.post(url, said, content_type="application/json", headers=headers)

    assert post("ignore", body).status_code == status
    assert post("stop-ignoring", {}).status_code == status
    row.refresh_from_db()
    assert row.ignored_until is None


def test_what_is_agreed_to_says_who_why_and_until_when_and_is_told(
    people: Cast, changed: DriftFinding
) -> None:
    client = signed_in(people.ana)
    url, page = f"/drift/{changed.pk}/ignore/", f"/endpoints/{changed.endpoint_id}/"
    client.post(url, {"reason": "  ", "days": "7"})
    client.post(url, {"reason": "Why not", "days": "4000"})
    changed.refresh_from_db()
    assert changed.ignored_until is None
    sent = client.post(url, {"reason": "A test of the shop", "days": "7"})
    assert sent["Location"] == f"{page}#drift"
    changed.refresh_from_db()
    assert changed.ignored_until is not None
    assert changed.ignored_until - timezone.now() > timedelta(days=6, hours=23)
    words = text_of(client.get(page))
    assert "by ana: A test of the shop" in words
    told = Event.objects.get(kind="endpoint.drift_ignored")
    assert told.stream_id == "request:1"
    assert "A test of the shop" in told.text
    client.post(f"/drift/{changed.pk}/count/")
    changed.refresh_from_db()
    assert (changed.ignored_until, changed.ignored_reason) == (None, "")


def test_a_report_is_requested_once_by_whoever_may(people: Cast, endpoint: Endpoint) -> None:
    page, url = f"/endpoints/{endpoint.pk}/drift/", f"/api/v1/endpoints/{endpoint.pk}/drift-reports"
    ana = signed_in(people.ana)
    assert ana.get(url).status_code == 404
    signed_in(people.rita).post(page)
    assert not DriftReport.objects.exists()
    assert "Comparing the account" in text_of(ana.post(page, headers={"HX-Request": "true"}))
    again = ana.post(url, headers=bearer(people.ana))
    assert (again.status_code, again.json()["finished_at"]) == (202, None)
    report = DriftReport.objects.get()
    assert report.requested_by == "ana"
    assert signed_in(people.olga).post("/drift/accounts/1%001/").status_code == 404
    olga, here = signed_in(people.olga), f"/drift/accounts/{ACCOUNT}/"
    asked = olga.post(here, headers={"HX-Request": "true"})
    assert "A comparison is under way" in text_of(asked)
    assert f'hx-get="{here}" hx-trigger="every 2s"' in asked.content.decode(), "it shows the end"
    assert ana.get(here, headers={"HX-Request": "true"}).status_code == 404
    assert DriftReport.objects.count() == 1
    DriftReport.objects.update(
        finished_at=timezone.now(),
        troubles=[
            f"{distribution_source('E0OTHER')}: No.",
            f"{distribution_source(endpoint.spec.distribution_id)}: No.",
            f"{VPC_ORIGINS}: No.",
        ],
    )
    assert len(ana.get(url).json()["troubles"]) == 2, "nothing about other distributions"
    assert "as far as it showed it" in text_of(ana.get(f"/endpoints/{endpoint.pk}/"))
    assert "hx-trigger" not in olga.get(here, headers={"HX-Request": "true"}).content.decode()
    assert AwsAccount.objects.count() == 2
    now = timezone.now()
    ended = {"due_at": now, "created_at": now, "finished_at": now, "state": Run.State.DONE}
    Run.objects.create(endpoint=endpoint, saga="change-endpoint", plan_data={}, **ended)
    stale = text_of(ana.get(f"/endpoints/{endpoint.pk}/"))
    assert "Not compared with AWS since the endpoint last changed." in stale
    assert "AWS matches" not in stale
    assert "Last changed just now" in stale
    assert "An endpoint has changed since" in text_of(olga.get("/drift/"))


def built_and_changed(people: Cast, **values: Any) -> DriftFinding:
    """A difference of an endpoint of Ana's that a run has built."""
    request = planned(ask(people.ana, people.chat))
    made = deploy(request)
    now = timezone.now()
    run = Run.objects.create(
        endpoint=made,
        saga="create-endpoint",
        stream=request.stream,
        plan_data=request.plan_data,
        state=Run.State.DONE,
        due_at=now,
        created_at=now,
        finished_at=now,
    )
    put(request, State.LIVE, run=run)
    return finding(ACCOUNT, made, **values)


def test_a_team_requests_to_accept_what_a_setting_can_say(people: Cast) -> None:
    row = built_and_changed(people, seen="redirect-to-https")
    guard = finding(ACCOUNT, row.endpoint, subject="/ws/other")
    page = f"/endpoints/{row.endpoint_id}/"
    url, body = f"/api/v1{page}accept-drift", {"findings": str(row.pk), "external_id": "INC1"}
    body["external_system"] = "servicenow"

    def post(who: Any, **more: Any) -> Any:
        said = {name: value for name, value in (body | more).items() if value}
        return signed_in(people.ana).post(
            url, said, content_type="application/json", headers=bearer(who)
        )

    words = text_of(signed_in(people.ana).get(page))
    assert "Request to accept what AWS has" in words
    assert "Cannot be accepted. /ws/other: Clients could connect without TLS." in words
    assert "Request to accept" not in text_of(signed_in(people.olga).get("/drift/"))
    assert [post(who).status_code for who in (people.tara, people.rita, people.olga)] == [
        404,
        403,
        403,
    ]
    refused = post(people.ana, findings=None)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_acceptable_drift")
    unknown = post(people.ana, findings=str(row.endpoint_id))
    assert unknown.json()["errors"][0]["code"] == "unknown_finding"
    signed_in(people.ana).post(f"{page}drift/accept/", {"finding": [str(guard.pk), "x"]})
    assert not EndpointRequest.objects.filter(action="accept").exists()
    asked = post(people.ana)
    assert asked.status_code == 201, asked.json()
    said = asked.json()
    assert (said["action"], said["state"]) == ("accept", "planning")
    assert said["spec"]["viewer_protocol_policy"] == "redirect-to-https"
    again = post(people.ana)
    assert (again.status_code, again.json()["id"]) == (200, said["id"])
    other = post(people.ana, external_id="INC2")
    assert other.json()["code"] == "request_under_way"
    request = EndpointRequest.objects.get(pk=said["id"])
    assert request.heading.startswith("Accept drift of")
    edited = signed_in(people.ana).get(f"/requests/{request.pk}/edit/", follow=True)
    assert "It accepts what AWS has." in text_of(edited)
    cancel_request(people.ana, request, now=timezone.now())
    DriftFinding.objects.update(resolved_at=timezone.now())
    over = signed_in(people.ana).post(f"{page}drift/accept/", {"finding": str(row.pk)}, follow=True)
    assert "There is no such difference any more" in text_of(over)
