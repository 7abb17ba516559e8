"""Signing in. Guessing is slowed down per name and per address, and no answer reveals which names
exist.

A browser in which someone has signed in keeps a signed cookie. With it, that person's attempts have
a count of their own: others who guess cannot lock the person out there.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import unicodedata
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core import signing
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from portal.pages.kept_answers import keep_answers, known_answers
from portal.people.models import Person
from portal.people.rate_counter import rate_counter

# A colleague's wrong guesses from elsewhere must not lock a person out, and behind a proxy everyone
# shares an address.
ATTEMPTS_PER_NAME_AND_ADDRESS = 8
ATTEMPTS_PER_NAME = 60
ATTEMPTS_PER_ADDRESS = 300
PAUSE_SECONDS = 300
KNOWN_DEVICE = "known_device"
KNOWN_FOR_SECONDS = 180 * 86_400
LONGEST_NAME = 150
"""Characters: no name is longer; only these of a longer one are counted."""
LONGEST_ANSWERS = 80_000
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


class SignInForm(AuthenticationForm):
    """Django's form, in the portal's words. After a failure the message gets the focus, not the
    first field.
    """

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "Incorrect username or password."
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if self.is_bound:
            del self.fields["username"].widget.attrs["autofocus"]


class SignIn(LoginView):
    """Username and password. `next` is followed only within this site (LoginView checks that)."""

    template_name = "people/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refused without checking the password while too many attempts have failed."""
        counters = self._counters()
        attempts = rate_counter().seen([key for key, _ in counters])
        if any(count >= limit for count, (_, limit) in zip(attempts, counters, strict=True)):
            form = self.get_form_class()(self.request)
            response = self.render_to_response(self.get_context_data(form=form, rate_limited=True))
            response.status_code = 429
            response["Retry-After"] = str(PAUSE_SECONDS)
            return response
        return super().post(*args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Count it. The count expires, measured from the first failure."""
        for key, _ in self._counters():
            rate_counter().add(key, PAUSE_SECONDS)
        return super().form_invalid(form)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """The right password resets the count for this name from this address, and no other."""
        rate_counter().forget(self._counters()[0][0])
        response = super().form_valid(form)
        if answers := self.request.POST.get("answers"):
            keep_answers(self.request, self.get_success_url(), QueryDict(answers))
        response.set_cookie(
            KNOWN_DEVICE,
            signing.dumps([self._name(), secrets.token_hex(8)], salt=KNOWN_DEVICE),
            max_age=KNOWN_FOR_SECONDS,
            path=self.request.path,
            httponly=True,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the answers that wait for the sign-in."""
        answers = self.request.POST.get("answers", "")
        ended = bool(answers) or "ended" in self.request.GET
        return super().get_context_data(**kwargs) | {"answers": answers, "ended": ended}

    def get_success_url(self) -> str:
        """Where `next` leads, unless that is the sign-in page itself: that would be a loop."""
        url = super().get_success_url()
        return self.get_default_redirect_url() if urlsplit(url).path == self.request.path else url

    def _name(self) -> str:
        # As the form reads a name: another spelling of the same name must share its count.
        typed = self.request.POST.get("username", "").strip()[:LONGEST_NAME]
        return hashlib.sha256(unicodedata.normalize("NFKC", typed).lower().encode()).hexdigest()

    def _device(self) -> str:
        """The device's ID, if this person has signed in on it before."""
        cookie = self.request.COOKIES.get(KNOWN_DEVICE, "")
        try:
            name, device = signing.loads(cookie, salt=KNOWN_DEVICE, max_age=KNOWN_FOR_SECONDS)
        except (signing.BadSignature, ValueError, TypeError):
            return ""
        return str(device) if name == self._name() else ""

    def _counters(self) -> list[tuple[str, int]]:
        if device := self._device():
            return [(f"sign-in:device:{device}", ATTEMPTS_PER_NAME_AND_ADDRESS)]
        name = self._name()
        address = self.request.META.get("REMOTE_ADDR", "")
        return [
            (f"sign-in:both:{name}:{address}", ATTEMPTS_PER_NAME_AND_ADDRESS),
            (f"sign-in:name:{name}", ATTEMPTS_PER_NAME),
            (f"sign-in:address:{address}", ATTEMPTS_PER_ADDRESS),
        ]


def survives_sign_in(view: View[P]) -> View[P]:
    """A form that is submitted without a session is not lost: the sign-in page carries its answers,
    and the form shows them again. `csrf_failure` does the same for a form from an older session.
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        lost = request.method == "POST" and not isinstance(request.user, Person)
        if lost and "HX-Request" not in request.headers:
            return show_answers_again(request)
        return view(request, *args, **kwargs)

    guarded.survives_sign_in = True  # type: ignore[attr-defined]
    return cast("View[P]", guarded)


def show_answers_again(request: HttpRequest) -> HttpResponse:
    """The form with the answers that this request posts; for people without a session, after they
    have signed in. Nothing is submitted.
    """
    url = request.get_full_path()
    if isinstance(request.user, Person):
        keep_answers(request, url, request.POST)
        return redirect(url)
    answers = known_answers(request.POST).urlencode()
    # The sign-in form must still fit into a request body.
    waiting = {"answers": answers if len(answers) <= LONGEST_ANSWERS else "", "next": url}
    context = {"form": SignInForm(request), "ended": True} | waiting
    return render(request, "people/sign_in.html", context, status=403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form's token is of an older session, for example since the person signed in again in
    another tab.
    """
    view = request.resolver_match.func if request.resolver_match else None
    if reason.startswith("CSRF") and getattr(view, "survives_sign_in", False):
        return show_answers_again(request)
    return render(request, "403_csrf.html", status=403)
