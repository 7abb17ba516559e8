"""What people can do with a live endpoint: checks, probes, saved checks. One function per verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from checks import actions as checks
from checks.actions import asks_for, request_check
from checks.diagnosis.access_log import LogRow
from checks.diagnosis.probe_kinds import ProbeKind
from checks.models import Check, Probe, SavedCheck
from checks.probe.probe_request import ProbeRequest
from checks.probe_actions import probe_under_way, request_probe
from checks.protocol.handshake_options import HandshakeOptions
from portal.endpoints.secrets import usable_secrets, use_refusal
from portal.people.models import Person
from portal.requests.actions import request_under_way, stream_of
from portal.requests.answers import parse_settings
from portal.requests.endpoint_names import name_fault
from portal.requests.lifecycle import Denied, State
from provisioning import events
from provisioning.models import AwsAccount, Endpoint, Event
from provisioning.plan.plan import CHANGE
from provisioning.redaction.masking import mask_prose
from provisioning.spec.field_kinds import InvalidValue
from provisioning.spec.fields import NAME, USUAL_CHECK
from provisioning.spec.parsing import FieldError, SpecError

MAX_SAVED_CHECKS = 20
SCHEDULES = (0, 15, 60, 1440)
"""Intervals at which a saved check can run, in minutes; 0 means only on demand."""

CHECK_REFUSALS = ("not_your_team", "wrong_state")
"""The codes of `check_refusal`."""


def check_refusal(person: Person, endpoint: Endpoint) -> Denied | None:
    """Why this person cannot check the endpoint now, or None. Its team and approvers can; auditors
    cannot, since a check is recorded.
    """
    if not (person.decides or person.belongs_to(endpoint.owner)):
        return Denied(
            "not_your_team", "Only its team and the platform team can check this endpoint."
        )
    if endpoint.state != Endpoint.State.DEPLOYED:
        return Denied("wrong_state", "It can be checked once it is deployed.")
    return None


def check_now(
    person: Person,
    endpoint: Endpoint,
    *,
    now: datetime,
    options: HandshakeOptions | None = None,
    saved: SavedCheck | None = None,
) -> Check | Denied:
    """Request a handshake check: the usual one, a saved one, or one with `options`. Its events go
    to the stream of the endpoint's newest request.

    One runs at a time: the same check again returns the one that is running; another is refused.
    """
    refusal = check_refusal(person, endpoint)
    if refusal is None and options is not None:
        refusal = use_refusal(person, endpoint, options)
    if refusal:
        return refusal
    check = request_check(
        endpoint, by=str(person), stream=stream_of(endpoint), now=now, options=options, saved=saved
    )
    asked = HandshakeOptions.from_dict(saved.options) if saved else options
    if not asks_for(check, asked, now=now):
        return _CHECK_UNDER_WAY
    return check


def probe_now(
    person: Person, endpoint: Endpoint, asked: ProbeRequest, *, now: datetime
) -> Probe | Denied:
    """Ask for a further probe. One at a time: asking for the same again gives the one under way;
    another is refused.
    """
    refusal = check_refusal(person, endpoint) or use_refusal(
        person, endpoint, HandshakeOptions(path=asked.path)
    )
    if refusal:
        return refusal
    made = request_probe(endpoint, asked, by=str(person), now=now)
    return made or probe_under_way(endpoint, asked, now=now) or _PROBE_UNDER_WAY


def analyze_log_rows(
    person: Person, check: Check, rows: Sequence[LogRow], *, now: datetime
) -> Probe | Denied:
    """Weigh a check again with rows of CloudFront's log. One that went well only with rows of other
    requests.
    """
    refusal = check_refusal(person, check.endpoint)
    if refusal:
        return refusal
    if check.ok and not any(row.of_no_handshake for row in rows):
        return Denied("wrong_state", "This check passed; its log row adds nothing.")
    asked = ProbeRequest(ProbeKind.LOG_ROWS)
    found = request_probe(check.endpoint, asked, by=str(person), now=now, check=check, rows=rows)
    return found or _PROBE_UNDER_WAY


_CHECK_UNDER_WAY = Denied(
    "busy", "Another check of this endpoint is running. Try again when it has finished."
)
_PROBE_UNDER_WAY = Denied(
    "busy", "Another probe of this endpoint is running. Try again when it has finished."
)


def save_check(
    person: Person,
    endpoint: Endpoint,
    name: str,
    options: HandshakeOptions,
    *,
    every_minutes: int,
    after_changes: bool,
    now: datetime,
) -> SavedCheck | Denied:
    """Keep a check under a name, to be made by hand, after changes, or every so many minutes."""
    refusal = check_refusal(person, endpoint) or use_refusal(person, endpoint, options)
    if refusal:
        return refusal
    if mask_prose(name, len(name)) != name:
        return Denied("credential_in_name", "The name holds a credential. Choose another name.")
    with transaction.atomic():
        # Simultaneous saves queue for this lock; the second one counts the first.
        Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        known = SavedCheck.objects.filter(endpoint=endpoint)
        if known.count() >= MAX_SAVED_CHECKS and not known.filter(name=name).exists():
            return Denied(
                "too_many",
                f"An endpoint has at most {MAX_SAVED_CHECKS} saved checks. Delete one first.",
            )
        stream = stream_of(endpoint)
        saved = checks.save_check(
            endpoint,
            name,
            options,
            every_minutes=every_minutes,
            after_changes=after_changes,
            by=str(person),
            stream=stream,
            now=now,
        )
        if stream:
            runs = f"every {every_minutes} minutes" if every_minutes else "on demand"
            events.append(
                stream,
                "endpoint.check_saved",
                f"{person} saved the check “{name}”. It runs {runs}"
                f"{' and after changes' if after_changes else ''}.",
                at=now,
                data={"by": person.username, "endpoint": str(endpoint.pk), "name": name},
            )
    return saved


def change_usual_check(
    person: Person, endpoint: Endpoint, answers: Mapping[str, Any], *, now: datetime
) -> Check | Denied:
    """Change what the usual check asks and sends, and make it now. `answers` are settings of
    `USUAL_CHECK`; those not given follow from the kind of app. Raises SpecError.

    Nothing in AWS changes, so that nobody has to approve it.
    """
    refusal = check_refusal(person, endpoint)
    if refusal:
        return refusal
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        # Its end would set what was usual when it was requested.
        other = request_under_way(locked)
        if other and other.action == CHANGE and other.state != State.VERIFYING:
            return Denied(
                "request_under_way",
                "A change of the endpoint is not over, and it sets the usual check too. Set it "
                "there, or wait for the change.",
            )
        before, names = locked.spec.to_dict(), {row.name for row in USUAL_CHECK}
        others = {name: value for name, value in before.items() if name not in names}
        given = {name: value for name, value in answers.items() if name in names}
        after = parse_settings(others | given, usable_secrets(person, endpoint)).to_dict()
        # One that is running has read the settings as they were.
        if Check.objects.under_way().filter(endpoint=locked).exists():
            return _CHECK_UNDER_WAY
        check = request_check(locked, by=str(person), stream=stream_of(locked), now=now)
        changed = [row.label.lower() for row in USUAL_CHECK if before[row.name] != after[row.name]]
        if not changed:
            return check
        Endpoint.objects.filter(pk=endpoint.pk).update(spec_data=after)
        if stream := stream_of(locked):
            events.append(
                stream,
                "endpoint.usual_check_changed",
                f"{person} changed the usual check: {', '.join(changed)}.",
                at=now,
                data={"by": person.username, "endpoint": str(endpoint.pk)},
            )
    return check


def delete_saved_check(person: Person, saved: SavedCheck, *, now: datetime) -> Denied | None:
    """Delete a saved check, and its schedule with it. Its results are kept."""
    refusal = check_refusal(person, saved.endpoint)
    if refusal:
        return refusal
    stream, pk = stream_of(saved.endpoint), saved.pk
    with transaction.atomic():
        deleted, _ = SavedCheck.objects.filter(pk=pk).delete()
        if deleted and stream:
            ended = " It no longer runs on its schedule." if saved.every_minutes else ""
            events.append(
                stream,
                "endpoint.saved_check_deleted",
                f"{person} deleted the saved check “{saved.name}”.{ended}",
                at=now,
                level=Event.Level.WARNING if saved.every_minutes else Event.Level.INFO,
                data={
                    "by": person.username,
                    "endpoint": str(saved.endpoint_id),
                    "name": saved.name,
                },
            )
    return None


def rename_endpoint(
    person: Person, endpoint: Endpoint, name: str, *, now: datetime
) -> Endpoint | Denied:
    """Give it another name. Nothing in AWS has the name, so that nobody has to approve it. Raises
    SpecError if it is no name, or taken.
    """
    if not person.belongs_to(endpoint.owner):
        return Denied("not_your_team", "Only its team can rename this endpoint.")
    with transaction.atomic():
        # Approvals in the account queue for the same lock: of two of one name, the second sees it.
        AwsAccount.objects.select_for_update(no_key=True).get(pk=endpoint.account_id)
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        if request_under_way(locked):
            return Denied("request_under_way", "A change or a removal of it is not over.")
        if locked.state != Endpoint.State.DEPLOYED:
            return Denied("wrong_state", "Only a deployed endpoint can be renamed.")
        try:
            NAME.parse(name)
        except InvalidValue as invalid:
            raise SpecError([FieldError("name", invalid.code, invalid.message)]) from invalid
        if fault := name_fault(locked.account_id, name, besides=locked):
            raise SpecError([fault])
        before = locked.name
        locked.name, locked.spec_data = name, locked.spec_data | {"name": name}
        locked.save(update_fields=["name", "spec_data"])
        text = f"{person} renamed {before} to {name}."
        data = {"by": person.username, "before": before, "after": name}
        events.append(stream_of(locked), "endpoint.renamed", text, at=now, level="info", data=data)
    return locked
