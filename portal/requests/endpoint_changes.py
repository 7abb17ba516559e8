"""Ask for a change or a removal of an endpoint that exists, or to accept what AWS has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from portal.people.models import Person, Team
from portal.requests.actions import (
    FIXED,
    NEW,
    ONLY_THE_CALLER,
    Provenance,
    parse_answers,
    request_under_way,
    store_request,
    with_fixed,
)
from portal.requests.lifecycle import Denied
from portal.requests.models import EndpointRequest
from portal.requests.preflight_amendments import with_changes
from provisioning.drift.acceptance import Found, Inexpressible, accepted_settings
from provisioning.models import DriftFinding, Endpoint, Run
from provisioning.plan.plan import ACCEPT, CHANGE, REMOVE
from provisioning.spec.fields import PATHS, USUAL_CHECK
from provisioning.spec.parsing import FieldError, SpecError, complete_answers

LONGEST_GRACE_DAYS = 30


def answers_of(endpoint: Endpoint) -> dict[str, Any]:
    """The answers that the endpoint's present settings follow from. What a person left to the
    portal stays so; a usual check that was set later counts as an answer.
    """
    asked = EndpointRequest.objects.filter(endpoint=endpoint).exclude(action=REMOVE)
    applied = asked.filter(run__state=Run.State.DONE).order_by("-run__finished_at")
    latest = applied.first() or asked.filter(action__in=NEW).first()
    answers = dict(latest.answers if latest else endpoint.spec_data)
    derived, present = complete_answers(answers), endpoint.spec.to_dict()
    changed = {
        row.name: present[row.name]
        for row in USUAL_CHECK
        if row.in_spec and present[row.name] != derived.get(row.name)
    }
    return answers | changed | {name: present[name] for name in FIXED}


def change_refusal(person: Person, endpoint: Endpoint) -> Denied | None:
    """Why this person cannot ask for a change or a removal of the endpoint now, or None."""
    if not person.belongs_to(endpoint.owner):
        return Denied("not_your_team", "Only its team can change or remove this endpoint.")
    if other := request_under_way(endpoint):
        return Denied(
            "request_under_way",
            f"Another request for this endpoint is not over: {other.get_action_display()}, "
            f"“{other.title.lower()}”. Wait for it, or cancel it.",
        )
    if endpoint.state != Endpoint.State.DEPLOYED:
        return Denied("wrong_state", "Only a deployed endpoint can be changed or removed.")
    return None


def submit_change(
    person: Person,
    endpoint: Endpoint,
    changes: Mapping[str, Any],
    *,
    now: datetime,
    justification: str = "",
    provenance: Provenance = ONLY_THE_CALLER,
) -> EndpointRequest | Denied:
    """Ask for other settings. `changes` are those that become others ("" leaves one to the portal
    again); the rest stays as it is. Raises SpecError.
    """
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        if refusal := change_refusal(person, locked):
            return refusal
        team = Team.objects.get(slug=locked.owner)
        answers = with_fixed(locked, with_changes(answers_of(locked), changes))
        return store_request(
            person,
            team,
            CHANGE,
            answers,
            parse_answers(answers, team, locked),
            now=now,
            justification=justification,
            provenance=provenance,
            endpoint=locked,
        )


def submit_acceptance(
    person: Person,
    endpoint: Endpoint,
    findings: Sequence[DriftFinding],
    *,
    now: datetime,
    justification: str = "",
    provenance: Provenance = ONLY_THE_CALLER,
) -> EndpointRequest | Denied:
    """Ask that what AWS has becomes what is approved, as far as these open findings say. Raises
    SpecError.
    """
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        if refusal := change_refusal(person, locked):
            return refusal
        if not findings or any(one.resolved_at for one in findings):
            return Denied("wrong_state", "There is no such difference any more. Compare again.")
        changes = acceptable(locked, findings)
        if isinstance(changes, Denied):
            return changes
        team = Team.objects.get(slug=locked.owner)
        answers = with_fixed(locked, with_changes(answers_of(locked), changes))
        parsed = parse_answers(answers, team, locked)
        moved = {*changes, *(("check_path",) if PATHS.name in changes else ())}
        return store_request(
            person,
            team,
            ACCEPT,
            answers,
            # What a person left to the portal stays as it is, whatever would be derived today.
            replace(locked.spec, **{name: getattr(parsed, name) for name in moved}),
            now=now,
            justification=justification,
            provenance=provenance,
            endpoint=locked,
        )


def acceptable(endpoint: Endpoint, findings: Sequence[DriftFinding]) -> dict[str, Any] | Denied:
    """The settings that become others once these findings are accepted, or why they cannot be."""
    found = [
        Found(one.code, one.resource, one.subject, one.setting, one.approved, one.seen)
        for one in findings
    ]
    try:
        return accepted_settings(found, endpoint.spec)
    except Inexpressible as obstacle:
        return Denied("not_acceptable_drift", str(obstacle))


def submit_removal(
    person: Person,
    endpoint: Endpoint,
    *,
    grace_days: int | None = None,
    now: datetime,
    justification: str = "",
    provenance: Provenance = ONLY_THE_CALLER,
) -> EndpointRequest | Denied:
    """Ask to remove the endpoint. For `grace_days` (None: the platform's default) it can still be
    restored. Raises SpecError.
    """
    days = settings.REMOVAL_GRACE_DAYS if grace_days is None else grace_days
    if not 0 <= days <= LONGEST_GRACE_DAYS:
        message = f"Enter a number of days from 0 to {LONGEST_GRACE_DAYS}."
        raise SpecError([FieldError("grace_days", "out_of_range", message)])
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        if refusal := change_refusal(person, locked):
            return refusal
        return store_request(
            person,
            Team.objects.get(slug=locked.owner),
            REMOVE,
            {"grace_days": days},
            locked.spec,
            now=now,
            justification=justification,
            provenance=provenance,
            endpoint=locked,
        )
