"""Who may follow a request's console: a signed-in person, or a token with the right scope.

Checked when the socket opens and every minute after that, so that a revoked token, a sign-out or a
lost membership closes it. Another team's request is refused exactly like one that does not exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, parse_cookie

from portal.people.models import ApiToken, Person
from portal.people.tokens import bearer, find_token
from portal.requests.models import EndpointRequest
from provisioning.models import EventStream

BAD_REQUEST, UNAUTHENTICATED, FORBIDDEN, NOT_FOUND = 4400, 4401, 4403, 4404


@dataclass(frozen=True)
class Credentials:
    """The credentials in a handshake. A token takes precedence over a cookie."""

    token: str | None = None
    session_key: str = ""


@dataclass(frozen=True)
class Admitted:
    """May follow. `last_seq`, `state` and `action` are as of this check."""

    username: str
    stream: str
    last_seq: int
    state: str
    action: str


@dataclass(frozen=True)
class Refused:
    """May not follow; the socket closes with `code` and `reason` (at most 123 bytes)."""

    code: int
    reason: str


def credentials_of(headers: Iterable[tuple[bytes, bytes]]) -> Credentials:
    """Read the handshake's headers."""
    token, session_key = None, ""
    for name, value in headers:
        if name == b"authorization":
            token = bearer(value.decode("latin-1"))
        elif name == b"cookie":
            session_key = parse_cookie(value.decode("latin-1")).get(
                settings.SESSION_COOKIE_NAME, ""
            )
    return Credentials(token, session_key)


def admit(credentials: Credentials, request_id: uuid.UUID, now: datetime) -> Admitted | Refused:
    """Whether these credentials may follow this request now. Two or three queries."""
    person = _person(credentials, now)
    if isinstance(person, Refused):
        return person
    stream = EventStream.objects.filter(name=OuterRef("stream")).values("last_seq")[:1]
    visible = (
        EndpointRequest.objects.visible_to(person)
        .filter(pk=request_id)
        .annotate(last_seq=Subquery(stream))
    )
    row = visible.values("stream", "state", "action", "last_seq").first()
    if row is None:
        return Refused(NOT_FOUND, "This request does not exist or belongs to another team.")
    return Admitted(
        person.username, row["stream"], row["last_seq"] or 0, row["state"], row["action"]
    )


def _person(credentials: Credentials, now: datetime) -> Person | Refused:
    if credentials.token is not None:
        token = find_token(credentials.token, now)
        if token is None:
            return Refused(UNAUTHENTICATED, "The token is wrong, expired or revoked.")
        if ApiToken.Scope.READ not in token.scopes:
            return Refused(
                FORBIDDEN, f"This needs a token with the scope {ApiToken.Scope.READ.value}."
            )
        return token.person
    if not credentials.session_key:
        return Refused(UNAUTHENTICATED, "Sign in first.")
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(credentials.session_key)
    user = get_user(request)
    if not isinstance(user, Person) or not user.is_active:
        return Refused(UNAUTHENTICATED, "Your session has ended. Sign in again.")
    return user
