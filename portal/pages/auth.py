"""Who may open a page, and how somebody without a session is sent to sign in.

What a person may not know of is answered exactly like what does not exist: 404, by the same query.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from portal.people.models import Person, Team
from portal.people.visibility import visible_endpoints
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint

P = ParamSpec("P")


class SignedIn(HttpRequest):
    """A request of somebody who has signed in."""

    user: Person
    htmx: HtmxDetails


def signed_in(
    view: Callable[Concatenate[SignedIn, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Only for people with a session. A fragment must not be replaced by the sign-in page: the page
    goes.

    Every answer says that it depends on who asks, page or fragment: a cache must not give one for
    the other.
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
    """Lead to a page. Where a fragment asked, a plain redirect would be followed unseen and the
    page put into it.
    """
    return HttpResponseClientRedirect(url) if request.htmx else HttpResponseRedirect(url)


def _to_sign_in(request: SignedIn) -> HttpResponse:
    page = _page_of(request.htmx) if request.htmx else request.get_full_path()
    return to_page(request, redirect_to_login(page, resolve_url(settings.LOGIN_URL)).url)


def _page_of(htmx: HtmxDetails) -> str:
    """Where the fragment's page is; the first page where the header that says so is none of
    ours.
    """
    try:
        return htmx.current_url_abs_path or "/"
    except ValueError:
        return "/"


def typed(request: HttpRequest, field: str, most: int) -> str:
    """What was typed into a field that no form checks. PostgreSQL keeps no NUL."""
    return request.POST.get(field, "").replace("\x00", "").strip()[:most]


def request_or_404(person: Person, pk: UUID) -> EndpointRequest:
    """The endpoint request with everything a page shows of it, if this person may know of it."""
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
    """The endpoint, if this person may know of it."""
    found = visible_endpoints(person).select_related("account").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def teams_of(person: Person) -> list[Team]:
    """The teams a person may ask for."""
    return list(Team.objects.of(person))
