"""The JSON that the portal takes: what passes here, PostgreSQL can store and a person could have
meant.

It refuses what Python's parser accepts silently: a key given twice, NUL, lone surrogates, NaN and
infinities, numbers JSON cannot carry between languages, nesting deeper than 32, bodies that are no
object, and bodies over 64 KiB.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from portal.problems import ApiProblem

LARGEST_BODY = 65_536
DEEPEST = 32
LARGEST_INTEGER = 2**53 - 1


class StrictJSONParser(BaseParser):
    """Reads bodies by `read_json`."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return read_json(stream.read(LARGEST_BODY + 1))


def read_json(body: bytes) -> dict[str, Any]:
    """The object in `body`. Raises ApiProblem bad_json (400) or too_large (413)."""
    if len(body) > LARGEST_BODY:
        raise ApiProblem("too_large", f"A body may have {LARGEST_BODY} bytes.")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_key_twice,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_exact,
        )
    except RecursionError:
        raise _bad(f"It is nested deeper than {DEEPEST} levels.") from None
    except UnicodeDecodeError:
        raise _bad("It is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise _bad(
            f"It is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    if not isinstance(value, dict):
        raise _bad("Send one JSON object.")
    _inspect(value)
    return value


def _bad(detail: str) -> ApiProblem:
    return ApiProblem("bad_json", detail)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _bad(f"The key {_shown(twice)} is there twice.")
    return value


def _no_constant(name: str) -> Any:
    raise _bad(f"{name} is not JSON.")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _bad("A number is too large.")
    return value


def _exact(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise _bad("A number is too large.")
    return int(digits)


def _inspect(value: dict[str, Any]) -> None:
    """Walk without recursion: depth, and every string and key."""
    todo: list[tuple[Any, int]] = [(value, 1)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, str):
            _storable(item)
            continue
        if not isinstance(item, dict | list):
            continue
        if depth > DEEPEST:
            raise _bad(f"It is nested deeper than {DEEPEST} levels.")
        if isinstance(item, dict):
            for key in item:
                _storable(key)
            todo.extend((inner, depth + 1) for inner in item.values())
        else:
            todo.extend((inner, depth + 1) for inner in item)


def _storable(text: str) -> None:
    if "\x00" in text:
        raise _bad("A text holds the character NUL.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _bad("A text holds half a surrogate pair.")


def _shown(key: str) -> str:
    return json.dumps(key[:60])
