"""What besides CloudFront may reach a target: accepted with a plan or after an audit, by whom,
until when. Each refusal beside its permission.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from checks.models import PrivacyAudit, PrivacyException
from checks.privacy import actions as audits
from portal.endpoints import privacy_audits
from portal.people.models import Membership
from portal.requests import actions
from portal.requests.lifecycle import Allowed, Denied, State
from portal.requests.models import EndpointRequest
from provisioning.facts.snapshot import Snapshot
from provisioning.models import AwsAccount, Endpoint, Event
from provisioning.plan.planner import make_plan
from tests.portal.endpoint_requests import ask, deploy, planned, put
from tests.portal.page_text import text_of
from tests.portal.people import NOW, Cast, bearer, signed_in
from tests.provisioning.examples import OWNER, RIGHTS, TARGET_FACTS, rule, snapshot

pytestmark = pytest.mark.django_db
OFFICE = "sg-1 allows tcp 80 from 10.10.0.0/16"
OPEN = snapshot(target={"ingress": (*TARGET_FACTS.ingress, rule("cidr", "10.10.0.0/16"))})


def exposed(people: Cast) -> EndpointRequest:
    """A plan for a target that an office network reaches too."""
    request = planned(ask(people.ana, people.chat))
    plan = make_plan(
        request.spec, OPEN, endpoint_key=request.pk.hex[:12], owner=OWNER, rights=RIGHTS
    )
    assert plan.digest != request.plan_digest, "an exposure is part of what is approved"
    return put(request, State(request.state), plan_data=plan.to_dict(), plan_digest=plan.digest)


def approve(people: Cast, request: EndpointRequest, **given: str) -> Allowed | Denied:
    return actions.approve_request(
        people.olga, request, plan_digest=request.plan_digest, now=NOW, **given
    )


def audited(endpoint: Endpoint, facts: Snapshot, monkeypatch: pytest.MonkeyPatch) -> str:
    """The exposure's answer in an audit that is made now of what AWS says."""
    monkeypatch.setattr(AwsAccount, "snapshot_for", lambda *_, **__: facts)
    asked = privacy_audits.audit_again(endpoint, by="rita", now=timezone.now())
    audits.make_audit(str(asked.pk), clock=timezone.now)
    asked.refresh_from_db()
    questions = {one["code"]: one["outcome"] for one in asked.document["questions"]}
    return str(questions["PF-ONLY-CLOUDFRONT"])


def test_an_approval_accepts_what_the_plan_leaves_open_and_takes_a_reason(
    people: Cast, settings: Any
) -> None:
    request = exposed(people)
    denied = approve(people, request)
    assert isinstance(denied, Denied)
    assert (denied.code, OFFICE in denied.reason) == ("reason_required", True)
    for day in ("2026-11-20", "2027-02-20", "tomorrow", "2026-13-01"):
        denied = approve(people, request, reason="Monitoring", accept_until=day)
        assert isinstance(denied, Denied)
        assert denied.code == "bad_date"
    assert not PrivacyException.objects.exists()
    assert isinstance(
        approve(people, request, reason="Monitoring", accept_until="2027-02-19"), Allowed
    )
    accepted = PrivacyException.objects.get()
    assert (accepted.exposure, accepted.accepted_by, accepted.reason) == (
        OFFICE,
        "olga",
        "Monitoring",
    )
    assert (accepted.plan_digest, f"{accepted.until:%Y-%m-%d %H:%M}") == (
        request.plan_digest,
        "2027-02-20 00:00",
    )
    told = Event.objects.get(kind="endpoint.exposures_accepted")
    assert told.text == f"olga accepted through 2027-02-19: {OFFICE}."


def test_a_plan_that_leaves_nothing_open_takes_no_reason(people: Cast) -> None:
    assert isinstance(approve(people, planned(ask(people.ana, people.chat))), Allowed)
    assert not PrivacyException.objects.exists()


def test_the_audit_shows_what_was_accepted_until_it_expires(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = exposed(people)
    EndpointRequest.objects.filter(pk=request.pk).update(created_at=NOW)
    approve(people, request, reason="Monitoring")
    request.refresh_from_db()
    endpoint = request.endpoint
    assert endpoint is not None
    now = timezone.now()
    Endpoint.objects.update(state="deployed", deployed_at=now - timedelta(days=1))
    rows = PrivacyException.objects
    rows.update(until=now + timedelta(hours=1))
    assert audited(endpoint, OPEN, monkeypatch) == "accepted"
    both = snapshot(target={"ingress": (*OPEN.target.ingress, rule("group", "sg-web"))})  # type: ignore[union-attr]
    assert audited(endpoint, both, monkeypatch) == "fail"
    assert privacy_audits.request_due_audits(now) == 0
    assert privacy_audits.request_due_audits(now + timedelta(hours=2)) == 1, "at once, not daily"
    assert privacy_audits.request_due_audits(now + timedelta(hours=2)) == 0
    PrivacyAudit.objects.filter(finished_at__isnull=True).delete()
    rows.update(until=now - timedelta(hours=1))
    assert audited(endpoint, OPEN, monkeypatch) == "fail"


@pytest.fixture
def endpoint(people: Cast, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """Live, and audited after an office network was let in."""
    made = deploy(ask(people.ana, people.chat))
    assert audited(made, OPEN, monkeypatch) == "fail"
    return made


def call(
    person: Any, method: str, url: str, body: Any = None, scopes: tuple[str, ...] | None = None
) -> Any:
    token = bearer(person, scopes) if scopes else bearer(person)
    return getattr(Client(), method)(
        url, json.dumps(body or {}), content_type="application/json", headers=token
    )


def test_approvers_of_other_teams_accept_and_withdraw_over_the_api(
    people: Cast, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/api/v1/endpoints/{endpoint.pk}/privacy-exceptions"
    body = {"exposures": [OFFICE], "reason": "Monitoring"}
    listed = Client().get(url, headers=bearer(people.ana)).json()
    assert listed == {"privacy_exceptions": [], "not_accepted": [OFFICE]}

    def refused(person: Any, changes: Any = None, **token: Any) -> tuple[int, str]:
        answer = call(person, "post", url, body | (changes or {}), **token)
        return answer.status_code, answer.json()["code"]

    assert refused(people.tara) == (404, "not_found")
    assert refused(people.ana) == (403, "not_approver")
    assert refused(people.rita) == (403, "not_approver")
    assert refused(people.olga, scopes=("requests:write",)) == (403, "missing_scope")
    assert refused(people.olga, {"exposures": ["sg-2"]}) == (404, "not_found")
    assert refused(people.olga, {"exposures": []}) == (422, "invalid_fields")
    assert refused(people.olga, {"exposures": OFFICE}) == (422, "invalid_fields")
    assert refused(people.olga, {"reason": " "}) == (422, "invalid_fields")
    assert refused(people.olga, {"until": "2020-01-01"}) == (422, "bad_date")
    Membership.objects.create(person=people.olga, team=people.chat)
    assert refused(people.olga) == (403, "own_team")
    assert not PrivacyException.objects.exists()

    made = call(people.max, "post", url, body).json()["privacy_exceptions"][0]
    assert (made["exposure"], made["accepted_by"], made["plan_digest"]) == (OFFICE, "max", "")
    assert PrivacyAudit.objects.filter(finished_at__isnull=True).exists(), "it is audited again"
    assert audited(endpoint, OPEN, monkeypatch) == "accepted"
    one = made["url"].removeprefix("http://testserver").partition("/api/")[2]
    assert call(people.ana, "delete", f"/api/{one}").status_code == 403
    assert call(people.tara, "delete", f"/api/{one}").status_code == 404
    assert call(people.max, "delete", f"/api/{one}").status_code == 204
    assert call(people.max, "delete", f"/api/{one}").json()["code"] == "wrong_state"
    assert audited(endpoint, OPEN, monkeypatch) == "fail"
    (ended,) = Client().get(url, headers=bearer(people.ana)).json()["privacy_exceptions"]
    assert ended["withdrawn_by"] == "max"


def test_accepting_again_keeps_the_first_on_record(people: Cast, endpoint: Endpoint) -> None:
    for reason in ("Monitoring", "Monitoring, until the move"):
        PrivacyAudit.objects.filter(finished_at__isnull=True).delete()
        answer = call(
            people.max,
            "post",
            f"/api/v1/endpoints/{endpoint.pk}/privacy-exceptions",
            {"exposures": [OFFICE], "reason": reason},
        )
        assert answer.status_code == 200
    rows = PrivacyException.objects.filter(endpoint=endpoint)
    assert rows.count() == 2
    assert [one.reason for one in rows.in_force(timezone.now())] == ["Monitoring, until the move"]


def test_the_pages_show_it_to_the_team_and_offer_it_to_approvers(
    people: Cast, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"/endpoints/{endpoint.pk}/privacy/"
    form = {"exposures": [OFFICE], "reason": "Monitoring password=hunter2-hunter2"}
    assert "Accept the selected" not in text_of(signed_in(people.ana).get(page))
    told = signed_in(people.ana).post(f"{page}exceptions/", form, follow=True)
    assert "Only an approver can accept" in text_of(told)
    olga = signed_in(people.olga)
    assert "Accept the selected" in text_of(olga.get(page))
    assert "Accepted. The endpoint is audited again." in text_of(
        olga.post(f"{page}exceptions/", form, follow=True)
    )
    assert audited(endpoint, OPEN, monkeypatch) == "accepted"
    words = text_of(signed_in(people.ana).get(page))
    assert f"{OFFICE} Monitoring" in words
    assert "Accepted by olga" in words
    assert "hunter2" not in words
    assert "Withdraw" not in words
    latest = PrivacyAudit.objects.finished().first()
    assert latest is not None
    assert f"Accepted: {OFFICE}, by olga" in text_of(olga.get(f"{page}{latest.pk}/"))
    withdraw = f"{page}exceptions/{PrivacyException.objects.get().pk}/withdraw/"
    signed_in(people.ana).post(withdraw)
    assert PrivacyException.objects.in_force(timezone.now()).exists()
    assert "Withdrawn" in text_of(olga.post(withdraw, follow=True))
    assert not PrivacyException.objects.in_force(timezone.now()).exists()


def test_the_decision_page_lists_what_an_approval_accepts(people: Cast) -> None:
    request = exposed(people)
    olga = signed_in(people.olga)
    words = text_of(olga.get(f"/approvals/{request.pk}/"))
    assert f"you accept these ways past CloudFront: {OFFICE}" in words
    decide = {"decision": "approve", "digest": request.plan_digest}
    without = olga.post(f"/requests/{request.pk}/decide/", decide)
    assert (without.status_code, OFFICE in text_of(without)) == (422, True)
    decide |= {"reason": "Monitoring", "accept_until": timezone.now().date().isoformat()}
    assert olga.post(f"/requests/{request.pk}/decide/", decide).status_code == 302
    assert PrivacyException.objects.get().until - timezone.now() < timedelta(days=1)


def test_the_decision_page_says_nothing_where_nothing_is_left_open(people: Cast) -> None:
    request = planned(ask(people.ben, people.chat))
    assert "ways past CloudFront" not in text_of(
        signed_in(people.olga).get(f"/approvals/{request.pk}/")
    )
