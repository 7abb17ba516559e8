"""Asking for an endpoint, and changing what was asked: the form, and its parts as the answers grow.

The same form works without script: “Check this target” sends it back with everything typed and what
AWS says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from checks.preflight import Level, PreflightResult, PreflightSubject, blocks, evaluate
from checks.preflight.origins import evaluate_behavior
from portal.pages.auth import SignedIn, request_or_404, signed_in, teams_of
from portal.pages.forms import ADVANCED, ANSWERS, RequestForm, answers_of, fields_of
from portal.requests import inventory
from portal.requests.actions import edit_request, submit_request
from portal.requests.inventory import Inventory, Look
from portal.requests.lifecycle import Denied, Verb, may
from portal.requests.models import EndpointRequest
from portal.requests.suggestions import parse_changes
from portal.requests.target_badge import KINDS, TargetBadge, target_badge
from provisioning.facts.names import vpc_origin_key
from provisioning.facts.snapshot import Snapshot, TargetFacts
from provisioning.spec.parsing import SpecError, complete_answers, derive_settings, parse_spec

DEFAULT_SILENCE = 30
TONES = ("good", "warn", "bad")
PARTS = {
    "team": "requests/_account_fields.html",
    "account": "requests/_target_fields.html",
    "target": "requests/_form_preflight.html",
}


@dataclass(frozen=True)
class Choice:
    """A target as the form offers it."""

    target: TargetFacts
    kind: str
    target_badge: TargetBadge


@dataclass(frozen=True)
class Setting:
    """An advanced setting: what the portal would choose and why, what can be chosen instead, what
    was typed.
    """

    field: str
    label: str
    derived: Any
    reason: str
    options: tuple[tuple[str, str], ...]
    value: str
    faults: list[str]


@dataclass(frozen=True)
class Judgement:
    """What the preflight says of the chosen target; `waiting` when AWS has not answered yet.
    `beside` is what it says of the custom origins that the chosen distribution has already: nothing
    of this request, but good to know.
    """

    results: tuple[PreflightResult, ...] = ()
    beside: tuple[PreflightResult, ...] = ()
    blocked: bool = False
    waiting: bool = False
    trouble: str = ""
    fix: str = ""
    at: Any = None
    without_distribution: bool = False


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def request_new(request: SignedIn) -> HttpResponse:
    """The empty form (a link may fill it in by query), and its submission."""
    teams = teams_of(request.user)
    if not teams:
        return render(request, "requests/no_team.html", status=403)
    given = {key: request.GET[key] for key in RequestForm.base_fields if key in request.GET}
    initial = {"max_silence_seconds": DEFAULT_SILENCE} | given
    if request.method != "POST":
        return _page(request, RequestForm(None, teams=teams, initial=initial), None)
    form = RequestForm(_typed(request), teams=teams, initial=initial)
    if "look" in request.POST or "amend" in request.POST:
        return _looked(request, form, None)
    if form.is_valid():
        assert form.chosen_team is not None  # noqa: S101  a valid form has a team
        try:
            made = submit_request(
                request.user,
                form.chosen_team,
                form.answers(),
                now=timezone.now(),
                justification=form.cleaned_data["justification"],
            )
        except SpecError as error:
            form.refuse(error)
        else:
            return redirect("request-detail", made.pk)
    else:
        _also_spec_faults(form)
    return _page(request, form, None, status=422)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def request_edit(request: SignedIn, pk: UUID) -> HttpResponse:
    """The same form, filled with what was asked. Saving it makes a new plan."""
    editing = request_or_404(request.user, pk)
    allowed = may(Verb.EDIT, request.user.actor_for(editing.team), editing.standing)
    if isinstance(allowed, Denied):
        messages.warning(request, allowed.reason)
        return redirect("request-detail", pk)
    initial = answers_of(editing.answers, editing.team, editing.justification)
    if request.method != "POST":
        return _page(request, RequestForm(None, teams=[editing.team], initial=initial), editing)
    form = RequestForm(_typed(request), teams=[editing.team], initial=initial)
    if "look" in request.POST or "amend" in request.POST:
        return _looked(request, form, editing)
    if form.is_valid():
        try:
            outcome = edit_request(
                request.user,
                editing,
                form.answers(),
                now=timezone.now(),
                justification=form.cleaned_data["justification"],
            )
        except SpecError as error:
            form.refuse(error)
        else:
            if isinstance(outcome, Denied):
                messages.warning(request, outcome.reason)
            return redirect("request-detail", pk)
    else:
        _also_spec_faults(form)
    return _page(request, form, editing, status=422)


@signed_in
@require_safe
def request_preview(request: SignedIn) -> HttpResponse:
    """A part of the form, anew for the answers given so far: `part` is team, account or target."""
    form = RequestForm(request.GET, teams=teams_of(request.user), initial={})
    part = request.GET.get("part", "")
    template = PARTS.get(part, PARTS["target"])
    context = _context(form) if part in ("team", "account") else _judged(form)
    return render(request, template, context | {"form": form, "fragment": True})


def _typed(request: SignedIn) -> Mapping[str, Any]:
    """What was typed, with the change of a pressed "amend" button in it. The person sees it, and
    still has to send.
    """
    changes = parse_changes(request.POST.get("amend", ""), frozenset((*ANSWERS, *ADVANCED)))
    if not changes:
        return request.POST
    typed = request.POST.copy()
    for field, text in fields_of(changes).items():
        typed[field] = text
    return typed


def _looked(request: SignedIn, form: RequestForm, editing: EndpointRequest | None) -> HttpResponse:
    """Everything typed, with what AWS says and without complaints about what is still missing."""
    if request.POST.get("look") == "anew" and form.account:
        inventory.forget(form.account)
    form.errors.clear()
    return _page(request, form, editing, looked=True)


def _page(
    request: SignedIn,
    form: RequestForm,
    editing: EndpointRequest | None,
    *,
    status: int = 200,
    looked: bool = False,
) -> HttpResponse:
    context = {"form": form, "editing": editing, "looked": looked} | _context(form)
    return render(request, "requests/form.html", context, status=status)


def _also_spec_faults(form: RequestForm) -> None:
    """All faults at once: those of the spec too, where team and account are missing already."""
    try:
        parse_spec(complete_answers(form.answers()))
    except SpecError as error:
        form.refuse(SpecError([fault for fault in error.errors if fault.field not in form.errors]))


def _context(form: RequestForm) -> dict[str, Any]:
    """What the account offers, and the judgement on what is chosen of it."""
    if form.account is None:
        return {"look": None} | _judged(form)
    look = inventory.inventory_of(form.account, timezone.now())
    choices = _choices(look)
    chosen = form.value("target_arn")
    return {
        "look": look,
        "choices": choices,
        "unlisted_target": chosen
        if chosen and all(one.target.arn != chosen for one in choices)
        else "",
        "unlisted_distribution": _unlisted_distribution(form, look),
    } | _judged(form)


def _choices(look: Look[Inventory]) -> list[Choice]:
    """Those that can be used first."""
    if look.seen is None:
        return []
    choices = [
        Choice(one, KINDS.get(one.kind, one.kind), target_badge(one)) for one in look.seen.targets
    ]
    return sorted(
        choices, key=lambda choice: (TONES.index(choice.target_badge.tone), choice.target.name)
    )


def _unlisted_distribution(form: RequestForm, look: Look[Inventory]) -> str:
    chosen = form.value("distribution_id")
    if not chosen or look.seen is None:
        return chosen
    return "" if any(one.id == chosen for one in look.seen.distributions) else chosen


def _judged(form: RequestForm) -> dict[str, Any]:
    """Preflight and derived settings for the chosen target, as far as it is chosen."""
    answers = form.answers()
    snapshot = None
    judgement = None
    if form.account is not None and answers.get("target_arn"):
        look = _snapshot(form, answers)
        snapshot = look.seen if look else None
        judgement = _judgement(answers, look)
    return {
        "judgement": judgement,
        "advanced": _settings(form, answers, snapshot.target if snapshot else None),
    }


def _snapshot(form: RequestForm, answers: Mapping[str, Any]) -> Look[Snapshot] | None:
    """Only of what the team's own account holds: anything else is not even asked for."""
    subject = _subject(answers)
    if subject is None or form.account is None:
        return None
    distribution = str(answers.get("distribution_id", ""))
    return inventory.snapshot_of(
        form.account, str(answers["target_arn"]), distribution, timezone.now()
    )


def _judgement(answers: Mapping[str, Any], look: Look[Snapshot] | None) -> Judgement:
    if look is None:
        return Judgement(
            trouble="This is no load balancer or instance of the chosen account. Pick one of the "
            "list."
        )
    if look.seen is None:
        return Judgement(waiting=look.pending, trouble=look.trouble, fix=look.fix)
    subject = _subject(answers, look.seen.target)
    results = evaluate(subject, look.seen) if subject else ()
    return Judgement(
        tuple(sorted(results, key=lambda one: one.level, reverse=True)),
        _beside(look.seen),
        blocks(results),
        at=look.at,
        without_distribution=not answers.get("distribution_id"),
    )


def _beside(snapshot: Snapshot) -> tuple[PreflightResult, ...]:
    """Whether the behaviors that lead to custom origins could carry a WebSocket; only what speaks
    against it.
    """
    distribution = snapshot.distribution
    if distribution is None:
        return ()
    behaviors = (*distribution.behaviors, distribution.default_behavior)
    custom = dict(snapshot.request_policies)
    found = [
        result
        for behavior in behaviors
        for result in evaluate_behavior(distribution, behavior, custom)
    ]
    against = (result for result in dict.fromkeys(found) if result.level is not Level.PASS)
    return tuple(sorted(against, key=lambda one: one.level, reverse=True))


def _subject(
    answers: Mapping[str, Any], target: TargetFacts | None = None
) -> PreflightSubject | None:
    """As much of the wish as is well formed. None when the target itself is none of the
    account's.
    """
    complete = complete_answers(answers, *_told(target))
    try:
        return PreflightSubject.of(parse_spec(complete))
    except SpecError as error:
        faulty = {fault.field for fault in error.errors}
    if faulty & {"target_arn", "account_id"}:
        return None
    sound = {key: value for key, value in complete.items() if key not in faulty}
    protocol, http, https = (
        sound.get(key) for key in ("origin_protocol", "http_port", "https_port")
    )
    ports = {"http-only": (http,), "https-only": (https,), "match-viewer": (http, https)}.get(
        str(protocol), ()
    )
    return PreflightSubject(
        target_arn=sound["target_arn"],
        distribution_id=sound.get("distribution_id", ""),
        origin_protocol=protocol or "",
        origin_ports=tuple(int(port) for port in ports if port) if all(ports) else (),
        path_patterns=tuple(sound.get("path_patterns", ())),
        open_security_group=sound.get("open_security_group", True),
        max_silence_seconds=sound.get("max_silence_seconds"),
        vpc_origin_key=vpc_origin_key(sound["target_arn"], protocol, int(http), int(https))
        if protocol and http and https
        else "",
        forward_host=sound.get("forward_host"),
        origin_domain=sound.get("origin_domain", ""),
        carries_api="POST" in str(sound.get("allowed_methods", "")).split(","),
    )


def _told(target: TargetFacts | None) -> tuple[dict[int, str], dict[int, tuple[str, ...]]]:
    """What settings are derived from: the target's listeners, and the names that they show."""
    return (target.listener_protocols(), target.certificate_names()) if target else ({}, {})


def _settings(
    form: RequestForm, answers: Mapping[str, Any], target: TargetFacts | None
) -> list[Setting]:
    shown = []
    for derived in derive_settings(answers, *_told(target)):
        label, options = ADVANCED[derived.field]
        faults = (
            [str(fault) for fault in form.errors.get(derived.field, ())] if form.is_bound else []
        )
        shown.append(
            Setting(
                derived.field,
                label,
                derived.value,
                derived.reason,
                options,
                form.value(derived.field),
                faults,
            )
        )
    return shown
