"""What can be done with people and their tokens: one function per verb."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from portal.people.models import ApiToken, Person
from portal.people.sessions import end_sessions

# The visible beginning of every token, not a secret.
TOKEN_PREFIX = "pwe_"  # noqa: S105
LONGEST_TOKEN_DAYS = 365


@dataclass(frozen=True)
class Ended:
    """What a deactivated person had open. `now` is false if they were already inactive."""

    now: bool
    tokens: int
    sessions: int


def issue_token(
    person: Person, name: str, scopes: Sequence[str], *, days: int, now: datetime
) -> tuple[str, ApiToken]:
    """Create an API token that expires after 1 to 365 `days`. Returns its clear text, which is not
    stored, and its row. Raises ValueError.
    """
    if not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise ValueError(f"A token is valid for 1 to {LONGEST_TOKEN_DAYS} days.")
    unknown = set(scopes) - set(ApiToken.Scope.values)
    if unknown or not scopes:
        raise ValueError(f"Choose at least one scope of: {', '.join(ApiToken.Scope.values)}.")
    clear = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        person=person,
        name=name,
        prefix=clear[:10],
        digest=token_digest(clear),
        scopes=sorted(scopes),
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    return clear, token


def revoke_token(person: Person, token: ApiToken, *, now: datetime) -> bool:
    """Revoke a token. Only its owner or a platform admin can; False if they may not or it was
    already revoked.
    """
    if token.person_id != person.pk and person.role != Person.Role.PLATFORM_ADMIN:
        return False
    return ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now) == 1


def end_person(person: Person, *, now: datetime) -> Ended:
    """Deactivate a person who leaves, revoke their tokens and end their sessions, also in case they
    come back. Their requests and decisions stay.
    """
    with transaction.atomic():
        active = Person.objects.filter(pk=person.pk, is_active=True).update(is_active=False) == 1
        working = ApiToken.objects.filter(
            person=person, revoked_at__isnull=True, expires_at__gt=now
        )
        return Ended(
            active, tokens=working.update(revoked_at=now), sessions=end_sessions(person.pk, now)
        )


def token_digest(clear: str) -> str:
    """What is stored of a token. SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(clear.encode()).hexdigest()
