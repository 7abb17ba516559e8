"""Finds the usable API token behind an Authorization header, by its SHA-256."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from portal.people.actions import token_digest
from portal.people.models import ApiToken

RECORD_USE_EVERY = timedelta(minutes=1)
LONGEST_TOKEN = 200


def find_token(clear: str, now: datetime) -> ApiToken | None:
    """The usable token with this clear text, with its person. Records its use at most once a
    minute.
    """
    if not clear or len(clear) > LONGEST_TOKEN:
        return None
    of_digest = ApiToken.objects.usable(now).filter(digest=token_digest(clear))
    token = next(iter(of_digest.select_related("person").order_by()), None)
    if token and (token.last_used_at is None or token.last_used_at <= now - RECORD_USE_EVERY):
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - RECORD_USE_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token


def bearer(header: str) -> str | None:
    """The token in an Authorization header, or None when it is of another scheme."""
    scheme, _, clear = header.strip().partition(" ")
    return clear.strip() if scheme.lower() == "bearer" else None
