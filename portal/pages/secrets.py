"""A team's secrets: names and history, add, replace, delete. No page shows a value."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from checks.stored_secrets.actions import references_to
from portal.endpoints.secrets import (
    add_secret,
    delete_secret,
    endpoints_sending,
    replace_secret,
    visible_secrets,
)
from portal.pages.auth import SignedIn, signed_in
from portal.pages.forms import SecretForm, SecretValueForm
from portal.people.models import Person, Team
from portal.people.visibility import visible_teams
from portal.requests.lifecycle import Denied
from provisioning.models import Event, Secret
from provisioning.secrets.store import stream_of

HISTORY_SHOWN = 20


@signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def secrets(request: SignedIn, slug: str) -> HttpResponse:
    """The list, and for members the form that adds one."""
    team = _team_or_404(request.user, slug)
    form = SecretForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        made = add_secret(request.user, team, given["name"], given["value"], now=timezone.now())
        if isinstance(made, Secret):
            messages.success(request, f"Secret “{made.name}” added.")
            return redirect("secrets", slug)
        if made.code != "name_taken":
            messages.warning(request, made.reason)
            return redirect("secrets", slug)
        form.add_error("name", made.reason)
    return _page(request, team, form)


@signed_in
@never_cache
@require_POST
def secret_replace(request: SignedIn, slug: str, pk: UUID) -> HttpResponse:
    """Replace a secret's value."""
    team, secret = _secret_or_404(request.user, slug, pk)
    form = SecretValueForm(request.POST)
    if not form.is_valid():
        return _page(request, team, SecretForm(None), replacing=(secret, form))
    answer = replace_secret(request.user, secret, form.cleaned_data["value"], now=timezone.now())
    done = f"Secret “{secret.name}” replaced."
    if sending := endpoints_sending(secret):
        named = ", ".join(map(str, sending))
        done += f" CloudFront still sends the old value to the target of {named}. Request a change "
        done += "of each to send the new one."
    return _after(request, slug, answer, done)


@signed_in
@never_cache
@require_POST
def secret_delete(request: SignedIn, slug: str, pk: UUID) -> HttpResponse:
    """Delete a secret."""
    _, secret = _secret_or_404(request.user, slug, pk)
    answer = delete_secret(request.user, secret, now=timezone.now())
    return _after(request, slug, answer, f"Secret “{secret.name}” deleted.")


def _after(request: SignedIn, slug: str, answer: Denied | None, done: str) -> HttpResponse:
    if answer:
        messages.warning(request, answer.reason)
    else:
        messages.success(request, done)
    return redirect("secrets", slug)


def _team_or_404(person: Person, slug: str) -> Team:
    team = visible_teams(person).filter(slug=slug).first()
    if team is None:
        raise Http404
    return team


def _secret_or_404(person: Person, slug: str, pk: UUID) -> tuple[Team, Secret]:
    team = _team_or_404(person, slug)
    secret = visible_secrets(person).filter(owner=slug, pk=pk).first()
    if secret is None:
        raise Http404
    return team, secret


def _page(
    request: SignedIn,
    team: Team,
    form: SecretForm,
    replacing: tuple[Secret, SecretValueForm] | None = None,
) -> HttpResponse:
    person, users = request.user, references_to(team.slug)
    rows: list[dict[str, Any]] = []
    for secret in Secret.objects.filter(owner=team.slug):
        wrong = replacing[1] if replacing and replacing[0].pk == secret.pk else None
        value = wrong or SecretValueForm(None, auto_id=f"id_{secret.pk}_%s")
        rows.append(
            {
                "secret": secret,
                "form": value,
                "open": bool(wrong),
                "users": users.get(secret.name, ()),
                "sent": any(one.origin_header for one in users.get(secret.name, ())),
            }
        )
    member = person.belongs_to(team.slug)
    wrong_form = form if form.errors else replacing[1] if replacing else None
    context = {
        "team": team,
        "form": wrong_form or form,
        "new": form,
        "rows": rows,
        "member": member,
        "may_delete": member or person.role == Person.Role.PLATFORM_ADMIN,
        "events": Event.objects.filter(stream=stream_of(team.slug)).order_by("-seq")[
            :HISTORY_SHOWN
        ],
    }
    return render(request, "secrets/list.html", context, status=422 if wrong_form else 200)
