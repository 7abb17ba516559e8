"""The kinds of field an endpoint's settings have: text, choice, number, flag and words.

A kind knows how to parse what a browser, the API or a ticket system sends, and how to say what is
wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from provisioning.spec.derivation import Rule

_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)


class Section(StrEnum):
    """Where a form shows a field: always, or under the settings of the check, or the advanced
    ones.
    """

    BASIC = "basic"
    CHECK = "check"
    ADVANCED = "advanced"


@dataclass(frozen=True)
class Place:
    """Where a setting ends up in AWS: the plan item's resource, and the member of its document as
    a dotted path ("" for the item as a whole).
    """

    resource: str
    member: str = ""


class InvalidValue(ValueError):
    """A value that a field does not take. `message` says what to do about it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Field:
    """One row of the field table.

    A row has a `rule` (the portal derives the value), a `default`, or neither: then an answer is
    required. `help` serves the form and the API alike. `place` is None for what only the portal
    uses, and `in_spec` is false for an answer that only steers the derivation of others. Nobody is
    asked for what is not `asked`: an adoption sets it.
    """

    name: str
    label: str
    help: str
    example: Any
    section: Section = Section.BASIC
    rule: Rule | None = None
    default: Any = None
    place: Place | None = None
    in_spec: bool = True
    asked: bool = True

    @property
    def required(self) -> bool:
        """Whether a person must answer."""
        return self.rule is None and self.default is None

    def parse(self, given: Any) -> Any:
        """The value as the spec holds it. Raises InvalidValue."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Text(Field):
    """One string that matches `pattern`; `advice` says what that takes, `missing` what to do where
    there is none, if that is less.
    """

    pattern: re.Pattern[str]
    advice: str
    missing: str = ""
    may_be_empty: bool = False

    def parse(self, given: Any) -> str:
        """The string, unchanged."""
        if self.may_be_empty and given in ("", None):
            return ""
        if not isinstance(given, str) or not given:
            raise InvalidValue("required", f"Required. {self.missing or self.advice}")
        if not self.pattern.fullmatch(given):
            raise InvalidValue("invalid", self.advice)
        return given


@dataclass(frozen=True, kw_only=True)
class Lines(Field):
    """Lines of text, each matching `pattern`, of at most `longest` characters together. Empty
    lines and spaces around lines are dropped.
    """

    pattern: re.Pattern[str]
    advice: str
    longest: int

    def parse(self, given: Any) -> str:
        """The lines, joined by line feeds."""
        if given is None:
            return ""
        if not isinstance(given, str):
            raise InvalidValue("invalid", self.advice)
        if len(given) > self.longest:
            raise InvalidValue("too_long", f"At most {self.longest} characters.")
        lines = [line.strip() for line in given.splitlines() if line.strip()]
        for line in lines:
            if not self.pattern.fullmatch(line):
                raise InvalidValue("invalid", f"{line[:60]!r} is not valid. {self.advice}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Choice(Field):
    """One of `choices`, shown as `labels` says, in groups where it says so."""

    choices: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    def parse(self, given: Any) -> str:
        """The string, unchanged."""
        if given not in self.choices:
            raise InvalidValue("invalid", f"Choose one of: {'; '.join(self.choices)}.")
        return str(given)


@dataclass(frozen=True, kw_only=True)
class Number(Field):
    """A whole number from `low` to `high`, or one of `also`. Ticket systems send decimal strings,
    so those are taken too.
    """

    low: int
    high: int
    also: Sequence[int] = ()

    def parse(self, given: Any) -> int:
        """The number. True and False are not numbers here."""
        if isinstance(given, str) and _NUMBER.fullmatch(given):
            given = int(given)
        if (
            isinstance(given, bool)
            or not isinstance(given, int)
            or not (self.low <= given <= self.high or given in self.also)
        ):
            extra = f", or {' or '.join(map(str, self.also))}" if self.also else ""
            raise InvalidValue(
                "invalid", f"Enter a whole number from {self.low} to {self.high}{extra}."
            )
        return given


@dataclass(frozen=True, kw_only=True)
class Flag(Field):
    """True or false, also as a word in any case."""

    def parse(self, given: Any) -> bool:
        """The truth value."""
        if isinstance(given, str):
            given = {"true": True, "false": False}.get(given.lower(), given)
        if not isinstance(given, bool):
            raise InvalidValue("invalid", "Must be true or false.")
        return given


@dataclass(frozen=True, kw_only=True)
class Words(Field):
    """Up to `most` strings without duplicates, each matching `pattern`: a list, or one string
    separated by commas or spaces.
    """

    pattern: re.Pattern[str]
    advice: str
    most: int

    def parse(self, given: Any) -> tuple[str, ...]:
        """The strings in the order given."""
        if given is None:
            given = ()
        if isinstance(given, str):
            given = [word for word in re.split(r"[,\s]+", given) if word]
        if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
            raise InvalidValue("invalid", self.advice)
        if self.required and not given:
            raise InvalidValue("required", f"Required. {self.advice}")
        if len(given) > self.most:
            raise InvalidValue("too_many", f"At most {self.most} entries. Remove some.")
        if len(set(given)) != len(given):
            raise InvalidValue("duplicate", "Duplicate entry. Remove one.")
        for word in given:
            if not self.pattern.fullmatch(word):
                raise InvalidValue("invalid", f"{word!r} is not valid. {self.advice}")
        return tuple(given)


@dataclass(frozen=True, kw_only=True)
class Choices(Words):
    """Any of `choices`, without duplicates, in the order of `choices`."""

    choices: Sequence[str]
    pattern: re.Pattern[str] = re.compile("[a-z-]+", re.ASCII)
    advice: str = ""
    most: int = 20

    def parse(self, given: Any) -> tuple[str, ...]:
        """The chosen ones."""
        chosen = super().parse(given)
        if not set(chosen) <= set(self.choices):
            raise InvalidValue("invalid", f"Choose from: {', '.join(self.choices)}.")
        return tuple(one for one in self.choices if one in chosen)
