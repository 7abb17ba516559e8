"""Who calls the API, what their token may do, and how often.

A token's scopes are enforced per operation. A signed-in browser has every scope (the person's role
still decides) and must pass CSRF protection.
"""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from portal.people.models import ApiToken, Person
from portal.people.rate_counter import rate_counter
from portal.people.tokens import bearer, find_token
from portal.problems import ApiProblem


class TokenAuthentication(BaseAuthentication):
    """Authorization: Bearer with an API token."""

    def authenticate(self, request: Request) -> tuple[Person, ApiToken] | None:
        clear = bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        if clear is None:
            return None
        token = find_token(clear, timezone.now())
        if token is None:
            raise exceptions.AuthenticationFailed()
        return token.person, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the token looks in the OpenAPI document."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API token. It expires."}


class HasScope(BasePermission):
    """The operation that is called says which scope it needs."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.user, Person):
            return False
        operation = getattr(view, "operation", None)
        if (
            operation
            and isinstance(request.auth, ApiToken)
            and operation.scope not in request.auth.scopes
        ):
            raise ApiProblem(
                "missing_scope", f"This needs a token with the scope {operation.scope}."
            )
        return True


class CallerThrottle(SimpleRateThrottle):
    """Per token, or per person in a browser, at the rate of REST_FRAMEWORK's
    DEFAULT_THROTTLE_RATES, over all web processes.

    Counts in one round trip to Redis, and lets every call pass while Redis is away; DRF's own
    counting does neither (docs/decisions/0007-api-throttle-and-pages.md).
    """

    scope = "caller"
    num_requests: int
    duration: int
    left = 0

    def get_cache_key(self, request: Request, view: APIView) -> str:
        if isinstance(request.auth, ApiToken):
            return f"api-calls-token-{request.auth.pk}"
        return f"api-calls-person-{request.user.pk}"

    def allow_request(self, request: Request, view: APIView) -> bool:
        calls, self.left = rate_counter().add(self.get_cache_key(request, view), self.duration)
        return calls <= self.num_requests

    def wait(self) -> float:
        return float(self.left)
