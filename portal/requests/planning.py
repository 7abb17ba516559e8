"""Plans a request: asks AWS, runs the preflight, makes the plan, and stores the result."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from checks.preflight import PreflightResult, PreflightSubject, blocks, evaluate
from portal.requests.actions import move, record
from portal.requests.head_starts import begin_if_wanted
from portal.requests.lifecycle import State, Verb
from portal.requests.models import EndpointRequest
from provisioning.actions import name_taken
from provisioning.aws.errors import AwsError
from provisioning.facts.snapshot import Snapshot
from provisioning.models import AwsAccount
from provisioning.plan.changes import what_changed
from provisioning.plan.items import Unplannable
from provisioning.plan.plan import ADOPT, FROM_AWS, REMOVE, Plan
from provisioning.planning import plan_from, snapshot_for_plan
from provisioning.progress import plan_time
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import SpecError, complete_answers, parse_spec

RETRY_AFTER_SECONDS = 20.0
DAY = 86400
log = logging.getLogger(__name__)


def plan_request(request_id: str, *, now: datetime) -> None:
    """1. Claim the request: no other worker plans it for twenty seconds.
    2. Ask AWS, complete the answers with the target's listeners, run the preflight and plan.
    3. Store plan and preflight if the request is still at the same revision.
    """
    due = EndpointRequest.objects.to_plan(now).filter(pk=request_id)
    if due.update(due_at=now + timedelta(seconds=RETRY_AFTER_SECONDS)) != 1:
        return
    request = EndpointRequest.objects.select_related("team").get(pk=request_id)
    try:
        _plan(request, now)
    except DatabaseError:
        raise
    except Exception as error:
        # Nobody should wait for ever: they can replan, or change the request.
        log.exception("request %s: internal error while planning", request.pk)
        name = type(error).__name__
        _store_blocked(
            request,
            [],
            f"Internal error ({name}). Contact the portal's operators, then replan.",
            now,
        )


def _plan(request: EndpointRequest, now: datetime) -> None:
    spec = request.spec
    account = AwsAccount.objects.get(pk=spec.account_id)
    try:
        snapshot = snapshot_for_plan(account, request.action, spec, permissions=True)
    except AwsError as error:
        _store_blocked(request, [], f"AWS did not answer: {error} {error.fix}".strip(), now)
        return
    if snapshot.held_back is not None:
        # Our own call budget is used up, which is no finding: the request is planned when it is
        # due again.
        return
    target = snapshot.target
    if target is not None and request.action not in FROM_AWS:
        try:
            spec = parse_spec(
                complete_answers(
                    request.answers, target.listener_protocols(), target.certificate_names()
                )
            )
        except SpecError as error:
            text = f"The target's listeners do not match the request: {error}"
            _store_blocked(request, [], text, now)
            return
    results = [] if request.action == REMOVE else _preflight(request, account, spec, snapshot)
    preflight = [result.to_dict() for result in results]
    try:
        plan = plan_from(
            snapshot,
            account,
            request.action,
            spec,
            team=request.team.slug,
            endpoint_id=request.planned_endpoint_id,
            grace_seconds=round(request.grace_days * DAY / settings.PROVISIONING_PACE),
        )
    except Unplannable as obstacle:
        _store_blocked(request, preflight, str(obstacle), now)
        return
    # Nothing is built: what AWS has is there already.
    if blocks(results) and request.action not in FROM_AWS:
        problems = " ".join(result.seen for result in results if result.level == "block")
        _store_blocked(request, preflight, f"Not ready: {problems}", now)
        return
    _store_plan(request, plan, preflight, snapshot, now)


def _preflight(
    request: EndpointRequest, account: AwsAccount, spec: EndpointSpec, snapshot: Snapshot
) -> list[PreflightResult]:
    key = request.planned_endpoint_id.hex[:12]
    ours = spec.own_origin_id(settings.PROVISIONING_OWNER, key)
    rights = account.path_rights(spec.distribution_id, request.team.slug)
    taken = name_taken(spec.account_id, spec.name, besides=request.endpoint)
    subject = PreflightSubject.of(
        spec, origin_id=ours, rights=rights, name_free=not taken, adopts=request.action == ADOPT
    )
    return list(evaluate(subject, snapshot))


def _store_plan(
    request: EndpointRequest,
    plan: Plan,
    preflight: list[dict[str, Any]],
    snapshot: Snapshot,
    now: datetime,
) -> None:
    data = plan.to_dict()
    data["time"] = asdict(plan_time(data))
    changes = {
        "spec_data": plan.spec.to_dict(),
        "plan_data": data,
        "plan_digest": plan.digest,
        "plan_changes": what_changed(request.plan_data, data) if request.plan_data else [],
        "preflight_data": preflight,
        "planned_at": now,
        "reason": "",
    }
    text = f"Plan {plan.digest[:8]} is ready for approval."
    with transaction.atomic():
        locked = _lock_if_unchanged(request)
        if locked is not None:
            move(locked, Verb.PLANNED, now, **changes)
            record(locked, "request.planned", text, now)
            begin_if_wanted(locked, data, snapshot, now)


def _store_blocked(
    request: EndpointRequest, preflight: list[dict[str, Any]], reason: str, now: datetime
) -> None:
    changes = {
        "preflight_data": preflight,
        "plan_digest": "",
        "planned_at": now,
        "reason": reason[:500],
    }
    with transaction.atomic():
        locked = _lock_if_unchanged(request)
        if locked is not None:
            move(locked, Verb.FOUND_BLOCKED, now, **changes)
            record(locked, "request.blocked", reason, now, level="warning")


def _lock_if_unchanged(request: EndpointRequest) -> EndpointRequest | None:
    """The locked row, unless somebody cancelled or edited the request while AWS was asked."""
    unchanged = EndpointRequest.objects.filter(
        pk=request.pk, revision=request.revision, state=State.PLANNING
    )
    return unchanged.select_for_update().first()
