"""A quarantined request: who sees it, who resumes it, and what it takes."""

from __future__ import annotations

import pytest
from django.utils import timezone

from portal.people.models import Person
from portal.requests.actions import approve_request, cancel_request
from portal.requests.lifecycle import Denied, State
from portal.requests.models import EndpointRequest
from provisioning.models import Event, Run
from tests.portal.endpoint_requests import ask, planned, put
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def aside(people: Cast) -> EndpointRequest:
    """Ana's, whose run lost its workers while it created the VPC origin."""
    request = planned(ask(people.ana, people.chat))
    approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
    Run.objects.update(
        state=Run.State.QUARANTINED,
        lost_leases=5,
        failure={"step": "vpc-origin", "direction": "forward", "fix": "Look in the logs."},
    )
    return put(request, State.QUARANTINED, reason="5 workers in a row stopped.")


def test_a_platform_admin_resumes_it_with_a_reason_and_nobody_else(
    people: Cast, aside: EndpointRequest
) -> None:
    address = f"/api/v1/requests/{aside.pk}"

    def links(person: Person) -> list[str]:
        return list(signed_in(person).get(address).json()["links"])[3:]

    assert links(people.max) == ["resume", "close"]
    assert links(people.ana) == links(people.olga) == links(people.rita) == []
    assert isinstance(cancel_request(people.ana, aside, now=NOW), Denied)

    def resume(person: Person, body: dict[str, str]) -> tuple[int, str]:
        answer = signed_in(person).post(f"{address}/resume", body, content_type="application/json")
        return answer.status_code, answer.json().get("code") or answer.json()["state"]

    assert resume(people.ana, {"reason": "Please"}) == (403, "not_platform_admin")
    assert resume(people.olga, {"reason": "Please"}) == (403, "not_platform_admin")
    assert resume(people.max, {}) == (422, "reason_required")
    assert resume(people.max, {"reason": " "}) == (422, "reason_required")
    assert resume(people.max, {"reason": "More memory"}) == (200, "provisioning")
    assert resume(people.max, {"reason": "More memory"}) == (409, "wrong_state")
    run = Run.objects.get()
    assert (run.state, run.lost_leases, run.failure) == (Run.State.RUNNING, 0, {})
    told = Event.objects.filter(stream_id=aside.stream).latest("seq")
    assert told.kind == "request.resumed"
    assert told.text.endswith(" resumed the run: More memory")


def test_it_stands_where_stuck_ones_stand_and_its_page_has_the_button(
    people: Cast, aside: EndpointRequest
) -> None:
    page = f"/requests/{aside.pk}/"
    for address in ("/", "/approvals/"):
        for person in (people.max, people.rita):
            shown = text_of(signed_in(person).get(address))
            assert "Stuck: 1 request needs a platform admin" in shown
            assert "Quarantined" in shown
            assert "5 workers in a row stopped." in shown
        assert "needs a platform admin" not in text_of(signed_in(people.ana).get(address))
    button = "What stopped the workers, or what did you change?"
    assert button not in text_of(signed_in(people.ana).get(page))
    max_ = signed_in(people.max)
    words = text_of(max_.get(page))
    for told in (button, "Look in the logs.", "Give up"):
        assert told in words
    done = text_of(max_.post(f"{page}resume/", {"reason": "More memory"}, follow=True))
    assert "Resumed. This page shows the progress." in done
    assert button not in done
