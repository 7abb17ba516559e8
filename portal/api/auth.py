"""Who calls the API, what their token may do, and how often.

A token is found by its SHA-256; its scopes are enforced per method. A signed-in browser has every
scope (its person's role still decides) and must pass CSRF protection. Nothing here knows what the
views do.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from portal.actions import token_digest
from portal.api.problems import ApiProblem
from portal.counting import counts
from portal.models import ApiToken, Person

USE_NOTED_EVERY = timedelta(minutes=1)
LONGEST_TOKEN = 200


def find_token(clear: str, now: datetime) -> ApiToken | None:
    """The usable token with this clear text, with its person. Notes its use, at most once a
    minute.
    """
    if not clear or len(clear) > LONGEST_TOKEN:
        return None
    token: ApiToken | None = (
        ApiToken.objects.usable(now)
        .select_related("person")
        .filter(digest=token_digest(clear))
        .first()
    )
    if token and (token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY):
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USE_NOTED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token


def bearer(header: str) -> str | None:
    """The token in an Authorization header, or None when it is of another scheme."""
    scheme, _, clear = header.strip().partition(" ")
    return clear.strip() if scheme.lower() == "bearer" else None


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


__all__ = [
    "BearerScheme",
    "HasScope",
    "PerCaller",
    "SessionAuthentication",
    "TokenAuthentication",
    "bearer",
    "find_token",
]
