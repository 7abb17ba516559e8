"""The usual check of an endpoint: what it asks and sends, and the form that changes it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from checks.models import SavedCheck
from checks.protocol.handshake_options import HandshakeOptions
from checks.usual_check import UsualCheckSummary, usual_check_answers
from portal.endpoints.actions import change_usual_check, check_refusal
from portal.endpoints.secrets import usable_secrets
from portal.pages.auth import SignedIn, endpoint_or_404, signed_in
from portal.pages.endpoints import check_interval
from portal.pages.forms import UsualCheckForm, settings_form_data
from portal.requests.lifecycle import Denied
from provisioning.models import Endpoint
from provisioning.spec.app_kinds import APP_KINDS
from provisioning.spec.parsing import SpecError, complete_answers


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def usual_check(request: SignedIn, pk: UUID) -> HttpResponse:
    """The form; `?kind=` starts from a kind of app, `?saved=` from a saved check. A POST changes
    the usual check and makes it.
    """
    endpoint = endpoint_or_404(request.user, pk)
    refusal = check_refusal(request.user, endpoint)
    if refusal:
        messages.warning(request, refusal.reason)
        return redirect("endpoint-detail", pk)
    if request.method != "POST":
        return _page(request, endpoint, UsualCheckForm(_start(request, endpoint)).without_errors())
    form = UsualCheckForm(request.POST)
    if not form.is_valid():
        return _page(request, endpoint, form, status=422)
    try:
        answer = change_usual_check(request.user, endpoint, form.answers(), now=timezone.now())
    except SpecError as error:
        form.add_spec_errors(error)
        return _page(request, endpoint, form, status=422)
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
        return _page(request, endpoint, form, status=409)
    messages.success(request, "Usual check saved.")
    return redirect(f"{reverse('endpoint-detail', args=[pk])}#check")


def _start(request: SignedIn, endpoint: Endpoint) -> dict[str, str]:
    """The form's data before anybody typed: only the kind, whose own settings follow; a saved
    check's options; or the present settings.
    """
    kind, saved = request.GET.get("kind", ""), request.GET.get("saved", "")
    if kind in APP_KINDS:
        return {"app_kind": kind}
    if saved.isdecimal() and len(saved) <= 18:
        found = SavedCheck.objects.filter(endpoint=endpoint, pk=int(saved)).first()
        if found is not None:
            options = HandshakeOptions.from_dict(found.options)
            return _chosen(endpoint, usual_check_answers(endpoint.spec, options))
    return _chosen(endpoint, usual_check_answers(endpoint.spec))


def _chosen(endpoint: Endpoint, answers: dict[str, Any]) -> dict[str, str]:
    """Without what follows from the kind of app: another kind is to bring its own."""
    kind = {"app_kind": answers["app_kind"]}
    follows = complete_answers({"path_patterns": list(endpoint.spec.path_patterns)} | kind)
    own = {name: value for name, value in answers.items() if value != follows[name]}
    return settings_form_data(own | kind)


def _page(
    request: SignedIn, endpoint: Endpoint, form: UsualCheckForm, *, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "endpoint": endpoint,
        "form": form,
        "usual_check": UsualCheckSummary.of(endpoint.spec.to_dict()),
        "check_minutes": check_interval(endpoint),
        "secrets": sorted(usable_secrets(request.user, endpoint)),
    }
    return render(request, "checks/usual.html", context, status=status)
