"""Follows the event log of requests under way and moves each request as the events say.

The layers below never call up. This module reads the events that it has not read yet, and moves
the request in the transaction that records how far it read; a crash repeats and skips nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.db import transaction

from checks import actions as checks
from checks.privacy.actions import schedule_first_audit
from portal.requests.actions import move, record, stream_of, supersede_earlier
from portal.requests.end_dates import demand_end_date
from portal.requests.lifecycle import State, Verb, after
from portal.requests.models import EndpointRequest
from provisioning.actions import is_unwinding
from provisioning.drift.reports import request_report
from provisioning.models import Endpoint, Event, EventStream
from provisioning.plan.plan import ACCEPT, REMOVE
from provisioning.spec.app_kinds import APP_KINDS
from provisioning.steps.approved_plan import PLAN_STALE

RETRY_AFTER_SECONDS = 60.0
CANCELLED = "cancelled"
_RUNNING = (State.PROVISIONING, State.OUT_OF_SERVICE)
log = logging.getLogger(__name__)


def follow(request_id: str, *, now: datetime) -> None:
    """Read the new events and move the request as they say.

    An internal error is recorded once in the request's own events and retried after a minute;
    nothing that the run does meanwhile is lost.
    """
    try:
        _follow(request_id, now)
    except DatabaseError:
        raise
    except Exception as error:
        _record_internal_error(request_id, error, now)


def _follow(request_id: str, now: datetime) -> None:
    with transaction.atomic():
        request = EndpointRequest.objects.select_for_update().filter(pk=request_id).first()
        if request is None:
            return
        stream = EventStream.objects.get(name=request.stream)
        events = list(Event.objects.after(stream.name, stream.read_seq))
        for event in events:
            _handle(request, event, now)
        if events:
            EventStream.objects.filter(name=stream.name).update(read_seq=events[-1].seq)
            EndpointRequest.objects.filter(pk=request.pk).update(
                follow_again_at=None, follow_fault=""
            )


def _record_internal_error(request_id: str, error: Exception, now: datetime) -> None:
    name = type(error).__name__
    with transaction.atomic():
        request = EndpointRequest.objects.select_for_update().get(pk=request_id)
        known = request.follow_fault == name
        EndpointRequest.objects.filter(pk=request.pk).update(
            follow_again_at=now + timedelta(seconds=RETRY_AFTER_SECONDS), follow_fault=name
        )
        if not known:
            log.error("request %s: internal error while following it", request.pk, exc_info=error)
            text = (
                f"Internal error ({name}). New progress is not shown until it is fixed; the portal "
                "retries every minute. Contact the portal's operators."
            )
            record(request, "request.portal_fault", text, now, level="error")


def _handle(request: EndpointRequest, event: Event, now: datetime) -> None:
    """What one event means for the request. All other events, our own included, mean nothing."""
    state = State(request.state)
    if state is State.PROVISIONING and event.kind == "run.done":
        _handle_done(request, now)
    elif state in _RUNNING and event.kind == "run.undone":
        _handle_undone(request, event.data, now)
    elif state in _RUNNING and event.kind == "run.stuck":
        move(request, Verb.GOT_STUCK, now, reason=str(event.data.get("reason", ""))[:500])
        text = f"{request.title}. A platform admin must resolve it."
        record(request, "request.stuck", text, now, level="error")
    elif state in _RUNNING and event.kind == "run.quarantined":
        move(request, Verb.WAS_QUARANTINED, now, reason=str(event.data.get("reason", ""))[:500])
        text = f"{request.title}. {request.next_step}"
        record(request, "request.quarantined", text, now, level="error")
    elif event.step == "grace" and event.kind == "step.waiting" and state is State.PROVISIONING:
        # Cancelled or restored meanwhile: it waits for AWS, and goes back into service.
        if request.run is not None and is_unwinding(request.run):
            return
        move(request, Verb.WENT_OUT_OF_SERVICE, now, reason=event.text[:500])
        if request.endpoint is not None:
            checks.forget_health(request.endpoint, now)
        text = f"{request.spec.name} is out of service. {event.text}"
        record(request, "request.out_of_service", text, now, level="warning")
    elif event.step == "grace" and event.kind == "step.ready" and state is State.OUT_OF_SERVICE:
        move(request, Verb.GRACE_ENDED, now, reason="")
        record(request, "request.grace_ended", "The grace period is over. Deleting.", now)
    elif event.kind == checks.CUSTOM_FINISHED and state is State.VERIFYING:
        # It was running when the usual check was requested and was taken for it, but says nothing
        # about the endpoint.
        _request_first_check(request, now)
    elif event.kind == "check.finished":
        _handle_check(request, event, now)


def _handle_done(request: EndpointRequest, now: datetime) -> None:
    supersede_earlier(request, now)
    if request.action == REMOVE:
        move(request, Verb.WAS_REMOVED, now, reason="")
        text = f"{request.spec.name} is removed. Nothing of it is left in AWS."
        record(request, "request.removed", text, now, level="good")
        return
    if request.action == ACCEPT and request.endpoint is not None:
        request_report(request.endpoint.account, by="the portal", now=now)
    move(request, Verb.DEPLOYED, now)
    text = "Making a real handshake through CloudFront."
    record(request, "request.provisioned", text, now)
    endpoint = _request_first_check(request, now)
    demand_end_date(endpoint, request.requester, now)
    checks.schedule_usual_check(endpoint, stream=request.stream, now=now)
    schedule_first_audit(endpoint, now)
    checks.request_checks_after_change(endpoint, now)


def _handle_undone(request: EndpointRequest, failure: dict[str, Any], now: datetime) -> None:
    reason = str(failure.get("reason", ""))[:500]
    if failure.get("code") == PLAN_STALE:
        move(request, Verb.VOIDED, now, due_at=now, revision=request.revision + 1, plan_digest="")
        text = f"The approval is void. Replanning. {reason}"
        record(request, "request.voided", text, now, level="warning")
    elif failure.get("code") == CANCELLED and was_out_of_service(request):
        move(request, Verb.WAS_RESTORED, now, reason=reason)
        record(request, "request.restored", request.next_step, now, level="good")
        _check_again(request, now)
    elif failure.get("code") == CANCELLED:
        move(request, Verb.CANCELLED_CLEAN, now, reason=reason)
        text = f"{request.title}. {request.next_step}"
        record(request, "request.cancelled", text, now)
    else:
        move(request, Verb.GAVE_UP, now, reason=reason)
        text = f"{request.title}. {reason} {failure.get('fix', '')}".strip()
        record(request, "request.failed", text, now, level="error")


def was_out_of_service(request: EndpointRequest) -> bool:
    """Whether its run took the endpoint out of the distribution and then waited."""
    return request.run is not None and request.run.entries.filter(step="grace").exists()


def _check_again(request: EndpointRequest, now: datetime) -> None:
    """Check an endpoint that is back in service, for the request that built it."""
    endpoint = request.endpoint
    if endpoint is not None:
        checks.request_check(
            endpoint, by="the portal", stream=stream_of(endpoint), now=now, patient=True
        )


def _handle_check(request: EndpointRequest, event: Event, now: datetime) -> None:
    ok = bool(event.data.get("ok"))
    verb = Verb.ANSWERED if ok else Verb.DID_NOT_ANSWER
    before = State(request.state)
    if after(before, verb) is None:
        return
    move(request, verb, now, reason="" if ok else event.text[:500])
    if before in (State.VERIFYING, State.UNANSWERED) and "check" in event.data:
        checks.keep_check(event.data["check"])
    if ok:
        again = before is State.FAILING
        done = "Clients can connect again." if again else "Request complete. Clients can connect."
        if request.endpoint is not None:
            kind = APP_KINDS[request.endpoint.spec.app_kind]
            done = f"{done} {kind.leaves_out}".rstrip()
        record(request, "request.live", done, now, level="good")
    else:
        failing = f"{request.title}. The verdict names the cause and the fix."
        record(request, f"request.{request.state}", failing, now, level="error")


def _request_first_check(request: EndpointRequest, now: datetime) -> Endpoint:
    endpoint = request.endpoint
    if endpoint is None:
        raise ValueError(f"request {request.pk} was built without an endpoint")
    checks.request_check(endpoint, by="the portal", stream=request.stream, now=now, patient=True)
    return endpoint
