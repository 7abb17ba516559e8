"""What went wrong, without the database: it may be what is away. Pages get a page, paths of the API
a problem.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.template import loader

from portal.problems import MEDIA_TYPE, ApiProblem, problem_body

CODES = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    500: "internal_error",
    503: "unavailable",
}
AWAY_SECONDS = "5"


def with_a_way_on(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Middleware: for a method that does not exist Django has an empty page; people get one that
    can be left.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not isinstance(response, HttpResponseNotAllowed):
            return response
        page = _page(request, 405)
        page["Allow"] = response["Allow"]
        return page

    return answer


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return _page(request, 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: not there, or not yours; both look the same."""
    return _page(request, 404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return _page(request, 400)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; or 503 while the database is away."""
    away = isinstance(sys.exception(), OperationalError | InterfaceError)
    response = _page(request, 503 if away else 500)
    if away:
        response["Retry-After"] = AWAY_SECONDS
    return response


def _page(request: HttpRequest, status: int) -> HttpResponse:
    if request.path.startswith("/api/"):
        problem = problem_body(ApiProblem(CODES[status]), uuid.uuid4().hex)
        return JsonResponse(problem, status=status, content_type=MEDIA_TYPE)
    return HttpResponse(loader.render_to_string(f"{status}.html"), status=status)
