"""Sessions in Django's own table. Only keys that Django could have generated are looked up."""

from __future__ import annotations

import re
from datetime import datetime

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

_KEY = re.compile(r"[0-9a-z]{32}", re.ASCII)


class SessionStore(DatabaseStore):
    """Rejects keys that Django did not generate: a cookie can carry bytes that PostgreSQL cannot
    compare.
    """

    def _validate_session_key(self, key: str | None) -> bool:
        return bool(key and _KEY.fullmatch(key))


def end_sessions(person_id: int, now: datetime) -> int:
    """Delete a person's sessions and return their number. Each is read, since only its contents
    say whose it is.
    """
    valid = SessionStore.get_model_class().objects.filter(expire_date__gt=now)
    theirs = [
        one.pk for one in valid.iterator() if one.get_decoded().get(SESSION_KEY) == str(person_id)
    ]
    return valid.filter(pk__in=theirs).delete()[0]
