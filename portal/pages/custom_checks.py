"""Custom checks of an endpoint: a handshake with options, run once or saved to run again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from checks.models import SavedCheck
from portal.endpoints.actions import check_now, check_refusal, delete_saved_check, save_check
from portal.endpoints.secrets import usable_secrets
from portal.pages.auth import SignedIn, endpoint_or_404, signed_in
from portal.pages.forms import CustomCheckForm
from portal.requests.lifecycle import Denied
from provisioning.models import Endpoint
from provisioning.spec.app_kinds import APP_KINDS


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def custom_check(request: SignedIn, pk: UUID) -> HttpResponse:
    """The form; `?saved=` fills in a saved check. A POST runs the check, or saves it."""
    endpoint = endpoint_or_404(request.user, pk)
    if request.method == "POST":
        refusal = check_refusal(request.user, endpoint)
        if refusal:
            messages.warning(request, refusal.reason)
            return redirect("custom-check", pk)
        saving = "save" in request.POST
        form = CustomCheckForm(
            request.POST,
            url=endpoint.url,
            saving=saving,
            stored_secrets=usable_secrets(request.user, endpoint),
        )
        if form.is_valid():
            return _save(request, endpoint, form) if saving else _run(request, endpoint, form)
    else:
        form = CustomCheckForm(
            None, url=endpoint.url, saving=False, initial=_initial(request, endpoint)
        )
    return _page(request, endpoint, form)


@signed_in
@require_POST
def saved_check_run(request: SignedIn, pk: UUID, saved_pk: int) -> HttpResponse:
    """Run a saved check now."""
    endpoint = endpoint_or_404(request.user, pk)
    saved = _saved_or_404(endpoint, saved_pk)
    answer = check_now(request.user, endpoint, now=timezone.now(), saved=saved)
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
        return redirect("custom-check", pk)
    return _to_check(endpoint, answer.pk)


@signed_in
@require_POST
def saved_check_delete(request: SignedIn, pk: UUID, saved_pk: int) -> HttpResponse:
    """Delete a saved check. Its results stay in the endpoint's list of checks."""
    endpoint = endpoint_or_404(request.user, pk)
    saved = _saved_or_404(endpoint, saved_pk)
    refusal = delete_saved_check(request.user, saved, now=timezone.now())
    if refusal:
        messages.warning(request, refusal.reason)
    else:
        messages.success(request, f"Saved check “{saved.name}” deleted.")
    return redirect("custom-check", pk)


def _initial(request: SignedIn, endpoint: Endpoint) -> Mapping[str, Any]:
    wanted = request.GET.get("saved", "")
    if not wanted.isdecimal() or len(wanted) > 18:
        return {}
    saved = _saved_or_404(endpoint, int(wanted))
    return {
        **saved.options,
        "name": saved.name,
        "every_minutes": str(saved.every_minutes),
        "after_changes": saved.after_changes,
    }


def _run(request: SignedIn, endpoint: Endpoint, form: CustomCheckForm) -> HttpResponse:
    answer = check_now(request.user, endpoint, now=timezone.now(), options=form.options)
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
        return _page(request, endpoint, form)
    return _to_check(endpoint, answer.pk)


def _save(request: SignedIn, endpoint: Endpoint, form: CustomCheckForm) -> HttpResponse:
    answer = save_check(
        request.user,
        endpoint,
        form.cleaned_data["name"],
        form.options,
        every_minutes=int(form.cleaned_data["every_minutes"]),
        after_changes=form.cleaned_data["after_changes"],
        now=timezone.now(),
    )
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
        return _page(request, endpoint, form)
    messages.success(request, f"Saved as “{answer.name}”.")
    return redirect("custom-check", endpoint.pk)


def _to_check(endpoint: Endpoint, check: UUID) -> HttpResponse:
    return redirect(f"{reverse('endpoint-detail', args=[endpoint.pk])}?check={check}#check")


def _saved_or_404(endpoint: Endpoint, saved_pk: int) -> SavedCheck:
    found = SavedCheck.objects.filter(endpoint=endpoint, pk=saved_pk).first()
    if found is None:
        raise Http404
    return found


def _page(request: SignedIn, endpoint: Endpoint, form: CustomCheckForm) -> HttpResponse:
    refusal = check_refusal(request.user, endpoint)
    context = {
        "endpoint": endpoint,
        "form": form,
        "kind": APP_KINDS[endpoint.spec.app_kind],
        "saved_checks": SavedCheck.objects.filter(endpoint=endpoint).order_by("name"),
        "secrets": sorted(usable_secrets(request.user, endpoint)),
        "refusal": refusal.reason if refusal else "",
    }
    return render(request, "checks/custom.html", context, status=422 if form.errors else 200)
