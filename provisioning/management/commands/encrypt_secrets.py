"""`manage.py encrypt_secrets`: encrypts every stored secret under the first of ENCRYPTION_KEYS, so
that the other keys can be removed.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioning.secrets.store import encrypt_all_again


class Command(BaseCommand):
    """Can be repeated; secrets are used and replaced meanwhile."""

    help = "Encrypt all stored secrets under the first of ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        done, lost = encrypt_all_again()
        self.stdout.write(f"{done} secret{'' if done == 1 else 's'} encrypted under the first key.")
        if lost:
            names = ", ".join(f"{secret.owner}/{secret.name}" for secret in lost)
            raise CommandError(
                f"No key in ENCRYPTION_KEYS decrypts {names}. Add the old key and repeat, or have "
                "the team replace the value."
            )
