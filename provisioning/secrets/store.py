"""A team's named secrets: make, replace, delete, and read for sending.

Who may do what is the portal's business. The endpoint's `owner` is the team's short name here, too.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import sha256

from django.db import transaction
from django.db.models import Q

from provisioning import events
from provisioning.models import Secret
from provisioning.redaction.references import UnknownSecretError
from provisioning.secrets.encryption import DecryptionError, decrypt, encrypt, encrypt_again

MAX_VALUE = 4096
VALUE_ADVICE = f"1 to {MAX_VALUE:,} printable characters on one line, without spaces around them."


class UnreadableSecretError(UnknownSecretError):
    """A secret was encrypted under a key that is gone."""

    def __str__(self) -> str:
        return (
            f"The secret {self.name} cannot be decrypted: its key is not in ENCRYPTION_KEYS. "
            "Replace its value."
        )


def value_fault(value: str) -> str:
    """Why this cannot be a secret's value, or an empty string. Never repeats the value."""
    fits = 0 < len(value) <= MAX_VALUE and value == value.strip() and value.isprintable()
    return "" if fits else VALUE_ADVICE


def stream_of(owner: str) -> str:
    """The event stream of a team's secrets."""
    stream = f"secrets:{owner}"
    if len(stream) <= events.MAX_STREAM:
        return stream
    return f"secrets:{sha256(owner.encode()).hexdigest()[:40]}"


def create_secret(owner: str, name: str, value: str, *, by: str, now: datetime) -> Secret | None:
    """Make a secret; None if the team has one of this name."""
    secret = Secret(id=uuid.uuid4(), owner=owner, name=name, created_by=by, created_at=now)
    secret.encrypted = encrypt(secret.purpose, value, now=now)
    with transaction.atomic():
        # ON CONFLICT DO NOTHING: a name that is taken is no error, which PostgreSQL would log.
        Secret.objects.bulk_create([secret], ignore_conflicts=True)
        made = Secret.objects.filter(pk=secret.pk).first()
        if made is not None:
            _record(made, "secret.created", f"{by} added the secret {name}.", now)
    return made


def replace_secret(secret: Secret, value: str, *, by: str, now: datetime) -> bool:
    """Replace a secret's value; False if it was deleted meanwhile."""
    with transaction.atomic():
        replaced = Secret.objects.filter(pk=secret.pk).update(
            encrypted=encrypt(secret.purpose, value, now=now), replaced_by=by, replaced_at=now
        )
        if replaced:
            _record(secret, "secret.replaced", f"{by} replaced the secret {secret.name}.", now)
    return bool(replaced)


def delete_secret(secret: Secret, *, by: str, now: datetime) -> bool:
    """Delete a secret; False if it was deleted meanwhile. Checks that refer to it then fail."""
    with transaction.atomic():
        deleted, _ = Secret.objects.filter(pk=secret.pk).delete()
        if deleted:
            text = f"{by} deleted the secret {secret.name}."
            _record(secret, "secret.deleted", text, now, level="warning")
    return bool(deleted)


def names_of(owner: str) -> frozenset[str]:
    """The names of a team's secrets."""
    return frozenset(Secret.objects.filter(owner=owner).values_list("name", flat=True))


def read_secrets(owner: str, names: Collection[str]) -> dict[str, str]:
    """The values of a team's secrets, not to be sent. Raises UnknownSecretError."""
    if not names:
        return {}
    found = {one.name: one for one in Secret.objects.filter(owner=owner, name__in=names)}
    return {name: _value(found, name) for name in sorted(names)}


def readable_secrets(owner: str, names: Collection[str]) -> dict[str, str]:
    """The same, without those that are gone or cannot be decrypted."""
    found = {one.name: one for one in Secret.objects.filter(owner=owner, name__in=names)}
    values = {}
    for name in found:
        with contextlib.suppress(UnknownSecretError):
            values[name] = _value(found, name)
    return values


def secret_values(
    owner: str, names: Collection[str], *, used_by: str, now: datetime
) -> dict[str, str]:
    """The values of a team's secrets, for sending; records the use. Raises UnknownSecretError."""
    values = read_secrets(owner, names)
    record_use(owner, values, used_by=used_by, now=now)
    return values


def record_use(owner: str, names: Collection[str], *, used_by: str, now: datetime) -> None:
    """Record that secrets were sent, as an event once a day."""
    if not names:
        return
    for secret in Secret.objects.filter(owner=owner, name__in=names):
        _record_use(secret, used_by, now)


def _value(found: Mapping[str, Secret], name: str) -> str:
    if name not in found:
        raise UnknownSecretError(name)
    try:
        return decrypt(found[name].purpose, found[name].encrypted)
    except DecryptionError as error:
        raise UnreadableSecretError(name) from error


def _record_use(secret: Secret, used_by: str, now: datetime) -> None:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first_today = Q(last_used_at__isnull=True) | Q(last_used_at__lt=today)
    with transaction.atomic():
        if Secret.objects.filter(first_today, pk=secret.pk).update(last_used_at=now):
            text = f"{used_by} used the secret {secret.name}."
            _record(secret, "secret.used", text, now)
        else:
            Secret.objects.filter(pk=secret.pk, last_used_at__lt=now).update(last_used_at=now)


def encrypt_all_again() -> tuple[int, list[Secret]]:
    """Encrypt every secret under the first key: how many, and those that no key decrypts."""
    done, lost = 0, []
    for secret in Secret.objects.order_by("owner", "name"):
        try:
            again = encrypt_again(secret.encrypted)
        except DecryptionError:
            lost.append(secret)
            continue
        # Conditional: a value that is replaced meanwhile is already under the first key.
        done += Secret.objects.filter(pk=secret.pk, encrypted=secret.encrypted).update(
            encrypted=again
        )
    return done, lost


def _record(secret: Secret, kind: str, text: str, now: datetime, level: str = "info") -> None:
    data = {"id": str(secret.pk), "team": secret.owner, "name": secret.name}
    events.append(stream_of(secret.owner), kind, text, at=now, level=level, data=data)
