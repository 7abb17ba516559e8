"""What people and ticket systems can do with endpoint requests: one function per verb.

Each commits its change, its event and its record in one transaction, by one conditional update on
the state (and revision) it was decided on. A refusal is a `Denied` with a reason, not an exception.
Nothing here calls AWS or Redis: planning and runs are rows with a due time, which the ticker finds.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from checks.stored_secrets.actions import names_of
from portal.people.models import Person, Team
from portal.requests.accepted_exceptions import accept_exposures, end_of
from portal.requests.answers import parse_settings
from portal.requests.endpoint_names import name_fault
from portal.requests.entitlement import check_requester
from portal.requests.lifecycle import Allowed, Denied, State, Verb, after, may
from portal.requests.models import Approval, EndpointRequest
from provisioning import actions as provisioning
from provisioning import events
from provisioning.models import AwsAccount, Endpoint
from provisioning.plan.path_ownership import Contest
from provisioning.plan.reliance import exposures_of
from provisioning.redaction.masking import mask_prose
from provisioning.redaction.printable import on_one_line, printable
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import FieldError, SpecError

CLAIMS = {"requested_for": "for", "opened_by": "opened by"}
MAX_JUSTIFICATION = 500


@dataclass(frozen=True)
class Ticket:
    """Where a request came from, if a ticket system sent it."""

    system: str = ""
    id: str = ""
    url: str = ""
    correlation_id: str = ""


def parse_answers(answers: Mapping[str, Any], team: Team) -> EndpointSpec:
    """The spec that the answers lead to before AWS is asked. The account and the stored
    secrets must be the team's, and the name must be free. Raises SpecError.
    """
    spec = parse_settings(answers, secrets_for(answers, team))
    if not team.accounts.filter(account_id=spec.account_id).exists():
        message = f"{team.name} cannot use this account. Choose another."
        raise SpecError([FieldError("account_id", "not_your_account", message)])
    if fault := name_fault(spec.account_id, spec.name):
        raise SpecError([fault])
    return spec


def secrets_for(answers: Mapping[str, Any], team: Team) -> frozenset[str]:
    """The names of the team's secrets; none are read if the answers refer to none."""
    refers = any("${" in str(answer) for answer in answers.values())
    return names_of(team.slug) if refers else frozenset()


def submit_request(
    person: Person,
    team: Team,
    answers: Mapping[str, Any],
    *,
    now: datetime,
    justification: str = "",
    beneficiary: Person | None = None,
    opener: Person | None = None,
    claims: Mapping[str, str] | None = None,
    ticket: Ticket | None = None,
    request_id: uuid.UUID | None = None,
) -> EndpointRequest:
    """Ask for a new endpoint. Raises SpecError if the answers are invalid.

    `opener` opened the ticket that the request came from and cannot decide on it, like anyone who
    edits it later. `claims` are people that a caller named whose word does not count: field to
    name. `request_id` is the id that an idempotency key has already promised.
    """
    spec = parse_answers(answers, team)
    ticket = ticket or Ticket()
    request_id = request_id or uuid.uuid4()
    with transaction.atomic():
        request = EndpointRequest.objects.create(
            id=request_id,
            team=team,
            requester=person,
            beneficiary=beneficiary or person,
            last_editor=person,
            editor_ids=[opener.pk] if opener else [],
            justification=mask_prose(printable(justification), MAX_JUSTIFICATION),
            answers=dict(answers),
            spec_data=spec.to_dict(),
            state=State.PLANNING,
            due_at=now,
            stream=f"request:{request_id}",
            external_system=ticket.system,
            external_id=ticket.id,
            external_url=ticket.url,
            correlation_id=ticket.correlation_id,
            created_at=now,
            updated_at=now,
        )
        text = f"{person} requested {spec.name} for {team.name}."
        if opener:
            text += f" {opener} opened the ticket."
        text += "".join(
            f" It claims to be {CLAIMS[field]} {who}; that was not verified."
            for field, who in (claims or {}).items()
        )
        opened: dict[str, Any] = {"opened_by": opener.username} if opener else {}
        opened |= {"claims": dict(claims)} if claims else {}
        record(request, "request.submitted", text, now, by=person, **opened)
    return request


def edit_request(
    person: Person,
    request: EndpointRequest,
    answers: Mapping[str, Any],
    *,
    now: datetime,
    justification: str | None = None,
) -> Allowed | Denied:
    """Change what is asked for and replan. The plan shown so far can no longer be approved. Raises
    SpecError if the answers are invalid.
    """
    allowed = may(Verb.EDIT, person.actor_for(request.team), request.standing)
    if isinstance(allowed, Denied):
        return allowed
    spec = parse_answers(answers, request.team)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.EDIT, person)
        if isinstance(allowed, Denied):
            return allowed
        # Every earlier editor stays barred from deciding, not only the last one.
        editors = sorted({*locked.editor_ids, locked.last_editor_id, person.pk})
        _restart_planning(
            locked,
            Verb.EDIT,
            now,
            answers=dict(answers),
            spec_data=spec.to_dict(),
            last_editor=person,
            editor_ids=editors,
            justification=locked.justification
            if justification is None
            else mask_prose(printable(justification), MAX_JUSTIFICATION),
        )
        record(locked, "request.edited", f"{person} changed the request. Replanning.", now, person)
    return allowed


def replan_request(person: Person, request: EndpointRequest, *, now: datetime) -> Allowed | Denied:
    """Ask AWS again, without changing the answers."""
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.REPLAN, person)
        if isinstance(allowed, Denied):
            return allowed
        _restart_planning(locked, Verb.REPLAN, now)
        record(locked, "request.replanned", f"{person} asked for a new plan.", now, person)
    return allowed


def approve_request(
    person: Person,
    request: EndpointRequest,
    *,
    plan_digest: str,
    reason: str = "",
    accept_until: str = "",
    now: datetime,
) -> Allowed | Denied:
    """Approve exactly the plan with this digest. The run starts with the next tick.

    What besides CloudFront reaches the target, by that plan, is accepted with it until the end of
    the day `accept_until`; that takes a reason. Decided again under the row's lock: others may have
    acted since the page was read.
    """
    reason = on_one_line(reason)
    until = end_of(accept_until, now)
    if isinstance(until, Denied):
        return until
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.APPROVE, person, digest=plan_digest)
        if isinstance(allowed, Denied):
            return allowed
        if refused := check_requester(locked):
            return refused
        # Approvals of the same name queue for this lock; the second one sees the first.
        AwsAccount.objects.select_for_update(no_key=True).get(pk=locked.spec.account_id)
        spec = locked.spec
        if fault := name_fault(spec.account_id, spec.name, besides=locked.endpoint):
            return Denied(fault.code, fault.message)
        contested = provisioning.contested_paths(locked.spec, locked.id, locked.team.slug)
        if surprise := _not_in_plan(contested, locked.plan_data):
            return Denied(
                "path_contested", f"{surprise}, and nobody has agreed to that. Replan the request."
            )
        exposed = exposures_of(locked.plan_data)
        if exposed and not reason.strip():
            return Denied(
                "reason_required",
                f"This plan leaves ways past CloudFront: {'; '.join(exposed)}. To accept that, "
                "give a reason; it is recorded.",
            )
        _record_decision(locked, Approval.Decision.APPROVED, person, reason, now)
        text = _with_reason(f"{person} approved plan {plan_digest[:8]}", reason)
        record(locked, "request.approved", text, now, person, level="good")
        run = provisioning.start_create(
            endpoint=locked.endpoint,
            endpoint_id=locked.id,
            owner=locked.team.slug,
            plan_data=locked.plan_data,
            stream=locked.stream,
            now=now,
        )
        move(locked, Verb.APPROVE, now, endpoint=run.endpoint, run=run)
        if exposed:
            accept_exposures(
                person,
                run.endpoint,
                exposed,
                reason=reason,
                until=until,
                stream=locked.stream,
                now=now,
                plan_digest=plan_digest,
            )
        _record_for_path_holders(locked, contested, now)
    return allowed


def _not_in_plan(contested: Sequence[Contest], plan: Mapping[str, Any]) -> Contest | None:
    """The first claim on the paths that nobody permits any more, or that the plan, and so the
    approver, did not know of.
    """
    known = plan["relies_on"]["paths_of_others"]

    def agreed(one: Contest) -> bool:
        ways = (str(replace(one, takes=takes)) for takes in (True, False))
        return one.permitted and any(way in known for way in ways)

    return next((one for one in contested if not agreed(one)), None)


def _record_for_path_holders(
    request: EndpointRequest, contested: Sequence[Contest], now: datetime
) -> None:
    """An event for each endpoint of another team whose paths the new one gets a part of."""
    for contest in contested:
        theirs = (
            EndpointRequest.objects.filter(
                endpoint__account_id=request.spec.account_id,
                endpoint__name=contest.endpoint,
                team__slug=contest.team,
            )
            .exclude(endpoint__state=Endpoint.State.ABSENT)
            .order_by("-created_at")
            .first()
        )
        if theirs is not None:
            text = (
                f"{contest.pattern}, part of {contest.other}, goes to endpoint {request.spec.name} "
                f"of {request.team} once it is built."
            )
            record(theirs, "endpoint.paths_shared", text, now, level="warning")


def reject_request(
    person: Person, request: EndpointRequest, *, reason: str, now: datetime
) -> Allowed | Denied:
    """Reject the request, with a reason that the requester sees."""
    reason = on_one_line(reason)
    if not reason.strip():
        return Denied("reason_required", "Give a reason, so that the team knows what to change.")
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.REJECT, person)
        if isinstance(allowed, Denied):
            return allowed
        _record_decision(locked, Approval.Decision.REJECTED, person, reason, now)
        move(locked, Verb.REJECT, now, reason=reason)
        text = _with_reason(f"{person} rejected the request", reason)
        record(locked, "request.rejected", text, now, person, level="warning")
    return allowed


def cancel_request(
    person: Person, request: EndpointRequest, *, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Cancel the request. What is being built is rolled back first; the request is cancelled once
    nothing of it is left in AWS.
    """
    reason = on_one_line(reason)
    text = _with_reason(f"{person} cancelled the request", reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.CANCEL, person)
        if isinstance(allowed, Denied):
            return allowed
        if locked.state == State.PROVISIONING and locked.run:
            if not provisioning.cancel_run(locked.run, reason=text, now=now):
                return Denied(
                    "wrong_state",
                    "It is already being rolled back, or has just finished. Try again in a moment.",
                )
            rolling_back = _with_reason(f"{person} cancelled the request; rolling back", reason)
            record(locked, "request.cancelling", rolling_back, now, person)
            return allowed
        move(locked, Verb.CANCEL, now, reason=reason)
        record(locked, "request.cancelled", text, now, person)
    return allowed


def retry_undo(
    person: Person, request: EndpointRequest, *, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Retry the rollback of a stuck request, after the cause of its failure has been fixed."""
    reason = on_one_line(reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.RETRY_UNDO, person)
        if isinstance(allowed, Denied):
            return allowed
        if locked.run is None or not provisioning.retry_undo(locked.run, reason=reason, now=now):
            return Denied(
                "wrong_state", "The rollback cannot be retried yet. Try again in a moment."
            )
        move(locked, Verb.RETRY_UNDO, now, reason="")
        text = _with_reason(f"{person} retried the rollback", reason)
        record(locked, "request.retrying_undo", text, now, person)
    return allowed


def close_request(
    person: Person, request: EndpointRequest, *, reason: str, now: datetime
) -> Allowed | Denied:
    """Give up the rollback of a stuck request. Its event lists what may be left in AWS."""
    reason = on_one_line(reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.CLOSE, person)
        if isinstance(allowed, Denied):
            return allowed
        if not reason.strip():
            return Denied(
                "reason_required", "Say why the rollback can never succeed. The team sees it."
            )
        left = provisioning.give_up_undo(locked.run) if locked.run else None
        if left is None:
            return Denied("wrong_state", "There is no rollback to give up. Try again in a moment.")
        move(locked, Verb.CLOSE, now, reason=reason)
        text = (
            f"{person} closed the request without its rollback: {reason.strip().rstrip('.')}. "
            f"May be left in AWS: {'; '.join(left) or 'nothing that the portal knows of'}."
        )
        record(locked, "request.closed", text, now, person, level="warning", left=left)
    return allowed


def move(request: EndpointRequest, verb: Verb, now: datetime, **changes: Any) -> None:
    """Move a locked request as lifecycle.TRANSITIONS says, and set columns with it."""
    to = after(State(request.state), verb)
    if to is None:
        raise ValueError(f"{verb} does not exist in state {request.state}")
    EndpointRequest.objects.filter(pk=request.pk, state=request.state).update(
        state=to, updated_at=now, **changes
    )
    request.refresh_from_db()


def record(
    request: EndpointRequest,
    kind: str,
    text: str,
    now: datetime,
    by: Person | None = None,
    *,
    level: str = "info",
    **data: Any,
) -> None:
    """Append an event to the request's stream, with its present state and who acted."""
    if by is not None:
        data["by"] = by.username
    data["state"] = request.state
    events.append(request.stream, kind, text, at=now, level=level, data=data)


def _lock(
    request: EndpointRequest, verb: Verb, person: Person, *, digest: str | None = None
) -> tuple[EndpointRequest, Allowed | Denied]:
    """The locked row, and whether `person` may use `verb` on it now.

    Locked without joins: after waiting, PostgreSQL reads the row again but joins what it had found
    before, so that a request approved meanwhile would have no run.
    """
    locked = EndpointRequest.objects.select_for_update().get(pk=request.pk)
    person.refresh_from_db(fields=["is_active", "role"])
    return locked, may(verb, person.actor_for(locked.team), locked.standing, digest=digest)


def _restart_planning(request: EndpointRequest, verb: Verb, now: datetime, **changes: Any) -> None:
    revision = request.revision + 1
    move(request, verb, now, due_at=now, revision=revision, plan_digest="", reason="", **changes)


def _record_decision(
    request: EndpointRequest,
    decision: Approval.Decision,
    person: Person,
    reason: str,
    now: datetime,
) -> None:
    Approval.objects.create(
        request=request,
        decision=decision,
        decider=person,
        plan_digest=request.plan_digest,
        revision=request.revision,
        reason=reason,
        at=now,
    )


def _with_reason(sentence: str, reason: str) -> str:
    return f"{sentence}: {reason.strip()}" if reason.strip() else f"{sentence}."
