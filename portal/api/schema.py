"""What the OpenAPI document says of every operation: who may call it, how it refuses, how pages
follow each other.

Each subject has a module of its own beside this one: requests_schema, endpoints_schema,
checks_schema. These serializers only describe; tests compare the fields there with what is read and
answered.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers as s

from portal.people.models import ApiToken

Body = s.Serializer[Any]

REQUEST_ID = "0b3c2c64-5a47-4f0e-9f0e-3f3c0f6c7f11"
READ, WRITE, APPROVE = (
    ApiToken.Scope.READ.value,
    ApiToken.Scope.WRITE.value,
    ApiToken.Scope.APPROVE.value,
)

WHY_NOT = {
    400: "The request cannot be read.",
    401: "No token, or one that opens nothing.",
    403: "The caller may not do this.",
    404: "It does not exist, or belongs to another team.",
    406: "The representation asked for does not exist.",
    408: "The body did not arrive in time.",
    409: "It cannot be done in the present state, or the key was used for something else.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Some fields do not fit.",
    429: "Too many requests; wait as long as Retry-After says.",
    503: "The database is away; try again after Retry-After.",
}

UNREAD = (408, 413, 415)
"""How a body is refused before it is read."""


class FieldFault(Body):
    field = s.CharField()
    code = s.CharField()
    message = s.CharField()


class ProblemBody(Body):
    """Why not (RFC 9457)."""

    type = s.CharField()
    title = s.CharField()
    status = s.IntegerField()
    code = s.CharField()
    detail = s.CharField()
    errors = s.ListField(child=FieldFault())  # type: ignore[assignment]
    correlation_id = s.CharField()
    message = s.CharField(help_text="One line for a ticket.")


def parameter(name: str, kind: Any, text: str) -> OpenApiParameter:
    """A parameter of the query string."""
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=text)


def whole(least: int, most: int) -> dict[str, Any]:
    """A whole number with its bounds."""
    return {"type": "integer", "minimum": least, "maximum": most}


def header(name: str, text: str) -> OpenApiParameter:
    """A text in a header."""
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER, description=text)


def operation(
    operation_id: str,
    summary: str,
    description: str,
    tag: str,
    answer: Any,
    example: Any,
    *,
    scope: str,
    refusals: tuple[int, ...],
    body: Any = None,
    body_example: Any = None,
    parameters: tuple[OpenApiParameter, ...] = (),
    statuses: tuple[int, ...] = (200,),
    also: dict[Any, Any] | None = None,
) -> dict[str, Any]:
    """The keyword arguments of extend_schema."""
    examples = []
    if example is not None:
        told = [str(status) for status in statuses]
        examples.append(
            OpenApiExample("answer", value=example, response_only=True, status_codes=told)
        )
    if body_example is not None:
        examples.append(OpenApiExample("body", value=body_example, request_only=True))
    responses: dict[Any, Any] = {
        status: OpenApiResponse(answer, description="As asked.") for status in statuses
    }
    responses |= also or {}
    for status in sorted({401, 403, 406, 429, 503, *refusals}):
        responses[(status, "application/problem+json")] = OpenApiResponse(
            ProblemBody, description=WHY_NOT[status]
        )
    return {
        "operation_id": operation_id,
        "summary": summary,
        "description": f"{description}\n\nNeeds a token with the scope {scope}.",
        "tags": [tag],
        "request": {"application/json": body} if body else None,
        "responses": responses,
        "parameters": [
            *parameters,
            header("X-Correlation-ID", "Echoed, and kept with a new request."),
        ],
        "examples": examples,
    }


PAGING = (
    parameter("cursor", OpenApiTypes.STR, "next_cursor of the page before."),
    parameter("limit", whole(1, 100), "50 if absent."),
)
