"""The key that signs evidence, from the operator's file."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from django.conf import settings

HOW_TO_MAKE = "openssl genpkey -algorithm ed25519 -out FILE, readable by web and worker only"


class KeyFault(Exception):
    """The key cannot be used; the message says why."""


def signing_key() -> Ed25519PrivateKey | None:
    """The key of EVIDENCE_KEY_FILE; None where none is set. Raises KeyFault."""
    if not settings.EVIDENCE_KEY_FILE:
        return None
    try:
        key = load_pem_private_key(_read(settings.EVIDENCE_KEY_FILE), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFault(
            f"{settings.EVIDENCE_KEY_FILE} is not an unencrypted private key in PEM format."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFault(f"{settings.EVIDENCE_KEY_FILE} is not an Ed25519 key.")
    return key


def read_public_key(path: str) -> Ed25519PublicKey:
    """A public key from a PEM file. Raises KeyFault."""
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFault(f"{path} is not a public key in PEM format.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFault(f"{path} is not an Ed25519 key.")
    return key


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public key, for those who verify."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KeyFault(f"{path} cannot be read: {error.strerror}.") from error
