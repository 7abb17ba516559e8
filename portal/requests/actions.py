"""What people and ticket systems can do with endpoint requests: one function per verb.

Each commits its change, its event and its record in one transaction, by one conditional update on
the state (and revision) it was decided on. A refusal is a `Denied` with a reason, not an exception.
Nothing here calls AWS or Redis: planning and runs are rows with a due time, which the ticker finds.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.log_context import current_request_id
from portal.people.models import Person, Team
from portal.requests.accepted_exceptions import accept_exposures, end_of
from portal.requests.answers import parse_settings
from portal.requests.endpoint_names import name_fault
from portal.requests.entitlement import check_requester
from portal.requests.lifecycle import (
    CHECKED,
    FOLLOWED,
    UNDER_WAY,
    Allowed,
    Denied,
    State,
    Verb,
    after,
    may,
)
from portal.requests.models import Approval, EndpointRequest
from provisioning import actions as provisioning
from provisioning import events
from provisioning.models import AwsAccount, Endpoint, Run
from provisioning.plan.path_ownership import Contest
from provisioning.plan.plan import ACCEPT, ADOPT, CHANGE, CREATE, REMOVE
from provisioning.plan.reliance import exposures_of
from provisioning.redaction.masking import mask_prose
from provisioning.redaction.printable import on_one_line, printable
from provisioning.secrets.store import names_of
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.fields import FIELD
from provisioning.spec.parsing import FieldError, SpecError

CLAIMS = {"requested_for": "for", "opened_by": "opened by"}
ASKED = {
    CREATE: "requested {name} for {team}",
    ADOPT: "asked to adopt {name} for {team}",
    CHANGE: "asked to change {name} of {team}",
    ACCEPT: "asked to accept what was changed in AWS on {name} of {team}",
    REMOVE: "asked to remove {name} of {team}",
}
NEW = (CREATE, ADOPT)
"""The actions after which the portal has one more endpoint."""
MAX_JUSTIFICATION = 500
FIXED = {
    "name": "Rename the endpoint on its page.",
    "account_id": "Request a new endpoint in the other account, then remove this one.",
    "distribution_id": "Request a new endpoint on the other distribution, then remove this one.",
    "origin_id": "The endpoint keeps the origin with which it was adopted.",
    "vpc_origin_id": "Another target, port or protocol gets a VPC origin of the portal's own.",
}
"""What a change leaves as it is, and what to do instead."""


@dataclass(frozen=True)
class Ticket:
    """Where a request came from, if a ticket system sent it."""

    system: str = ""
    id: str = ""
    url: str = ""
    correlation_id: str = ""


def parse_answers(
    answers: Mapping[str, Any], team: Team, endpoint: Endpoint | None = None
) -> EndpointSpec:
    """The spec that the answers lead to before AWS is asked. The account and the stored secrets
    must be the team's, and the name must be free, or that of the `endpoint`. Raises SpecError.
    """
    spec = parse_settings(answers, secrets_for(answers, team))
    if not team.accounts.filter(account_id=spec.account_id).exists():
        message = f"{team.name} cannot use this account. Choose another."
        raise SpecError([FieldError("account_id", "not_your_account", message)])
    if fault := name_fault(spec.account_id, spec.name, besides=endpoint):
        raise SpecError([fault])
    return spec


def secrets_for(answers: Mapping[str, Any], team: Team) -> frozenset[str]:
    """The names of the team's secrets; none are read if the answers refer to none."""
    refers = any("${" in str(answer) for answer in answers.values())
    return names_of(team.slug) if refers else frozenset()


@dataclass(frozen=True)
class Provenance:
    """Who is behind a request besides the caller.

    `beneficiary` is whom it is for. `opener` opened the ticket that it came from; both cannot
    decide on it, like anyone who edits it later. `claims` are people that a caller named whose word
    does not count: field to name. `request_id` is the id that an idempotency key has already
    promised.
    """

    beneficiary: Person | None = None
    opener: Person | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    ticket: Ticket = Ticket()
    request_id: uuid.UUID | None = None


ONLY_THE_CALLER = Provenance()


def submit_request(
    person: Person,
    team: Team,
    answers: Mapping[str, Any],
    *,
    now: datetime,
    justification: str = "",
    provenance: Provenance = ONLY_THE_CALLER,
) -> EndpointRequest:
    """Ask for a new endpoint. Raises SpecError if the answers are invalid, or if this person has
    another request for the same ticket that is not over.
    """
    return store_request(
        person,
        team,
        CREATE,
        answers,
        parse_answers(answers, team),
        now=now,
        justification=justification,
        provenance=provenance,
    )


def store_request(
    person: Person,
    team: Team,
    action: str,
    answers: Mapping[str, Any],
    spec: EndpointSpec,
    *,
    now: datetime,
    justification: str = "",
    provenance: Provenance = ONLY_THE_CALLER,
    endpoint: Endpoint | None = None,
) -> EndpointRequest:
    """Store a request with its first event. The ticker finds it and has it planned."""
    ticket, opener, claims = provenance.ticket, provenance.opener, provenance.claims
    request_id = provenance.request_id or uuid.uuid4()
    with transaction.atomic():
        asked = EndpointRequest(
            id=request_id,
            action=action,
            team=team,
            endpoint=endpoint,
            requester=person,
            beneficiary=provenance.beneficiary or person,
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
            correlation_id=ticket.correlation_id or current_request_id(),
            created_at=now,
            updated_at=now,
        )
        # ON CONFLICT DO NOTHING: a failed INSERT would be logged by PostgreSQL with its values.
        EndpointRequest.objects.bulk_create([asked], ignore_conflicts=True)
        request = EndpointRequest.objects.filter(pk=request_id).first()
        if request is None:
            message = (
                f"You already have a request for {ticket.id} of {ticket.system} that is not over. "
                "Read it, change it or cancel it."
            )
            raise SpecError([FieldError("external_id", "ticket_taken", message)])
        text = f"{person} {ASKED[action].format(name=spec.name, team=team.name)}."
        if opener:
            text += f" {opener} opened the ticket."
        text += "".join(
            f" It claims to be {CLAIMS[field]} {who}; that was not verified."
            for field, who in claims.items()
        )
        opened: dict[str, Any] = {"opened_by": opener.username} if opener else {}
        opened |= {"claims": dict(claims)} if claims else {}
        record(request, "request.submitted", text, now, by=person, **opened)
    return request


def with_fixed(endpoint: Endpoint, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of a change with what a change cannot reach. Raises SpecError if one of those is
    asked to become another.
    """
    present = endpoint.spec.to_dict()
    fixed = [
        FieldError(name, "fixed", f"{FIELD[name].label} cannot be changed. {instead}")
        for name, instead in FIXED.items()
        if answers.get(name) not in (None, "", present[name])
    ]
    if fixed:
        raise SpecError(fixed)
    return dict(answers) | {name: present[name] for name in FIXED}


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
    if request.endpoint is not None and request.action == CHANGE:
        answers = with_fixed(request.endpoint, answers)
    spec = parse_answers(answers, request.team, request.endpoint)
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
        contested = _contests(locked)
        if refused := _refuse_to_start(locked, contested):
            return refused
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
        run = _start_run(locked, now)
        if run is None:
            transaction.set_rollback(True)
            return NOT_FREE
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


NOT_FREE = Denied(
    "wrong_state",
    "The endpoint is being changed or removed by another request. Try again when that is over.",
)


def _contests(locked: EndpointRequest) -> tuple[Contest, ...]:
    """Who else claims the paths that the request wants, as of now. A removal wants none."""
    if locked.action == REMOVE:
        return ()
    # Approvals of the same name queue for this lock; the second one sees the first.
    AwsAccount.objects.select_for_update(no_key=True).get(pk=locked.spec.account_id)
    return provisioning.contested_paths(locked.spec, locked.planned_endpoint_id, locked.team.slug)


def _refuse_to_start(locked: EndpointRequest, contested: Sequence[Contest]) -> Denied | None:
    """Why the approved plan must not be carried out now, or None."""
    if refused := check_requester(locked):
        return refused
    if locked.endpoint is not None and locked.endpoint.owner != locked.team.slug:
        return Denied("wrong_state", "The endpoint belongs to another team now.")
    if locked.action == REMOVE:
        return None
    spec = locked.spec
    fault = name_fault(spec.account_id, spec.name, besides=locked.endpoint)
    if fault and locked.action in NEW:
        return Denied(fault.code, fault.message)
    if locked.action == ADOPT:
        holder = provisioning.held_by(spec, locked.planned_endpoint_id)
        if holder:
            return Denied("already_held", f"It is endpoint {holder} of the portal by now.")
    if surprise := _not_in_plan(contested, locked.plan_data):
        return Denied(
            "path_contested", f"{surprise}, and nobody has agreed to that. Replan the request."
        )
    return None


def _start_run(locked: EndpointRequest, now: datetime) -> Run | None:
    """The run that carries out the plan. None if the endpoint is not free for it."""
    if locked.action in NEW:
        return provisioning.start_create(
            endpoint=locked.endpoint,
            endpoint_id=locked.id,
            owner=locked.team.slug,
            plan_data=locked.plan_data,
            stream=locked.stream,
            now=now,
        )
    assert locked.endpoint is not None  # noqa: S101 -- what is changed or removed exists
    start = {
        CHANGE: provisioning.start_change,
        ACCEPT: provisioning.start_acceptance,
        REMOVE: provisioning.start_removal,
    }[locked.action]
    return start(locked.endpoint, locked.plan_data, stream=locked.stream, now=now)


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
                    "It is being rolled back already, or it is too late to cancel it.",
                )
            rolling_back = _with_reason(f"{person} cancelled the request; rolling back", reason)
            record(locked, "request.cancelling", rolling_back, now, person)
            return allowed
        move(locked, Verb.CANCEL, now, reason=reason)
        record(locked, "request.cancelled", text, now, person)
    return allowed


def restore_request(
    person: Person, request: EndpointRequest, *, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Put an endpoint that is out of service back as it was. Its removal is cancelled."""
    reason = on_one_line(reason)
    text = _with_reason(f"{person} restored the endpoint", reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.RESTORE, person)
        if isinstance(allowed, Denied):
            return allowed
        if locked.run is None or not provisioning.cancel_run(locked.run, reason=text, now=now):
            return Denied(
                "wrong_state", "The grace period is over. It cannot be restored any more."
            )
        move(locked, Verb.RESTORE, now, reason="")
        record(locked, "request.restoring", text, now, person)
    return allowed


def retry_request(
    person: Person, request: EndpointRequest, *, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Carry out the plan of a failed request again, under the same approval. If AWS has changed
    since, the run stops before its first write and the request is planned again.
    """
    reason = on_one_line(reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.RETRY, person)
        if isinstance(allowed, Denied):
            return allowed
        if refused := _refuse_to_start(locked, _contests(locked)):
            return refused
        if locked.endpoint:
            # Who requests a change or a removal holds the same lock.
            Endpoint.objects.select_for_update().get(pk=locked.endpoint.pk)
            if request_under_way(locked.endpoint):
                return NOT_FREE
        run = _start_run(locked, now)
        if run is None:
            return NOT_FREE
        move(locked, Verb.RETRY, now, reason="", run=run, endpoint=run.endpoint)
        text = _with_reason(f"{person} retried the request", reason)
        record(locked, "request.retrying", text, now, person)
    return allowed


def request_under_way(endpoint: Endpoint) -> EndpointRequest | None:
    """The change or removal of the endpoint that is not over yet, if there is one."""
    return (
        EndpointRequest.objects.filter(endpoint=endpoint, state__in=sorted(UNDER_WAY))
        .exclude(action__in=NEW)
        .first()
    )


def stream_of(endpoint: Endpoint) -> str:
    """The stream that the endpoint's events go to: that of the newest request that built or changed
    it.
    """
    of_endpoint = EndpointRequest.objects.filter(endpoint=endpoint).order_by("-created_at")
    built = of_endpoint.filter(state__in=[State.VERIFYING, *CHECKED])
    source = built.first() or of_endpoint.first()
    return source.stream if source else ""


def retry_stuck(
    person: Person, request: EndpointRequest, *, reason: str = "", now: datetime
) -> Allowed | Denied:
    """Retry a stuck request from the step that failed, after the cause has been fixed."""
    reason = on_one_line(reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.RETRY_STUCK, person)
        if isinstance(allowed, Denied):
            return allowed
        if locked.run is None or not provisioning.retry_stuck(locked.run, reason=reason, now=now):
            return Denied("wrong_state", "It cannot be retried yet. Try again in a moment.")
        move(locked, Verb.RETRY_STUCK, now, reason="")
        text = _with_reason(f"{person} retried the step that failed", reason)
        record(locked, "request.retrying_stuck", text, now, person)
    return allowed


def resume_request(
    person: Person, request: EndpointRequest, *, reason: str, now: datetime
) -> Allowed | Denied:
    """Continue a quarantined request from the step at which its workers stopped."""
    reason = on_one_line(reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.RESUME, person)
        if isinstance(allowed, Denied):
            return allowed
        if not reason.strip():
            return Denied("reason_required", "Say what stopped the workers, or what you changed.")
        if locked.run is None or not provisioning.retry_stuck(locked.run, reason=reason, now=now):
            return Denied("wrong_state", "It cannot be resumed yet. Try again in a moment.")
        move(locked, Verb.RESUME, now, reason="")
        text = _with_reason(f"{person} resumed the run", reason)
        record(locked, "request.resumed", text, now, person)
    return allowed


def close_request(
    person: Person, request: EndpointRequest, *, reason: str, now: datetime
) -> Allowed | Denied:
    """Give up a stuck or quarantined request. Its event lists what may be left in AWS."""
    reason = on_one_line(reason)
    with transaction.atomic():
        locked, allowed = _lock(request, Verb.CLOSE, person)
        if isinstance(allowed, Denied):
            return allowed
        if not reason.strip():
            return Denied("reason_required", "Say why it can never succeed. The team sees it.")
        left = provisioning.give_up(locked.run) if locked.run else None
        if left is None:
            return Denied("wrong_state", "There is nothing to give up. Try again in a moment.")
        move(locked, Verb.CLOSE, now, reason=reason)
        if locked.action == REMOVE:
            supersede_earlier(locked, now)
        text = (
            f"{person} gave up the request: {reason.strip().rstrip('.')}. "
            f"May be left in AWS: {'; '.join(left) or 'nothing that the portal knows of'}."
        )
        record(locked, "request.closed", text, now, person, level="warning", left=left)
    return allowed


def supersede_earlier(request: EndpointRequest, now: datetime) -> None:
    """This request decides about its endpoint from now on; those before it are over."""
    earlier = EndpointRequest.objects.select_for_update().filter(
        endpoint=request.endpoint, state__in=[State.VERIFYING, *CHECKED]
    )
    for one in earlier.exclude(pk=request.pk).order_by("pk"):
        move(one, Verb.WAS_SUPERSEDED, now)
        text = f"A later request ({request.get_action_display()}) takes the place of this one."
        record(one, "request.superseded", text, now, by_request=str(request.pk))


def move(request: EndpointRequest, verb: Verb, now: datetime, **changes: Any) -> None:
    """Move a locked request as lifecycle.TRANSITIONS says, and set columns with it."""
    to = after(State(request.state), verb)
    if to is None:
        raise ValueError(f"{verb} does not exist in state {request.state}")
    EndpointRequest.objects.filter(pk=request.pk, state=request.state).update(
        state=to, updated_at=now, **changes
    )
    if (to in FOLLOWED) != (request.state in FOLLOWED):
        events.set_followed(request.stream, to in FOLLOWED)
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
