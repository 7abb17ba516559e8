"""One method of a view, described once: who may call it, what it takes, what it answers.

`@operation` on a handler is what HasScope enforces, what ApiView reads the query by, and what the
OpenAPI document says. The handler's docstring is the summary and the description.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from portal import json_fields as f
from portal.people.models import ApiToken
from portal.problems import MEDIA_TYPE, PROBLEMS
from provisioning.spec.parsing import FieldError

# fmt: off
ALWAYS = (
    "bad_parameter", "bad_header", "bad_request", "not_authenticated", "invalid_token",
    "missing_scope", "not_acceptable", "too_many_requests", "unavailable",
)
OF_BODIES = ("bad_json", "too_slow", "too_large", "unsupported_media_type", "invalid_fields")
PROBLEM = f.Object("Problem", "Why the call failed (RFC 9457).", (
    f.Field("type", f.STRING),
    f.Field("title", f.STRING),
    f.Field("status", f.INTEGER),
    f.Field("code", f.STRING),
    f.Field("detail", f.STRING),
    f.Field("errors", f.array(f.of(f.object_of(FieldError)))),
    f.Field("correlation_id", f.STRING),
    f.Field("message", f.STRING, "One line for a ticket."),
))
# fmt: on
Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """What a handler was decorated with, as far as requests need it. `codes` are those of every
    problem that it can answer with.
    """

    scope: str
    query: tuple[f.Field, ...]
    codes: tuple[str, ...]


def header(name: str, text: str) -> OpenApiParameter:
    """A text in a header."""
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER, description=text)


def parameter(field: f.Field) -> OpenApiParameter:
    """A parameter of the query string."""
    return OpenApiParameter(field.name, dict(field.kind.schema), description=field.help)


CORRELATION_ID = header("X-Correlation-ID", "Returned, and stored with a new request.")


def operation(
    operation_id: str,
    answer: f.Object | None = None,
    *,
    statuses: tuple[int, ...] = (200,),
    query: tuple[f.Field, ...] = (),
    headers: tuple[OpenApiParameter, ...] = (),
    body: f.Body | None = None,
    refusals: Collection[str] = (),
    example: Mapping[str, Any] | None = None,
    also: Mapping[Any, OpenApiResponse] | None = None,
    scope: str = "",
    docs: str = "",
) -> Callable[[Handler], Handler]:
    """Describe a handler. `refusals` are the codes with which its action can refuse; those of the
    API itself, and of the body's fields, are added. `example` is what differs from the answer's own
    example; `also` are further responses. `scope` is what a token needs, to read or to write if it
    is not said; `docs` replaces the docstring.
    """

    def describe(handler: Handler) -> Handler:
        method = handler.__name__
        needs = scope or (ApiToken.Scope.READ if method == "get" else ApiToken.Scope.WRITE).value
        of_one = len(inspect.signature(handler).parameters) > 2  # self, request, and what it is of
        possible = {*ALWAYS, *refusals, *(("not_found",) if of_one else ())}
        possible |= {"bad_cursor"} if any(one.name == "cursor" for one in query) else set()
        possible |= {"csrf"} if method != "get" else set()
        possible |= {*OF_BODIES} if method in ("post", "put") else set()
        possible |= {code for one in body.fields for code in one.codes} if body else set()
        codes = tuple(code for code in PROBLEMS if code in possible)
        responses: dict[Any, Any] = dict.fromkeys(statuses, OpenApiResponse(answer))
        responses.update(also or {})
        for status in sorted({PROBLEMS[code].status for code in codes}):
            known = ", ".join(code for code in codes if PROBLEMS[code].status == status)
            responses[status, MEDIA_TYPE] = OpenApiResponse(PROBLEM, description=f"Code: {known}.")
        examples = [OpenApiExample("body", body.example, request_only=True)] if body else []
        if answer:
            shown, good = {**answer.example, **(example or {})}, [*map(str, statuses)]
            examples.append(OpenApiExample("answer", shown, response_only=True, status_codes=good))
        summary, _, text = inspect.cleandoc(docs or handler.__doc__ or "").partition("\n")
        described: Handler = extend_schema(
            operation_id=operation_id,
            summary=summary.rstrip("."),
            description=f"{text}\n\nNeeds a token with the scope {needs}.".strip(),
            request={"application/json": body} if body else None,
            responses=responses,
            parameters=[*map(parameter, query), *headers, CORRELATION_ID],
            examples=examples,
        )(handler)
        described.operation = Operation(needs, query, codes)  # type: ignore[attr-defined]
        return described

    return describe
