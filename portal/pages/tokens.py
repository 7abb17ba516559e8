"""API tokens of the person who looks: list, make one (shown once), revoke."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from portal.pages.auth import SignedIn, signed_in
from portal.pages.forms import TokenForm
from portal.people.actions import issue_token, revoke_token
from portal.people.models import ApiToken, Person

TOKENS_SHOWN = 100


@signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: SignedIn) -> HttpResponse:
    """The list, and the form. The clear text stands in the answer to the form and nowhere else."""
    form = TokenForm(request.POST or None, initial={"days": 90, "scopes": [ApiToken.Scope.READ]})
    now = timezone.now()
    clear, status = "", 200
    if request.method == "POST":
        if form.is_valid():
            said = form.cleaned_data
            clear, _ = issue_token(
                request.user, said["name"], said["scopes"], days=said["days"], now=now
            )
            form = TokenForm(initial={"days": 90, "scopes": [ApiToken.Scope.READ]})
        else:
            status = 422
    mine = ApiToken.objects.filter(person=request.user).working_first(now)[:TOKENS_SHOWN]
    context = {
        "form": form,
        "clear": clear,
        "tokens": list(mine),
        "now": now,
        "scopes": _scopes(request.user),
    }
    return render(request, "tokens/list.html", context, status=status)


def _scopes(person: Person) -> list[tuple[str, str]]:
    """What may be ticked: a token of somebody who may not decide could not decide either."""
    return [
        (key, word)
        for key, word in ApiToken.Scope.choices
        if key != ApiToken.Scope.APPROVE or person.decides
    ]


@signed_in
@require_POST
def token_revoke(request: SignedIn, pk: int) -> HttpResponse:
    """Close the door."""
    token = ApiToken.objects.filter(pk=pk, person=request.user).first()
    if token is None:
        raise Http404
    if revoke_token(request.user, token, now=timezone.now()):
        messages.success(request, f"“{token.name}” opens nothing any more.")
    else:
        messages.info(request, f"“{token.name}” was revoked already.")
    return redirect("tokens")
