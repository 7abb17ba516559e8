"""Follows the event log of requests under way and moves each request as the events say.

The layers below never call up. This module reads their events after its own cursor and moves the
request in one transaction with the cursor; a crash repeats nothing and skips nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.db import transaction

from checks import actions as checks
from portal.requests.actions import move, tell
from portal.requests.lifecycle import State, Verb, after
from portal.requests.models import EndpointRequest
from provisioning.models import Event
from provisioning.steps.approved_plan import PLAN_STALE

log = logging.getLogger(__name__)
FOLLOW_AGAIN_SECONDS = 60.0


CANCELLED = "cancelled"


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
        move(request, Verb.CANCELLED_CLEAN, now, reason=reason)
        tell(request, "request.cancelled", "Cancelled. Nothing of it is left in AWS.", now)
    else:
        move(request, Verb.GAVE_UP, now, reason=reason)
        text = (
            f"Failed, and everything it had made is gone again. {reason} "
            f"{failure.get('fix', '')}".strip()
        )
        tell(request, "request.failed", text, now, level="error")
