"""Works out the plan of a request: asks AWS, judges the target, plans, and stores what came of it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from checks.preflight import PreflightSubject, blocks, evaluate
from portal.requests.actions import move, tell
from portal.requests.lifecycle import State, Verb
from portal.requests.models import EndpointRequest
from provisioning.aws.errors import AwsError
from provisioning.models import AwsAccount
from provisioning.plan.changes import what_changed
from provisioning.plan.items import Unplannable
from provisioning.plan.planner import Plan, make_plan
from provisioning.spec.parsing import SpecError, complete_answers, parse_spec

PLAN_AGAIN_SECONDS = 20.0
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
        snapshot = account.snapshot_for(spec.target_arn, spec.distribution_id, permissions=True)
    except AwsError as error:
        _store_blocked(request, [], f"AWS could not be asked: {error} {error.fix}".strip(), now)
        return
    if snapshot.held_back is not None:
        # Not the team's fault, and no finding: it is worked out when it is due again.
        return
    if snapshot.target is not None:
        try:
            target = snapshot.target
            spec = parse_spec(
                complete_answers(
                    request.answers, target.listener_protocols(), target.certificate_names()
                )
            )
        except SpecError as error:
            _store_blocked(
                request,
                [],
                f"The target's listeners do not go with what is asked for: {error}",
                now,
            )
            return
    results = evaluate(PreflightSubject.of(spec), snapshot)
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
