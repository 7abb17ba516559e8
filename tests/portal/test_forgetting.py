"""An endpoint whose parts are gone, or whose account is lost, does not keep its name for ever."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.utils import timezone

from portal.requests.actions import submit_request
from portal.requests.endpoint_changes import submit_change
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.models import AwsAccount, DriftFinding, Endpoint, Event, Run, VpcOrigin
from tests.lab.account import Account, Lab
from tests.portal.endpoint_requests import ANSWERS, put
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.portal.test_endpoint_changes import built

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def lose(endpoint: Endpoint, lab: Lab) -> None:
    """The role that the portal assumes there lets it in no longer."""
    name = f"lost-{uuid.uuid4().hex[:8]}"
    trusted = {"AWS": "arn:aws:iam::123456789012:user/somebody-else"}
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trusted}
    Account(lab, endpoint.account_id).iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    role = f"arn:aws:iam::{endpoint.account_id}:role/{name}"
    AwsAccount.objects.filter(pk=endpoint.account_id).update(role_arn=role)


def test_a_platform_admin_forgets_what_cannot_be_reached_and_its_name_is_free(
    people: Cast, lab: Lab
) -> None:
    endpoint, chats = built(people), EndpointRequest.objects.get()
    origin = VpcOrigin.objects.create(
        account=endpoint.account, key=endpoint.spec.vpc_origin_key, aws_id="vo_1"
    )
    origin.users.add(endpoint)
    waiting = submit_change(people.ana, endpoint, {"read_timeout": "50"}, now=NOW)
    assert isinstance(waiting, EndpointRequest)
    address = f"/api/v1/endpoints/{endpoint.pk}/forget"

    def forget(person: Any, **body: str) -> tuple[int, str]:
        answer = signed_in(person).post(address, body, content_type="application/json")
        return answer.status_code, answer.json().get("code") or answer.json()["state"]

    said = {"name": endpoint.name, "reason": "The account was closed"}
    for person in (people.ana, people.olga):
        assert forget(person, **said) == (403, "not_platform_admin")
    assert forget(people.max, **said) == (409, "account_reachable")
    lose(endpoint, lab)
    assert forget(people.max, **said | {"name": "other"}) == (422, "not_confirmed")
    assert forget(people.max, name=endpoint.name) == (422, "reason_required")
    assert forget(people.max, **said | {"reason": " "}) == (422, "reason_required")
    put(waiting, State.STUCK)
    assert forget(people.max, **said) == (409, "request_under_way")
    put(waiting, State.BLOCKED)
    Run.objects.update(state=Run.State.WAITING)
    assert forget(people.max, **said) == (409, "wrong_state")
    Run.objects.update(state=Run.State.DONE)
    assert forget(people.max, **said) == (200, "absent")
    assert forget(people.max, **said) == (409, "wrong_state")

    told = Event.objects.get(kind="endpoint.forgotten")
    assert (told.stream_id, told.level, told.data["by"]) == (chats.stream, "warning", "max")
    assert told.data["left"][0].endswith("(vo_1)")
    assert "/ws/chat" in told.data["left"][-1]
    assert endpoint.spec.distribution_id in told.data["left"][-1]
    for request, state in ((chats, State.CLOSED), (waiting, State.CANCELLED)):
        request.refresh_from_db()
        assert request.state == state
    assert origin.users.get() == endpoint, "no other run deletes what may still be in use"
    again = submit_request(people.ana, people.chat, ANSWERS, now=NOW)
    assert again.spec.name == endpoint.name


def test_the_page_says_what_may_be_left_and_wants_the_name_typed(people: Cast, lab: Lab) -> None:
    endpoint = built(people)
    failing = put(EndpointRequest.objects.get(), State.FAILING)
    page, shown = f"/endpoints/{endpoint.pk}/forget/", f"/endpoints/{endpoint.pk}/"
    max_, ana = signed_in(people.max), signed_in(people.ana)
    assert "Forget it" not in text_of(ana.get(shown))
    assert ana.get(page).status_code == 302
    assert "Forget it" in text_of(max_.get(shown))
    assert "the behaviors for /ws/chat" in text_of(max_.get(page))
    reachable = max_.post(page, {"name": endpoint.name, "reason": "Gone"})
    assert (reachable.status_code, "can still read account" in text_of(reachable)) == (409, True)
    lose(endpoint, lab)
    wrong = max_.post(page, {"name": "x", "reason": "Gone"})
    assert (wrong.status_code, "to confirm" in text_of(wrong)) == (422, True)
    assert 'value="Gone"' in wrong.content.decode(), "what was typed is kept"
    done = max_.post(page, {"name": endpoint.name, "reason": "Gone"}, follow=True)
    assert "is forgotten. Its name is free." in text_of(done)
    assert "It was removed" in text_of(done)
    failing.refresh_from_db()
    assert failing.state == State.CLOSED


@pytest.mark.parametrize(
    ("code", "resource", "offered"),
    [
        ("missing", "behavior", True),
        ("missing", "vpc-origin", True),
        ("missing", "ingress-rule", False),
        ("changed", "behavior", False),
    ],
)
def test_where_parts_are_gone_the_removal_is_offered_to_its_team(
    people: Cast, code: str, resource: str, offered: bool
) -> None:
    endpoint = built(people)
    DriftFinding.objects.create(
        account=endpoint.account,
        endpoint=endpoint,
        code=code,
        resource=resource,
        subject="/ws/chat",
        text="It differs.",
        first_seen_at=NOW,
        last_seen_at=NOW,
    )
    page = f"/endpoints/{endpoint.pk}/"
    assert ("Request its removal" in text_of(signed_in(people.ana).get(page))) is offered
    assert "Request its removal" not in text_of(signed_in(people.olga).get(page))
