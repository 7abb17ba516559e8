"""Who calls the API, what their token may do, and how often.

A token's scopes are enforced per method. A signed-in browser has every
scope (its person's role still decides) and must pass CSRF protection. Nothing here knows what the
views do.
"""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from portal.people.models import ApiToken, Person
from portal.people.rate_counter import counts
from portal.people.tokens import bearer, find_token
from portal.problems import ApiProblem


class TokenAuthentication(BaseAuthentication):
    """Authorization: Bearer."""

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
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token made in the portal. It expires.",
        }


class HasScope(BasePermission):
    """The view's `scopes` name what each method needs."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.user, Person):
            return False
        method = "GET" if request.method == "HEAD" else request.method
        needed: str | None = getattr(view, "scopes", {}).get(method)
        if isinstance(request.auth, ApiToken) and needed and needed not in request.auth.scopes:
            raise ApiProblem("missing_scope", f"This needs a token with the scope {needed}.")
        return True


class PerCaller(BaseThrottle):
    """So many requests a minute per token, or per person in a browser, over all web processes."""

    most = 600
    seconds = 60
    left = 0

    def allow_request(self, request: Request, view: APIView) -> bool:
        caller = (
            f"token-{request.auth.pk}"
            if isinstance(request.auth, ApiToken)
            else f"person-{request.user.pk}"
        )
        calls, self.left = counts().add(f"api-calls-{caller}", self.seconds)
        return calls <= self.most

    def wait(self) -> float:
        return float(self.left)
