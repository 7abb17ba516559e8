"""Ask for a change or a removal of an endpoint, or to accept what AWS has, over the API."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView, header_value
from portal.api.create_request import (
    ALIASES,
    AROUND,
    as_called,
    once,
    read_around,
    settings_said,
    without_empties,
)
from portal.api.endpoint_settings import fields_of_settings
from portal.api.endpoints import ENDPOINT, OfEndpoint, show_endpoint
from portal.api.operation import operation
from portal.api.request_output import REQUEST, example_in
from portal.api.requests import IDEMPOTENCY_KEY, created
from portal.endpoints.actions import rename_endpoint
from portal.endpoints.drift import visible_findings
from portal.people.models import ApiToken
from portal.problems import unless_refused
from portal.requests.actions import FIXED
from portal.requests.end_dates import DATE_HELP, set_end_date
from portal.requests.endpoint_changes import (
    LONGEST_GRACE_DAYS,
    submit_acceptance,
    submit_change,
    submit_removal,
)
from portal.requests.forgetting import LONGEST_REASON, forget_endpoint
from portal.requests.lifecycle import State
from provisioning.models import DriftFinding, Endpoint
from provisioning.plan.plan import ACCEPT, CHANGE, REMOVE
from provisioning.spec.fields import NAME
from provisioning.spec.parsing import FieldError, SpecError

# fmt: off
GRACE_DAYS = f.Field(
    "grace_days", f.whole_number(0, LONGEST_GRACE_DAYS),
    "How long the endpoint stays out of service before anything is deleted for good. Until then it "
    "can be restored in a few minutes. The platform's default if absent.", example=7)
NEW_CHANGE = f.Body(
    "NewChange",
    "The settings that become others; all others stay as they are. Written as in a new request.",
    (*(one for one in fields_of_settings(shown=False) if one.name not in FIXED), *AROUND),
)
NEW_REMOVAL = f.Body("NewRemoval", "The removal of an endpoint.", (GRACE_DAYS, *AROUND))
FINDINGS = f.Field(
    "findings", f.text(2000), "IDs of open drift findings of the endpoint, separated by commas. "
    "All of them if absent.", default="", example=f.EXAMPLE_ID, code="unknown_finding")
NEW_ACCEPTANCE = f.Body(
    "NewAcceptance", "The differences that become what is approved.", (FINDINGS, *AROUND))
FORGET = f.Body("ForgetEndpoint", "Which endpoint, and why.", (
    f.Field("name", f.text(60), "The endpoint's name, to confirm it.", required=True,
            example="team-chat"),
    f.Field("reason", f.text(LONGEST_REASON), "The team reads it.", required=True,
            missing="reason_required", example="The account was closed"),
))
NEW_NAME = f.Body("NewName", "Another name for the endpoint.", (
    f.Field("name", f.text(60), NAME.help, required=True, example="shop-chat"),
))
NEW_END_DATE = f.Body("NewEndDate", "The last day of an endpoint.", (
    f.Field("end_date", f.text(10), f'{DATE_HELP} "" removes it.', default="",
            example="2027-03-31"),
))
# fmt: on
REFUSALS = (
    "idempotency_conflict",
    "not_your_team",
    "request_under_way",
    "ticket_taken",
    "wrong_state",
)


class ChangeEndpoint(OfEndpoint):
    @operation(
        "changeEndpoint",
        REQUEST,
        body=NEW_CHANGE,
        headers=IDEMPOTENCY_KEY,
        refusals=(*REFUSALS, "name_taken"),
        example={**example_in(State.PLANNING), "action": CHANGE},
        statuses=(200, 201),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Request a change of an endpoint.

        Send the settings that become others. Answers with a request, like any other: planned,
        approved, carried out. A change of target, port or protocol creates another VPC origin
        beside the old one and switches to it.
        """
        said, endpoint = without_empties(self.sent), self.endpoint(endpoint_id)

        def create(pk: uuid.UUID) -> None:
            errors = NEW_CHANGE.unknown(name for name in said if name not in ALIASES)
            around = read_around(self.person, said, errors)
            changes, called = settings_said(said, errors)
            if errors:
                raise SpecError(errors)
            try:
                outcome = submit_change(
                    self.person,
                    endpoint,
                    changes,
                    now=self.now,
                    justification=around.values["justification"],
                    provenance=around.provenance(pk, self.correlation_id),
                )
            except SpecError as refusal:
                raise SpecError(as_called(refusal, called)) from None
            unless_refused(outcome)

        return once_for_endpoint(self, request, CHANGE, endpoint, said, create)


class AcceptDrift(OfEndpoint):
    @operation(
        "acceptDrift",
        REQUEST,
        body=NEW_ACCEPTANCE,
        headers=IDEMPOTENCY_KEY,
        refusals=(*REFUSALS, "name_taken", "not_acceptable_drift"),
        example={**example_in(State.PLANNING), "action": ACCEPT},
        statuses=(200, 201),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Request to accept what AWS has.

        A deliberate change in AWS becomes what is approved. Answers with a request,
        like any other; its run writes nothing to AWS. Only what a setting of an endpoint says can
        be accepted, and nothing that opens a guard.
        """
        said, endpoint = without_empties(self.sent), self.endpoint(endpoint_id)

        def create(pk: uuid.UUID) -> None:
            errors = NEW_ACCEPTANCE.unknown(said)
            around = read_around(self.person, said, errors, FINDINGS)
            findings = self._findings(endpoint, around.values["findings"], errors)
            if errors:
                raise SpecError(errors)
            outcome = submit_acceptance(
                self.person,
                endpoint,
                findings,
                now=self.now,
                justification=around.values["justification"],
                provenance=around.provenance(pk, self.correlation_id),
            )
            unless_refused(outcome)

        return once_for_endpoint(self, request, ACCEPT, endpoint, said, create)

    def _findings(
        self, endpoint: Endpoint, text: str, errors: list[FieldError]
    ) -> list[DriftFinding]:
        """The open findings with these IDs. Adds an error for what is none of the endpoint."""
        found = list(visible_findings(self.person).filter(endpoint=endpoint))
        named = {word for word in text.replace(",", " ").split() if word}
        if unknown := sorted(named - {str(one.pk) for one in found}):
            message = f"No open finding of this endpoint: {', '.join(unknown)[:200]}."
            errors.append(FieldError("findings", "unknown_finding", message))
        return [one for one in found if not named or str(one.pk) in named]


class RemoveEndpoint(OfEndpoint):
    @operation(
        "removeEndpoint",
        REQUEST,
        body=NEW_REMOVAL,
        headers=IDEMPOTENCY_KEY,
        refusals=REFUSALS,
        example={**example_in(State.PLANNING), "action": REMOVE},
        statuses=(200, 201),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Request the removal of an endpoint.

        Answers with a request, like any other. Once approved, the path leaves the distribution;
        everything else is deleted when the grace period is over. Until then `restore` puts the
        endpoint back.
        """
        said, endpoint = without_empties(self.sent), self.endpoint(endpoint_id)

        def create(pk: uuid.UUID) -> None:
            errors = NEW_REMOVAL.unknown(said)
            around = read_around(self.person, said, errors, GRACE_DAYS)
            if errors:
                raise SpecError(errors)
            outcome = submit_removal(
                self.person,
                endpoint,
                grace_days=around.values["grace_days"],
                now=self.now,
                justification=around.values["justification"],
                provenance=around.provenance(pk, self.correlation_id),
            )
            unless_refused(outcome)

        return once_for_endpoint(self, request, REMOVE, endpoint, said, create)


class ForgetEndpoint(OfEndpoint):
    @operation(
        "forgetEndpoint",
        ENDPOINT,
        body=FORGET,
        refusals=(
            "not_platform_admin",
            "not_confirmed",
            "reason_required",
            "account_reachable",
            "aws_failed",
            "request_under_way",
            "wrong_state",
        ),
        scope=ApiToken.Scope.APPROVE.value,
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Forget an endpoint whose account can no longer be reached.

        For platform admins. Nothing is deleted in AWS. The endpoint counts as absent, its name is
        free, and the event `endpoint.forgotten` lists what may be left, as `data.left`. Where the
        portal can still reach the account, request the removal instead.
        """
        said, endpoint = FORGET.read(self.sent), self.endpoint(endpoint_id)
        outcome = forget_endpoint(
            self.person, endpoint, name=said["name"], reason=said["reason"], now=self.now
        )
        unless_refused(outcome)
        return Response(show_endpoint(self.person, endpoint_id, self.now))


class RenameEndpoint(OfEndpoint):
    @operation(
        "renameEndpoint",
        ENDPOINT,
        body=NEW_NAME,
        refusals=("not_your_team", "request_under_way", "wrong_state", "name_taken"),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Rename an endpoint.

        Nothing changes in AWS, so that it needs no approval.
        """
        name = NEW_NAME.read(self.sent)["name"]
        endpoint = self.endpoint(endpoint_id)
        unless_refused(rename_endpoint(self.person, endpoint, name, now=self.now))
        return Response(show_endpoint(self.person, endpoint_id, self.now))


class EndpointEndDate(OfEndpoint):
    @operation(
        "setEndDate",
        ENDPOINT,
        body=NEW_END_DATE,
        refusals=("not_your_team", "wrong_state", "bad_date"),
    )
    def put(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Set, renew or remove the end date of an endpoint.

        The team is reminded 14, 3 and 1 days before. After that day, the portal requests the
        removal of the endpoint; it deletes nothing without an approval.
        """
        said, endpoint = NEW_END_DATE.read(self.sent), self.endpoint(endpoint_id)
        unless_refused(set_end_date(self.person, endpoint, said["end_date"], now=self.now))
        return Response(show_endpoint(self.person, endpoint_id, self.now))


def once_for_endpoint(
    view: ApiView,
    request: Request,
    action: str,
    endpoint: Endpoint,
    said: Mapping[str, Any],
    create: Callable[[uuid.UUID], None],
) -> Response:
    """Create a request about the endpoint, once per key or ticket, and show it. The same key for
    another endpoint is another key.
    """
    request_id, replayed = once(
        view.person,
        said,
        f"requests.{action} {endpoint.pk.hex}",
        key=header_value(request, "Idempotency-Key"),
        now=view.now,
        create=create,
    )
    return created(request_id, view.person, replayed=replayed)
