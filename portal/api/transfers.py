"""Transfers of endpoints between teams over the API."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.http import Http404
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView
from portal.api.endpoints import OfEndpoint, api_url
from portal.api.lists import PAGE, Filter, page, page_of
from portal.api.operation import operation
from portal.problems import unless_refused
from portal.requests.lifecycle import Denied
from portal.requests.models import Transfer
from portal.requests.transfers import (
    LONGEST_NOTE,
    accept_transfer,
    decline_transfer,
    offer_transfer,
    taken_over,
    withdraw_transfer,
)


def transfer_url(pk: Any, below: str = "") -> str:
    """Where a transfer, or something below it, is in the API."""
    return f"{settings.PORTAL_URL}/api/v1/transfers/{pk}{below}"


# fmt: off
TRANSFER_LINKS = f.Object("TransferLinks", "Where to go from a transfer.", (
    f.Field("portal", f.STRING, "Its page.",
            lambda pk: f"{settings.PORTAL_URL}/transfers/{pk}/", ("id",)),
    f.Field("endpoint", f.STRING, "", api_url, ("endpoint_id",)),
    f.Field("accept", f.STRING, "POST: For the team that it is offered to.",
            lambda pk: transfer_url(pk, "/accept"), ("id",)),
    f.Field("decline", f.STRING, "POST: For the same team.",
            lambda pk: transfer_url(pk, "/decline"), ("id",)),
    f.Field("withdraw", f.STRING, "POST: For the team that offers it.",
            lambda pk: transfer_url(pk, "/withdraw"), ("id",)),
))
SUMMARY = (
    f.Field("id", f.UUID),
    f.Field("url", f.STRING, "", transfer_url, ("id",)),
    f.Field("state", f.choice(Transfer.State), example="offered"),
    f.Field("endpoint_id", f.UUID, example=f.EXAMPLE_ID),
    f.Field("endpoint_name", f.STRING, "When it was offered.", example="team-chat"),
    f.Field("from_team", f.STRING, source="from_team__slug", example="chat"),
    f.Field("to_team", f.STRING, source="to_team__slug", example="trading"),
    f.Field("note", f.STRING, "From the team that offers it.", example="You run the app now"),
    f.Field("reason", f.STRING, "Why it was declined, if that was said."),
    f.Field("offered_by", f.STRING, source="offered_by__username", example="ana"),
    f.Field("offered_at", f.TIME),
    f.Field("ends_at", f.TIME, "Until then it can be accepted.",
            example="2026-12-05T09:00:00.000Z"),
    f.Field("decided_by", f.STRING, "null while it is open, and if it expired.",
            source="decided_by__username", null=True),
    f.Field("decided_at", f.TIME, null=True),
    f.Field("links", f.of(TRANSFER_LINKS)),
)
TRANSFER_SUMMARY = f.Object(
    "TransferSummary", "An endpoint that a team offers to another.", SUMMARY)
TAKEN_OVER = f.Object("TakenOver", "What the team that accepts gets.", (
    f.Field("name", f.STRING, example="team-chat"),
    f.Field("address", f.STRING, "Where clients connect.",
            example="wss://d111111abcdef8.cloudfront.net/ws/chat"),
    f.Field("paths", f.array(f.STRING), example=["/ws/chat"]),
    f.Field("target_arn", f.STRING, example="arn:aws:elasticloadbalancing:us-east-1:111122223333:"
            "loadbalancer/app/int-chat/50dc6c495c0c9188"),
    f.Field("account_id", f.STRING, example="111122223333"),
    f.Field("distribution_id", f.STRING, example="E1A2B3C4D5E6F7"),
    f.Field("saved_checks", f.array(f.STRING), example=["from the app"]),
    f.Field("end_date", f.STRING, "Its last day; empty without one.", example="2027-03-31"),
))
TRANSFER = f.Object("Transfer", "An endpoint that a team offers to another, in full.", (
    *SUMMARY,
    f.Field("taken_over", f.of(TAKEN_OVER), "What the other team gets. Only while it is offered.",
            "taken_over", null=True, example=TAKEN_OVER.example),
))
TRANSFER_PAGE = page_of("TransferPage", "transfers", TRANSFER_SUMMARY)
NEW_TRANSFER = f.Body("NewTransfer", "To whom, and why.", (
    f.Field("team", f.text(60), "The other team's short name.", required=True, example="trading"),
    f.Field("note", f.text(LONGEST_NOTE), "The other team reads it.", default="",
            example="You run the app now"),
))
DECLINE = f.Body("DeclineTransfer", "Why not, if that is to be said.", (
    f.Field("reason", f.text(LONGEST_NOTE), "The other team reads it.", default="",
            example="We do not run this app"),
))
FILTERS = (
    Filter("state", f.choice(Transfer.State), "offered, accepted, declined, withdrawn, expired.",
           lookup="state"),
    Filter("endpoint", f.UUID, "An endpoint's ID.", lookup="endpoint_id"),
    Filter("from_team", f.text(60), "A team's short name.", lookup="from_team__slug"),
    Filter("to_team", f.text(60), "A team's short name.", lookup="to_team__slug"),
)
# fmt: on
OVER = ("not_your_team", "wrong_state")


class EndpointTransfer(OfEndpoint):
    @operation("getEndpointTransfer", TRANSFER)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Read the newest offer of an endpoint.

        For both teams; 404 before the first.
        """
        visible = Transfer.objects.visible_to(self.person).filter(endpoint=endpoint_id)
        newest = visible.order_by("-offered_at", "-id").first()
        if newest is None:
            raise Http404
        return Response(show_transfer(newest))

    @operation(
        "offerTransfer",
        TRANSFER,
        body=NEW_TRANSFER,
        refusals=("not_your_team", "unknown_team", "offer_open", "not_transferable"),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Offer an endpoint to another team.

        Nothing changes before that team accepts, and nothing in AWS even then. Offering it again to
        the same team answers with the open offer. If it cannot be transferred now, `errors` has
        every reason. Requests made before, and their events, stay with the team that made them;
        secrets do not move.
        """
        said, endpoint = NEW_TRANSFER.read(self.sent), self.endpoint(endpoint_id)
        made = offer_transfer(self.person, endpoint, said["team"], note=said["note"], now=self.now)
        return Response(show_transfer(unless_refused(made)))


class Transfers(ApiView):
    @operation("listTransfers", TRANSFER_PAGE, query=(*FILTERS, *PAGE))
    def get(self, request: Request) -> Response:
        """List transfers.

        Of your teams, on either side, newest first. Paginated by an opaque cursor.
        """
        visible = Transfer.objects.visible_to(self.person)
        return Response(
            page("transfers", TRANSFER_SUMMARY, visible, self.query, FILTERS, at="offered_at")
        )


class OfTransfer(ApiView):
    """What the views of one transfer share."""

    def transfer(self, transfer_id: uuid.UUID) -> Transfer:
        """The transfer, if the caller may see it."""
        return get_object_or_404(Transfer.objects.visible_to(self.person), pk=transfer_id)

    def answer(self, outcome: Transfer | Denied) -> Response:
        """The transfer as it is now. Raises ApiProblem for a refusal."""
        return Response(show_transfer(unless_refused(outcome)))


class OneTransfer(OfTransfer):
    @operation("getTransfer", TRANSFER)
    def get(self, request: Request, transfer_id: uuid.UUID) -> Response:
        """Read a transfer."""
        return self.answer(self.transfer(transfer_id))


class AcceptTransfer(OfTransfer):
    @operation("acceptTransfer", TRANSFER, refusals=(*OVER, "not_transferable"))
    def post(self, request: Request, transfer_id: uuid.UUID) -> Response:
        """Accept a transfer.

        For a member of the team that it is offered to. The endpoint belongs to that team from then
        on. Accepting it again answers the same.
        """
        f.NO_BODY.read(self.sent)
        return self.answer(accept_transfer(self.person, self.transfer(transfer_id), now=self.now))


class DeclineTransfer(OfTransfer):
    @operation("declineTransfer", TRANSFER, body=DECLINE, refusals=OVER)
    def post(self, request: Request, transfer_id: uuid.UUID) -> Response:
        """Decline a transfer.

        For a member of the team that it is offered to. Declining it again answers the same.
        """
        reason = DECLINE.read(self.sent)["reason"]
        transfer = self.transfer(transfer_id)
        return self.answer(decline_transfer(self.person, transfer, reason=reason, now=self.now))


class WithdrawTransfer(OfTransfer):
    @operation("withdrawTransfer", TRANSFER, refusals=OVER)
    def post(self, request: Request, transfer_id: uuid.UUID) -> Response:
        """Withdraw a transfer.

        For a member of the team that offers it, before it is accepted. Withdrawing it again answers
        the same.
        """
        f.NO_BODY.read(self.sent)
        return self.answer(withdraw_transfer(self.person, self.transfer(transfer_id), now=self.now))


def show_transfer(transfer: Transfer) -> dict[str, Any]:
    """The transfer with what is taken over, as long as both teams may know that."""
    offered = transfer.state == Transfer.State.OFFERED
    row = Transfer.objects.filter(pk=transfer.pk).values(*TRANSFER_SUMMARY.columns).get()
    gets = {"taken_over": asdict(taken_over(transfer.endpoint)) if offered else None}
    return TRANSFER.show(row | gets)
