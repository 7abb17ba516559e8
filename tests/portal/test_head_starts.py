"""Which requests get a head start, what is said about it, and when it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.requests.actions import approve_request, cancel_request, reject_request
from portal.requests.head_starts import ENDED, KEPT_IN, OTHER_ORIGIN, end_unneeded, reason_to_end
from portal.requests.lifecycle import Allowed, State
from portal.requests.models import EndpointRequest
from provisioning.models import Event, HeadStart
from tests.lab.account import Lab
from tests.portal.endpoint_requests import plan_again, planned_in_lab
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def head_starts_on(settings: Any) -> None:
    settings.HEAD_START_HOURS = 24


def kinds(request: EndpointRequest) -> list[str]:
    told = Event.objects.filter(stream_id=request.stream, kind__startswith="head_start.")
    return list(told.order_by("seq").values_list("kind", flat=True))


def test_without_the_setting_nothing_is_created_before_the_approval(lab: Lab, people: Cast) -> None:
    request = planned_in_lab(lab, people)
    assert request.state == State.AWAITING_APPROVAL
    assert not HeadStart.objects.exists()


def test_a_planned_request_gets_one_until_it_is_decided(
    lab: Lab, people: Cast, head_starts_on: None
) -> None:
    request = planned_in_lab(lab, people)
    [head_start] = HeadStart.objects.all()
    assert head_start.spec.vpc_origin_key == request.spec.vpc_origin_key
    page = text_of(signed_in(people.olga).get(request.get_absolute_url()))
    assert "The portal is creating the VPC origin while the request waits." in page
    HeadStart.objects.update(ready_at=timezone.now())
    page = text_of(signed_in(people.olga).get(request.get_absolute_url()))
    assert "The VPC origin is deployed already." in page
    end_unneeded(timezone.now())
    assert HeadStart.objects.filter(released_at=None).exists()

    reason = "Ask again next week."
    decided = reject_request(people.olga, request, reason=reason, now=timezone.now())
    assert isinstance(decided, Allowed)
    end_unneeded(timezone.now())
    end_unneeded(timezone.now())
    assert kinds(request) == ["head_start.begun", "head_start.released"]
    assert not HeadStart.objects.filter(released_at=None).exists()


def test_it_goes_on_while_the_request_is_built(
    lab: Lab, people: Cast, head_starts_on: None
) -> None:
    request = planned_in_lab(lab, people)
    digest = request.plan_digest
    approved = approve_request(people.olga, request, plan_digest=digest, now=timezone.now())
    assert isinstance(approved, Allowed)
    end_unneeded(timezone.now())
    assert HeadStart.objects.filter(released_at=None).exists()
    EndpointRequest.objects.filter(pk=request.pk).update(state=State.VERIFYING)
    end_unneeded(timezone.now())
    assert kinds(request) == ["head_start.begun"], "a request that was built ends it silently"
    assert not HeadStart.objects.filter(released_at=None).exists()


def test_it_ends_with_the_hours_that_the_platform_gives(
    lab: Lab, people: Cast, head_starts_on: None
) -> None:
    request = planned_in_lab(lab, people)
    end_unneeded(timezone.now() + timedelta(hours=25))
    assert kinds(request) == ["head_start.begun", "head_start.released"]
    plan_again_after_replan(request)
    assert kinds(request)[-1] == "head_start.begun", "a new plan begins another"
    cancel_request(people.ana, request, now=timezone.now())
    end_unneeded(timezone.now())
    assert kinds(request)[-1] == "head_start.released"


def plan_again_after_replan(request: EndpointRequest) -> None:
    EndpointRequest.objects.filter(pk=request.pk).update(
        state=State.PLANNING, due_at=timezone.now()
    )
    plan_again(request)


def test_the_last_vpc_origins_of_an_account_are_left_to_approved_requests(
    lab: Lab, people: Cast, head_starts_on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.requests.head_starts.LEFT_FREE", 25)
    assert planned_in_lab(lab, people).state == State.AWAITING_APPROVAL
    assert not HeadStart.objects.exists()


def test_when_a_head_start_ends(lab: Lab, people: Cast, head_starts_on: None) -> None:
    request = planned_in_lab(lab, people)
    plan, key, young = request.plan_data, request.spec.vpc_origin_key, timedelta(hours=1)
    for state in State:
        reason = reason_to_end(state, plan, key, age=young)
        assert reason == (None if state in KEPT_IN else ENDED.get(state, ""))
    waiting = State.AWAITING_APPROVAL
    assert reason_to_end(waiting, plan, "another", age=young) == OTHER_ORIGIN
    assert reason_to_end(State.PROVISIONING, plan, "another", age=young) is None
    late = reason_to_end(waiting, plan, key, age=timedelta(hours=25))
    assert late == "the request was not approved within 24 hours."
