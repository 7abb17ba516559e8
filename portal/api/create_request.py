"""Create a request from an API body, once per key however often it is asked.

It reads the flat body that ticket systems send (strings for numbers and booleans, "" for absent),
and keeps the promise of idempotency: the key's row is inserted first, on its unique index, in the
transaction that makes the request, so that of twenty equal calls one creates and nineteen get what
it made. It never bends a wish: what a wish may be is decided in provisioning.spec.parsing.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from portal.people.models import Person, Team
from portal.problems import ApiProblem
from portal.requests.actions import Ticket, submit_request
from portal.requests.models import EndpointRequest, IdempotencyKey
from provisioning.spec.digest import digest_of
from provisioning.spec.parsing import FieldError, SpecError, complete_answers, parse_spec

KEPT = timedelta(days=30)
"""How long a key is remembered. After that the same call counts as new."""

BY_HEADER, BY_TICKET = "requests.create", "requests.create/ticket"

ALIASES: Mapping[str, str] = {"ws_path": "path_patterns", "target": "target_arn"}
"""Names that ticket forms use → ours."""

WISH_FIELDS = (
    "name", "account_id", "distribution_id", "target_arn", "path_patterns", "max_silence_seconds", "subprotocols",
    "carries_http_api", "origin_protocol", "http_port", "https_port", "forward_host", "origin_domain",
    "viewer_protocol_policy", "allowed_methods", "read_timeout", "keepalive_timeout", "open_security_group",
)  # fmt: skip
OTHER_FIELDS = (
    "action", "team", "justification", "requested_for", "opened_by", "external_system", "external_id", "external_url",
)  # fmt: skip

_SYSTEM = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,118}[\x21-\x7e])?", re.ASCII)
_URL = re.compile(r"https?://[\x21-\x7e]{1,490}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class Created:
    """What a creation came to. `replayed`: an earlier call had made it."""

    request_id: uuid.UUID
    replayed: bool


@dataclass(frozen=True)
class Intake:
    """A body that was understood."""

    team: Team
    beneficiary: Person | None
    opener: Person | None
    answers: Mapping[str, Any]
    justification: str
    ticket: Ticket


def create(
    person: Person, body: Mapping[str, Any], *, key: str, correlation_id: str, now: datetime
) -> Created:
    """Make the request `body` asks for, or find what the same call made before.

    1. The key: the Idempotency-Key header, else external system, id and action; without either,
       each call is new.
    2. Insert the key with the id the request will have. Whoever loses waits here for the winner's
       commit.
    3. Found instead of inserted: same body, the original; another body, 409 with the fields that
       differ.
    4. Otherwise read the body and submit. A refusal rolls the key back, so a corrected body may use
       it again.
    """
    said = without_empties(body)
    route, key = (BY_HEADER, key) if key else (BY_TICKET, ticket_key(said))
    with transaction.atomic():
        if not key:
            return Created(_submit(person, said, uuid.uuid4(), correlation_id, now), replayed=False)
        IdempotencyKey.objects.filter(person=person, created_at__lt=now - KEPT).delete()
        kept, inserted = IdempotencyKey.objects.get_or_create(
            person=person,
            route=route,
            key=key,
            defaults={
                "body_digest": digest_of(said),
                "body": said,
                "request_id": uuid.uuid4(),
                "created_at": now,
            },
        )
        if inserted:
            return Created(
                _submit(person, said, kept.request_id, correlation_id, now), replayed=False
            )
    if kept.body_digest != digest_of(said):
        raise _conflict(kept.body, said)
    return Created(kept.request_id, replayed=True)


def without_empties(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without null and "", which mean absent."""
    return {field: value for field, value in body.items() if value is not None and value != ""}


def ticket_key(said: Mapping[str, Any]) -> str:
    """The natural key of a ticket's call, or "" when it names no ticket (or none that could be
    kept).
    """
    system, ticket_id, action = (
        said.get("external_system"),
        said.get("external_id"),
        said.get("action", "create"),
    )
    if not (isinstance(system, str) and isinstance(ticket_id, str) and isinstance(action, str)):
        return ""
    if not (_SYSTEM.fullmatch(system) and _ID.fullmatch(ticket_id)):
        return ""
    return f"{action[:20]} {system} {ticket_id}"


def read_body(person: Person, said: Mapping[str, Any], correlation_id: str) -> Intake:
    """Understand a body without empties. Raises SpecError with every fault found."""
    errors = [
        FieldError(
            field[:60],
            "unknown",
            "This field does not exist. Remove it, or begin its name with x_.",
        )
        for field in sorted(said)
        if field not in (*WISH_FIELDS, *OTHER_FIELDS, *ALIASES) and not field.startswith("x_")
    ]
    answers: dict[str, Any] = {field: said[field] for field in WISH_FIELDS if field in said}
    called: dict[str, str] = {}
    for alias, field in ALIASES.items():
        if alias in said and field in said:
            errors.append(
                FieldError(alias, "duplicate", f"It means the same as {field}. Send one of them.")
            )
        elif alias in said:
            answers[field], called[field] = said[alias], alias
    if "carries_http_api" in answers:
        answer = str(answers["carries_http_api"]).lower()
        if answer in ("true", "false"):
            answers["carries_http_api"] = answer == "true"
        else:
            errors.append(FieldError("carries_http_api", "invalid", "Say true or false."))
    if said.get("action", "create") != "create":
        errors.append(FieldError("action", "invalid", "Choose one of: create."))

    team = _team(person, said.get("team"), errors)
    beneficiary, opener = _person(said, "requested_for", errors), _person(said, "opened_by", errors)
    justification = _text(said, "justification", 500, errors)
    ticket = _ticket(said, correlation_id, errors)
    try:
        parse_spec(complete_answers(answers))
    except SpecError as refusal:
        errors += [
            FieldError(called.get(fault.field, fault.field), fault.code, fault.message)
            for fault in refusal.errors
        ]
    if errors or team is None:
        raise SpecError(errors)
    return Intake(team, beneficiary, opener, answers, justification, ticket)


def _submit(
    person: Person,
    said: Mapping[str, Any],
    request_id: uuid.UUID,
    correlation_id: str,
    now: datetime,
) -> uuid.UUID:
    intake = read_body(person, said, correlation_id)
    request: EndpointRequest = submit_request(
        person,
        intake.team,
        intake.answers,
        now=now,
        justification=intake.justification,
        beneficiary=intake.beneficiary,
        opener=intake.opener,
        ticket=intake.ticket,
        request_id=request_id,
    )
    return request.id


def _conflict(before: Mapping[str, Any], now: Mapping[str, Any]) -> ApiProblem:
    differing = sorted(field for field in {*before, *now} if before.get(field) != now.get(field))
    faults = [
        FieldError(field[:60], "differs", "It had another value when the key was first used.")
        for field in differing
    ]
    names = ", ".join(fault.field for fault in faults[:20])
    return ApiProblem(
        "idempotency_conflict",
        f"The same key was used with another body. Differing: {names}.",
        faults,
    )


def _team(person: Person, slug: Any, errors: list[FieldError]) -> Team | None:
    """One of the caller's own teams; another's is as unknown as one that does not exist."""
    if slug is None:
        errors.append(FieldError("team", "required", "Needed. The team's short name."))
        return None
    team = (
        Team.objects.filter(memberships__person=person, slug=slug).first()
        if isinstance(slug, str)
        else None
    )
    if team is None:
        errors.append(FieldError("team", "unknown_team", "You are in no team of this name."))
    return team


def _person(said: Mapping[str, Any], field: str, errors: list[FieldError]) -> Person | None:
    """A username or an e-mail address, of exactly one active person. None also where the field is
    absent.
    """
    if field not in said:
        return None
    who, found = said[field], list[Person]()
    if isinstance(who, str) and len(who) <= 254:
        named = Q(username=who) | (Q(email__iexact=who) if "@" in who else Q())
        found = list(Person.objects.filter(named, is_active=True)[:2])
    if len(found) == 1:
        return found[0]
    advice = (
        "Several people have it. Send the username."
        if found
        else "A username or an e-mail address known here."
    )
    errors.append(FieldError(field, "unknown_person", advice))
    return None


def _text(said: Mapping[str, Any], field: str, most: int, errors: list[FieldError]) -> str:
    value = said.get(field, "")
    if not isinstance(value, str) or len(value) > most or _CONTROL.search(value):
        errors.append(FieldError(field, "invalid", f"A text of at most {most} characters."))
        return ""
    return value


def _ticket(said: Mapping[str, Any], correlation_id: str, errors: list[FieldError]) -> Ticket:
    values = {}
    for field, pattern, advice in (
        (
            "external_system",
            _SYSTEM,
            "1 to 40 lower-case letters, digits, _ and -, as in servicenow.",
        ),
        ("external_id", _ID, "1 to 120 visible ASCII characters, as in RITM0012345."),
        ("external_url", _URL, "The ticket's address, beginning with https://."),
    ):
        value = said.get(field, "")
        if value != "" and not (isinstance(value, str) and pattern.fullmatch(value)):
            errors.append(FieldError(field, "invalid", advice))
        values[field] = value
    if ("external_id" in said) != ("external_system" in said):
        missing = "external_system" if "external_id" in said else "external_id"
        errors.append(
            FieldError(missing, "required", "external_system and external_id go together.")
        )
    return Ticket(
        values["external_system"], values["external_id"], values["external_url"], correlation_id
    )
