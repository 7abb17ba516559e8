"""References to stored secrets, `${secret:NAME}`: find them, replace them (PURE).

A reference can stand wherever a check sends text, and in a header that CloudFront adds for an
origin. It is resolved only in the worker, when the handshake is made or the distribution is written
(provisioning.secrets).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)
NAME_ADVICE = "1 to 40 letters, digits, _ and -, starting with a letter."
REFERENCE = re.compile(rf"\$\{{secret:({NAME.pattern})\}}", re.ASCII)
_ALMOST = re.compile(r"\$\{\s*secret\b[^}]{0,60}\}?", re.IGNORECASE)


class UnknownSecretError(LookupError):
    """A text refers to a secret that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"The secret {self.name} no longer exists."


def references(text: str) -> frozenset[str]:
    """The names of the secrets that a text refers to."""
    return frozenset(REFERENCE.findall(text))


def without_references(text: str) -> str:
    """The text with an `x` for each reference: what is left is judged as it stands."""
    return REFERENCE.sub("x", text)


def malformed_reference(text: str) -> str:
    """The first thing in a text that is meant as a reference and is none, or an empty string."""
    found = _ALMOST.search(REFERENCE.sub("", text))
    return found[0] if found else ""


def resolve(
    text: str, secrets: Mapping[str, str], encode: Callable[[str], str] = lambda value: value
) -> str:
    """The text with each reference replaced by its value, as `encode` writes it there. Raises
    UnknownSecretError.
    """
    return resolve_each(text, secrets, lambda before: encode)


def resolve_each(
    text: str, secrets: Mapping[str, str], encoder: Callable[[str], Callable[[str], str]]
) -> str:
    """The same where what encodes a value depends on the text before its reference."""

    def value_of(found: re.Match[str]) -> str:
        name = found[1]
        if name not in secrets:
            raise UnknownSecretError(name)
        return encoder(text[: found.start()])(secrets[name])

    return REFERENCE.sub(value_of, text)
