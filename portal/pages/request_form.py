"""The form that requests an endpoint or changes a request, and the parts of it that follow the
answers as they are given.

The form works without script: “Check this target” submits it and shows everything entered, with
what AWS says about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from checks.preflight import Level, PreflightResult, PreflightSubject, blocks, evaluate
from checks.preflight.custom_origins import evaluate_behavior
from checks.usual_check import UsualCheckSummary
from portal.pages.auth import SignedIn, endpoint_or_404, request_or_404, signed_in, teams_of
from portal.pages.forms import RequestForm, request_form_data, settings_form_data
from portal.pages.kept_answers import KeptAnswers, forget_answers, kept_answers
from portal.pages.sign_in import survives_sign_in
from portal.people.models import Person, Team
from portal.people.visibility import visible_endpoints
from portal.requests import inventory
from portal.requests.actions import edit_request, submit_request
from portal.requests.endpoint_changes import answers_of, change_refusal, submit_change
from portal.requests.inventory import Fetched, Inventory
from portal.requests.lifecycle import Denied, Verb, may
from portal.requests.models import EndpointRequest
from portal.requests.preflight_amendments import parse_changes
from portal.requests.target_badge import KINDS, TargetBadge, target_badge
from provisioning.facts.names import vpc_origin_key
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts
from provisioning.models import Endpoint
from provisioning.plan.plan import CHANGE
from provisioning.spec.fields import ACCOUNT_ID, ASKED
from provisioning.spec.parsing import SpecError, complete_answers, derive_settings, parse_spec

T = TypeVar("T")

BEST_FIRST = ("good", "warn", "bad")
PATH_FIELDS = ("path_patterns", "check_path")
PARTS = {
    "team": "requests/_account_fields.html",
    "account": "requests/_target_fields.html",
    "target": "requests/_form_preflight.html",
    "name": "requests/_name_field.html",
}
RESTORE_PURPOSE = "Restore what was approved: AWS differs from it."
CHANGEABLE = frozenset(row.name for row in ASKED if row.in_spec and row is not ACCOUNT_ID)
"""Settings that a suggestion of the preflight may change."""


@dataclass(frozen=True)
class TargetChoice:
    """A target as the form offers it."""

    target: TargetFacts
    kind: str
    badge: TargetBadge


@dataclass(frozen=True)
class FormPreflight:
    """What the preflight says about the chosen target; `pending` until AWS has answered.

    `other_paths` is what it says about the custom origins that the chosen distribution already has:
    not part of this request, but useful to know.
    """

    results: tuple[PreflightResult, ...] = ()
    other_paths: tuple[PreflightResult, ...] = ()
    blocked: bool = False
    pending: bool = False
    error: str = ""
    fix: str = ""
    at: Any = None
    without_distribution: bool = False


@survives_sign_in
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def request_new(request: SignedIn) -> HttpResponse:
    """The form, which a link can prefill by query, and its submission."""
    teams = teams_of(request.user)
    if not teams:
        return render(request, "requests/no_team.html", status=403)
    if request.method != "POST":
        return _unsent(request, _prefilled(request.GET), teams, None)
    forget_answers(request)
    if "discard" in request.POST:
        return redirect(request.get_full_path())
    form = RequestForm(_posted(request), teams=teams)
    if _is_preview(request):
        return _preview(request, form, None)

    def submit() -> EndpointRequest:
        assert form.chosen_team is not None  # noqa: S101  a valid form has a team
        purpose, now = form.cleaned_data["justification"], timezone.now()
        return submit_request(
            request.user, form.chosen_team, form.answers(), now=now, justification=purpose
        )

    submitted = _if_valid(form, submit)
    return redirect(submitted) if submitted else _page(request, form, None, status=422)


@survives_sign_in
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def request_edit(request: SignedIn, pk: UUID) -> HttpResponse:
    """The same form with the request's answers. Saving it replans the request."""
    editing = request_or_404(request.user, pk)
    allowed = may(Verb.EDIT, request.user.actor_for(editing.team), editing.standing)
    if isinstance(allowed, Denied):
        messages.warning(request, allowed.reason)
        return redirect(editing)
    changing = editing.endpoint if editing.action == CHANGE else None
    if request.method != "POST":
        stored = request_form_data(editing.answers, editing.team, editing.justification)
        return _unsent(request, stored, [editing.team], editing, changing)
    forget_answers(request)
    if "discard" in request.POST:
        return redirect(request.get_full_path())
    form = RequestForm(_posted(request), teams=[editing.team], changing=changing)
    if _is_preview(request):
        return _preview(request, form, editing)

    def edit() -> object:
        purpose, now = form.cleaned_data["justification"], timezone.now()
        return edit_request(request.user, editing, form.answers(), now=now, justification=purpose)

    outcome = _if_valid(form, edit)
    if outcome is None:
        return _page(request, form, editing, status=422)
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
    return redirect(editing)


@survives_sign_in
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_change(request: SignedIn, pk: UUID) -> HttpResponse:
    """The same form with the settings of an endpoint. Saving it asks for a change."""
    endpoint = endpoint_or_404(request.user, pk)
    if refusal := change_refusal(request.user, endpoint):
        messages.warning(request, refusal.reason)
        return redirect("endpoint-detail", endpoint.pk)
    team = Team.objects.get(slug=endpoint.owner)
    if request.method != "POST":
        stored = request_form_data(_defaults() | answers_of(endpoint), team, "")
        stored |= request.GET.dict()
        return _unsent(request, stored, [team], None, endpoint)
    forget_answers(request)
    if "discard" in request.POST:
        return redirect(request.get_full_path())
    form = RequestForm(_posted(request), teams=[team], changing=endpoint)
    if _is_preview(request):
        return _preview(request, form, None)

    def change() -> EndpointRequest | Denied:
        purpose, now = form.cleaned_data["justification"], timezone.now()
        return submit_change(request.user, endpoint, form.changes(), now=now, justification=purpose)

    outcome = _if_valid(form, change)
    if outcome is None:
        return _page(request, form, None, status=422)
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
        return redirect("endpoint-detail", endpoint.pk)
    return redirect(outcome)


@signed_in
@require_POST
def endpoint_restore(request: SignedIn, pk: UUID) -> HttpResponse:
    """Ask for what was approved, where AWS has something else by now: a change without new
    settings.
    """
    endpoint = endpoint_or_404(request.user, pk)
    try:
        outcome = submit_change(
            request.user, endpoint, {}, now=timezone.now(), justification=RESTORE_PURPOSE
        )
    except SpecError as error:
        # What was approved is not valid any more: the team lost the account, or a secret is gone.
        messages.warning(request, " ".join(one.message for one in error.errors))
        return redirect("endpoint-detail", endpoint.pk)
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
        return redirect("endpoint-detail", endpoint.pk)
    return redirect(outcome)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def request_preview(request: SignedIn) -> HttpResponse:
    """A part of the form for the answers so far: `part` is team, account, target or name. The page
    posts them: what somebody types is for no log of addresses. Nothing is stored.
    """
    said = request.POST if request.method == "POST" else request.GET
    changing = _changing(request.user, said.get("changing", ""))
    form = RequestForm(said, teams=teams_of(request.user), changing=changing)
    part = request.GET.get("part", "")
    if part == "name":
        return render(request, PARTS[part], {"form": form.only_errors_of("name")})
    form.without_errors()
    context = _context(form) if part in ("team", "account") else _preflight_context(form)
    template = PARTS.get(part, PARTS["target"])
    return render(request, template, context | {"form": form, "fragment": True})


def _changing(person: Person, endpoint_id: str) -> Endpoint | None:
    """The endpoint whose change the form asks for, if it does."""
    try:
        pk = UUID(endpoint_id)
    except ValueError:
        return None
    return visible_endpoints(person).filter(pk=pk).first()


def _prefilled(query: QueryDict) -> dict[str, Any]:
    """The form's data from a link. A link may say yes or no in any of HTML's and Python's words."""
    data: dict[str, Any] = settings_form_data(_defaults()) | query.dict()
    for row in ASKED:
        if isinstance(row.default, bool):
            data[row.name] = forms.BooleanField().to_python(data[row.name])
    return data


def _defaults() -> dict[str, Any]:
    return {row.name: row.default for row in ASKED if row.default is not None}


def _posted(request: SignedIn) -> Mapping[str, Any]:
    """The form's data as posted, with the change of a pressed "amend" button in it. The person
    sees it, and still has to submit.
    """
    changes = parse_changes(request.POST.get("amend", ""), CHANGEABLE)
    if not changes:
        return request.POST
    posted = request.POST.copy()
    for field, text in settings_form_data(changes).items():
        posted[field] = text
    return posted


def _is_preview(request: SignedIn) -> bool:
    return "preview" in request.POST or "amend" in request.POST


def _preview(request: SignedIn, form: RequestForm, editing: EndpointRequest | None) -> HttpResponse:
    """Everything entered, with what AWS says, and without errors for what is still missing."""
    if request.POST.get("preview") == "refresh" and form.account:
        inventory.forget(form.account)
    return _page(request, form.without_errors(), editing)


def _if_valid(form: RequestForm, action: Callable[[], T]) -> T | None:
    """What the action gives; None if the form has errors, also those that only it finds."""
    if form.is_valid():
        try:
            return action()
        except SpecError as error:
            form.add_spec_errors(error)
    return None


def _unsent(
    request: SignedIn,
    data: Mapping[str, Any],
    teams: Sequence[Team],
    editing: EndpointRequest | None,
    changing: Endpoint | None = None,
) -> HttpResponse:
    """The form with this data, or with what was kept while the person signed in."""
    kept = kept_answers(request)
    form = RequestForm(kept.answers if kept else data, teams=teams, changing=changing)
    return _page(request, form.without_errors(), editing, kept=kept)


def _page(
    request: SignedIn,
    form: RequestForm,
    editing: EndpointRequest | None,
    *,
    kept: KeptAnswers | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"form": form, "editing": editing, "kept": kept} | _context(form)
    return render(request, "requests/form.html", context, status=status)


def _context(form: RequestForm) -> dict[str, Any]:
    """What the account offers, and the preflight of what is chosen from it."""
    if form.account is None:
        return {"fetched": None} | _preflight_context(form)
    fetched = inventory.inventory_of(form.account, timezone.now())
    choices = _target_choices(fetched)
    if fetched.value is not None:
        form.offer_distributions(fetched.value.distributions)
    chosen = form.chosen_target
    listed = any(choice.target.arn == chosen for choice in choices)
    return {
        "fetched": fetched,
        "choices": choices,
        "unlisted_target": "" if listed else chosen,
    } | _preflight_context(form)


def _target_choices(fetched: Fetched[Inventory]) -> list[TargetChoice]:
    """Those that can be used first."""
    if fetched.value is None:
        return []
    choices = [
        TargetChoice(one, KINDS.get(one.kind, one.kind), target_badge(one))
        for one in fetched.value.targets
    ]
    return sorted(
        choices, key=lambda choice: (BEST_FIRST.index(choice.badge.tone), choice.target.name)
    )


def _preflight_context(form: RequestForm) -> dict[str, Any]:
    """The preflight of the chosen target, if there is one, and the settings derived from it."""
    answers = form.answers()
    fetched = None
    preflight = None
    if form.account is not None and answers.get("target_arn"):
        # Only what the team's own account holds: anything else is not even asked for.
        if _subject(answers) is not None:
            distribution = str(answers.get("distribution_id", ""))
            fetched = inventory.snapshot_of(
                form.account, str(answers["target_arn"]), distribution, timezone.now()
            )
        preflight = _form_preflight(form, answers, fetched)
    target = fetched.value.target if fetched and fetched.value else None
    for derived in derive_settings(answers, *_known(target)):
        form.explain(derived)
    return {
        "form_preflight": preflight,
        "usual_check": _usual_check(answers, target),
        "path_fault": _path_fault(answers, target),
        "check_minutes": settings.CHECK_EVERY_MINUTES,
    }


def _usual_check(
    answers: Mapping[str, Any], target: TargetFacts | None
) -> UsualCheckSummary | None:
    """What a check will ask and send; None while the answers leave that open."""
    complete = complete_answers(answers, *_known(target))
    try:
        return UsualCheckSummary.of(complete)
    except ValueError:
        return None


def _path_fault(answers: Mapping[str, Any], target: TargetFacts | None) -> str:
    """Why nothing can be asked at the path that was entered; "" if something can, or none was."""
    if not answers.get("path_patterns"):
        return ""
    try:
        parse_spec(complete_answers(answers, *_known(target)))
    except SpecError as error:
        of_path = (one.message for one in error.errors if one.field in PATH_FIELDS)
        return next(of_path, "")
    return ""


def _form_preflight(
    form: RequestForm, answers: Mapping[str, Any], fetched: Fetched[Snapshot] | None
) -> FormPreflight:
    if fetched is None:
        return FormPreflight(
            error="This is not a load balancer or instance in the chosen account. Choose one from "
            "the list."
        )
    if fetched.value is None:
        return FormPreflight(pending=fetched.pending, error=fetched.error, fix=fetched.fix)
    subject = _subject(answers, fetched.value.target)
    if subject and subject.distribution_id and form.account and form.chosen_team:
        rights = form.account.path_rights(subject.distribution_id, form.chosen_team.slug)
        subject = replace(subject, rights=rights)
        if form.changing:
            own = form.changing.origin_id
            subject = replace(subject, origin_id=own)
    results = evaluate(subject, fetched.value) if subject else ()
    return FormPreflight(
        tuple(sorted(results, key=lambda one: one.level, reverse=True)),
        _other_paths(fetched.value),
        blocks(results),
        at=fetched.at,
        without_distribution=not answers.get("distribution_id"),
    )


def _other_paths(snapshot: Snapshot) -> tuple[PreflightResult, ...]:
    """What would stop a WebSocket on the behaviors with custom origins."""
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
    problems = (result for result in dict.fromkeys(found) if result.level is not Level.PASS)
    return tuple(sorted(problems, key=lambda one: one.level, reverse=True))


def _subject(
    answers: Mapping[str, Any], target: TargetFacts | None = None
) -> PreflightSubject | None:
    """As much of the answers as is valid. None if the target itself is not one of the account's."""
    complete = complete_answers(answers, *_known(target))
    try:
        return PreflightSubject.of(parse_spec(complete))
    except SpecError as error:
        invalid = {fault.field for fault in error.errors}
    if invalid & {"target_arn", "account_id"}:
        return None
    valid = {key: value for key, value in complete.items() if key not in invalid}
    protocol, http, https = (
        valid.get(key) for key in ("origin_protocol", "http_port", "https_port")
    )
    ports = {"http-only": (http,), "https-only": (https,), "match-viewer": (http, https)}.get(
        str(protocol), ()
    )
    return PreflightSubject(
        target_arn=valid["target_arn"],
        distribution_id=valid.get("distribution_id", ""),
        origin_protocol=protocol or "",
        origin_ports=tuple(int(port) for port in ports if port) if all(ports) else (),
        path_patterns=tuple(valid.get("path_patterns", ())),
        open_security_group=valid.get("open_security_group", True),
        max_silence_seconds=valid.get("max_silence_seconds"),
        vpc_origin_key=vpc_origin_key(valid["target_arn"], protocol, int(http), int(https))
        if protocol and http and https
        else "",
        forward_host=valid.get("forward_host"),
        origin_domain=valid.get("origin_domain", ""),
        carries_api="POST" in str(valid.get("allowed_methods", "")).split(","),
        carry_over=tuple(valid.get("carry_over", ())),
        origin_headers=valid.get("origin_headers", ""),
        app_kind=valid.get("app_kind", ""),
    )


def _known(target: TargetFacts | None) -> tuple[dict[int, str], dict[int, tuple[str, ...]]]:
    """What settings are derived from: the target's listeners, and their certificates' names."""
    return (target.listener_protocols(), target.certificate_names()) if target else ({}, {})
