"""Help that is served with the portal: what a verdict means, each under an address of its own."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from checks.preflight import TITLES as PREFLIGHT
from checks.verdicts import VERDICTS
from portal.lifecycle import NEXT_STEPS, TITLES
from portal.questions import QUESTIONS
from portal.views.access import SignedIn, signed_in


@signed_in
@require_safe
def help_index(request: SignedIn) -> HttpResponse:
    """How it works, the states of a request, and every verdict."""
    states = [(state.value, TITLES[state], NEXT_STEPS[state]) for state in TITLES]
    context = {"verdicts": VERDICTS.values(), "states": states, "preflight": PREFLIGHT.items()}
    return render(request, "help/index.html", context)


@signed_in
@require_safe
def help_verdict(request: SignedIn, code: str) -> HttpResponse:
    """One verdict: what was seen, the usual cause, the fix, how to be sure."""
    if code not in VERDICTS:
        raise Http404
    return render(request, "help/verdict.html", {"verdict": VERDICTS[code]})


@signed_in
@require_safe
def help_questions(request: SignedIn) -> HttpResponse:
    """The entry for people who know only that it works at the origin."""
    return render(request, "help/questions.html", {"questions": QUESTIONS})
