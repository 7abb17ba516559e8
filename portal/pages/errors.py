"""Error pages, rendered without the database: it may be what failed. Paths of the API get a problem
document instead.
"""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader

from portal.log_context import current_request_id
from portal.problems import MEDIA_TYPE, ApiProblem, problem_body

CODES = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
RETRY_AFTER_SECONDS = "5"


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return error_page(request, 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return error_page(request, 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: does not exist, or belongs to another team; both look the same."""
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; or 503 while the database is unavailable."""
    unavailable = isinstance(sys.exception(), OperationalError | InterfaceError)
    response = error_page(request, 503 if unavailable else 500)
    if unavailable:
        response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def error_page(request: HttpRequest, status: int) -> HttpResponse:
    """The page for this status, or the problem document for a path of the API."""
    if request.path.startswith("/api/"):
        problem = problem_body(ApiProblem(CODES[status]), current_request_id())
        return JsonResponse(problem, status=status, content_type=MEDIA_TYPE)
    return HttpResponse(loader.render_to_string(f"{status}.html"), status=status)
