"""Verifies that an archived privacy audit is what the portal signed, unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management.base import BaseCommand, CommandError, CommandParser

from checks.privacy.keys import KeyFault, read_public_key, signing_key
from checks.privacy.signing import MAX_BYTES, key_id, what_is_wrong


class Command(BaseCommand):
    help = (
        "Verify the .json file of a privacy audit. Exits with 0 only if it is signed and "
        "unchanged; otherwise lists the faults."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the .json file as downloaded")
        parser.add_argument(
            "--key",
            default="",
            help="public key (PEM) to verify with; default: the portal's own",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        key = _key(options["key"])
        try:
            with Path(options["file"]).open("rb") as file:
                kept = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from error
        faults = what_is_wrong(kept, key)
        if faults:
            raise CommandError("\n".join([f"{options['file']} is not valid evidence:", *faults]))
        self.stdout.write(f"{options['file']} is unchanged and signed with key {key_id(key)}.")


def _key(path: str) -> Ed25519PublicKey:
    try:
        if path:
            return read_public_key(path)
        own = signing_key()
    except KeyFault as fault:
        raise CommandError(str(fault)) from fault
    if own is None:
        raise CommandError(
            "This portal has no key (EVIDENCE_KEY_FILE). Name the public key with --key FILE."
        )
    return own.public_key()
