"""The view every API view derives from: one parser, one set of credentials, one shape of refusals.

It reads the correlation id, refuses query parameters nobody knows, and turns exceptions into
problems. It never decides what a view does.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from portal.api.auth import HasScope, PerCaller, TokenAuthentication
from portal.api.parser import StrictJSONParser
from portal.people.models import Person
from portal.problems import MEDIA_TYPE, PROBLEMS, ApiProblem, problem_body, problem_of
from provisioning.spec.parsing import FieldError

_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,118}[\x21-\x7e])?", re.ASCII)


class ApiView(APIView):
    """`scopes`: what a token needs per method. `parameters`: the query parameters each method
    knows.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (
        TokenAuthentication,
        SessionAuthentication,
    )
    permission_classes: Any = (HasScope,)
    parser_classes = (StrictJSONParser,)
    renderer_classes: Any = (JSONRenderer,)
    throttle_classes: Sequence[type[BaseThrottle]] = (PerCaller,)
    metadata_class = None
    scopes: ClassVar[Mapping[str, str]] = {}
    parameters: ClassVar[frozenset[str]] = frozenset()
    correlation_id = ""
    now: datetime

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.now = timezone.now()
        self.correlation_id = uuid.uuid4().hex
        self.correlation_id = header_value(request, "X-Correlation-ID") or self.correlation_id
        super().initial(request, *args, **kwargs)
        self._check_parameters(request)

    @property
    def person(self) -> Person:
        """Who calls. Permission has been checked, so it is a person."""
        user = self.request.user
        # For the type checker; HasScope refuses anybody else
        assert isinstance(user, Person)  # noqa: S101
        return user

    @property
    def body(self) -> dict[str, Any]:
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

    def _check_parameters(self, request: Request) -> None:
        """A misspelt filter would otherwise answer with everything."""
        faults = []
        for name, values in request.query_params.lists():
            if name not in self.parameters:
                faults.append(
                    FieldError(name[:60], "unknown", "This parameter does not exist. Remove it.")
                )
            elif len(values) > 1:
                faults.append(FieldError(name, "duplicate", "Give it once."))
            elif "\x00" in values[0] or len(values[0]) > 4000:
                faults.append(FieldError(name, "invalid", "It does not fit."))
        if faults:
            raise bad_parameters(faults)


class Nowhere(ApiView):
    """Every path under /api/v1/ that does not exist."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.correlation_id = uuid.uuid4().hex
        raise ApiProblem("not_found")


def bad_parameters(faults: list[FieldError]) -> ApiProblem:
    """Query parameters that do not fit."""
    return ApiProblem(
        "bad_parameter", "; ".join(f"{fault.field}: {fault.message}" for fault in faults), faults
    )


def header_value(request: Request, name: str) -> str:
    """A header's value, "" when it is absent. Raises ApiProblem for one that cannot be echoed or
    stored.
    """
    value: str = request.headers.get(name, "").strip()
    if value and not _HEADER_VALUE.fullmatch(value):
        raise ApiProblem("bad_header", f"{name} has 1 to 120 visible ASCII characters.")
    return value
