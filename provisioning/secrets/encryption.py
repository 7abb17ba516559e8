"""Encrypts what must be read again later: Fernet under keys derived from the operator's setting.

The first key encrypts, all of them decrypt, so that a key can be replaced while secrets exist. Each
text is bound to its `purpose`: a ciphertext that is copied into another row is not decrypted there.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

SHORTEST_KEY = 32
_INFO = b"private-websocket-edge-portal/stored-secrets/1"
_FINGERPRINTS = b"private-websocket-edge-portal/fingerprints/1"


class DecryptionError(ValueError):
    """No key fits, the text is too old, or it was encrypted for another purpose."""


def encrypt(purpose: str, text: str, *, now: datetime) -> str:
    """The text, encrypted for this purpose."""
    plain = json.dumps([purpose, text]).encode("ascii")
    return _keys().encrypt_at_time(plain, int(now.timestamp())).decode("ascii")


def decrypt(
    purpose: str, token: str, *, now: datetime | None = None, seconds: int | None = None
) -> str:
    """What was encrypted for this purpose; with `seconds`, at most so long ago. Raises
    DecryptionError.
    """
    try:
        if seconds is None or now is None:
            plain = _keys().decrypt(token)
        else:
            plain = _keys().decrypt_at_time(token, seconds, int(now.timestamp()))
        meant, text = json.loads(plain)
    except (InvalidToken, ValueError, TypeError) as error:
        raise DecryptionError("It cannot be decrypted.") from error
    if meant != purpose:
        raise DecryptionError("It was encrypted for another purpose.")
    return str(text)


def encrypt_again(token: str) -> str:
    """The same under the first key, with its time. Raises DecryptionError."""
    try:
        return _keys().rotate(token).decode("ascii")
    except InvalidToken as error:
        raise DecryptionError("It cannot be decrypted.") from error


def fingerprint(name: str, value: str) -> str:
    """Tells whether two values of the same name are the same, and nothing else of them to whoever
    does not have the first key: HMAC-SHA256, 64 bits of it, hex.
    """
    message = json.dumps([name, value]).encode("ascii")
    return hmac.new(_fingerprint_key(_settings()[0]), message, hashlib.sha256).hexdigest()[:16]


def _settings() -> tuple[str, ...]:
    return tuple(settings.ENCRYPTION_KEYS or [settings.SECRET_KEY])


def _keys() -> MultiFernet:
    return _derived(_settings())


@functools.lru_cache(maxsize=4)
def _derived(keys: Sequence[str]) -> MultiFernet:
    return MultiFernet([Fernet(_fernet_key(key)) for key in keys])


def _fernet_key(key: str) -> bytes:
    return base64.urlsafe_b64encode(_bytes_of(key, _INFO))


@functools.lru_cache(maxsize=4)
def _fingerprint_key(key: str) -> bytes:
    return _bytes_of(key, _FINGERPRINTS)


def _bytes_of(key: str, info: bytes) -> bytes:
    """Keys are random texts of any length: HKDF (RFC 5869) makes 32 bytes of each."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key.encode())
