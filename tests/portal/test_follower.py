"""How the portal follows what provisioning and checks tell: every ending of a run, read once, in
order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from checks.actions import request_check
from checks.models import Check, EndpointHealth
from checks.privacy.actions import FIRST_AFTER
from checks.protocol.handshake_options import HandshakeOptions
from portal.operations.models import TickRecord
from portal.operations.ticker import Part, run_tick
from portal.operations.ticks import TickLog
from portal.requests import actions, follower, planning, tasks
from portal.requests.endpoint_changes import submit_removal
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning import events
from provisioning.actions import cancel_run
from provisioning.dispatch import Dispatch
from provisioning.facts.snapshot import Snapshot
from provisioning.models import AwsAccount, Endpoint, Event, JournalEntry
from tests.portal.endpoint_requests import ANSWERS, planned, put
from tests.portal.people import NOW, Cast, make_cast
from tests.provisioning.examples import TARGET_FACTS, snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> Cast:
    return make_cast()


@pytest.fixture
def building(people: Cast) -> EndpointRequest:
    request = planned(actions.submit_request(people.ana, people.chat, ANSWERS, now=NOW))
    actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
    request.refresh_from_db()
    return request


def happens(request: EndpointRequest, kind: str, text: str = "It happened.", **data: Any) -> None:
    with transaction.atomic():
        events.append(request.stream, kind, text, at=NOW, data=data)
    while request.pk in EndpointRequest.objects.news(NOW):
        follower.follow(str(request.pk), now=NOW)
    request.refresh_from_db()


def test_a_deployed_endpoint_is_tested_and_then_live(building: EndpointRequest) -> None:
    happens(building, "run.done")
    assert building.state == State.VERIFYING
    check = Check.objects.get()
    assert check.retry_until > check.requested_at
    assert EndpointHealth.objects.get().next_audit_at == NOW + FIRST_AFTER
    happens(building, "check.finished", ok=True)
    assert building.state == State.LIVE
    happens(building, "check.finished", text="504 from the edge.", ok=False)
    assert (building.state, building.reason) == (State.FAILING, "504 from the edge.")
    assert building.title == "Live, now failing", "not the result of what was built"
    happens(building, "check.finished", ok=True)
    assert (building.state, building.reason) == (State.LIVE, "")


def test_a_check_of_ones_own_that_was_under_way_is_followed_by_the_usual_one(
    building: EndpointRequest,
) -> None:
    assert building.endpoint is not None
    own = request_check(
        building.endpoint, by="ana", stream="", now=NOW, options=HandshakeOptions(path="/elsewhere")
    )
    happens(building, "run.done")
    assert Check.objects.get() == own
    Check.objects.update(finished_at=NOW)
    happens(building, "check.custom_finished", ok=False)
    usual = Check.objects.get(finished_at=None)
    assert (building.state, usual.options, usual.retry_until > NOW) == (State.VERIFYING, {}, True)
    Check.objects.update(finished_at=NOW)
    happens(building, "check.finished", ok=True)
    happens(building, "check.custom_finished", ok=False)
    assert (building.state, Check.objects.count()) == (State.LIVE, 2)


def test_a_failed_handshake_tears_nothing_down(building: EndpointRequest) -> None:
    happens(building, "run.done")
    happens(building, "check.finished", ok=False)
    assert building.state == State.UNANSWERED
    assert building.run is not None
    assert building.run.entries.count() == 0


@pytest.mark.parametrize(
    ("kind", "code", "state"),
    [
        ("run.undone", "EntityLimitExceeded", State.FAILED),
        ("run.undone", "cancelled", State.CANCELLED),
        ("run.stuck", "AccessDenied", State.STUCK),
        ("run.quarantined", "quarantined", State.QUARANTINED),
    ],
)
def test_each_other_ending_is_told_with_its_reason(
    building: EndpointRequest, kind: str, code: str, state: State
) -> None:
    happens(building, kind, code=code, reason="Because.")
    assert (building.state, building.reason) == (state, "Because.")


def test_a_stale_plan_voids_the_approval_and_is_made_anew(building: EndpointRequest) -> None:
    approved = building.plan_digest
    happens(building, "run.undone", code="plan_stale", reason="The listener is gone.")
    assert (building.state, building.plan_digest, building.revision) == (State.PLANNING, "", 2)
    assert EndpointRequest.objects.to_plan(NOW).get() == building
    assert building.plan_data["digest"] == approved, "the old plan is kept, to show what changed"


def test_an_event_is_followed_once(building: EndpointRequest) -> None:
    happens(building, "run.done")
    for _ in range(3):
        follower.follow(str(building.pk), now=NOW)
    told = list(Event.objects.filter(stream_id=building.stream).values_list("kind", flat=True))
    assert told.count("request.provisioned") == 1
    assert Check.objects.count() == 1


def test_what_was_told_before_the_approval_means_nothing_now(people: Cast) -> None:
    request = planned(actions.submit_request(people.ana, people.chat, ANSWERS, now=NOW))
    happens(request, "run.done")
    assert request.state == State.AWAITING_APPROVAL


@pytest.mark.parametrize(
    ("port", "fault", "said"),
    [(81, None, "http_port"), (80, KeyError("a bug"), "Internal error (KeyError)")],
)
def test_a_request_that_cannot_be_planned_says_so_instead_of_planning_for_ever(
    people: Cast, monkeypatch: pytest.MonkeyPatch, port: int, fault: Exception | None, said: str
) -> None:
    request = actions.submit_request(people.ana, people.chat, ANSWERS, now=NOW)
    listener = replace(TARGET_FACTS.listeners[0], port=port)

    def seen(*_: Any, **__: Any) -> Snapshot:
        if fault is not None:
            raise fault
        return snapshot(target={"listeners": (listener,)})

    monkeypatch.setattr(AwsAccount, "snapshot_for", seen)
    planning.plan_request(str(request.pk), now=NOW)
    request.refresh_from_db()
    assert request.state == State.BLOCKED
    assert said in request.reason
    assert Event.objects.filter(stream_id=request.stream, kind="request.blocked").exists()


def test_one_tick_that_fails_keeps_no_other_waiting(caplog: pytest.LogCaptureFixture) -> None:
    ticks = TickLog(["provisioning", "checks"])

    def broken(_: Any) -> None:
        raise ConnectionError("no broker")

    ticked: list[Any] = []
    provisioning, checks = Part("provisioning", broken), Part("checks", ticked.append)
    for _ in range(3):
        run_tick(provisioning, ticks)
        run_tick(checks, ticks)
    assert len(ticked) == 3
    told = dict(TickRecord.objects.values_list("name", "error"))
    assert told == {"provisioning": "ConnectionError", "checks": ""}
    provisioning.tick = ticked.append
    run_tick(provisioning, ticks)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "tick of provisioning failed; retrying",
        "tick of provisioning recovered",
    ]
    assert TickRecord.objects.get(name="provisioning").failing_since is None


def test_a_fault_while_following_is_told_once_and_rests_before_the_next_try(
    building: EndpointRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: Any, **__: Any) -> None:
        raise KeyError("a bug")

    def waiting(seconds: float) -> bool:
        at = NOW + timedelta(seconds=seconds)
        return building.pk in EndpointRequest.objects.news(at)

    again = follower.RETRY_AFTER_SECONDS
    with monkeypatch.context() as broken:
        broken.setattr("checks.actions.request_check", faulty)
        happens(building, "run.done")
        assert building.state == State.PROVISIONING, "nothing of it was done"
        assert (waiting(again - 1), waiting(again)) == (False, True)
        follower.follow(str(building.pk), now=NOW + timedelta(seconds=again))
        told = Event.objects.get(stream_id=building.stream, kind="request.portal_fault")
        assert "Internal error (KeyError)" in told.text
    follower.follow(str(building.pk), now=NOW + timedelta(seconds=2 * again))
    building.refresh_from_db()
    assert (building.state, building.follow_fault) == (State.VERIFYING, "")


def test_a_tick_says_a_thing_once_and_again_if_the_word_seems_lost_or_there_is_more(
    building: EndpointRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(tasks, "_mentions", Dispatch())
    monkeypatch.setattr(tasks.follow_request, "delay", told.append)

    def words_after(seconds: float) -> int:
        told.clear()
        tasks.tick(NOW + timedelta(seconds=seconds))
        return told.count(str(building.pk))

    assert [words_after(second) for second in (0, 1, 4, 5)] == [1, 0, 0, 1]
    with transaction.atomic():
        events.append(building.stream, "run.step", "More.", at=NOW, data={})
    assert [words_after(second) for second in (6, 7)] == [1, 0]


@pytest.mark.parametrize(
    ("cancelled", "state"), [(False, "out_of_service"), (True, "provisioning")]
)
def test_a_removal_that_is_cancelled_or_restored_is_not_out_of_service_while_it_waits_for_aws(
    building: EndpointRequest, cancelled: bool, state: str
) -> None:
    run = building.run
    assert run is not None
    run.saga = "remove-endpoint"
    run.save()
    EndpointRequest.objects.update(action="remove")
    if cancelled:
        assert cancel_run(run, reason="A client still connects.", now=NOW)
    with transaction.atomic():
        events.append(
            building.stream, "step.waiting", "VPC origin: Deploying.", at=NOW, step="grace"
        )
    happens(building, "run.step")
    assert building.state == state
    if cancelled:
        happens(building, "run.undone", code="cancelled", reason="A client still connects.")
        assert building.state == State.CANCELLED


def test_a_restored_endpoint_is_checked_again_and_not_live_until_then(
    people: Cast, building: EndpointRequest
) -> None:
    endpoint = building.endpoint
    run = building.run
    assert endpoint is not None
    assert run is not None
    Endpoint.objects.update(state="deployed")
    put(building, State.LIVE)
    EndpointHealth.objects.create(endpoint=endpoint, health="live", since=NOW - timedelta(days=9))
    removal = submit_removal(people.ana, endpoint, now=NOW)
    assert isinstance(removal, EndpointRequest)
    put(removal, State.PROVISIONING, run=run)
    with transaction.atomic():
        events.append(removal.stream, "step.waiting", "Until Sunday.", at=NOW, step="grace")
    happens(removal, "run.step")
    assert removal.state == State.OUT_OF_SERVICE
    health = EndpointHealth.objects.get()
    assert (health.health, health.since) == ("unknown", NOW)

    put(removal, State.PROVISIONING)
    JournalEntry.objects.create(
        run=run,
        seq=99,
        step="grace",
        kind="working",
        direction="forward",
        at=NOW,
        since=NOW,
    )
    happens(removal, "run.undone", code="cancelled", reason="Still used.")
    assert (removal.state, removal.title) == (State.RESTORED, "Restored")
    assert Check.objects.get(finished_at=None).stream == building.stream


@pytest.mark.parametrize("state", [State.VERIFYING, State.LIVE, State.UNANSWERED, State.FAILING])
def test_what_a_removed_endpoint_was_built_by_is_over(
    people: Cast, building: EndpointRequest, state: State
) -> None:
    assert building.endpoint is not None
    Endpoint.objects.update(state="deployed")
    put(building, state)
    removal = submit_removal(people.ana, building.endpoint, now=NOW)
    assert isinstance(removal, EndpointRequest)
    put(removal, State.PROVISIONING)
    happens(removal, "run.done")
    assert removal.state == State.REMOVED
    building.refresh_from_db()
    assert building.state == State.SUPERSEDED
    happens(building, "check.finished", ok=True)
    assert building.state == State.SUPERSEDED, "a late result says nothing of it"


@pytest.mark.parametrize(("kind", "state"), [("run.undone", "failed"), ("run.stuck", "stuck")])
def test_a_run_that_gives_up_in_its_grace_period_is_followed(
    building: EndpointRequest, kind: str, state: str
) -> None:
    EndpointRequest.objects.update(action="remove")
    put(building, State.OUT_OF_SERVICE)
    happens(building, kind, reason="Internal error (KeyError).", code="portal_fault")
    assert (building.state, building.reason) == (state, "Internal error (KeyError).")
