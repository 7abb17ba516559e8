"""The one description of what the API takes and shows: kinds of values, fields, objects (PURE).

An object of the OpenAPI document is a table of fields. A body is read by it; an answer is made by
it from a row of values(); its component, its example and the columns of the query follow from it
too. None and "" count as absent in what is sent, because ticket systems send them for empty form
fields; numbers and booleans may be strings for the same reason.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from types import NoneType
from typing import Any, get_args, get_type_hints

from portal.timestamps import format_timestamp, parse_timestamp
from provisioning.spec.parsing import FieldError, SpecError

EXAMPLE_ID = "0b3c2c64-5a47-4f0e-9f0e-3f3c0f6c7f11"
EXAMPLE_ROW = {"id": EXAMPLE_ID, "endpoint_id": EXAMPLE_ID, "finished_at": "yes"}
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of value. `read` takes what a caller sent, and raises ValueError with advice; `show`
    makes JSON of a column, which it is already if None. `object`: it is one, or a list of them.
    `advice` says what to send.
    """

    schema: Mapping[str, Any]
    example: Any = None
    read: Callable[[Any], Any] = lambda value: value
    show: Callable[[Any], Any] | None = None
    object: Object | None = None
    advice: str = ""


def text(longest: int, pattern: re.Pattern[str] | None = None, advice: str = "") -> Kind:
    """A string; `pattern` has to match all of it."""

    def read(value: Any) -> str:
        fits = isinstance(value, str) and len(value) <= longest
        if not fits or (pattern and not pattern.fullmatch(value)):
            raise ValueError(advice or f"A text of at most {longest} characters.")
        return str(value)

    return Kind({"type": "string", "maxLength": longest}, "", read)


def one_line(longest: int) -> Kind:
    """A string without line breaks and other control characters; without spaces around it."""
    advice = f"A text of one line, at most {longest} characters."

    def read(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value.strip()) <= longest:
            raise ValueError(advice)
        if not value.strip().isprintable():
            raise ValueError(advice)
        return value.strip()

    return Kind({"type": "string", "maxLength": longest}, "", read)


def texts(longest: int, most: int = 100) -> Kind:
    """A list of strings."""

    def read(value: Any) -> list[str]:
        fits = isinstance(value, list) and 0 < len(value) <= most
        if not fits or any(not isinstance(one, str) or len(one) > longest for one in value):
            raise ValueError(f"A list of 1 to {most} texts.")
        return list(value)

    return Kind({"type": "array", "items": {"type": "string"}, "maxItems": most}, [], read)


def whole_number(least: int, most: int) -> Kind:
    """An integer, or its digits."""

    def read(value: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"A whole number from {least} to {most}.")
        return value

    return Kind({"type": "integer", "minimum": least, "maximum": most}, least, read)


def choice(choices: Iterable[Any], advice: str = "") -> Kind:
    """One of a few values, all texts or all numbers; an Enum has its values."""
    known = [getattr(one, "value", one) for one in choices]
    advice = advice or f"Choose one of: {', '.join(map(str, known))}."

    def read(value: Any) -> Any:
        for one in known:
            if str(value) == str(one) and isinstance(value, int | str):
                return one
        raise ValueError(advice)

    kind = "integer" if isinstance(known[0], int) else "string"
    return Kind({"type": kind, "enum": known}, known[0], read, advice=advice)


def listed(choices: Sequence[str] = (), most: int = 100) -> Kind:
    """Several values in one string, separated by commas; with `choices`, only those."""

    def read(value: Any) -> list[str]:
        values = [one.strip() for one in str(value).split(",")]
        if choices and not set(values) <= set(choices):
            raise ValueError(f"Some of: {', '.join(choices)}, separated by commas.")
        if len(values) > most:
            raise ValueError(f"At most {most}.")
        return values

    return Kind({"type": "string"}, "", read)


def _read_flag(value: Any) -> bool:
    flag = {"true": True, "false": False}.get(str(value).lower())
    if flag is None or not isinstance(value, bool | str):
        raise ValueError("Must be true or false.")
    return flag


def _read_time(value: Any) -> Any:
    try:
        # A + that was not sent as %2B arrives as a space.
        return parse_timestamp(str(value).replace(" ", "+"))
    except ValueError:
        raise ValueError("A time with zone, as in 2026-11-21T09:00:00Z.") from None


def _read_uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise ValueError("An ID, as in 0b3c2c64-5a47-4f0e-9f0e-3f3c0f6c7f11.") from None


STRING = Kind({"type": "string"}, "")
INTEGER = Kind({"type": "integer"}, 1)
NUMBER = Kind({"type": "number"}, 1.0)
FLAG = Kind({"type": "boolean"}, False, _read_flag)
JSON = Kind({"type": "object", "additionalProperties": {}}, {})
UUID = Kind({"type": "string", "format": "uuid"}, EXAMPLE_ID, _read_uuid, str)
_RFC3339 = {"type": "string", "format": "date-time"}
TIME = Kind(_RFC3339, "2026-11-21T09:00:00.000Z", _read_time, format_timestamp)


@dataclass(frozen=True, eq=False)
class Field:
    """A member of an object, or a query parameter.

    Sent: `default` stands for an absent one; `code` is the code of a wrong value's error, `missing`
    that of a required one's absence. Shown: the column `source` (else the one of its name), or what
    `source` makes of `columns`; an object without a source is made from the same row, and is null
    if the column `of` is. An answer has every field that is not `required=False`, a body needs
    those that are `required=True`.
    """

    name: str
    kind: Kind
    help: str = ""
    source: str | Callable[..., Any] = ""
    columns: tuple[str, ...] = ()
    example: Any = None
    null: bool = False
    of: str = ""
    required: bool | None = None
    default: Any = None
    code: str = "invalid"
    missing: str = "required"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its errors."""
        return (self.code, self.missing) if self.required else (self.code,)

    @property
    def schema(self) -> dict[str, Any]:
        # OpenAPI 3.0 ignores what stands beside a $ref.
        if "$ref" in self.kind.schema:
            return dict(self.kind.schema)
        described = {"description": self.help} if self.help else {}
        schema = {**self.kind.schema, **described}
        if not self.null:
            return schema
        # A null that the list does not have is no value of an enum.
        listed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return {**schema, **listed, "nullable": True}

    def shown_example(self) -> Any:
        """Its own, else what is computed from an example's ids, else its kind's."""
        if self.example is not None or self.null:
            return self.example
        if callable(self.source) and set(self.columns) <= EXAMPLE_ROW.keys():
            return self.source(*[EXAMPLE_ROW[column] for column in self.columns])
        return self.kind.example

    def getter(self) -> Callable[[Row], Any]:
        """What reads its value from a row."""
        if callable(self.source):
            function, columns = self.source, self.columns
            if len(columns) == 1:
                return lambda row: function(row[columns[0]])
            return lambda row: function(*[row[column] for column in columns])
        if self.kind.object and not self.source:
            nested, of = self.kind.object, self.of
            return lambda row: None if of and row[of] is None else nested.show(row)
        column, show = self.source or self.name, self.kind.show
        if show is None:
            return itemgetter(column)
        return lambda row: None if row[column] is None else show(row[column])

    def needed_columns(self) -> tuple[str, ...]:
        """The columns that the getter reads; names that start with @ are added to the row."""
        if callable(self.source):
            return tuple(column for column in self.columns if column[0] != "@")
        if self.kind.object and not self.source:
            return (*self.kind.object.columns, *filter(None, (self.of,)))
        return (self.source or self.name,)


@dataclass(frozen=True, eq=False)
class Object:
    """What the API shows. `name` is the component in the OpenAPI document."""

    name: str
    help: str
    fields: tuple[Field, ...]

    @property
    def required(self) -> list[str]:
        return [field.name for field in self.fields if field.required is not False]

    @property
    def schema(self) -> dict[str, Any]:
        properties = {field.name: field.schema for field in self.fields}
        described = {"type": "object", "description": self.help, "properties": properties}
        return described | ({"required": self.required} if self.required else {})

    @cached_property
    def example(self) -> dict[str, Any]:
        return {field.name: field.shown_example() for field in self.fields}

    @cached_property
    def columns(self) -> list[str]:
        """What values() has to read for `show`."""
        needed = (column for field in self.fields for column in field.needed_columns())
        return list(dict.fromkeys(needed))

    @cached_property
    def _getters(self) -> list[tuple[str, Callable[[Row], Any]]]:
        return [(field.name, field.getter()) for field in self.fields]

    def show(self, row: Row) -> dict[str, Any]:
        """The JSON of a row with `columns`."""
        return {name: get(row) for name, get in self._getters}

    def show_model(self, instance: Any, added: Row) -> dict[str, Any]:
        """The JSON of a model instance; what is `added` goes before its attributes."""
        columns = {name: getattr(instance, name) for name in self.columns if name not in added}
        return self.show({**columns, **added})


class FreeObject(Object):
    """What the API shows with keys of its own, for example changed fields. Inside an object that
    may be null it has to be a component, since client generators trip over a nameless one there.
    """

    def __init__(self, name: str, help: str, example: Mapping[str, Any]) -> None:
        super().__init__(name, help, ())
        self.__dict__["example"] = dict(example)

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "object", "description": self.help, "additionalProperties": {}}


class Body(Object):
    """What a caller sends."""

    @property
    def required(self) -> list[str]:
        return [field.name for field in self.fields if field.required]

    @cached_property
    def example(self) -> dict[str, Any]:
        return {field.name: field.example for field in self.fields if field.example is not None}

    def read(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Every field, absent ones with their default. Raises SpecError with every fault."""
        values, faults = read_fields(self.fields, data)
        if faults := self.unknown(data) + faults:
            raise SpecError(faults)
        return values

    def unknown(self, names: Iterable[str]) -> list[FieldError]:
        """A fault for each name that is no field."""
        known = {field.name for field in self.fields}
        return [
            FieldError(name[:60], "unknown", "Unknown field. Remove it, or start its name with x_.")
            for name in names
            if name not in known and not name.startswith("x_")
        ]


NO_BODY = Body("", "", ())
"""Of a call that takes none; an empty object is welcome."""


def of(described: Object) -> Kind:
    """The kind of a field that is such an object."""
    reference = {"$ref": f"#/components/schemas/{described.name}"}
    return Kind(reference, described.example, object=described)


def array(item: Kind) -> Kind:
    """The kind of a list."""
    example = [item.example] if item.object else []
    return Kind({"type": "array", "items": item.schema}, example, object=item.object)


def object_of(stored: type) -> Object:
    """The object of a dataclass that is stored or shown as its `asdict`."""
    kinds = {str: STRING, int: INTEGER, bool: FLAG, float: NUMBER}
    hints, fields = get_type_hints(stored), []
    for one in dataclasses.fields(stored):
        options = get_args(hints[one.name]) or (hints[one.name],)
        null = NoneType in options
        kind = kinds.get(options[0], JSON) if null or len(options) == 1 else JSON
        if all(isinstance(option, str) for option in options):
            kind = choice(options)
        fields.append(Field(one.name, kind, null=null))
    return Object(stored.__name__, (stored.__doc__ or "").partition("\n")[0], tuple(fields))


def read_fields(
    fields: Sequence[Field], data: Mapping[str, Any]
) -> tuple[dict[str, Any], list[FieldError]]:
    """The value of each field, its default where it is absent or wrong; and every fault."""
    values, faults = {}, []
    for field in fields:
        value = data.get(field.name)
        values[field.name] = field.default
        if value is None or value == "":
            if field.required:
                advice = f"Required. {field.kind.advice or field.help}"
                faults.append(FieldError(field.name, field.missing, advice))
            continue
        try:
            values[field.name] = field.kind.read(value)
        except ValueError as fault:
            faults.append(FieldError(field.name, field.code, str(fault)))
    return values, faults


def spec_error(faults: Mapping[str, str]) -> SpecError:
    """Faults that another package found, by field."""
    return SpecError([FieldError(name, "invalid", fault) for name, fault in faults.items()])
