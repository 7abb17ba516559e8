"""The view that every API view derives from: one parser, one set of credentials, one shape of
refusals. It reads what the handler's operation declares and turns exceptions into problems.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from structlog.contextvars import bind_contextvars

from portal.api.auth import CallerThrottle, HasScope, TokenAuthentication
from portal.api.lists import read_query
from portal.api.operation import Operation
from portal.json_body import StrictJSONParser
from portal.log_context import current_request_id
from portal.people.models import Person
from portal.problems import MEDIA_TYPE, PROBLEMS, ApiProblem, problem_body, problem_of
from provisioning.redaction.carriers import KNOWN_SHAPES

_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,118}[\x21-\x7e])?", re.ASCII)


class ApiView(APIView):
    """Its handlers are decorated with `@operation`; `query` has the query parameters that the
    operation declares.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (
        TokenAuthentication,
        SessionAuthentication,
    )
    permission_classes: Any = (HasScope,)
    parser_classes = (StrictJSONParser,)
    renderer_classes: Any = (JSONRenderer,)
    throttle_classes: Sequence[type[BaseThrottle]] = (CallerThrottle,)
    metadata_class = None
    correlation_id = ""
    now: datetime
    query: dict[str, Any]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.now = timezone.now()
        self.correlation_id = current_request_id()
        self.correlation_id = header_value(request, "X-Correlation-ID") or self.correlation_id
        bind_contextvars(correlation_id=self.correlation_id)
        super().initial(request, *args, **kwargs)
        declared = self.operation
        self.query = read_query(declared.query if declared else (), request.query_params)

    @property
    def operation(self) -> Operation | None:
        """Of the method called; None for one that does not exist here."""
        return getattr(getattr(self, (self.request.method or "").lower(), None), "operation", None)

    @property
    def person(self) -> Person:
        """Who calls. Permission has been checked, so it is a person."""
        user = self.request.user
        # For the type checker; HasScope refuses anybody else
        assert isinstance(user, Person)  # noqa: S101
        return user

    @property
    def sent(self) -> dict[str, Any]:
        """The body as the strict parser read it; {} when there was none."""
        data = self.request.data
        return data if isinstance(data, dict) else {}

    def handle_exception(self, exc: Exception) -> Response:
        answer = problem_of(exc)
        if answer is None:
            raise exc
        problem, headers = answer
        body = problem_body(problem, self.correlation_id)
        # The refusal is JSON whatever representation the answer would have had.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = MEDIA_TYPE
        response = Response(
            body, status=PROBLEMS[problem.code].status, headers=headers, content_type=MEDIA_TYPE
        )
        response.exception = True
        return response

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if self.correlation_id:
            answer["X-Correlation-ID"] = self.correlation_id
        answer.setdefault("Cache-Control", "private, no-cache")
        return answer


class UnknownPath(ApiView):
    """Every path under /api/v1/ that does not exist."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.correlation_id = current_request_id()
        raise ApiProblem("not_found")


def header_value(request: Request, name: str) -> str:
    """A header's value, "" when it is absent. Raises ApiProblem for one that cannot be returned or
    stored, or is a credential.
    """
    value: str = request.headers.get(name, "").strip()
    if value and not _HEADER_VALUE.fullmatch(value):
        raise ApiProblem("bad_header", f"{name} has 1 to 120 visible ASCII characters.")
    if KNOWN_SHAPES.search(value):
        raise ApiProblem("bad_header", f"{name} looks like a credential, and would be stored.")
    return value
