"""Where sessions are kept: Django's own table. Only a key that Django could have made is looked up."""

from __future__ import annotations

import re

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

_KEY = re.compile(r"[0-9a-z]{32}", re.ASCII)


class SessionStore(DatabaseStore):
    """A cookie can carry anything, also what PostgreSQL cannot compare with; such a key is no key."""

    def _validate_session_key(self, key: str | None) -> bool:
        return bool(key and _KEY.fullmatch(key))
