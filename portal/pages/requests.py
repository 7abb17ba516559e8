"""One endpoint request: its plan, progress and event log, and what people can do with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from checks.diagnosis.verdicts import verdict_of
from checks.models import Check
from checks.preflight import Fix, Level
from checks.usual_check import UsualCheckSummary
from portal.pages.auth import SignedIn, posted_text, request_or_404, signed_in
from portal.pages.forms import request_form_data
from portal.people.models import Person
from portal.requests.lifecycle import (
    CHECKED,
    FINAL,
    PERMISSIONS,
    SETTLED,
    Allowed,
    Denied,
    State,
    Verb,
    may,
)
from portal.requests.models import Approval, EndpointRequest
from portal.requests.phases import phases
from portal.requests.plan_diff import plan_view, settings_changed
from portal.requests.verbs import VERBS_BY_NAME
from provisioning.engine.decide import past_pivot
from provisioning.models import Event, HeadStart, Run
from provisioning.plan.plan import CREATE, FROM_AWS, REMOVE
from provisioning.progress import UNDONE, progress
from provisioning.sagas import steps_of
from provisioning.sagas.left_behind import left_behind
from provisioning.spec.parsing import SpecError

EVENTS_SHOWN = 500
LONGEST_SEQ = 18
"""Digits: larger numbers do not fit into the column."""
APPROVERS_NAMED = 4
# Seconds between two refreshes of an open page; the console refreshes it immediately when something
# happens.
REFRESH_SECONDS = {
    State.PLANNING: 1,
    State.PROVISIONING: 5 if settings.PROVISIONING_PACE < 5 else 2,
    State.VERIFYING: 1,
    State.AWAITING_APPROVAL: 10,
    State.STUCK: 30,
    State.QUARANTINED: 30,
    State.OUT_OF_SERVICE: 60,
}
FORMATS = {"txt": "text/plain; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}


@signed_in
@require_safe
def request_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """The whole page, with the newest events; the console continues from there. `?before=` shows
    those before that number.
    """
    shown = request_or_404(request.user, pk)
    logged = Event.objects.filter(stream_id=shown.stream)
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) <= LONGEST_SEQ:
        logged = logged.filter(seq__lt=int(before))
    else:
        before = ""
    events = list(logged.order_by("-seq")[:EVENTS_SHOWN])[::-1]
    # The state is read after the events: for anything between, the console brings the event and
    # refreshes the state.
    shown = request_or_404(request.user, pk)
    context = _context(request.user, shown) | {
        "events": events,
        "steps": sorted({event.step for event in events if event.step}),
        "earlier": bool(events) and logged.filter(seq__lt=events[0].seq).exists(),
        "before": before,
    }
    return render(request, "requests/detail.html", context)


@signed_in
@require_safe
def request_standing(request: SignedIn, pk: UUID) -> HttpResponse:
    """Its current state as a fragment, with everything that depends on the state if that has
    changed since (`was`).
    """
    shown = request_or_404(request.user, pk)
    was = request.GET.get("was", "")
    context = _context(request.user, shown) | {
        "state_changed": was != _mark(shown),
        "fragment": True,
    }
    return render(request, "requests/_standing.html", context)


@signed_in
@require_POST
def request_verb(request: SignedIn, pk: UUID, name: str) -> HttpResponse:
    """Use one of `portal.requests.verbs` on a request."""
    shown = request_or_404(request.user, pk)
    verb = VERBS_BY_NAME[name]
    given = {one.name: posted_text(request, one.name, one.longest) for one in verb.fields}
    try:
        outcome = verb.use(request.user, shown, given, timezone.now())
    except SpecError as error:
        messages.warning(request, f"The suggestion does not fit this request: {error}")
    else:
        if isinstance(outcome, Denied):
            messages.warning(request, outcome.reason)
        else:
            messages.success(request, verb.done_after(State(shown.state)))
    return redirect(shown)


@signed_in
@require_safe
def events_download(request: SignedIn, pk: UUID, form: str) -> StreamingHttpResponse:
    """All events, as text for people (txt) or JSON lines for machines (jsonl)."""
    shown = request_or_404(request.user, pk)
    if form not in FORMATS:
        raise Http404
    events = Event.objects.after(shown.stream, 0).iterator(chunk_size=500)
    lines = _as_text(events) if form == "txt" else _as_json(events)
    response = StreamingHttpResponse(lines, content_type=FORMATS[form])
    name = f"{slugify(shown.spec_data['name']) or 'request'}-{shown.pk.hex[:8]}-events.{form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def plan_context(shown: EndpointRequest) -> dict[str, Any]:
    """What the plan and preflight fragments need; no plan while there is none."""
    plan = (
        plan_view(shown.plan_data, pace=settings.PROVISIONING_PACE) if shown.plan_digest else None
    )
    results = sorted(shown.preflight_data, key=lambda one: Level(one["level"]), reverse=True)
    return {
        "plan": plan,
        "preflight": results,
        "blocked": shown.action not in FROM_AWS and any(one["level"] == "block" for one in results),
        "preflight_shown": bool(results) and shown.state != State.PLANNING,
        "settings_changed": settings_changed(shown.plan_data) if plan else (),
        "paced": settings.PROVISIONING_PACE > 1,
        "phases": phases(shown.plan_data, pace=settings.PROVISIONING_PACE) if plan else (),
        "usual_check": UsualCheckSummary.of(shown.spec.to_dict()),
        "check_minutes": settings.CHECK_EVERY_MINUTES,
    }


def _context(person: Person, shown: EndpointRequest) -> dict[str, Any]:
    now = timezone.now()
    actor = person.actor_for(shown.team)
    state = State(shown.state)
    run = shown.run
    usable = {
        verb
        for verb in PERMISSIONS
        if isinstance(may(verb, actor, shown.standing, digest=shown.plan_digest), Allowed)
    }
    close = Verb.CLOSE in usable and run is not None
    # Of a removed endpoint, the journal is deleted some time.
    told = run is not None and not (run.over and not run.entries.exists())
    rail = progress(run, now) if run is not None and told else None
    gone = (
        [step.name for step in rail.steps if step.state == UNDONE]
        if rail and state is State.FAILED
        else []
    )
    return {
        "shown": shown,
        "mark": _mark(shown),
        "refresh_seconds": REFRESH_SECONDS.get(state),
        "progress": rail,
        "failed_at": gone[-1] if gone else "",
        "run": run,
        "undoing": _undoing(shown),
        "reason_listed": state is State.BLOCKED
        and any(one["level"] == "block" for one in shown.preflight_data),
        "fix": str(run.failure.get("fix", ""))
        if run is not None and state in (State.FAILED, State.STUCK, State.QUARANTINED)
        else "",
        "request_again_url": _request_again_url(shown)
        if state in FINAL | {State.FAILED} and shown.action == CREATE and actor.is_team_member
        else "",
        "check": _last_check(shown),
        "decisions": list(
            Approval.objects.filter(request=shown).select_related("decider").order_by("at")
        ),
        "approvers": _approvers(shown) if state is State.AWAITING_APPROVAL else [],
        "head_start": HeadStart.objects.filter(stream=shown.stream, released_at=None).first()
        if state is State.AWAITING_APPROVAL
        else None,
        "may_edit": Verb.EDIT in usable,
        "may_replan": Verb.REPLAN in usable,
        "may_cancel": Verb.CANCEL in usable and not _undoing(shown) and not _past_pivot(run),
        "removes": shown.action == REMOVE,
        "may_restore": Verb.RESTORE in usable,
        "may_retry": Verb.RETRY in usable,
        "may_retry_stuck": Verb.RETRY_STUCK in usable,
        "may_resume": Verb.RESUME in usable,
        "may_close": close,
        "left": left_behind(run) if run is not None and close else [],
        "may_decide": Verb.APPROVE in usable,
        "settled": state in SETTLED,
    } | plan_context(shown)


def _request_again_url(shown: EndpointRequest) -> str:
    """The form of a new request, prefilled with the answers of this one."""
    data = request_form_data(shown.answers, shown.team, shown.justification)
    return (
        f"{reverse('request-new')}?{urlencode({key: text for key, text in data.items() if text})}"
    )


def _mark(shown: EndpointRequest) -> str:
    """Changes whenever more than the progress changes on the page."""
    return f"{shown.state}-{shown.revision}-{'undoing' if _undoing(shown) else 'forward'}"


def _undoing(shown: EndpointRequest) -> bool:
    """Whether its run is rolling back."""
    return (
        shown.state == State.PROVISIONING
        and shown.run is not None
        and shown.run.state == Run.State.UNDOING
    )


def _past_pivot(run: Run | None) -> bool:
    """Whether its run can only go forward."""
    return run is not None and past_pivot(steps_of(run.saga), run.journal())


def _last_check(shown: EndpointRequest) -> dict[str, Any] | None:
    """The verdict to show beside the state, once the endpoint was checked."""
    if shown.endpoint_id is None or shown.state not in CHECKED:
        return None
    check = (
        Check.objects.filter(endpoint=shown.endpoint_id, finished_at__isnull=False)
        .order_by("-requested_at")
        .first()
    )
    if check is None:
        return None
    verdict = verdict_of(check.verdict)
    own: dict[str, Any] = next(
        (one for one in check.findings if one.get("code") == check.verdict), {}
    )
    here, signature = Fix.from_dict(own.get("here")), own.get("signature")
    general = signature["fix"] if signature else verdict.advice if verdict else ""
    return {
        "row": check,
        "verdict": verdict,
        "certainty": own.get("certainty", ""),
        "evidence": own.get("evidence", ()),
        "fix": here.advice if here else general,
    }


def _approvers(shown: EndpointRequest) -> list[Person]:
    """Some of the people who may approve, so that a team knows whom to contact."""
    barred = Q(
        pk__in=[shown.requester_id, shown.beneficiary_id, shown.last_editor_id, *shown.editor_ids]
    )
    roles = (Person.Role.APPROVER, Person.Role.PLATFORM_ADMIN)
    return list(
        Person.objects.filter(is_active=True, role__in=roles)
        .exclude(barred)
        .order_by("role", "pk")[:APPROVERS_NAMED]
    )


def _as_text(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        at = event.at.strftime("%Y-%m-%d %H:%M:%S")
        text = event.text.replace("\n", "\n" + " " * 8)
        yield f"{event.seq:>6}  {at}Z  {event.level:<7}  {event.step or '-':<20}  {text}\n"


def _as_json(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        yield json.dumps(event.to_dict(), ensure_ascii=False) + "\n"
