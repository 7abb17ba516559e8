"""Ask for the removal of an endpoint: what goes, and how long it can be restored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from portal.pages.auth import SignedIn, endpoint_or_404, posted_text, signed_in
from portal.pages.forms import PageForm
from portal.people.models import Team
from portal.requests.endpoint_changes import LONGEST_GRACE_DAYS, change_refusal, submit_removal
from portal.requests.forgetting import LONGEST_REASON, forget_endpoint, may_forget
from portal.requests.lifecycle import Denied
from provisioning.models import Endpoint
from provisioning.sagas.left_behind import everything_of


class RemovalForm(PageForm):
    """How long the endpoint can be restored, and why it goes."""

    grace_days = forms.IntegerField(
        label="Days to keep it restorable",
        min_value=0,
        max_value=LONGEST_GRACE_DAYS,
        help_text="Clients are cut off as soon as the removal is approved. Nothing else is deleted "
        "until then, so it can be restored within minutes. With 0, everything is deleted at once.",
        error_messages={"required": f"Enter a number of days from 0 to {LONGEST_GRACE_DAYS}."},
    )
    justification = forms.CharField(
        label="Reason",
        help_text="One or two sentences for the approver.",
        max_length=500,
        widget=forms.Textarea({"rows": 2, "cols": False}),
        error_messages={"required": "Required. Say why it is not needed any more."},
    )


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_remove(request: SignedIn, pk: UUID) -> HttpResponse:
    """The page, and its submission."""
    endpoint = endpoint_or_404(request.user, pk)
    if refusal := change_refusal(request.user, endpoint):
        messages.warning(request, refusal.reason)
        return redirect("endpoint-detail", endpoint.pk)
    posted = request.method == "POST"
    form = RemovalForm(request.POST if posted else {"grace_days": settings.REMOVAL_GRACE_DAYS})
    if not posted:
        return _page(request, endpoint, form.without_errors())
    if not form.is_valid():
        return _page(request, endpoint, form, status=422)
    outcome = submit_removal(
        request.user,
        endpoint,
        grace_days=form.cleaned_data["grace_days"],
        now=timezone.now(),
        justification=form.cleaned_data["justification"],
    )
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
        return redirect("endpoint-detail", endpoint.pk)
    return redirect(outcome)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_forget(request: SignedIn, pk: UUID) -> HttpResponse:
    """For platform admins: close the row of an endpoint whose account can no longer be reached."""
    endpoint = endpoint_or_404(request.user, pk)
    if refusal := may_forget(request.user, endpoint):
        messages.warning(request, refusal.reason)
        return redirect("endpoint-detail", endpoint.pk)
    context: dict[str, Any] = {"endpoint": endpoint, "left": everything_of(endpoint)}
    if request.method != "POST":
        return render(request, "endpoints/forget.html", context)
    name, reason = (posted_text(request, one, LONGEST_REASON) for one in ("name", "reason"))
    outcome = forget_endpoint(request.user, endpoint, name=name, reason=reason, now=timezone.now())
    if isinstance(outcome, Denied):
        status = 422 if outcome.code in ("not_confirmed", "reason_required") else 409
        context |= {"refused": outcome.reason, "typed": name, "reason": reason}
        return render(request, "endpoints/forget.html", context, status=status)
    messages.success(request, f"{endpoint.name} is forgotten. Its name is free.")
    return redirect("endpoint-detail", endpoint.pk)


def _page(
    request: SignedIn, endpoint: Endpoint, form: RemovalForm, *, status: int = 200
) -> HttpResponse:
    holdings = endpoint.holdings()
    context: dict[str, Any] = {
        "endpoint": endpoint,
        "form": form,
        "team": Team.objects.filter(slug=endpoint.owner).first(),
        "holdings": holdings,
    }
    return render(request, "endpoints/remove.html", context, status=status)
