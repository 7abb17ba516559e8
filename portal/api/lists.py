"""Lists: query parameters, filters, and pages, newest first, by an opaque cursor.

Pages are a keyset by (time, id): never an offset, never a count. Why not DRF's CursorPagination:
docs/decisions/0007-api-throttle-and-pages.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.http import QueryDict

from portal.json_fields import STRING, Field, Object, array, of, read_fields, text, whole_number
from portal.newest import OneOf, newest, older
from portal.problems import ApiProblem
from portal.timestamps import parse_timestamp
from provisioning.spec.parsing import FieldError

LONGEST_PARAMETER = 4000
LARGEST_PAGE = 100
PAGE = (
    Field("cursor", text(LONGEST_PARAMETER), "next_cursor of the previous page.", default=""),
    Field("limit", whole_number(1, LARGEST_PAGE), "50 if absent.", default=50),
)


@dataclass(frozen=True, eq=False)
class Filter(Field):
    """A query parameter that narrows a list: `lookup` is the lookup or makes the condition. Without
    the parameter that it `needs` it means nothing.
    """

    lookup: str | Callable[[Any], Q] = ""
    needs: str = ""

    def condition(self, value: Any) -> Q:
        """What the rows have to fulfil."""
        return Q(**{self.lookup: value}) if isinstance(self.lookup, str) else self.lookup(value)


def read_query(parameters: Sequence[Field], query: QueryDict) -> dict[str, Any]:
    """The query parameters, absent ones with their default. Raises ApiProblem with every fault; an
    unknown one is a fault, because a misspelt filter would answer with everything.
    """
    faults, said = [], {}
    known = {parameter.name: parameter for parameter in parameters}
    for name, values in query.lists():
        if name not in known:
            faults.append(FieldError(name[:60], "unknown", "Unknown parameter. Remove it."))
        elif len(values) > 1:
            faults.append(FieldError(name, "duplicate", "Send it once."))
        elif "\x00" in values[0] or len(values[0]) > LONGEST_PARAMETER:
            faults.append(FieldError(name, "invalid", "It has a NUL character or is too long."))
        else:
            said[name] = values[0]
    for one in parameters:
        if isinstance(one, Filter) and one.needs and one.name in said and one.needs not in said:
            faults.append(FieldError(one.needs, "required", f"{one.name} needs it."))
    values_read, wrong = read_fields(parameters, said)
    if faults := faults + wrong:
        told = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        raise ApiProblem("bad_parameter", told, faults)
    return values_read


def page(
    key: str,
    item: Object,
    rows: QuerySet[Any],
    query: Mapping[str, Any],
    filters: Sequence[Filter] = (),
    *,
    at: str = "created_at",
    of: OneOf | None = None,
    added: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The page of `rows` that `query` names, as `page_of` describes it: filtered, of those that
    `of` leaves (see portal.newest), shown with what is `added` to each row, with the cursor of the
    next page. One query. Raises ApiProblem for a cursor that is none.
    """
    for one in filters:
        if query[one.name] is not None:
            rows = rows.filter(one.condition(query[one.name]))
    if query["cursor"]:
        try:
            decoded = base64.b64decode(query["cursor"], altchars=b"-_", validate=True)
            last_at, last_id = json.loads(decoded)
            last_at, last_id = parse_timestamp(last_at), uuid.UUID(last_id)
        except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
            raise ApiProblem("bad_cursor") from None
        rows = rows.filter(older(last_at, last_id, by=at))
    limit, next_cursor = query["limit"], None
    columns = [column for column in item.columns if not added or column not in added]
    found = list(newest(rows, limit + 1, by=at, of=of).values(*columns))
    if len(found) > limit:
        last = found[limit - 1]
        position = json.dumps([last[at].isoformat(), last["id"].hex]).encode()
        next_cursor = base64.urlsafe_b64encode(position).decode()
    shown = [item.show({**row, **added} if added else row) for row in found[:limit]]
    return {key: shown, "next_cursor": next_cursor}


def page_of(name: str, key: str, item: Object) -> Object:
    """The object of a page of such items."""
    cursor = Field("next_cursor", STRING, "null on the last page.", null=True)
    return Object(name, f"A page of {key}.", (Field(key, array(of(item))), cursor))
