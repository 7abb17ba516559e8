"""Transfers of a live endpoint to another team: offered by its team, accepted by the other.

What was asked for and done before stays with the team that did it: requests and their events. The
new team gets a request of its own, which is live, has the endpoint's events from then on and takes
the place of those before it. Checks, probes, audits, findings and the end date go with the
endpoint.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from checks.models import Check, Probe, SavedCheck
from checks.stored_secrets.actions import Reference, references_to
from portal.people.models import Person, Team
from portal.requests.actions import record, stream_of, supersede_earlier
from portal.requests.endpoint_changes import answers_of
from portal.requests.lifecycle import CHECKED, TRANSFER, UNDER_WAY, Denied, State
from portal.requests.models import EndDate, EndpointRequest, Transfer
from portal.requests.transfer_rules import Handover, obstacles, settings_digest
from provisioning import actions as provisioning
from provisioning import events
from provisioning.models import AwsAccount, Endpoint, Run
from provisioning.redaction.masking import mask_prose
from provisioning.redaction.printable import on_one_line

LONGEST_NOTE = 500
EVENT = "endpoint.transfer"


@dataclass(frozen=True)
class TakenOver:
    """What the team that accepts gets, for people."""

    name: str
    address: str
    paths: tuple[str, ...]
    target_arn: str
    account_id: str
    distribution_id: str
    saved_checks: tuple[str, ...]
    end_date: str


def open_offer(endpoint: Endpoint) -> Transfer | None:
    """The open offer of the endpoint."""
    return endpoint.transfers.filter(state=Transfer.State.OFFERED).first()


def offered_to(person: Person, endpoint_id: uuid.UUID) -> Transfer | None:
    """The open offer of an endpoint that this person may see only because of the offer."""
    if person.sees_everything:
        return None
    own = Team.objects.of(person)
    offers = Transfer.objects.offered().filter(endpoint=endpoint_id, to_team__in=own)
    return offers.exclude(from_team__in=own).first()


def taken_over(endpoint: Endpoint) -> TakenOver:
    """What goes with the endpoint."""
    spec = endpoint.spec
    end = EndDate.objects.filter(endpoint=endpoint).first()
    return TakenOver(
        endpoint.name,
        endpoint.url,
        tuple(spec.path_patterns),
        spec.target_arn,
        spec.account_id,
        spec.distribution_id,
        tuple(endpoint.saved_checks.values_list("name", flat=True)),
        end.on.isoformat() if end else "",
    )


def handover_of(endpoint: Endpoint, team: Team, *, offered: str = "") -> Handover:
    """What the rules need to know about the endpoint and the team that is to get it."""
    open_request = EndpointRequest.objects.filter(
        endpoint=endpoint, state__in=sorted(UNDER_WAY)
    ).first()
    contested = provisioning.contested_paths(endpoint.spec, endpoint.pk, team.slug)
    return Handover(
        account=endpoint.account_id,
        team=team.name,
        deployed=endpoint.state == Endpoint.State.DEPLOYED,
        running=endpoint.runs.filter(state__in=Run.ACTIVE).exists(),
        open_request=open_request.get_action_display() if open_request else "",
        checking=any(
            rows.filter(endpoint=endpoint).exists()
            for rows in (Check.objects.under_way(), Probe.objects.under_way())
        ),
        uses_secrets=_senders(endpoint),
        contested=tuple(
            f"{one.pattern} overlaps {one.other}, {one.holder}"
            for one in contested
            if not one.permitted
        ),
        same_team=team.slug == endpoint.owner,
        has_members=team.people.filter(is_active=True).exists(),
        has_account=team.accounts.filter(pk=endpoint.account_id).exists(),
        offered=offered,
        present=settings_digest(endpoint.spec_data),
    )


def offer_transfer(
    person: Person, endpoint: Endpoint, slug: str, *, note: str = "", now: datetime
) -> Transfer | Denied:
    """Offer the endpoint to the team with this short name. The same offer again gives the one that
    is open. What stands in the way is all said at once, in `Denied.errors`.
    """
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        if not person.belongs_to(locked.owner):
            return Denied("not_your_team", "Only its team can offer this endpoint.")
        team = Team.objects.filter(slug=slug).first()
        if team is None:
            return Denied("unknown_team", f"No team has the short name “{slug[:60]}”.")
        present = open_offer(locked)
        if present is not None and present.to_team == team:
            return present
        if present is not None:
            return Denied(
                "offer_open", f"It is offered to {present.to_team} already. Withdraw that first."
            )
        if refusal := _not_transferable(handover_of(locked, team)):
            return refusal
        offer = Transfer.objects.create(
            endpoint=locked,
            endpoint_name=locked.name,
            from_team=Team.objects.get(slug=locked.owner),
            to_team=team,
            note=mask_prose(on_one_line(note), LONGEST_NOTE).strip(),
            spec_digest=settings_digest(locked.spec_data),
            offered_by=person,
            offered_at=now,
            ends_at=now + timedelta(days=settings.TRANSFER_OFFER_DAYS),
        )
        text = f"{person} offered {locked.name} to {team}, until {offer.ends_at:%-d %B %Y}."
        _tell(offer, "offered", text, now, person)
    return offer


def withdraw_transfer(person: Person, transfer: Transfer, *, now: datetime) -> Transfer | Denied:
    """Take an offer back before it is accepted."""
    return _end(
        person,
        transfer,
        Transfer.State.WITHDRAWN,
        "withdrew the offer of {name} to {to}",
        now,
        by=transfer.from_team,
    )


def decline_transfer(
    person: Person, transfer: Transfer, *, reason: str = "", now: datetime
) -> Transfer | Denied:
    """Refuse an offer, with or without a reason, which the offering team sees."""
    return _end(
        person,
        transfer,
        Transfer.State.DECLINED,
        "declined the offer of {name} for {to}",
        now,
        by=transfer.to_team,
        reason=mask_prose(on_one_line(reason), LONGEST_NOTE).strip(),
    )


def accept_transfer(person: Person, transfer: Transfer, *, now: datetime) -> Transfer | Denied:
    """Take the endpoint over. Everything that could stand in the way is asked again, under the
    locks that a change, an approval and a rename take.
    """
    with transaction.atomic():
        # The locks of every writer of endpoints, in the same order.
        account_id = Endpoint.objects.values_list("account_id", flat=True)
        account = account_id.get(pk=transfer.endpoint_id)
        AwsAccount.objects.select_for_update(no_key=True).get(pk=account)
        endpoint = Endpoint.objects.select_for_update().get(pk=transfer.endpoint_id)
        locked = Transfer.objects.select_for_update().get(pk=transfer.pk)
        team = locked.to_team
        if refusal := _refuse(person, locked, Transfer.State.ACCEPTED, team, now):
            return refusal
        if locked.state == Transfer.State.ACCEPTED:
            return locked
        if refusal := _not_transferable(handover_of(endpoint, team, offered=locked.spec_digest)):
            return refusal
        before = stream_of(endpoint)
        request = _request_of_new_team(person, locked, endpoint, now)
        Endpoint.objects.filter(pk=endpoint.pk).update(owner=team.slug, event_stream=request.stream)
        SavedCheck.objects.filter(endpoint=endpoint).update(stream=request.stream)
        _decide(locked, Transfer.State.ACCEPTED, person, now)
        data = _data(locked, person)
        text = (
            f"{person} accepted: {endpoint.name} belongs to {team} now. Its events from now on "
            f"are {team}’s."
        )
        if before:
            events.append(before, f"{EVENT}_accepted", text, at=now, level="good", data=data)
        supersede_earlier(request, now)
        text = f"{person} took over {endpoint.name} from {locked.from_team}."
        record(request, "endpoint.received", text, now, person, level="good", **_data(locked))
        events.set_followed(request.stream, True)
    return locked


def end_offers(now: datetime) -> int:
    """End the offers that were not answered in time. Returns how many."""
    late = Transfer.objects.filter(state=Transfer.State.OFFERED, ends_at__lte=now)
    ended = 0
    for pk in late.order_by("ends_at", "pk").values_list("pk", flat=True):
        with transaction.atomic():
            locked = (
                Transfer.objects.select_for_update(skip_locked=True)
                .filter(pk=pk, state=Transfer.State.OFFERED)
                .first()
            )
            if locked is None:
                continue
            _decide(locked, Transfer.State.EXPIRED, None, now)
            text = f"{locked.to_team} did not answer the offer of {locked.endpoint_name} in time."
            _tell(locked, "expired", text, now)
            ended += 1
    return ended


def _request_of_new_team(
    person: Person, transfer: Transfer, endpoint: Endpoint, now: datetime
) -> EndpointRequest:
    """A request that is done already: the new team's place for the endpoint's events and checks."""
    earlier = EndpointRequest.objects.filter(endpoint=endpoint, state__in=CHECKED)
    newest = earlier.order_by("-created_at").first()
    request_id = uuid.uuid4()
    return EndpointRequest.objects.create(
        id=request_id,
        action=TRANSFER,
        team=transfer.to_team,
        endpoint=endpoint,
        requester=person,
        beneficiary=person,
        last_editor=person,
        justification=transfer.note,
        answers=answers_of(endpoint),
        spec_data=endpoint.spec_data,
        state=newest.state if newest else State.LIVE,
        reason=newest.reason if newest else "",
        due_at=now,
        stream=f"request:{request_id}",
        created_at=now,
        updated_at=now,
    )


def _end(
    person: Person,
    transfer: Transfer,
    state: Transfer.State,
    said: str,
    now: datetime,
    *,
    by: Team,
    reason: str = "",
) -> Transfer | Denied:
    with transaction.atomic():
        locked = Transfer.objects.select_for_update().get(pk=transfer.pk)
        if refusal := _refuse(person, locked, state, by, now):
            return refusal
        if locked.state == state:
            return locked
        _decide(locked, state, person, now, reason)
        text = f"{person} {said.format(name=locked.endpoint_name, to=locked.to_team)}"
        _tell(locked, state, f"{text}: {reason}" if reason else f"{text}.", now, person)
    return locked


def _refuse(
    person: Person, locked: Transfer, wanted: Transfer.State, team: Team, now: datetime
) -> Denied | None:
    """Why this person cannot bring the offer to the state `wanted`. The same again is allowed."""
    if not (person.is_active and person.belongs_to(team.slug)):
        return Denied("not_your_team", f"Only members of {team} can do this.")
    if locked.state == wanted:
        return None
    if locked.state != Transfer.State.OFFERED:
        return Denied("wrong_state", f"The offer is over: it {locked.get_state_display()}.")
    if locked.ends_at <= now:
        return Denied("wrong_state", "The offer has expired.")
    return None


def _not_transferable(handover: Handover) -> Denied | None:
    found = obstacles(handover)
    if not found:
        return None
    return Denied("not_transferable", " ".join(one.message for one in found), found)


def _decide(
    locked: Transfer, state: Transfer.State, person: Person | None, now: datetime, reason: str = ""
) -> None:
    locked.state, locked.decided_by, locked.decided_at = state, person, now
    locked.reason = reason
    locked.save(update_fields=["state", "decided_by", "decided_at", "reason"])


def _tell(
    transfer: Transfer, what: str, text: str, now: datetime, person: Person | None = None
) -> None:
    """An event for the team that the endpoint is of."""
    if stream := stream_of(transfer.endpoint):
        data = _data(transfer, person)
        events.append(stream, f"{EVENT}_{what}", text, at=now, level="info", data=data)


def _data(transfer: Transfer, person: Person | None = None) -> dict[str, Any]:
    data: Mapping[str, Any] = {
        "transfer": str(transfer.pk),
        "endpoint": str(transfer.endpoint_id),
        "from_team": transfer.from_team.slug,
        "to_team": transfer.to_team.slug,
    }
    return dict(data) | ({"by": person.username} if person else {})


def _senders(endpoint: Endpoint) -> tuple[str, ...]:
    """What of the endpoint sends secrets of its team, each in words."""

    def in_words(one: Reference) -> str:
        if one.origin_header:
            return f"the origin header {one.origin_header}"
        return f"the check “{one.saved.name}”" if one.saved else "the usual check"

    of_team = references_to(endpoint.owner).values()
    own = (one for users in of_team for one in users if one.endpoint == endpoint)
    return tuple(dict.fromkeys(map(in_words, own)))
