"""What people and tickets can do with endpoint requests: one function per verb.

Each makes its change, its event and its record in one transaction, by one conditional update on the
state (and revision) it was decided on. A refusal is a Denied with a reason, not an exception. No
function here talks to AWS or to Redis: planning and runs are rows with a due time, found by the
tick.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.people.models import Person, Team
from portal.requests.lifecycle import (
    Allowed,
    Denied,
    State,
    Verb,
    after,
    may_approve,
    may_cancel,
    may_close,
    may_edit,
    may_reject,
    may_retry_undo,
)
from portal.requests.models import Approval, EndpointRequest
from provisioning import actions as provisioning
from provisioning import events
from provisioning.models import AwsAccount
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import FieldError, SpecError, complete_answers, parse_spec


@dataclass(frozen=True)
class Ticket:
    """Where a request came from, if a ticket system sent it."""

    system: str = ""
    id: str = ""
    url: str = ""
    correlation_id: str = ""


def read_answers(answers: Mapping[str, Any], team: Team) -> EndpointSpec:
    """The spec a wish leads to before AWS was asked. Raises SpecError. The account must be the
    team's.
    """
    spec = parse_spec(complete_answers(answers))
    if not team.accounts.filter(account_id=spec.account_id).exists():
        raise SpecError(
            [
                FieldError(
                    "account_id",
                    "not_your_account",
                    f"{team.name} has no such account. Pick another.",
                )
            ]
        )
    return spec


def submit_request(
    person: Person,
    team: Team,
    answers: Mapping[str, Any],
    *,
    now: datetime,
    justification: str = "",
    beneficiary: Person | None = None,
    opener: Person | None = None,
    ticket: Ticket | None = None,
    request_id: uuid.UUID | None = None,
) -> EndpointRequest:
    """Ask for a new endpoint. Raises SpecError when the wish is not well formed. Planning follows
    by itself.

    `opener` is who opened the ticket that it came from: not the one to decide on it, as little as
    who edits it later. `request_id` is given by a caller that has promised the id already (an
    idempotency key).
    """
    spec = read_answers(answers, team)
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
            justification=justification,
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
        opened = {"opened_by": opener.username} if opener else {}
        text = f"{person} asked for {spec.name} for {team.name}." + (
            f" {opener} opened the ticket." if opener else ""
        )
        tell(request, "request.submitted", text, now, by=person, **opened)
    return request


def edit_request(
    person: Person,
    request: EndpointRequest,
    answers: Mapping[str, Any],
    *,
    now: datetime,
    justification: str | None = None,
) -> Allowed | Denied:
    """Change what is asked for. The plan is made anew; what was shown before cannot be approved any
    more.
    """
    allowed = may_edit(person.actor_for(request.team), request.standing)
    if isinstance(allowed, Denied):
        return allowed
    spec = read_answers(answers, request.team)
    changes: dict[str, Any] = {
        "answers": dict(answers),
        "spec_data": spec.to_dict(),
        "last_editor": person,
    }
    if justification is not None:
        changes["justification"] = justification
    text = f"{person} changed the request. It is planned anew."
    return _replan(request, Verb.EDIT, "request.edited", text, person, now, changes)


def replan_request(person: Person, request: EndpointRequest, *, now: datetime) -> Allowed | Denied:
    """Ask AWS again, without changing the wish."""
    allowed = may_edit(person.actor_for(request.team), request.standing)
    if isinstance(allowed, Denied):
        return allowed
    return _replan(
        request,
        Verb.REPLAN,
        "request.replanned",
        f"{person} asked for a new plan.",
        person,
        now,
        {},
    )


def approve_request(
    person: Person, request: EndpointRequest, *, digest: str, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Agree to exactly the plan with `digest`. The run starts with the next tick.

    Decided again under the row's lock: between reading the page and this moment anybody may have
    acted.
    """
    with transaction.atomic():
        locked = _locked(request)
        allowed = may_approve(person.actor_for(locked.team), locked.standing, digest=digest)
        if isinstance(allowed, Denied):
            return allowed
        # Two approvals of one name take their turn here; the second sees the first.
        AwsAccount.objects.select_for_update(no_key=True).get(pk=locked.spec.account_id)
        taken = provisioning.name_taken(locked.spec, locked.endpoint)
        if taken:
            return Denied(
                "name_taken",
                f"The account already has an endpoint named {locked.spec.name}. Change the name.",
            )
        Approval.objects.create(
            request=locked,
            decision=Approval.Decision.APPROVED,
            decider=person,
            plan_digest=digest,
            revision=locked.revision,
            reason=reason,
            at=now,
        )
        tell(
            locked,
            "request.approved",
            _with_reason(f"{person} approved plan {digest[:8]}", reason),
            now,
            by=person,
            level="good",
        )
        run = provisioning.start_create(
            endpoint=locked.endpoint,
            endpoint_id=locked.id,
            owner=locked.team.slug,
            plan_data=locked.plan_data,
            stream=locked.stream,
            now=now,
        )
        move(locked, Verb.APPROVE, now, endpoint=run.endpoint, run=run)
    return allowed


def reject_request(
    person: Person, request: EndpointRequest, *, reason: str, now: datetime
) -> Allowed | Denied:
    """Say no, with a reason the requester sees."""
    if not reason.strip():
        return Denied("reason_required", "Say why, so that the team knows what to change.")
    with transaction.atomic():
        locked = _locked(request)
        allowed = may_reject(person.actor_for(locked.team), locked.standing)
        if isinstance(allowed, Denied):
            return allowed
        Approval.objects.create(
            request=locked,
            decision=Approval.Decision.REJECTED,
            decider=person,
            plan_digest=locked.plan_digest,
            revision=locked.revision,
            reason=reason,
            at=now,
        )
        move(locked, Verb.REJECT, now, reason=reason)
        tell(
            locked,
            "request.rejected",
            _with_reason(f"{person} rejected it", reason),
            now,
            by=person,
            level="warning",
        )
    return allowed


def cancel_request(
    person: Person, request: EndpointRequest, *, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Give it up. What is being built is undone first; the request is cancelled when AWS is clean
    again.
    """
    with transaction.atomic():
        locked = _locked(request)
        allowed = may_cancel(person.actor_for(locked.team), locked.standing)
        if isinstance(allowed, Denied):
            return allowed
        if locked.state == State.PROVISIONING and locked.run:
            if not provisioning.cancel_run(
                locked.run, reason=_with_reason(f"{person} cancelled it", reason), now=now
            ):
                return Denied(
                    "wrong_state",
                    "It is being undone already, or is just finished. Look again in a moment.",
                )
            tell(
                locked,
                "request.cancelling",
                _with_reason(f"{person} cancelled it; what exists so far is undone", reason),
                now,
                by=person,
            )
            return allowed
        move(locked, Verb.CANCEL, now, reason=reason)
        tell(
            locked,
            "request.cancelled",
            _with_reason(f"{person} cancelled it", reason),
            now,
            by=person,
        )
    return allowed


def retry_undo(
    person: Person, request: EndpointRequest, *, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Have the undo of a stuck request tried again, once what made it fail is put right."""
    with transaction.atomic():
        locked = _locked(request)
        allowed = may_retry_undo(person.actor_for(locked.team), locked.standing)
        if isinstance(allowed, Denied):
            return allowed
        if locked.run is None or not provisioning.retry_undo(locked.run, reason=reason, now=now):
            return Denied("wrong_state", "There is no undo to try again. Look again in a moment.")
        move(locked, Verb.RETRY_UNDO, now, reason="")
        text = _with_reason(f"{person} had the undo tried again", reason)
        tell(locked, "request.retrying_undo", text, now, by=person)
    return allowed


def close_request(
    person: Person, request: EndpointRequest, *, reason: str, now: datetime
) -> Allowed | Denied:
    """Give up the undo of a stuck request for good. What may be left in AWS is written into its
    events.
    """
    with transaction.atomic():
        locked = _locked(request)
        allowed = may_close(person.actor_for(locked.team), locked.standing)
        if isinstance(allowed, Denied):
            return allowed
        if not reason.strip():
            return Denied(
                "reason_required", "Say why the undo cannot succeed any more; the team reads it."
            )
        left = provisioning.give_up_undo(locked.run) if locked.run else None
        if left is None:
            return Denied("wrong_state", "There is no undo to give up. Look again in a moment.")
        move(locked, Verb.CLOSE, now, reason=reason)
        listed = "; ".join(left) if left else "nothing that the portal knows of"
        text = (
            f"{person} closed it without its undo: {reason.strip().rstrip('.')}. May be left in "
            f"AWS: {listed}."
        )
        tell(locked, "request.closed", text, now, by=person, level="warning", left=left)
    return allowed


def _locked(request: EndpointRequest) -> EndpointRequest:
    """The row as it is once nobody else holds it. Without joins: PostgreSQL looks at the row again
    after waiting, but joins to it what it had found before, so that a request just approved would
    have no run.
    """
    locked: EndpointRequest = EndpointRequest.objects.select_for_update().get(pk=request.pk)
    return locked


def move(request: EndpointRequest, verb: Verb, now: datetime, **changes: Any) -> None:
    """Move a locked request as the table says."""
    to = after(State(request.state), verb)
    if to is None:
        raise ValueError(f"{verb} does not exist in state {request.state}")
    EndpointRequest.objects.filter(pk=request.pk, state=request.state).update(
        state=to, updated_at=now, **changes
    )
    request.refresh_from_db()


def _replan(
    request: EndpointRequest,
    verb: Verb,
    kind: str,
    text: str,
    person: Person,
    now: datetime,
    changes: Mapping[str, Any],
) -> Allowed | Denied:
    with transaction.atomic():
        locked = _locked(request)
        allowed = may_edit(person.actor_for(locked.team), locked.standing)
        if isinstance(allowed, Denied):
            return allowed
        if verb is Verb.EDIT:
            # Whoever changed anything of it may never decide on it, also after somebody else's last
            # touch.
            changes = {
                **changes,
                "editor_ids": sorted({*locked.editor_ids, locked.last_editor_id, person.pk}),
            }
        move(
            locked,
            verb,
            now,
            due_at=now,
            revision=locked.revision + 1,
            plan_digest="",
            reason="",
            **changes,
        )
        tell(locked, kind, text, now, by=person)
    return allowed


def tell(
    request: EndpointRequest,
    kind: str,
    text: str,
    now: datetime,
    *,
    by: Person | None = None,
    level: str = "info",
    **data: Any,
) -> None:
    """Append an event to the request's stream, with the state it is in now and who did it."""
    if by is not None:
        data["by"] = by.username
    events.append(
        request.stream, kind, text, at=now, level=level, data=data | {"state": request.state}
    )


def _with_reason(sentence: str, reason: str) -> str:
    return f"{sentence}: {reason.strip()}" if reason.strip() else f"{sentence}."
