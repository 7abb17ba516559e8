"""Offer an endpoint to another team, and answer such an offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.pages.auth import SignedIn, endpoint_or_404, posted_text, signed_in
from portal.pages.forms import PageForm
from portal.people.models import Person, Team
from portal.requests.lifecycle import Denied
from portal.requests.models import Transfer
from portal.requests.transfers import (
    LONGEST_NOTE,
    accept_transfer,
    decline_transfer,
    offer_transfer,
    open_offer,
    taken_over,
    withdraw_transfer,
)
from provisioning.models import Endpoint

SHOWN = 20


class TransferForm(PageForm):
    """To whom, and why."""

    team = forms.CharField(
        label="Short name of the other team",
        help_text="For example “trading”. That team needs the endpoint’s AWS account.",
        max_length=60,
        widget=forms.TextInput({"spellcheck": "false", "autocapitalize": "none"}),
        error_messages={"required": "Required. Ask the other team for its short name."},
    )
    note = forms.CharField(
        label="Note (optional)",
        help_text="The other team reads it: why it should have the endpoint, and whom to ask.",
        max_length=LONGEST_NOTE,
        required=False,
        widget=forms.Textarea({"rows": 2, "cols": False}),
    )


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_transfer(request: SignedIn, pk: UUID) -> HttpResponse:
    """The form, and its submission."""
    endpoint = endpoint_or_404(request.user, pk)
    if not request.user.belongs_to(endpoint.owner):
        messages.warning(request, "Only its team can offer this endpoint.")
        return redirect("endpoint-detail", endpoint.pk)
    if present := open_offer(endpoint):
        return redirect(present)
    posted = request.method == "POST"
    form = TransferForm(request.POST if posted else {})
    if not posted:
        return _form_page(request, endpoint, form.without_errors())
    if not form.is_valid():
        return _form_page(request, endpoint, form, status=422)
    said = form.cleaned_data
    outcome = offer_transfer(
        request.user, endpoint, said["team"], note=said["note"], now=timezone.now()
    )
    if isinstance(outcome, Denied):
        for one in outcome.errors:
            form.add_error("team" if one.field == "team" else None, one.message)
        if not outcome.errors:
            form.add_error("team", outcome.reason)
        return _form_page(request, endpoint, form, status=409)
    messages.success(
        request, f"Offered to {outcome.to_team}. Its members see it on their home page."
    )
    return redirect(outcome)


@signed_in
@require_safe
def transfer_page(request: SignedIn, pk: UUID) -> HttpResponse:
    """The offer, for both teams and for those who see every team."""
    transfer = _transfer_or_404(request.user, pk)
    offered = transfer.state == Transfer.State.OFFERED
    context: dict[str, Any] = {
        "transfer": transfer,
        "offered": offered,
        "gets": taken_over(transfer.endpoint) if offered else None,
        "may_answer": offered and request.user.belongs_to(transfer.to_team.slug),
        "may_withdraw": offered and request.user.belongs_to(transfer.from_team.slug),
        "sees_endpoint": request.user.sees_everything
        or request.user.belongs_to(transfer.endpoint.owner),
        "note_limit": LONGEST_NOTE,
    }
    return render(request, "endpoints/transfer.html", context)


@signed_in
@require_POST
def transfer_accept(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take the endpoint over, and show its page."""
    transfer = _transfer_or_404(request.user, pk)
    outcome = accept_transfer(request.user, transfer, now=timezone.now())
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
        return redirect(transfer)
    messages.success(request, f"{outcome.endpoint_name} belongs to {outcome.to_team} now.")
    return redirect("endpoint-detail", outcome.endpoint_id)


@signed_in
@require_POST
def transfer_decline(request: SignedIn, pk: UUID) -> HttpResponse:
    """Refuse the offer."""
    reason = posted_text(request, "reason", LONGEST_NOTE)

    def decline(person: Person, transfer: Transfer, *, now: Any) -> Transfer | Denied:
        return decline_transfer(person, transfer, reason=reason, now=now)

    return _answer(request, pk, decline, "Declined. The other team keeps the endpoint.")


@signed_in
@require_POST
def transfer_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take the offer back."""
    return _answer(request, pk, withdraw_transfer, "Withdrawn. The endpoint stays with your team.")


def transfers_context(person: Person) -> dict[str, Any]:
    """What the home page says of open offers, on either side."""
    own = set(Team.objects.of(person).values_list("pk", flat=True))
    visible = Transfer.objects.visible_to(person).offered().select_related("from_team", "to_team")
    return {"transfers": [(one, one.to_team_id in own) for one in visible[:SHOWN]]}


def _answer(
    request: SignedIn, pk: UUID, act: Callable[..., Transfer | Denied], done: str
) -> HttpResponse:
    transfer = _transfer_or_404(request.user, pk)
    outcome = act(request.user, transfer, now=timezone.now())
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
    else:
        messages.success(request, done)
    return redirect(transfer)


def _form_page(
    request: SignedIn, endpoint: Endpoint, form: TransferForm, *, status: int = 200
) -> HttpResponse:
    context = {"endpoint": endpoint, "form": form, "days": settings.TRANSFER_OFFER_DAYS}
    return render(request, "endpoints/offer.html", context, status=status)


def _transfer_or_404(person: Person, pk: UUID) -> Transfer:
    rows = Transfer.objects.visible_to(person).select_related("endpoint", "from_team", "to_team")
    return get_object_or_404(rows, pk=pk)
