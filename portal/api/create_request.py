"""Create a request from an API body, once per key however often the call is made.

What the settings may be is decided in provisioning.spec.parsing.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q

from portal import json_fields as f
from portal.api.endpoint_settings import fields_of_settings
from portal.people.models import Person, Team
from portal.problems import ApiProblem
from portal.requests.actions import Provenance, Ticket, secrets_for, submit_request
from portal.requests.answers import parse_settings
from portal.requests.idempotency import CREATION, KeyConflict, once_per_key
from provisioning.plan.plan import CREATE
from provisioning.redaction.carriers import has_secret_shape
from provisioning.redaction.masking import mask_text, mask_url
from provisioning.spec.field_kinds import InvalidValue
from provisioning.spec.fields import ASKED
from provisioning.spec.parsing import FieldError, SpecError

ALIASES: Mapping[str, str] = {"ws_path": "path_patterns", "target": "target_arn"}
"""Names that ticket forms use → ours."""

_SYSTEM = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,118}[\x21-\x7e])?", re.ASCII)
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?:[/?#][\x21-\x7e]{0,490})?", re.ASCII)
"""Without user information: in https://known.example@other.example/ people read the wrong host."""
_NO_CONTROL = re.compile(r"[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f]*")
NO_TEAM = "You are not in a team with this name."
NOBODY = "Must be the username or e-mail address of a person known here."

# fmt: off
TEAM = f.Field("team", f.text(60, advice=NO_TEAM), "Short name of one of your teams.",
             required=True, example="chat", code="unknown_team")
ELSEWHERE = "A change or a removal is posted below the endpoint, to …/change or …/remove."
ACTION = f.Field("action", f.choice((CREATE,), ELSEWHERE), f"create, the default. {ELSEWHERE}",
                 default=CREATE)
AROUND = (
    f.Field("justification", f.text(500, _NO_CONTROL), "What it is for; the approver reads it.",
          default="", example="Chat for the support desk"),
    f.Field("requested_for", f.text(254, advice=NOBODY),
          "Username or e-mail of the person it is for. From a trusted integration: they cannot "
          "approve it. From others: shown as a claim, without effect.",
          example="ana@example.com", code="unknown_person"),
    f.Field("opened_by", f.text(254, advice=NOBODY),
          "Username or e-mail of the person who opened the ticket. From a trusted integration: "
          "they cannot approve it. From others: shown as a claim, without effect.",
          example="ben@example.com", code="unknown_person"),
    f.Field("external_system",
          f.text(40, _SYSTEM, "1 to 40 lower-case letters, digits, _ and -, as in servicenow."),
          "servicenow, jira, … Together with external_id it makes the call idempotent.",
          default="", example="servicenow"),
    f.Field("external_id", f.text(120, _ID, "1 to 120 visible ASCII characters, as in INC0012."),
          "The ticket's number.", default="", example="RITM0012345"),
    f.Field("external_url", f.text(498, _URL, "The ticket's address, starting with https://."),
          "The ticket's address.", default="",
          example="https://acme.service-now.com/RITM0012345"),
)
# fmt: on
NEW_REQUEST = f.Body(
    "NewRequest",
    'A request for an endpoint, flat. Numbers and booleans may be strings; "" means absent; lists '
    "may be comma-separated strings. path_patterns may be called ws_path, and target_arn target. "
    "Fields that start with x_ are ignored.",
    (TEAM, *fields_of_settings(shown=False), ACTION, *AROUND),
)


Submit = Callable[[uuid.UUID], None]


def create_request(
    person: Person, body: Mapping[str, Any], *, key: str, correlation_id: str, now: datetime
) -> tuple[uuid.UUID, bool]:
    """Make the request that `body` describes, once per key. Gives its id, and whether an earlier
    call had made it.
    """
    said = without_empties(body)

    def create(pk: uuid.UUID) -> None:
        submit(person, said, pk, correlation_id, now)

    return once(person, said, CREATION, key=key, now=now, create=create)


def without_empties(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a body says: ticket systems send "" for fields that nobody filled in."""
    return {name: value for name, value in body.items() if value is not None and value != ""}


def once(
    person: Person, said: Mapping[str, Any], route: str, *, key: str, now: datetime, create: Submit
) -> tuple[uuid.UUID, bool]:
    """Create once per route and key: the Idempotency-Key header, else the ticket's system and id;
    without either, each call is new.
    """
    route, key = (route, key) if key else (f"{route}/ticket", ticket_key(said))
    outcome = once_per_key(person, route, key, said, now, create)
    if isinstance(outcome, KeyConflict):
        names, differs = outcome.differing, "It had another value when the key was first used."
        raise ApiProblem(
            "idempotency_conflict",
            f"The same key was used with another body. Differing: {', '.join(names[:20])}.",
            [FieldError(name[:60], "differs", differs) for name in names],
        )
    return outcome.request_id, outcome.replayed


def ticket_key(said: Mapping[str, Any]) -> str:
    """The natural key of a ticket's call, or "" if it names no ticket (or none that could be
    stored).
    """
    system, ticket_id = said.get("external_system"), said.get("external_id")
    if not (isinstance(system, str) and isinstance(ticket_id, str)):
        return ""
    if not (_SYSTEM.fullmatch(system) and _ID.fullmatch(ticket_id)) or _is_credential(ticket_id):
        return ""
    return f"{system} {ticket_id}"


@dataclass(frozen=True)
class Around:
    """What a body says around the settings: why, for whom, and from which ticket."""

    values: Mapping[str, Any]
    people: Mapping[str, Person | None]
    claims: Mapping[str, str]

    def provenance(self, request_id: uuid.UUID, correlation_id: str) -> Provenance:
        """As the actions take it."""
        system, ticket_id, url = (
            self.values[f"external_{name}"] for name in ("system", "id", "url")
        )
        return Provenance(
            self.people["requested_for"],
            self.people["opened_by"],
            self.claims,
            Ticket(system, ticket_id, url, correlation_id),
            request_id,
        )


def read_around(person: Person, said: f.Row, errors: list[FieldError], *more: f.Field) -> Around:
    """Read the fields around the settings, and `more`. Adds every error to `errors`."""
    values, wrong = f.read_fields((*more, *AROUND), said)
    errors += wrong
    if ("external_id" in said) != ("external_system" in said):
        missing = "external_system" if "external_id" in said else "external_id"
        together = "external_system and external_id go together."
        errors.append(FieldError(missing, "required", together))
    errors += _ticket_credentials(values)
    named = {field: values[field] for field in ("requested_for", "opened_by")}
    if person.names_people:
        people = {field: find_person(who, field, errors) for field, who in named.items()}
        return Around(values, people, {})
    # Anybody's word would bar an approver, and the answer would tell who exists.
    known = {field: person if is_named(who, person) else None for field, who in named.items()}
    claims = {
        field: mask_text(who, guess=True)
        for field, who in named.items()
        if who and not known[field]
    }
    return Around(values, known, claims)


def submit(
    person: Person, said: f.Row, request_id: uuid.UUID, correlation_id: str, now: datetime
) -> None:
    """Read a body without empties and submit the request. Raises SpecError with every error.

    1. The fields around the settings, and whom they name.
    2. Aliases become our names; errors call a field as the body does.
    3. Answers that only steer the derivation of settings.
    4. The settings, together.
    """
    errors = NEW_REQUEST.unknown(name for name in said if name not in ALIASES)
    around = read_around(person, said, errors, TEAM, ACTION)
    slug = around.values["team"]
    team = Team.objects.of(person).filter(slug=slug).first()
    if slug and not team:
        errors.append(FieldError("team", "unknown_team", NO_TEAM))
    answers, called = settings_said(said, errors)
    try:
        parse_settings(answers, secrets_for(answers, team) if team else None)
    except SpecError as refusal:
        errors += as_called(refusal, called)
    if errors or team is None:
        raise SpecError(errors)
    submit_request(
        person,
        team,
        answers,
        now=now,
        justification=around.values["justification"],
        provenance=around.provenance(request_id, correlation_id),
    )


def settings_said(said: f.Row, errors: list[FieldError]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings that a body names, aliases as our names, and for those what the body calls
    them. Adds errors.
    """
    answers = {row.name: said[row.name] for row in ASKED if row.name in said}
    called: dict[str, str] = {}
    for alias, name in ALIASES.items():
        if alias in said and name in said:
            errors.append(FieldError(alias, "duplicate", f"Same as {name}. Send one of them."))
        elif alias in said:
            answers[name], called[name] = said[alias], alias
    for row in ASKED:
        if row.name in answers and not row.in_spec:
            try:
                answers[row.name] = row.parse(answers[row.name])
            except InvalidValue as invalid:
                errors.append(FieldError(row.name, invalid.code, invalid.message))
    return answers, called


def as_called(refusal: SpecError, called: Mapping[str, str]) -> list[FieldError]:
    """The errors, each under the name that the body uses."""
    return [replace(one, field=called.get(one.field, one.field)) for one in refusal.errors]


def is_named(who: str | None, person: Person) -> bool:
    """Whether this username or e-mail address is the person's own."""
    if not who:
        return False
    return who == person.username or who.lower() == person.email.lower()


def _ticket_credentials(values: Mapping[str, Any]) -> list[FieldError]:
    """A ticket's fields are shown to everybody who sees the request, and cannot be masked: a link
    has to work, and a number to be found.
    """
    found = []
    if mask_url(values["external_url"]) != values["external_url"]:
        advice = "Remove the user name, password or token from the address."
        found.append(FieldError("external_url", "credential", advice))
    if _is_credential(values["external_id"]):
        advice = "This looks like a credential. Send the ticket's number."
        found.append(FieldError("external_id", "credential", advice))
    return found


def _is_credential(ticket_id: str) -> bool:
    return has_secret_shape(ticket_id) or mask_text(ticket_id, guess=True) != ticket_id


def find_person(who: str | None, field: str, errors: list[FieldError]) -> Person | None:
    """The one active person with this username or e-mail address. None also if none is named."""
    if who is None:
        return None
    named = Q(username=who) | (Q(email__iexact=who) if "@" in who else Q())
    found = list(Person.objects.filter(named, is_active=True)[:2])
    if len(found) == 1:
        return found[0]
    several = "Several people have this address. Send the username."
    errors.append(FieldError(field, "unknown_person", several if found else NOBODY))
    return None
