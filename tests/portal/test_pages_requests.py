"""The page of one request through its life: plan, console, cancel, downloads, and what refreshes
itself.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from portal.people.models import Person
from portal.requests.actions import approve_request
from portal.requests.lifecycle import NEXT_STEPS, State
from portal.requests.models import EndpointRequest
from provisioning import events
from provisioning.models import AwsAccount, Run, Watch
from tests.lab.account import Lab
from tests.portal.endpoint_requests import ask, happen, plan_again, planned_in_lab, put
from tests.portal.page_text import streamed, text_of
from tests.portal.people import Cast, signed_in


def test_while_the_plan_is_made_the_page_looks_again_by_itself(people: Cast) -> None:
    request = ask(people.ana, people.chat)
    page = signed_in(people.ana).get(f"/requests/{request.pk}/")
    assert NEXT_STEPS[State.PLANNING] in text_of(page)
    assert f'hx-get="/requests/{request.pk}/standing/?was=' in page.content.decode()
    assert "Reload to see progress" in text_of(page)


def test_when_the_state_changes_everything_that_depends_on_it_comes_along(
    people: Cast, lab: Lab
) -> None:
    request = ask(people.ana, people.chat)
    client = signed_in(people.ana)
    was = re.search(
        r"standing/\?was=([\w-]+)", client.get(f"/requests/{request.pk}/").content.decode()
    )
    assert was
    unchanged = client.get(f"/requests/{request.pk}/standing/", {"was": was[1]}).content.decode()
    assert "hx-swap-oob" not in unchanged
    put(request, State.REJECTED, reason="Use the other distribution.")
    changed = client.get(f"/requests/{request.pk}/standing/", {"was": was[1]}).content.decode()
    assert 'hx-swap-oob="innerHTML:#announce"' in changed
    for part in ("about", "actions", "review", "past-plan"):
        assert f'id="{part}" ' in changed
    assert "Use the other distribution." in changed
    assert 'hx-trigger="every' not in changed


def test_the_plan_shows_each_resource_before_and_after(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people, target="int-orders")
    words = text_of(signed_in(people.ana).get(f"/requests/{request.pk}/"))
    assert "Create VPC origin edge-portal-" in words
    assert "Create Security group: TCP 80 from CloudFront" in words
    assert "Create Behavior /ws/chat" in words
    assert "Matching behavior /ws/chat (currently *)" in words
    assert "every header, cookie and query string (AllViewer)" in words
    assert "Olga" in words or "olga" in words
    assert "No extra charge for the VPC origin" in words
    assert request.plan_digest[:8] in words
    assert "In the plan" in words


def test_a_blocked_request_says_what_to_put_right_and_offers_both_ways_on(
    people: Cast, lab: Lab
) -> None:
    request = planned_in_lab(lab, people, target="pub-web")
    page = signed_in(people.ana).get(f"/requests/{request.pk}/")
    words = text_of(page)
    assert request.state == State.BLOCKED
    assert "Not ready to build" in words
    assert "Blocking" in words
    assert "How to fix:" in words
    assert "Change the request" in words
    assert "Replan" in words
    again = signed_in(people.ana).post(f"/requests/{request.pk}/replan/", follow=True)
    assert "Replanning." in text_of(again)
    request.refresh_from_db()
    assert request.state == State.PLANNING


def test_the_team_takes_up_what_the_preflight_proposes(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people, path_patterns="/ws/*")
    digest = request.plan_digest
    assert "Add /ws to the paths and replan" in text_of(
        signed_in(people.ana).get(f"/requests/{request.pk}/")
    )
    assert "Add /ws to the paths" not in text_of(
        signed_in(people.olga).get(f"/requests/{request.pk}/")
    )
    said = {"code": "PF-PATH-BARE", "amendment_label": "Add /ws to the paths"}
    refused = signed_in(people.olga).post(f"/requests/{request.pk}/amend/", said, follow=True)
    assert "Only members of the requesting team" in text_of(refused)
    assert "Request changed. Replanning." in text_of(
        signed_in(people.ana).post(f"/requests/{request.pk}/amend/", said, follow=True)
    )
    plan_again(request)
    assert request.spec.path_patterns == ("/ws/*", "/ws")
    assert request.state == State.AWAITING_APPROVAL
    assert request.plan_digest != digest
    assert any(item["title"].startswith("Behavior /ws in") for item in request.plan_data["items"])
    again = signed_in(people.ana).post(f"/requests/{request.pk}/amend/", said, follow=True)
    assert "suggests no such change" in text_of(again)


def test_the_team_cancels_and_others_cannot(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    refused = signed_in(people.olga).post(f"/requests/{request.pk}/cancel/", follow=True)
    assert "Only members of the requesting team" in text_of(refused)
    request.refresh_from_db()
    assert request.state == State.AWAITING_APPROVAL
    assert "Cancel the request" not in text_of(
        signed_in(people.olga).get(f"/requests/{request.pk}/")
    )
    done = signed_in(people.ben).post(
        f"/requests/{request.pk}/cancel/", {"reason": "Not needed"}, follow=True
    )
    words = text_of(done)
    assert "Cancelled." in words
    assert "Not needed" in words
    assert "Change the request" not in words
    assert "team-chat Cancelled" in text_of(signed_in(people.ben).get("/requests/"))


def test_while_it_is_built_the_rail_shows_every_step(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    approve_request(people.olga, request, plan_digest=request.plan_digest, now=timezone.now())
    words = text_of(signed_in(people.ana).get(f"/requests/{request.pk}/"))
    assert "Building" in words
    assert "You can close this page." in words
    assert "Check that the approved plan still applies · in progress" in words
    assert "Add the origin and behaviors to the distribution · to do" in words
    assert "Approved by olga" in words
    assert "Cancel and roll back" in words
    run, now = (
        Run.objects.select_related("endpoint__account").get(endpoint_requests=request),
        timezone.now(),
    )
    watch = {
        "resource": Watch.Resource.VPC_ORIGIN,
        "aws_id": "vo_1",
        "written_at": now,
        "seen_at": now,
    }
    run.watch = Watch.objects.create(account=run.endpoint.account, **watch)
    run.save()
    for asked_at, tells in ((now - timedelta(days=1), False), (now, True)):
        AwsAccount.objects.update(
            last_sweep_error="ListVpcOrigins: no (AccessDenied).", next_sweep_at=asked_at
        )
        words = text_of(signed_in(people.ana).get(f"/requests/{request.pk}/"))
        assert ("It will keep retrying. ListVpcOrigins: no (AccessDenied)." in words) == tells
    undoing = signed_in(people.ana).post(f"/requests/{request.pk}/cancel/", follow=True)
    assert "Rolling back." in text_of(undoing)
    Run.objects.filter(endpoint_requests=request).update(state=Run.State.UNDOING)
    words = text_of(signed_in(people.ana).get(f"/requests/{request.pk}/"))
    assert "Rolling back" in words
    assert "Cancel and roll back" not in words


def test_the_console_is_on_the_page_without_script(people: Cast) -> None:
    request = ask(people.ana, people.chat)
    happen(request, "AWS says <Deploying>.", times=3)
    page = signed_in(people.ana).get(f"/requests/{request.pk}/").content.decode()
    assert f'data-stream-url="/ws/requests/{request.pk}/"' in page
    assert f'data-events-url="/api/v1/requests/{request.pk}/events"' in page
    assert page.count('class="event ') == 4
    assert "AWS says &lt;Deploying&gt;." in page
    assert "Reload for new events" in page


def test_a_long_log_is_cut_on_the_page_and_whole_in_the_downloads(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.pages.requests.EVENTS_SHOWN", 3)
    request = ask(people.ana, people.chat)
    happen(request, "one of many", times=5)
    client = signed_in(people.ana)
    page = client.get(f"/requests/{request.pk}/")
    assert page.content.decode().count('class="event ') == 3
    assert 'href="?before=4#console"' in page.content.decode()
    records = streamed(client.get(f"/requests/{request.pk}/events.jsonl")).splitlines()
    assert [json.loads(line)["seq"] for line in records] == [1, 2, 3, 4, 5, 6]
    text = client.get(f"/requests/{request.pk}/events.txt")
    assert text["Content-Disposition"].startswith('attachment; filename="team-chat-')
    assert len(streamed(text).splitlines()) == 6
    assert client.get(f"/requests/{request.pk}/events.exe").status_code == 404


def test_a_page_never_shows_a_state_older_than_its_events(people: Cast) -> None:
    request = put(ask(people.ana, people.chat), State.VERIFYING)
    client = signed_in(people.ana)

    def and_meanwhile(execute: Any, sql: str, *given: Any) -> Any:
        if 'FROM "provisioning_event"' in sql:
            EndpointRequest.objects.filter(pk=request.pk).update(state=State.LIVE)
        return execute(sql, *given)

    with connection.execute_wrapper(and_meanwhile):
        words = text_of(client.get(f"/requests/{request.pk}/"))
    assert "Clients can connect." in words


def test_a_platform_admin_finds_the_button_that_tries_a_failed_undo_again(
    people: Cast, lab: Lab
) -> None:
    request = planned_in_lab(lab, people)
    approve_request(people.olga, request, plan_digest=request.plan_digest, now=timezone.now())
    Run.objects.filter(endpoint_requests=request).update(
        state=Run.State.STUCK, failure={"step": "vpc-origin", "direction": "backward"}
    )
    put(request, State.STUCK, reason="DeleteVpcOrigin: no.")
    page, button = f"/requests/{request.pk}/", "Retry from the step that failed"
    assert button not in text_of(signed_in(people.olga).get(page))
    assert "Only a platform admin" in text_of(
        signed_in(people.olga).post(f"{page}retry-stuck/", follow=True)
    )
    people.olga.role = Person.Role.PLATFORM_ADMIN
    people.olga.save()
    assert button in text_of(signed_in(people.olga).get(page))
    words = text_of(
        signed_in(people.olga).post(f"{page}retry-stuck/", {"reason": "It may again."}, follow=True)
    )
    assert "Retrying. This page shows the progress." in words
    assert "Rolling back" in words
    assert button not in words


def test_a_platform_admin_closes_what_can_never_be_undone_and_reads_what_is_left(
    people: Cast, lab: Lab
) -> None:
    request = planned_in_lab(lab, people)
    approve_request(people.olga, request, plan_digest=request.plan_digest, now=timezone.now())
    request.refresh_from_db()
    run = request.run
    assert run is not None
    now = timezone.now()
    run.entries.create(
        seq=1, step="behaviors", kind="acted", direction="forward", at=now, since=now
    )
    Run.objects.filter(pk=run.pk).update(
        state=Run.State.STUCK, failure={"step": "behaviors", "direction": "backward"}
    )
    put(request, State.STUCK, reason="UpdateDistribution: no.")
    page, button = f"/requests/{request.pk}/", "Give up"
    left = f"behaviors for /ws/chat in distribution {request.spec.distribution_id}"
    assert button not in text_of(signed_in(people.olga).get(page))
    refused = signed_in(people.olga).post(f"{page}close/", {"reason": "Lost."}, follow=True)
    assert "Only a platform admin" in text_of(refused)
    people.olga.role = Person.Role.PLATFORM_ADMIN
    people.olga.save()
    client = signed_in(people.olga)
    offered = text_of(client.get(page))
    assert button in offered
    assert left in offered
    assert "Say why it can never succeed" in text_of(client.post(f"{page}close/", follow=True))
    words = text_of(client.post(f"{page}close/", {"reason": "The account is lost."}, follow=True))
    assert "Closed, with resources left in AWS" in words
    assert "Reason: The account is lost." in words
    assert words.count(left) == 1, "in the events"
    assert button not in words


def test_a_failure_says_what_to_do_and_the_team_asks_again_with_the_same_answers(
    people: Cast, lab: Lab
) -> None:
    request = planned_in_lab(
        lab, people, name="orders-feed", path_patterns="/ws/orders, /ws/orders/*"
    )
    page, again = f"/requests/{request.pk}/", "Request again with these answers"
    approve_request(people.olga, request, plan_digest=request.plan_digest, now=timezone.now())
    assert again not in text_of(signed_in(people.ana).get(page)), "it is under way"
    Run.objects.filter(endpoint_requests=request).update(
        failure={"reason": "No.", "fix": "Ask the account's owner."}
    )
    put(request, State.FAILED, reason="AuthorizeSecurityGroupIngress: No.")
    journal = (
        ("approved-plan", "ready", "forward"),
        ("vpc-origin", "refused", "forward"),
        ("vpc-origin", "ready", "backward"),
        ("approved-plan", "ready", "backward"),
    )
    run, now = Run.objects.get(endpoint_requests=request), timezone.now()
    for seq, (step, kind, way) in enumerate(journal, start=1):
        run.entries.create(seq=seq, step=step, kind=kind, direction=way, at=now, since=now)
    response = signed_in(people.ana).get(page)
    assert "Create the VPC origin · failed here, rolled back" in text_of(response)
    assert text_of(response).count("failed here") == 1
    assert (
        "Reason: AuthorizeSecurityGroupIngress: No. How to fix: Ask the account's owner."
        in text_of(response)
    )
    link = re.search(r'href="(/requests/new/[^"]*)">' + again, response.content.decode())
    assert link is not None
    form = signed_in(people.ana).get(link[1].replace("&amp;", "&")).content.decode()
    for answer in (
        "orders-feed",
        "/ws/orders, /ws/orders/*",
        request.justification,
        request.spec.distribution_id,
    ):
        assert answer in form
    (box,) = re.findall(r'<input type="checkbox" name="carries_http_api"[^>]*>', form)
    assert " checked" not in box
    assert again not in text_of(signed_in(people.olga).get(page)), "an approver asks for nothing"


def test_every_state_has_a_page(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    client = signed_in(people.ana)
    for state in State:
        put(request, state, reason="A reason." if state in (State.FAILED, State.STUCK) else "")
        for path in ("", "standing/?was=x"):
            assert client.get(f"/requests/{request.pk}/{path}").status_code == 200


def test_a_newer_plan_shows_what_changed(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    EndpointRequest.objects.filter(pk=request.pk).update(
        state=State.PLANNING, due_at=timezone.now(), answers=request.answers | {"read_timeout": 60}
    )
    with transaction.atomic():
        events.append(request.stream, "request.replanned", "again", at=timezone.now())
    plan_again(request)
    assert "Changes since the previous plan" in text_of(
        signed_in(people.ana).get(f"/requests/{request.pk}/")
    )
