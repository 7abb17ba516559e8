"""The signed-in person's API tokens: list, create (shown once), revoke."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from portal.pages.auth import SignedIn, signed_in
from portal.pages.forms import TokenForm
from portal.people.actions import issue_token, revoke_token, token_stream
from portal.people.models import ApiToken
from provisioning.models import Event

TOKENS_SHOWN = 100
HISTORY_SHOWN = 20


@signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: SignedIn) -> HttpResponse:
    """The list, and the form. The clear text is in the response to the form and nowhere else."""
    may_decide = request.user.decides
    form = TokenForm(request.POST or None, may_decide=may_decide)
    now = timezone.now()
    clear, status = "", 200
    if request.method == "POST":
        if form.is_valid():
            given = form.cleaned_data
            clear, _ = issue_token(
                request.user, given["name"], given["scopes"], days=given["days"], now=now
            )
            form = TokenForm(None, may_decide=may_decide)
        else:
            status = 422
    shown = ApiToken.objects.filter(person=request.user).working_first(now)[:TOKENS_SHOWN]
    history = Event.objects.filter(stream=token_stream(request.user)).order_by("-seq")
    context = {
        "form": form,
        "clear": clear,
        "tokens": list(shown),
        "now": now,
        "events": history[:HISTORY_SHOWN],
    }
    return render(request, "tokens/list.html", context, status=status)


@signed_in
@require_POST
def token_revoke(request: SignedIn, pk: int) -> HttpResponse:
    """Revoke a token for good."""
    token = ApiToken.objects.filter(pk=pk, person=request.user).first()
    if token is None:
        raise Http404
    if revoke_token(request.user, token, now=timezone.now()):
        messages.success(request, f"Token “{token.name}” revoked.")
    else:
        messages.info(request, f"Token “{token.name}” was already revoked.")
    return redirect("tokens")
