"""What the portal does by itself: work out plans, and follow the event log of requests under way.

The layers below never call up. This module reads their events after its own cursor and moves the
request accordingly, in one transaction with the cursor; a crash repeats nothing and skips nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from checks import actions as checks
from checks.preflight import PreflightSubject, blocks, judge
from portal.actions import move, tell
from portal.lifecycle import State, Verb, after
from portal.models import EndpointRequest
from provisioning.edge.errors import EdgeError
from provisioning.edge.session import aws_for
from provisioning.edge.snapshot import take_snapshot
from provisioning.models import AwsAccount, Event
from provisioning.plan import Plan, Unplannable, make_plan, what_changed
from provisioning.sagas.approved_plan import PLAN_STALE
from provisioning.spec import SpecError, complete_wish, parse_spec
from provisioning.sweep import account_ref

PLAN_AGAIN_SECONDS = 20.0
FOLLOW_AGAIN_SECONDS = 60.0
CANCELLED = "cancelled"
log = logging.getLogger(__name__)


def work_out_plan(request_id: str, *, now: datetime) -> None:
    """1. Take the request: nobody else plans it for twenty seconds.
    2. Ask AWS, complete the wish with what the target's listeners say, judge and plan.
    3. Store plan and preflight if the request is still at the same revision.
    """
    due = EndpointRequest.objects.to_plan(now).filter(pk=request_id)
    if due.update(due_at=now + timedelta(seconds=PLAN_AGAIN_SECONDS)) != 1:
        return
    request = EndpointRequest.objects.select_related("team").get(pk=request_id)
    try:
        _work_out(request, now)
    except DatabaseError:
        raise
    except Exception as fault:
        # A person who waits must not wait for ever. They can plan again, or change what they ask
        # for.
        log.exception("request %s: a fault of the portal while planning", request.pk)
        text = (
            f"The portal itself failed ({type(fault).__name__}). Tell its operators, then plan "
            "again."
        )
        _store_blocked(request, [], text, now)


def _work_out(request: EndpointRequest, now: datetime) -> None:
    spec = request.spec
    account = AwsAccount.objects.get(pk=spec.account_id)
    try:
        aws = aws_for(account_ref(account))
        snapshot = take_snapshot(
            aws,
            target_arn=spec.target_arn,
            distribution_id=spec.distribution_id,
            owner=settings.PROVISIONING_OWNER,
            permissions=True,
        )
    except EdgeError as error:
        _store_blocked(request, [], f"AWS could not be asked: {error} {error.fix}".strip(), now)
        return
    if snapshot.held_back is not None:
        # Not the team's fault, and no finding: it is worked out when it is due again.
        return
    if snapshot.target is not None:
        try:
            target = snapshot.target
            spec = parse_spec(
                complete_wish(request.wish, target.listener_protocols(), target.certificate_names())
            )
        except SpecError as error:
            _store_blocked(
                request,
                [],
                f"The target's listeners do not go with what is asked for: {error}",
                now,
            )
            return
    results = judge(PreflightSubject.of(spec), snapshot)
    preflight = [result.to_dict() for result in results]
    try:
        plan = make_plan(
            spec, snapshot, endpoint_key=request.pk.hex[:12], owner=settings.PROVISIONING_OWNER
        )
    except Unplannable as obstacle:
        _store_blocked(request, preflight, str(obstacle), now)
        return
    if blocks(results):
        problems = " ".join(result.seen for result in results if result.level == "block")
        _store_blocked(request, preflight, f"Not ready: {problems}", now)
        return
    _store_plan(request, plan, preflight, now)


def follow(request_id: str, *, now: datetime) -> None:
    """Read the events after the cursor and move the request as they say. A fault of the portal is
    told, once, in the request's own events, and tried again after a minute: what the run does
    meanwhile is not lost.
    """
    try:
        _follow(request_id, now)
    except DatabaseError:
        raise
    except Exception as fault:
        _note_fault(request_id, fault, now)


def _follow(request_id: str, now: datetime) -> None:
    with transaction.atomic():
        request = EndpointRequest.objects.select_for_update().filter(pk=request_id).first()
        if request is None:
            return
        news = list(Event.objects.after(request.stream, request.cursor))
        for event in news:
            _take(request, event, now)
        if news:
            EndpointRequest.objects.filter(pk=request.pk).update(
                cursor=news[-1].seq, follow_again_at=None, follow_fault=""
            )


def _note_fault(request_id: str, fault: Exception, now: datetime) -> None:
    name = type(fault).__name__
    with transaction.atomic():
        request = EndpointRequest.objects.select_for_update().get(pk=request_id)
        known = request.follow_fault == name
        EndpointRequest.objects.filter(pk=request.pk).update(
            follow_again_at=now + timedelta(seconds=FOLLOW_AGAIN_SECONDS), follow_fault=name
        )
        if not known:
            log.error(
                "request %s: a fault of the portal while following it", request.pk, exc_info=fault
            )
            text = (
                f"The portal itself failed ({name}) and does not show what comes next. It "
                "tries again every minute; "
                "tell its operators."
            )
            tell(request, "request.portal_fault", text, now, level="error")


def _take(request: EndpointRequest, event: Event, now: datetime) -> None:
    """What one event means for the request. Events of others (our own included) mean nothing."""
    state = State(request.state)
    if state is State.PROVISIONING and event.kind == "run.done":
        move(request, Verb.DEPLOYED, now)
        tell(
            request, "request.provisioned", "Built. Testing a real handshake through the edge.", now
        )
        assert request.endpoint is not None  # noqa: S101  a run has an endpoint
        _ask_for_first_check(request, now)
        checks.schedule_proof(request.endpoint, stream=request.stream, now=now)
        checks.request_checks_after_change(request.endpoint, now)
    elif state is State.PROVISIONING and event.kind == "run.undone":
        _take_undone(request, event.data, now)
    elif state is State.PROVISIONING and event.kind == "run.stuck":
        move(request, Verb.GOT_STUCK, now, reason=str(event.data.get("reason", ""))[:500])
        tell(
            request,
            "request.stuck",
            "An undo failed. The platform team has to look at it.",
            now,
            level="error",
        )
    elif event.kind == checks.PARTICULAR and state is State.VERIFYING:
        # It was under way when the usual one was asked for, which it stood in for, and says nothing
        # of the endpoint.
        _ask_for_first_check(request, now)
    elif event.kind == "check.finished" and state in (
        State.VERIFYING,
        State.LIVE,
        State.UNANSWERED,
    ):
        verb = Verb.ANSWERED if event.data.get("ok") else Verb.DID_NOT_ANSWER
        if after(state, verb) is not None:
            move(request, verb, now, reason="" if event.data.get("ok") else event.text[:500])
            if event.data.get("ok"):
                tell(
                    request,
                    "request.live",
                    "Live: the handshake went through the edge.",
                    now,
                    level="good",
                )
            else:
                text = "Built, but the handshake fails. The verdict names cause and fix."
                tell(request, "request.unanswered", text, now, level="error")


def _ask_for_first_check(request: EndpointRequest, now: datetime) -> None:
    assert request.endpoint is not None  # noqa: S101  it was built
    checks.request_check(
        request.endpoint, by="the portal", stream=request.stream, now=now, patient=True
    )


def _take_undone(request: EndpointRequest, failure: dict[str, Any], now: datetime) -> None:
    reason = str(failure.get("reason", ""))[:500]
    if failure.get("code") == PLAN_STALE:
        move(request, Verb.VOIDED, now, due_at=now, revision=request.revision + 1, plan_digest="")
        text = f"The approval is void; the plan is made anew. {reason}"
        tell(request, "request.voided", text, now, level="warning")
    elif failure.get("code") == CANCELLED:
        move(request, Verb.UNDONE_ON_WISH, now, reason=reason)
        tell(request, "request.cancelled", "Cancelled. Nothing of it is left in AWS.", now)
    else:
        move(request, Verb.GAVE_UP, now, reason=reason)
        text = (
            f"Failed, and everything it had made is gone again. {reason} "
            f"{failure.get('fix', '')}".strip()
        )
        tell(request, "request.failed", text, now, level="error")


def _store_plan(
    request: EndpointRequest, plan: Plan, preflight: list[dict[str, Any]], now: datetime
) -> None:
    data = plan.to_dict()
    changes = what_changed(request.plan_data, data) if request.plan_data else []
    _store(
        request,
        Verb.PLANNED,
        now,
        "request.planned",
        f"Plan {plan.digest[:8]} is ready for approval.",
        "info",
        spec_data=plan.spec.to_dict(),
        plan_data=data,
        plan_digest=plan.digest,
        plan_changes=changes,
        preflight_data=preflight,
        planned_at=now,
        reason="",
    )


def _store_blocked(
    request: EndpointRequest, preflight: list[dict[str, Any]], reason: str, now: datetime
) -> None:
    _store(
        request,
        Verb.FOUND_BLOCKED,
        now,
        "request.blocked",
        reason,
        "warning",
        preflight_data=preflight,
        plan_digest="",
        planned_at=now,
        reason=reason[:500],
    )


def _store(
    request: EndpointRequest,
    verb: Verb,
    now: datetime,
    kind: str,
    text: str,
    level: str,
    **changes: Any,
) -> None:
    """Only if nobody cancelled or edited the request while AWS was asked."""
    with transaction.atomic():
        locked = (
            EndpointRequest.objects.select_for_update()
            .filter(pk=request.pk, revision=request.revision, state=State.PLANNING)
            .first()
        )
        if locked is not None:
            move(locked, verb, now, **changes)
            tell(locked, kind, text, now, level=level)
