"""Taking up what the preflight proposes: the request is changed, so that its plan puts the matter
right.

It decides which proposal is meant, and nothing else: only what the preflight of the request as it
is now proposed can be taken up, and who may change a request, and what a wish may be, is decided
where every other change is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from portal.people.models import Person
from portal.requests.actions import edit_request
from portal.requests.lifecycle import Allowed, Denied, may_edit
from portal.requests.models import EndpointRequest

MOST_TEXT = 4000


def amend_request(
    person: Person, request: EndpointRequest, *, code: str, label: str = "", now: datetime
) -> Allowed | Denied:
    """Change the wish as the preflight's result under `code` proposes, and plan anew. Where one
    code proposes several things, `label` says which; without it the first is meant.
    """
    allowed = may_edit(person.actor_for(request.team), request.standing)
    if isinstance(allowed, Denied):
        return allowed
    changes = proposed(request.preflight_data, code, label)
    if changes is None:
        reason = (
            f"The preflight of this request proposes no such change for {code or 'nothing'}. "
            "Read it again."
        )
        return Denied("nothing_proposed", reason)
    return edit_request(person, request, with_changes(request.answers, changes), now=now)


def proposed(
    preflight: Sequence[Mapping[str, Any]], code: str, label: str = ""
) -> Mapping[str, Any] | None:
    """The changes that a stored preflight proposes under `code` (and in these words, if any are
    given).
    """
    for result in preflight:
        amendment = result.get("amendment")
        if amendment and result["code"] == code and label in ("", amendment["label"]):
            changes: Mapping[str, Any] = amendment["changes"]
            return changes
    return None


def with_changes(answers: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The wish with the changes in it; "" leaves a setting to the portal again."""
    merged = {**answers, **changes}
    return {field: value for field, value in merged.items() if value != ""}


def read_changes(text: str, known: frozenset[str]) -> dict[str, Any]:
    """The changes as a page's button sends them back: JSON, of known fields only. Nothing of what
    is anything else.
    """
    try:
        changes = json.loads(text) if len(text) <= MOST_TEXT else None
    except (ValueError, RecursionError):
        changes = None
    if not isinstance(changes, dict):
        return {}
    return {field: value for field, value in changes.items() if field in known and _plain(value)}


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) and _plain(one) for one in value)
    if isinstance(value, str):
        return not any(
            "\ud800" <= character <= "\udfff" for character in value
        )  # halves of pairs: no page shows them
    return isinstance(value, bool | int)
