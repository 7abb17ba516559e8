"""Applies an amendment that the preflight suggests: changes the request so that its plan solves the
problem.

Only what the preflight of the request in its present form suggests can be applied. Who may change a
request, and which answers are valid, is decided where every other change is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from portal.people.models import Person
from portal.requests.actions import edit_request
from portal.requests.lifecycle import Allowed, Denied, Verb, may
from portal.requests.models import EndpointRequest

MAX_TEXT = 4000


def amend_request(
    person: Person, request: EndpointRequest, *, code: str, amendment_label: str = "", now: datetime
) -> Allowed | Denied:
    """Change the answers as the preflight result `code` suggests, and replan. If one code suggests
    several changes, `amendment_label` says which; without it the first one is applied.
    """
    allowed = may(Verb.EDIT, person.actor_for(request.team), request.standing)
    if isinstance(allowed, Denied):
        return allowed
    changes = suggested_changes(request.preflight_data, code, amendment_label)
    if changes is None:
        reason = f"The preflight suggests no such change for {code or 'this request'}. Reload it."
        return Denied("nothing_proposed", reason)
    return edit_request(person, request, with_changes(request.answers, changes), now=now)


def suggested_changes(
    preflight: Sequence[Mapping[str, Any]], code: str, label: str = ""
) -> Mapping[str, Any] | None:
    """The changes that a stored preflight suggests under `code` (and `label`, if given)."""
    for result in preflight:
        amendment = result.get("amendment")
        if amendment and result["code"] == code and label in ("", amendment["label"]):
            changes: Mapping[str, Any] = amendment["changes"]
            return changes
    return None


def with_changes(answers: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The answers with the changes applied; "" leaves a setting to the portal again."""
    merged = {**answers, **changes}
    return {field: value for field, value in merged.items() if value != ""}


def parse_changes(text: str, known: frozenset[str]) -> dict[str, Any]:
    """The changes as a page's button sends them back: a JSON object of known fields with plain
    values. Everything else is dropped.
    """
    try:
        changes = json.loads(text) if len(text) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        changes = None
    if not isinstance(changes, dict):
        return {}
    return {field: value for field, value in changes.items() if field in known and _plain(value)}


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) and _plain(one) for one in value)
    if isinstance(value, str):
        # No page can show lone surrogates.
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return isinstance(value, bool | int)
