"""The key that signs evidence, from the file that the operator named. It decides nothing else."""

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
            f"{settings.EVIDENCE_KEY_FILE} holds no private key in PEM without a password."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFault(f"{settings.EVIDENCE_KEY_FILE} holds a key of another kind than Ed25519.")
    return key


def read_public_key(path: str) -> Ed25519PublicKey:
    """A public key from a PEM file. Raises KeyFault."""
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFault(f"{path} holds no public key in PEM.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFault(f"{path} holds a key of another kind than Ed25519.")
    return key


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public half, as others need it to verify."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KeyFault(f"{path} cannot be read: {error.strerror}.") from error
