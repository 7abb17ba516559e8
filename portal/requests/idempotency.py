"""Creations that happen once per key, however often the call is made.

The key's row is inserted first, on its unique index, in the transaction that makes the request, so
that of twenty equal calls one creates and nineteen get what it made.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from portal.people.models import Person
from portal.requests.models import IdempotencyKey
from provisioning.redaction.masking import mask_data
from provisioning.spec.digest import digest_of

KEPT = timedelta(days=30)
"""How long a key is remembered. After that the same call counts as new."""

CREATION = "requests.create"
"""The route that creates. Keys of one route do not meet those of another."""


@dataclass(frozen=True)
class Created:
    """The outcome of a creation. `replayed`: an earlier call had made it."""

    request_id: uuid.UUID
    replayed: bool


@dataclass(frozen=True)
class KeyConflict:
    """The key was used with another body; these fields differ."""

    differing: list[str]


def once_per_key(
    person: Person,
    route: str,
    key: str,
    body: Mapping[str, Any],
    now: datetime,
    create: Callable[[uuid.UUID], None],
) -> Created | KeyConflict:
    """Call `create` with the id of the new request, unless the person used the key before.

    1. Without a key, each call is new.
    2. Insert the key with the id the request will have. A concurrent call waits here for the
       winner's commit.
    3. Found instead of inserted: same body, the original; another body, a conflict.
    4. What `create` raises rolls the key back, so that a corrected body may use it again.
    """
    request_id = uuid.uuid4()
    with transaction.atomic():
        if not key:
            create(request_id)
            return Created(request_id, replayed=False)
        IdempotencyKey.objects.filter(person=person, created_at__lt=now - KEPT).delete()
        kept, inserted = IdempotencyKey.objects.get_or_create(
            person=person,
            route=route,
            key=key,
            defaults={
                "body_digest": digest_of(body),
                "body": mask_data(dict(body)),
                "request_id": request_id,
                "created_at": now,
            },
        )
        if inserted:
            create(request_id)
            return Created(request_id, replayed=False)
    if kept.body_digest == digest_of(body):
        return Created(kept.request_id, replayed=True)
    before, after = kept.body, mask_data(dict(body))
    return KeyConflict(
        sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    )
