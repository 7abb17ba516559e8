"""Middleware of the portal."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from portal.pages.errors import error_page
from portal.people.rate_counter import rate_counter

PAGES_PER_MINUTE = 600
"""For one person, polls of open pages included."""


def private_pages(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """What depends on who asks is kept by no cache: not by a proxy, and not for the next person at
    the machine. What has an ETag may be kept, but is asked for again.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not response.has_header("Cache-Control"):
            kept = "no-cache" if response.has_header("ETag") else "no-store"
            response["Cache-Control"] = f"private, {kept}"
        return response

    return middleware


def limit_pages(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Nobody takes all the threads alone. The API counts its calls itself."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/api/") and request.user.is_authenticated:
            count, seconds = rate_counter().add(f"pages:{request.user.pk}", 60)
            if count > PAGES_PER_MINUTE:
                page = error_page(request, 429)
                page["Retry-After"] = str(seconds)
                return page
        return get_response(request)

    return middleware


def page_for_method_not_allowed(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django answers a method that a view does not accept with an empty page. People get a page
    with a way back, API clients a problem document.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not isinstance(response, HttpResponseNotAllowed):
            return response
        page = error_page(request, 405)
        page["Allow"] = response["Allow"]
        return page

    return middleware
