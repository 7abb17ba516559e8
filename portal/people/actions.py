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
from provisioning import events
from provisioning.models import Event
from provisioning.redaction.masking import mask_prose

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
    name = mask_prose(name, ApiToken._meta.get_field("name").max_length or 0)
    unknown = set(scopes) - set(ApiToken.Scope.values)
    if unknown or not scopes:
        raise ValueError(f"Choose at least one scope of: {', '.join(ApiToken.Scope.values)}.")
    clear = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            person=person,
            name=name,
            prefix=clear[:10],
            digest=token_digest(clear),
            scopes=sorted(scopes),
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        until = f"{token.expires_at:%Y-%m-%d}"
        text = f"Token “{name}” created, valid until {until}: {', '.join(token.scopes)}."
        _record(person, "token.created", text, now)
    return clear, token


def revoke_token(person: Person, token: ApiToken, *, now: datetime) -> bool:
    """Revoke a token. Only its owner or a platform admin can; False if they may not or it was
    already revoked.
    """
    if token.person_id != person.pk and person.role != Person.Role.PLATFORM_ADMIN:
        return False
    with transaction.atomic():
        working = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True)
        revoked = working.update(revoked_at=now) == 1
        if revoked:
            by = "" if token.person_id == person.pk else f" by {person}"
            text = f"Token “{token.name}” revoked{by}."
            _record(token.person, "token.revoked", text, now, level=Event.Level.WARNING)
    return revoked


def end_person(person: Person, *, now: datetime) -> Ended:
    """Deactivate a person who leaves, revoke their tokens and end their sessions, also in case they
    come back. Their requests and decisions stay.
    """
    with transaction.atomic():
        active = Person.objects.filter(pk=person.pk, is_active=True).update(is_active=False) == 1
        working = ApiToken.objects.filter(
            person=person, revoked_at__isnull=True, expires_at__gt=now
        )
        revoked = working.update(revoked_at=now)
        if revoked:
            tokens = "token" if revoked == 1 else "tokens"
            text = f"The account was deactivated; {revoked} {tokens} revoked."
            _record(person, "token.revoked", text, now, level=Event.Level.WARNING)
        return Ended(active, tokens=revoked, sessions=end_sessions(person.pk, now))


def token_stream(person: Person) -> str:
    """The event stream of a person's tokens."""
    return f"tokens:{person.pk}"


def _record(
    person: Person, kind: str, text: str, now: datetime, *, level: str = Event.Level.INFO
) -> None:
    data = {"person": person.username}
    events.append(token_stream(person), kind, text, at=now, level=level, data=data)


def token_digest(clear: str) -> str:
    """What is stored of a token. SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(clear.encode()).hexdigest()
