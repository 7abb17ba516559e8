"""What people can do with endpoint requests, with real rows: each refusal beside its permission."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from portal.people import actions as people_actions
from portal.people.models import ApiToken, Membership, Person
from portal.requests import actions
from portal.requests.lifecycle import Allowed, Denied, State
from portal.requests.models import Approval, EndpointRequest
from provisioning.models import Endpoint, Event, Run, VpcOrigin
from provisioning.run_conditions import unmet_condition
from provisioning.spec.parsing import SpecError
from tests.portal.endpoint_requests import ANSWERS, deploy, planned
from tests.portal.people import NOW, Cast, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> Cast:
    return make_cast()


def asked(people: Cast, **given: Any) -> EndpointRequest:
    provenance = actions.Provenance(**given)
    return actions.submit_request(people.ana, people.chat, ANSWERS, now=NOW, provenance=provenance)


def told(request: EndpointRequest) -> list[str]:
    return list(
        Event.objects.filter(stream_id=request.stream)
        .order_by("seq")
        .values_list("kind", flat=True)
    )


def test_ana_asks_and_the_request_is_planned_next(people: Cast) -> None:
    request = asked(people)
    assert request.state == State.PLANNING
    assert EndpointRequest.objects.to_plan(NOW).get() == request
    assert told(request) == ["request.submitted"]


def test_an_account_of_another_team_is_refused(people: Cast) -> None:
    with pytest.raises(SpecError) as refused:
        actions.submit_request(people.tara, people.trading, ANSWERS, now=NOW)
    assert [error.code for error in refused.value.errors] == ["not_your_account"]
    assert not EndpointRequest.objects.exists()


def test_olga_approves_and_a_run_applies_exactly_that_plan(people: Cast) -> None:
    request = planned(asked(people))
    assert isinstance(
        actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW),
        Allowed,
    )
    request.refresh_from_db()
    run = Run.objects.get()
    assert (request.state, request.run) == (State.PROVISIONING, run)
    assert run.plan_digest == request.plan_digest == Approval.objects.get().plan_digest
    assert run.endpoint.key == request.plan_data["endpoint_key"]
    assert Run.objects.due(NOW).get() == run


@pytest.mark.parametrize("who", ["ana", "ben", "tara", "rita"])
def test_the_others_cannot_approve(people: Cast, who: str) -> None:
    request = planned(asked(people))
    denied = actions.approve_request(
        getattr(people, who), request, plan_digest=request.plan_digest, now=NOW
    )
    assert isinstance(denied, Denied)
    assert not Run.objects.exists()
    assert not Approval.objects.exists()


def test_a_requester_who_became_an_approver_still_cannot(people: Cast) -> None:
    request = planned(asked(people))
    people.ana.role = "approver"
    people.ana.save()
    denied = actions.approve_request(people.ana, request, plan_digest=request.plan_digest, now=NOW)
    assert isinstance(denied, Denied)
    assert denied.code == "own_request"


def test_the_database_refuses_what_the_code_would_let_through(people: Cast) -> None:
    request = planned(asked(people, beneficiary=people.max))
    for decider in (people.ana, people.max):
        with pytest.raises(IntegrityError, match="four eyes"), transaction.atomic():
            decide(request, decider, request.plan_digest)
    with pytest.raises(IntegrityError, match="another plan"), transaction.atomic():
        decide(request, people.olga, "0" * 64)
    approval = decide(request, people.olga, request.plan_digest)
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        Approval.objects.filter(pk=approval.pk).update(reason="other")
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        approval.delete()


def test_whoever_edited_it_may_not_decide_also_after_somebody_else_touched_it_last(
    people: Cast,
) -> None:
    Membership.objects.create(person=people.olga, team=people.chat)
    request = planned(asked(people))
    for person, timeout in ((people.olga, 60), (people.ana, 61)):
        assert isinstance(
            actions.edit_request(person, request, ANSWERS | {"read_timeout": timeout}, now=NOW),
            Allowed,
        )
        request = planned(EndpointRequest.objects.get(pk=request.pk))
    denied = actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
    assert isinstance(denied, Denied)
    assert denied.code == "editor"
    assert not EndpointRequest.objects.to_decide(people.olga).exists()
    with pytest.raises(IntegrityError, match="four eyes"), transaction.atomic():
        decide(request, people.olga, request.plan_digest)
    assert isinstance(
        actions.approve_request(people.max, request, plan_digest=request.plan_digest, now=NOW),
        Allowed,
    )


def decide(request: EndpointRequest, decider: Any, digest: str) -> Approval:
    return Approval.objects.create(
        request=request,
        decision="approved",
        decider=decider,
        plan_digest=digest,
        revision=request.revision,
        at=NOW,
    )


def test_two_approvers_at_once_make_one_run(people: Cast) -> None:
    request = planned(asked(people))
    first = actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
    second = actions.approve_request(people.max, request, plan_digest=request.plan_digest, now=NOW)
    assert isinstance(first, Allowed)
    assert isinstance(second, Denied)
    assert second.code == "wrong_state"
    assert Run.objects.count() == 1


def test_an_edit_voids_the_plan_that_was_shown(people: Cast) -> None:
    request = planned(asked(people))
    shown = request.plan_digest
    assert isinstance(
        actions.edit_request(people.ben, request, ANSWERS | {"read_timeout": 60}, now=NOW), Allowed
    )
    request.refresh_from_db()
    assert (request.state, request.revision, request.plan_digest) == (State.PLANNING, 2, "")
    planned(request)
    assert request.plan_digest != shown
    stale = actions.approve_request(people.olga, request, plan_digest=shown, now=NOW)
    assert isinstance(stale, Denied)
    assert stale.code == "stale_plan"
    assert isinstance(
        actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW),
        Allowed,
    )


def test_a_rejection_needs_a_reason_and_ends_it(people: Cast) -> None:
    request = planned(asked(people))
    assert isinstance(actions.reject_request(people.olga, request, reason=" ", now=NOW), Denied)
    assert isinstance(
        actions.reject_request(people.olga, request, reason="Use /chat.", now=NOW), Allowed
    )
    request.refresh_from_db()
    assert (request.state, request.reason) == (State.REJECTED, "Use /chat.")
    assert isinstance(actions.edit_request(people.ana, request, ANSWERS, now=NOW), Denied)


def test_the_team_cancels_before_and_during_the_run(people: Cast) -> None:
    before, during = planned(asked(people)), planned(asked(people))
    assert isinstance(actions.cancel_request(people.tara, before, now=NOW), Denied)
    assert isinstance(actions.cancel_request(people.ben, before, now=NOW), Allowed)
    before.refresh_from_db()
    assert before.state == State.CANCELLED
    actions.approve_request(people.olga, during, plan_digest=during.plan_digest, now=NOW)
    assert isinstance(actions.cancel_request(people.ana, during, now=NOW), Allowed)
    during.refresh_from_db()
    assert during.state == State.PROVISIONING
    assert during.run is not None
    assert during.run.entries.get().kind == "cancel"
    assert told(during)[-1] == "request.cancelling"


def test_a_platform_admin_has_a_failed_undo_tried_again_and_it_is_recorded(people: Cast) -> None:
    request = planned(asked(people))
    actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
    request.refresh_from_db()
    run = request.run
    assert run is not None
    assert isinstance(actions.retry_stuck(people.max, request, now=NOW), Denied), (
        "nothing is stuck yet"
    )
    Run.objects.update(
        state=Run.State.STUCK,
        failure={"step": "vpc-origin", "code": "AccessDenied", "direction": "backward"},
        finished_at=NOW,
    )
    EndpointRequest.objects.update(state=State.STUCK, reason="DeleteVpcOrigin: no.")
    for somebody in (people.olga, people.ana, people.rita):
        refusal = actions.retry_stuck(somebody, request, now=NOW)
        assert isinstance(refusal, Denied)
        assert refusal.code == "not_platform_admin"
    assert isinstance(
        actions.retry_stuck(people.max, request, reason="It may again.", now=NOW), Allowed
    )
    assert isinstance(actions.retry_stuck(people.max, request, now=NOW), Denied), (
        "it is tried already"
    )
    request.refresh_from_db()
    run.refresh_from_db()
    assert (request.state, request.reason) == (State.PROVISIONING, "")
    assert (run.state, run.failure, run.finished_at, run.over) == (
        Run.State.UNDOING,
        {},
        None,
        False,
    )
    assert (run.entries.get().kind, run.entries.get().step) == ("again", "vpc-origin")
    event = Event.objects.filter(stream_id=request.stream).latest("seq")
    assert (event.kind, event.data["by"]) == ("request.retrying_stuck", "max")
    assert "It may again." in event.text


def test_a_platform_admin_closes_what_can_never_be_undone_and_what_is_left_is_recorded(
    people: Cast,
) -> None:
    request, other = planned(asked(people)), planned(asked(people))
    actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
    request.refresh_from_db()
    run = request.run
    assert run is not None
    # Undoing went as far as the VPC origin: the behaviors are out, the rule was never come to.
    seen = [
        ("approved-plan", "ready", "forward"),
        ("vpc-origin", "acted", "forward"),
        ("behaviors", "intent", "forward"),
    ]
    for seq, (step, kind, way) in enumerate([*seen, ("behaviors", "ready", "backward")], 1):
        run.entries.create(seq=seq, step=step, kind=kind, direction=way, at=NOW, since=NOW)
    origin = VpcOrigin.objects.create(
        account=run.endpoint.account, key=run.spec.vpc_origin_key, aws_id="vo_1"
    )
    origin.users.add(run.endpoint)
    assert isinstance(
        actions.close_request(people.max, request, reason="Lost.", now=NOW), Denied
    ), "not stuck yet"
    Run.objects.update(
        state=Run.State.STUCK,
        failure={"step": "vpc-origin", "code": "AccessDenied", "direction": "backward"},
        finished_at=NOW,
    )
    EndpointRequest.objects.filter(pk=request.pk).update(
        state=State.STUCK, reason="DeleteVpcOrigin: no."
    )
    for somebody, reason, code in (
        (people.olga, "Lost.", "not_platform_admin"),
        (people.ana, "Lost.", "not_platform_admin"),
        (people.rita, "Lost.", "not_platform_admin"),
        (people.max, " ", "reason_required"),
    ):
        refusal = actions.close_request(somebody, request, reason=reason, now=NOW)
        assert isinstance(refusal, Denied)
        assert refusal.code == code
    assert isinstance(
        actions.close_request(people.max, request, reason="The account is lost.", now=NOW), Allowed
    )
    for again in (
        actions.close_request(people.max, request, reason="x", now=NOW),
        undone_again(people, request),
    ):
        assert isinstance(again, Denied)
        assert again.code == "wrong_state"
    request.refresh_from_db()
    run.refresh_from_db()
    assert (request.state, request.reason, request.final) == (
        State.CLOSED,
        "The account is lost.",
        True,
    )
    assert (run.state, run.endpoint.state) == (Run.State.STUCK, Endpoint.State.ABSENT)
    assert list(origin.users.all()) == [run.endpoint], "nobody else's undo takes it away"
    event = Event.objects.filter(stream_id=request.stream).latest("seq")
    assert (event.kind, event.data["by"], event.data["state"]) == (
        "request.closed",
        "max",
        "closed",
    )
    name = f"VPC origin edge-portal-{run.spec.vpc_origin_key} (vo_1)"
    assert event.data["left"] == [name]
    assert (
        event.text == f"max gave up the request: The account is lost. May be left in AWS: {name}."
    )
    freed = actions.approve_request(people.olga, other, plan_digest=other.plan_digest, now=NOW)
    assert isinstance(freed, Allowed), "its name is free again"


def undone_again(people: Cast, request: EndpointRequest) -> Allowed | Denied:
    return actions.retry_stuck(people.max, request, now=NOW)


def test_a_name_that_an_endpoint_of_the_account_carries_is_refused_when_it_is_asked_for(
    people: Cast,
) -> None:
    first, other = asked(people), planned(asked(people))
    endpoint = deploy(first)
    with pytest.raises(SpecError) as refused:
        asked(people)
    with pytest.raises(SpecError):
        actions.edit_request(people.ana, other, ANSWERS, now=NOW)
    (fault,) = refused.value.errors
    assert (fault.field, fault.code) == ("name", "name_taken")
    assert ANSWERS["name"] in fault.message
    Endpoint.objects.filter(pk=endpoint.pk).update(state=Endpoint.State.ABSENT)
    assert asked(people).state == State.PLANNING


def test_a_name_that_an_endpoint_of_the_account_carries_cannot_be_approved_again(
    people: Cast,
) -> None:
    first, second = planned(asked(people)), planned(asked(people))
    assert isinstance(
        actions.approve_request(people.olga, first, plan_digest=first.plan_digest, now=NOW), Allowed
    )
    denied = actions.approve_request(people.olga, second, plan_digest=second.plan_digest, now=NOW)
    assert isinstance(denied, Denied)
    assert denied.code == "name_taken"
    Endpoint.objects.update(state=Endpoint.State.ABSENT)
    assert isinstance(
        actions.approve_request(people.olga, second, plan_digest=second.plan_digest, now=NOW),
        Allowed,
    )


def test_a_token_is_stored_as_a_hash_and_shown_once(people: Cast) -> None:
    clear, token = people_actions.issue_token(people.ana, "ci", ["requests:read"], days=30, now=NOW)
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert clear not in str(row)
    assert clear.startswith(row["prefix"])
    assert ApiToken.objects.usable(NOW).get(digest=people_actions.token_digest(clear)) == token
    assert not people_actions.revoke_token(people.tara, token, now=NOW)
    assert people_actions.revoke_token(people.ana, token, now=NOW)
    assert not ApiToken.objects.usable(NOW).exists()


def test_tokens_that_others_revoke_are_recorded_for_their_owner(people: Cast) -> None:
    for name in ("first", "second"):
        people_actions.issue_token(people.ana, name, ["requests:read"], days=30, now=NOW)
    first = ApiToken.objects.get(name="first")
    assert people_actions.revoke_token(people.max, first, now=NOW)
    assert not people_actions.revoke_token(people.max, first, now=NOW), "only once"
    people_actions.end_person(people.ana, now=NOW)
    told = Event.objects.filter(stream=people_actions.token_stream(people.ana)).order_by("seq")
    assert [event.text for event in told][2:] == [
        "Token “first” revoked by max.",
        "The account was deactivated; 1 token revoked.",
    ]


@pytest.mark.parametrize(
    ("scopes", "days"), [([], 30), (["everything"], 30), (["requests:read"], 366)]
)
def test_a_token_without_limits_is_not_issued(people: Cast, scopes: list[str], days: int) -> None:
    with pytest.raises(ValueError, match=r"\."):
        people_actions.issue_token(people.ana, "ci", scopes, days=days, now=NOW)


def lose_account(people: Cast) -> None:
    people.chat.accounts.clear()


def leave_team(people: Cast) -> None:
    Membership.objects.filter(person=people.ana).delete()


def end_ana(people: Cast) -> None:
    people_actions.end_person(people.ana, now=NOW)


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (lose_account, "account_lost"),
        (leave_team, "requester_left"),
        (end_ana, "requester_left"),
        (None, ""),
    ],
)
def test_rights_are_asked_again_at_the_approval(
    people: Cast, happens: Callable[[Cast], None] | None, code: str
) -> None:
    request = planned(asked(people))
    if happens:
        happens(people)
    decided = actions.approve_request(
        people.olga, request, plan_digest=request.plan_digest, now=NOW
    )
    assert (decided.code if isinstance(decided, Denied) else "") == code
    assert Run.objects.exists() is not bool(code)


def end_olga(people: Cast) -> None:
    people_actions.end_person(people.olga, now=NOW)


def demote_olga(people: Cast) -> None:
    Person.objects.filter(pk=people.olga.pk).update(role=Person.Role.AUDITOR)


@pytest.mark.parametrize(
    "happens", [lose_account, leave_team, end_ana, end_olga, demote_olga, None]
)
def test_rights_are_asked_again_when_the_run_starts(
    people: Cast, happens: Callable[[Cast], None] | None
) -> None:
    request = planned(asked(people))
    actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
    run = Run.objects.get()
    assert unmet_condition(run) == ""
    if happens:
        happens(people)
    assert bool(unmet_condition(run)) is bool(happens)


def test_an_approver_who_was_demoted_in_another_process_decides_nothing(people: Cast) -> None:
    request = planned(asked(people))
    stale = Person.objects.get(pk=people.olga.pk)
    demote_olga(people)
    decided = actions.approve_request(stale, request, plan_digest=request.plan_digest, now=NOW)
    assert isinstance(decided, Denied)
    assert decided.code == "not_approver"


def test_a_ticket_has_one_open_request_of_a_client_also_in_the_database(people: Cast) -> None:
    ticket = actions.Ticket("servicenow", "RITM777")
    first = asked(people, ticket=ticket)
    with pytest.raises(SpecError, match="already have a request for RITM777 of servicenow"):
        asked(people, ticket=ticket)
    row = EndpointRequest.objects.get(pk=first.pk)
    row.pk, row.stream = uuid.uuid4(), "request:another"
    with pytest.raises(IntegrityError, match="request_once_per_ticket"), transaction.atomic():
        row.save(force_insert=True)
    assert EndpointRequest.objects.count() == 1
    mine = actions.Provenance(ticket=ticket)
    actions.submit_request(people.ben, people.chat, ANSWERS, now=NOW, provenance=mine)
    asked(people, ticket=actions.Ticket("jira", "RITM777"))
    assert [asked(people).external_id for _ in range(2)] == ["", ""]
    actions.cancel_request(people.ana, first, now=NOW)
    assert asked(people, ticket=ticket).external_id == "RITM777", "that one is over"


def test_a_token_name_holds_no_credential(people: Cast) -> None:
    clear, _ = people_actions.issue_token(people.ana, "ci", ["requests:read"], days=1, now=NOW)
    _, token = people_actions.issue_token(
        people.ana, f"like {clear}", ["requests:read"], days=1, now=NOW
    )
    assert clear not in token.name
    assert not Event.objects.filter(text__contains=clear).exists()
