"""A team's named secrets: make, replace, delete, and read for sending.

Who may do what is the portal's business. The endpoint's `owner` is the team's short name here, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from django.db import transaction
from django.db.models import Q, QuerySet

from checks.models import Check, Probe, SavedCheck, Secret
from checks.protocol.handshake_options import HandshakeOptions
from checks.stored_secrets.encryption import DecryptionError, decrypt, encrypt, encrypt_again
from checks.stored_secrets.sealed_options import EXPIRED, KEPT
from checks.usual_check import usual_options
from provisioning import events
from provisioning.models import Endpoint
from provisioning.redaction.references import UnknownSecretError

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


def secret_values(
    owner: str, names: Collection[str], *, used_by: str, now: datetime
) -> dict[str, str]:
    """The values of a team's secrets, for sending; records the use, as an event once a day. Raises
    UnknownSecretError.
    """
    if not names:
        return {}
    found = {one.name: one for one in Secret.objects.filter(owner=owner, name__in=names)}
    values = {}
    for name in sorted(names):
        if name not in found:
            raise UnknownSecretError(name)
        secret = found[name]
        try:
            values[name] = decrypt(secret.purpose, secret.encrypted)
        except DecryptionError as error:
            raise UnreadableSecretError(name) from error
    for name in values:
        _record_use(found[name], used_by, now)
    return values


def _record_use(secret: Secret, used_by: str, now: datetime) -> None:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first_today = Q(last_used_at__isnull=True) | Q(last_used_at__lt=today)
    with transaction.atomic():
        if Secret.objects.filter(first_today, pk=secret.pk).update(last_used_at=now):
            text = f"{used_by} used the secret {secret.name}."
            _record(secret, "secret.used", text, now)
        else:
            Secret.objects.filter(pk=secret.pk, last_used_at__lt=now).update(last_used_at=now)


@dataclass(frozen=True)
class Reference:
    """A check that is repeated and refers to a secret: a saved one, or an endpoint's usual one."""

    endpoint: Endpoint
    saved: SavedCheck | None


def references_to(owner: str) -> dict[str, list[Reference]]:
    """By a secret's name, the checks of the team's endpoints that refer to it."""
    found: dict[str, list[Reference]] = {}
    endpoints = Endpoint.objects.filter(owner=owner).order_by("name")
    for endpoint in endpoints.prefetch_related("saved_checks"):
        asked: list[tuple[SavedCheck | None, HandshakeOptions]] = [
            (None, usual_options(endpoint.spec))
        ]
        asked += [
            (saved, HandshakeOptions.from_dict(saved.options))
            for saved in endpoint.saved_checks.all()
        ]
        for saved, options in asked:
            for name in options.secret_names:
                found.setdefault(name, []).append(Reference(endpoint, saved))
    return found


def delete_expired_options(now: datetime) -> int:
    """Delete the credentials of checks and probes that nothing sent in time."""
    expired = 0
    for rows in (Check.objects.under_way(), Probe.objects.under_way()):
        late: QuerySet[Check] | QuerySet[Probe] = rows.filter(requested_at__lt=now - KEPT)
        expired += late.exclude(sealed__in=("", EXPIRED)).update(sealed=EXPIRED)
    return expired


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
