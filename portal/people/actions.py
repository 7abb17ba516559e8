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

TOKEN_PREFIX = "pwe_"  # noqa: S105  the visible beginning of every token, not a secret


LONGEST_TOKEN_DAYS = 365


@dataclass(frozen=True)
class Ended:
    """What somebody who left had open. `now`: they were ended just now, not before."""

    now: bool
    tokens: int
    sessions: int


def issue_token(
    person: Person, name: str, scopes: Sequence[str], *, days: int, now: datetime
) -> tuple[str, ApiToken]:
    """A new API token: its clear text, shown this once, and its row. `days` until it expires, 1 to
    365.
    """
    if not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise ValueError(f"A token lives 1 to {LONGEST_TOKEN_DAYS} days.")
    unknown = set(scopes) - set(ApiToken.Scope.values)
    if unknown or not scopes:
        raise ValueError(f"Scopes are some of: {', '.join(ApiToken.Scope.values)}.")
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
    """Close the door a token opens. Only its owner or a platform admin may; False when it was
    closed already.
    """
    if token.person_id != person.pk and person.role != Person.Role.PLATFORM_ADMIN:
        return False
    return ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now) == 1


def end_person(person: Person, *, now: datetime) -> Ended:
    """Somebody leaves: they sign in no more, and what they had open is closed for good, should they
    come back. What they asked for and decided stays theirs.
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
    """What is stored of a token. SHA-256 is right for 256 random bits."""
    return hashlib.sha256(clear.encode()).hexdigest()
