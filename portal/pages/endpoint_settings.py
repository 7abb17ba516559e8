"""Rename an endpoint, and set its end date."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.endpoints.actions import rename_endpoint
from portal.pages.auth import SignedIn, endpoint_or_404, posted_text, signed_in
from portal.requests.end_dates import set_end_date
from portal.requests.lifecycle import Denied
from provisioning.spec.parsing import SpecError

LONGEST = 60


@signed_in
@require_POST
def endpoint_rename(request: SignedIn, pk: UUID) -> HttpResponse:
    """Rename it, and show its page."""
    endpoint = endpoint_or_404(request.user, pk)
    name = posted_text(request, "name", LONGEST).strip()
    try:
        outcome = rename_endpoint(request.user, endpoint, name, now=timezone.now())
    except SpecError as error:
        messages.warning(request, " ".join(one.message for one in error.errors))
    else:
        if isinstance(outcome, Denied):
            messages.warning(request, outcome.reason)
        else:
            messages.success(request, f"Renamed to {outcome.name}.")
    return redirect("endpoint-detail", endpoint.pk)


@signed_in
@require_POST
def endpoint_end_date(request: SignedIn, pk: UUID) -> HttpResponse:
    """Set, renew or remove its end date, and show its page."""
    endpoint = endpoint_or_404(request.user, pk)
    text = posted_text(request, "end_date", LONGEST).strip()
    outcome = set_end_date(request.user, endpoint, text, now=timezone.now())
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
    else:
        messages.success(request, f"It ends on {outcome.on}." if outcome else "It has no end date.")
    return redirect("endpoint-detail", endpoint.pk)
