"""Signing in and out. Guessing is slowed down per name and per address; nothing here tells which
names exist.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpResponse

from portal.people.rate_counter import rate_counter
from portal.people.sessions import SessionStore

# A colleague's wrong guesses from elsewhere must not lock somebody out, and behind a proxy all
# share an address.
ATTEMPTS_PER_NAME_AND_ADDRESS = 8
ATTEMPTS_PER_NAME = 60
ATTEMPTS_PER_ADDRESS = 300
PAUSE_SECONDS = 300
LONGEST_NAME = 150
"""Characters of a name that anybody can have; of what is longer only these are looked at."""


class SignIn(LoginView):
    """Name and password. `next` is followed only inside this site (LoginView sees to that)."""

    template_name = "people/sign_in.html"
    redirect_authenticated_user = True

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refused without looking at the password while too many attempts have failed."""
        measures = self._counters()
        tried = rate_counter().seen([key for key, _ in measures])
        if any(count >= most for count, (_, most) in zip(tried, measures, strict=True)):
            response = self.render_to_response(
                self.get_context_data(form=self.get_form_class()(self.request), pause=True)
            )
            response.status_code = 429
            response["Retry-After"] = str(PAUSE_SECONDS)
            return response
        return super().post(*args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Count it. The count ends by itself, from the first failure on."""
        for key, _ in self._counters():
            rate_counter().add(key, PAUSE_SECONDS)
        return super().form_invalid(form)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """The right password ends the counting for this name from this address, and nothing else.
        Sessions that have expired, of anybody, are deleted with it: nobody else would.
        """
        rate_counter().forget(self._counters()[0][0])
        SessionStore.clear_expired()
        return super().form_valid(form)

    def get_success_url(self) -> str:
        """Where `next` leads, unless that is here: somebody who has signed in would go round in
        circles.
        """
        url = super().get_success_url()
        return self.get_default_redirect_url() if urlsplit(url).path == self.request.path else url

    def _counters(self) -> list[tuple[str, int]]:
        # As the form reads a name: another spelling of the same must not be counted apart.
        typed = self.request.POST.get("username", "").strip()[:LONGEST_NAME]
        name = hashlib.sha256(unicodedata.normalize("NFKC", typed).lower().encode()).hexdigest()
        address = self.request.META.get("REMOTE_ADDR", "")
        return [
            (f"sign-in:both:{name}:{address}", ATTEMPTS_PER_NAME_AND_ADDRESS),
            (f"sign-in:name:{name}", ATTEMPTS_PER_NAME),
            (f"sign-in:address:{address}", ATTEMPTS_PER_ADDRESS),
        ]
