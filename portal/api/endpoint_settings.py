"""An endpoint's settings as the API takes and shows them: both follow from the field table,
provisioning.spec.fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portal.json_fields import FLAG, STRING, Field, Kind, Object
from provisioning.spec import field_kinds
from provisioning.spec.fields import APP_KIND, ASKED, FIELDS
from provisioning.spec.parsing import complete_answers, parse_spec

ANSWERED = {row.name: row.example for row in FIELDS if row.required or row is APP_KIND}
"""In the example of a body: what has to be answered, and what most others are derived from."""
EXAMPLE_SPEC = parse_spec(complete_answers(ANSWERED))
"""What follows from that, so that no example contradicts another."""


def kind_of(row: field_kinds.Field, *, shown: bool) -> Kind:
    """As which kind a setting is sent or shown; parse_spec reads all settings together."""
    match row:
        case field_kinds.Choice(choices=choices):
            return Kind({"type": "string", "enum": list(choices)})
        case field_kinds.Number(low=low, high=high, also=also):
            return Kind({"type": "integer", "minimum": min(low, *also, low), "maximum": high})
        case field_kinds.Flag():
            return Kind(FLAG.schema)
        case field_kinds.Words(most=most) if shown:
            return Kind({"type": "array", "items": STRING.schema, "maxItems": most})
        case _:  # also Words that are sent: ticket systems have no lists, but commas
            return STRING


def fields_of_settings(*, shown: bool) -> tuple[Field, ...]:
    """The settings of a new request, or `shown`, those of a spec."""
    rows = [row for row in FIELDS if row.in_spec] if shown else ASKED
    return fields_of_rows(rows, shown=shown)


def fields_of_rows(rows: Iterable[field_kinds.Field], *, shown: bool) -> tuple[Field, ...]:
    """Rows of the field table as they are sent, or `shown`."""
    example = EXAMPLE_SPEC.to_dict()
    return tuple(
        Field(
            row.name,
            kind_of(row, shown=shown),
            row.help,
            example=example[row.name] if shown else _as_sent(ANSWERED.get(row.name)),
            required=shown or row.required,
        )
        for row in rows
    )


def _as_sent(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value


ENDPOINT_SPEC = Object(
    "EndpointSpec",
    "Every setting of an endpoint, given or derived.",
    fields_of_settings(shown=True),
)
