"""Who may open a page, and where people without a session are sent.

What a person may not see is answered exactly like what does not exist: 404, by the same query.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from portal.people.models import Person, Team
from portal.people.visibility import visible_endpoints
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint

P = ParamSpec("P")


class SignedIn(HttpRequest):
    """A request with a signed-in person."""

    user: Person
    htmx: HtmxDetails


def signed_in(
    view: Callable[Concatenate[SignedIn, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Require a session. Without one, a fragment's request redirects the whole page, so that the
    sign-in page never appears inside it.

    Every response varies on HX-Request: a cache must not serve a page for a fragment.
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if isinstance(request.user, Person) and request.user.is_active:
            response = view(cast("SignedIn", request), *args, **kwargs)
        else:
            response = _to_sign_in(cast("SignedIn", request))
        patch_vary_headers(response, ["HX-Request"])
        return response

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponseBase]", guarded)


def to_page(request: SignedIn, url: str) -> HttpResponse:
    """Redirect the browser to a page. htmx would follow a plain redirect and put the page into the
    fragment's place.
    """
    return HttpResponseClientRedirect(url) if request.htmx else HttpResponseRedirect(url)


def _to_sign_in(request: SignedIn) -> HttpResponse:
    """Afterwards the person is led to the page they were on; a button's address shows nothing."""
    if request.method == "POST" or request.htmx:
        page = _page_of(request.htmx) if request.htmx else _page_with_form(request)
        return to_page(request, f"{_sign_in_url(page)}&ended=1")
    return to_page(request, _sign_in_url(request.get_full_path()))


def _sign_in_url(page: str) -> str:
    return redirect_to_login(page, resolve_url(settings.LOGIN_URL)).url


def _page_with_form(request: HttpRequest) -> str:
    """The page of this site that the form was on; the home page if the browser does not say."""
    page = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(page, {request.get_host()}):
        return "/"
    parts = urlsplit(page)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))


def query_of_page(request: SignedIn) -> dict[str, str]:
    """The query of the page that a fragment is on; empty without a readable header."""
    return dict(parse_qsl(urlsplit(_page_of(request.htmx)).query)) if request.htmx else {}


def path_of_page(request: SignedIn) -> str:
    """The path of the page that a fragment is on."""
    return urlsplit(_page_of(request.htmx)).path


def _page_of(htmx: HtmxDetails) -> str:
    """The page that the fragment is on; the home page if the header that says so is malformed."""
    try:
        return htmx.current_url_abs_path or "/"
    except ValueError:
        return "/"


def posted_text(request: HttpRequest, field: str, limit: int) -> str:
    """The text of a field that no form validates. PostgreSQL cannot store NUL."""
    return request.POST.get(field, "").replace("\x00", "").strip()[:limit]


def request_or_404(person: Person, pk: UUID) -> EndpointRequest:
    """The endpoint request with everything its page shows, if this person may see it."""
    found: EndpointRequest | None = (
        EndpointRequest.objects.visible_to(person)
        .select_related("team", "requester", "beneficiary", "last_editor", "endpoint", "run")
        .filter(pk=pk)
        .first()
    )
    if found is None:
        raise Http404
    return found


def endpoint_or_404(person: Person, pk: UUID) -> Endpoint:
    """The endpoint, if this person may see it."""
    found = visible_endpoints(person).select_related("account").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def teams_of(person: Person) -> list[Team]:
    """The teams that a person may request endpoints for."""
    return list(Team.objects.of(person))
