"""Help pages: how the portal works, the kinds of app, the verdicts, and troubleshooting by symptom.

With `?check=` they are about that check: a link that requests a fix is prefilled with what it
checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from checks.diagnosis.glossary import TERMS, terms_in
from checks.diagnosis.verdicts import VERDICTS, verdict_of
from checks.models import Check
from checks.preflight import TITLES as PREFLIGHT
from checks.usual_check import heartbeat_of, sent_and_awaited
from portal.pages.auth import SignedIn, endpoint_or_404, signed_in
from portal.pages.troubleshooting import SYMPTOMS
from portal.requests.lifecycle import NEXT_STEPS, TITLES
from portal.requests.prefilled_links import (
    PrefilledLink,
    prefilled_links_after_check,
    prefilled_links_anywhere,
)
from provisioning.spec.app_kinds import APP_KINDS


@signed_in
@require_safe
def help_index(request: SignedIn) -> HttpResponse:
    """How it works, the glossary, the states of a request, and every verdict."""
    states = [(state.value, TITLES[state], NEXT_STEPS[state]) for state in TITLES]
    words = [(word, meaning) for word, _, meaning in TERMS]
    context = {
        "verdicts": VERDICTS.values(),
        "states": states,
        "preflight": PREFLIGHT.items(),
        "words": words,
    }
    return render(request, "help/index.html", context)


@signed_in
@require_safe
def help_app_kinds(request: SignedIn) -> HttpResponse:
    """What a check of each kind of app asks, sends and awaits, and how the app behaves."""
    kinds = [
        (kind, *sent_and_awaited(kind.script), heartbeat_of(kind)) for kind in APP_KINDS.values()
    ]
    return render(request, "help/app_kinds.html", {"kinds": kinds})


@signed_in
@require_safe
def help_verdict(request: SignedIn, code: str) -> HttpResponse:
    """One verdict: what was observed, the likely cause, the fix, and how to confirm it."""
    verdict = verdict_of(code)
    if verdict is None:
        raise Http404
    check = _check(request)
    words = terms_in((verdict.title, verdict.plain, verdict.cause, verdict.advice, verdict.confirm))
    context = {
        "verdict": verdict,
        "check": check,
        "prefilled": _prefilled_links(request, check).get(code),
        "words": words,
    }
    return render(request, "help/verdict.html", context)


@signed_in
@require_safe
def help_troubleshooting(request: SignedIn) -> HttpResponse:
    """For people who know only that their app works directly and fails through CloudFront."""
    check = _check(request)
    found = _prefilled_links(request, check)
    symptoms = [
        (one, [(verdict, found.get(verdict.code)) for verdict in one.verdicts]) for one in SYMPTOMS
    ]
    return render(request, "help/troubleshooting.html", {"symptoms": symptoms, "check": check})


def _check(request: SignedIn) -> Check | None:
    """The check that the address names, if this person may see it."""
    wanted = request.GET.get("check", "")
    if not wanted:
        return None
    try:
        check: Check | None = (
            Check.objects.select_related("endpoint").filter(pk=UUID(wanted)).first()
        )
    except ValueError:
        raise Http404 from None
    if check is None:
        raise Http404
    endpoint_or_404(request.user, check.endpoint_id)
    return check


def _prefilled_links(request: SignedIn, check: Check | None) -> Mapping[str, PrefilledLink]:
    return (
        prefilled_links_after_check(request.user, check)
        if check
        else prefilled_links_anywhere(request.user)
    )
