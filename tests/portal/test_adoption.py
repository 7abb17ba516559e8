"""Endpoints that were made by hand come under the portal's management: over the pages, over the
API, and what is refused.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from portal.requests import follower
from portal.requests.actions import approve_request
from portal.requests.endpoint_changes import submit_change, submit_removal
from portal.requests.lifecycle import Allowed, Denied, State
from portal.requests.models import EndpointRequest
from provisioning import events
from provisioning.models import Endpoint, PathAssignment, VpcOrigin
from tests.lab.account import Lab
from tests.portal.endpoint_requests import plan_again
from tests.portal.page_text import text_of
from tests.portal.people import Cast, bearer, signed_in
from tests.provisioning.machine import Machine, Site
from tests.provisioning.test_adoption import by_hand, rest

API = "/api/v1/adoptions"


@pytest.fixture
def site(people: Cast, lab: Lab, empty_cache: None) -> Site:
    """An account of Chat's, with a distribution in which somebody made /live and /live/* by
    hand.
    """
    made = Machine(lab, now=timezone.now()).site(open_to_cloudfront=True)
    by_hand(made)
    people.chat.accounts.add(made.row)
    return made


def carried_out(site: Site, people: Cast, request: EndpointRequest) -> EndpointRequest:
    """Plan, approve and carry out a request, until its check has answered."""
    plan_again(request)
    assert request.state == State.AWAITING_APPROVAL, request.reason
    done = approve_request(
        people.olga, request, plan_digest=request.plan_digest, reason="Agreed.", now=timezone.now()
    )
    assert isinstance(done, Allowed), done
    request.refresh_from_db()
    assert request.run is not None
    site.machine.now = max(site.machine.now, timezone.now())
    site.machine.finish(request.run)
    follower.follow(str(request.pk), now=timezone.now())
    with transaction.atomic():
        events.append(
            request.stream, "check.finished", "It opened.", at=timezone.now(), data={"ok": True}
        )
    follower.follow(str(request.pk), now=timezone.now())
    request.refresh_from_db()
    return request


def test_from_made_by_hand_to_live_changed_and_removed(people: Cast, site: Site) -> None:
    ana = signed_in(people.ana)
    as_made, others = site.config(), rest(site)
    assert "Adopt an existing endpoint" in text_of(ana.get("/"))
    where = f"/adopt/?team=chat&account_id={site.row.pk}"
    assert site.distribution_id in text_of(ana.get(where))
    where += f"&distribution_id={site.distribution_id}"
    words = text_of(ana.get(where))
    assert "/live, /live/*" in words
    assert "It leads to web.example.com, not to a VPC origin." in words
    page = f"{where}&origin=chat-app"
    words = text_of(ana.get(page))
    assert "/live admits viewers without TLS (allow-all)." in words
    assert "Viewer protocol policy redirect-to-https" in words
    wrong = ana.post(page, {"name": "Live!", "max_silence_seconds": "30"})
    assert wrong.status_code == 422
    sent = ana.post(
        page,
        {"name": "live", "max_silence_seconds": "45", "justification": "It was made by hand."},
    )
    request = EndpointRequest.objects.get(action="adopt")
    assert sent["Location"] == request.get_absolute_url()
    plan_again(request)
    assert request.state == State.AWAITING_APPROVAL, request.reason
    words = text_of(ana.get(request.get_absolute_url()))
    assert "Adopt live" in words
    assert "unchanged" in words
    assert "AWS is not changed" in text_of(signed_in(people.olga).get(f"/approvals/{request.pk}/"))
    request = carried_out(site, people, request)
    assert request.state == State.LIVE
    assert site.config() == as_made, "nothing was written"
    endpoint = Endpoint.objects.get(name="live")
    assert endpoint.spec.max_silence_seconds == 45
    words = text_of(ana.get(f"/endpoints/{endpoint.pk}/"))
    assert "Adopted settings" in words
    assert "allow-all the portal: redirect-to-https" in words
    again = ana.get(page, follow=True)
    assert "it is endpoint live" in text_of(again)
    changed = submit_change(people.ana, endpoint, {}, now=timezone.now())
    assert isinstance(changed, EndpointRequest)
    assert carried_out(site, people, changed).state == State.LIVE
    assert rest(site) == others
    assert "Adopted settings" not in text_of(ana.get(f"/endpoints/{endpoint.pk}/"))
    assert "unless something else in AWS uses it" in text_of(
        ana.get(f"/endpoints/{endpoint.pk}/remove/")
    )
    removal = submit_removal(people.ana, endpoint, grace_days=0, now=timezone.now())
    assert isinstance(removal, EndpointRequest)
    assert carried_out(site, people, removal).state == State.REMOVED
    assert rest(site) == others
    assert site.origins() == ["web"]
    assert site.vpc_origins() == []


def test_the_api_lists_and_adopts_and_refuses_in_words(people: Cast, site: Site) -> None:
    ana = signed_in(people.ana)
    listing = f"/api/v1/distributions/{site.distribution_id}/adoptable?account_id={site.row.pk}"
    listed = ana.get(listing).json()["adoptable"]
    assert [(one["origin_id"], one["adoptable"]) for one in listed] == [
        ("web", False),
        ("chat-app", True),
    ]
    assert signed_in(people.tara).get(listing).status_code == 404
    body: dict[str, Any] = {
        "team": "chat",
        "account_id": site.row.pk,
        "distribution_id": site.distribution_id,
        "ws_path": "/live/*",
        "name": "live",
        "max_silence_seconds": "45",
    }

    def post(who: Any = people.ana, key: str = "", **changes: Any) -> Any:
        headers = bearer(who) | ({"Idempotency-Key": key} if key else {})
        said = {name: value for name, value in (body | changes).items() if value}
        return ana.post(API, said, content_type="application/json", headers=headers)

    def code(answer: Any) -> str:
        said = answer.json()
        return str(said["errors"][0]["code"] if said.get("errors") else said["code"])

    assert code(post(people.tara)) == "unknown_team"
    assert code(post(people.tara, team="trading")) == "not_your_account"
    assert code(post(distribution_id="E0000000000000")) == "unknown_distribution"
    assert code(post(ws_path="/static/*")) == "not_adoptable"
    assert code(post(ws_path="/none")) == "not_adoptable"
    assert code(post(name="")) == "required"
    assert code(post(target_arn=site.target)) == "unknown"
    taken = PathAssignment.objects.create(
        account=site.row,
        distribution_id=site.distribution_id,
        path_pattern="/live/*",
        owner="trading",
        created_at=timezone.now(),
    )
    contested = post()
    assert code(contested) == "path_contested"
    assert "assigned to team trading" in contested.json()["detail"]
    taken.delete()
    assert not EndpointRequest.objects.exists()
    first = post(key="one")
    assert first.status_code == 201, first.json()
    said = first.json()
    assert (said["action"], said["spec"]["origin_id"]) == ("adopt", "chat-app")
    assert said["spec"]["path_patterns"] == ["/live", "/live/*"]
    assert post(key="one").json()["id"] == said["id"]
    assert post(key="one", name="other").json()["code"] == "idempotency_conflict"
    second = post(key="two", name="twin")
    assert second.status_code == 201, "nobody has it yet"
    request = EndpointRequest.objects.get(pk=said["id"])
    twin = EndpointRequest.objects.get(pk=second.json()["id"])
    plan_again(twin)
    assert carried_out(site, people, request).state == State.LIVE
    late = approve_request(
        people.olga, twin, plan_digest=twin.plan_digest, reason="Agreed.", now=timezone.now()
    )
    assert isinstance(late, Denied)
    assert late.code == "already_held"
    assert code(post(name="third")) == "already_held"
    (held,) = [one for one in ana.get(listing).json()["adoptable"] if one["held_by"]]
    assert (held["origin_id"], held["held_by"]) == ("chat-app", "live")
    assert VpcOrigin.objects.get(account=site.row).users.count() == 1
