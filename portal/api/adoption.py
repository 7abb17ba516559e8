"""Adopt endpoints that were there before the portal, over the API."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView, header_value
from portal.api.create_request import (
    AROUND,
    NO_TEAM,
    TEAM,
    as_called,
    once,
    read_around,
    without_empties,
)
from portal.api.endpoint_settings import fields_of_rows
from portal.api.operation import operation
from portal.api.request_output import REQUEST, example_in
from portal.api.requests import IDEMPOTENCY_KEY, created
from portal.people.models import Team
from portal.problems import unless_refused
from portal.requests.adoption import GIVEN, leads_to, list_candidates, submit_adoption
from portal.requests.lifecycle import State
from provisioning.models import AwsAccount
from provisioning.plan.plan import ADOPT
from provisioning.plan.read_back import Candidate
from provisioning.spec.fields import ACCOUNT_ID, DISTRIBUTION, PATHS
from provisioning.spec.parsing import FieldError, SpecError

AWS_REFUSALS = ("aws_busy", "aws_failed")
# fmt: off
CANDIDATE = f.Object("Adoptable", "An origin with the behaviors that lead to it.", (
    f.Field("origin_id", f.STRING, example="chat-origin"),
    f.Field("domain_name", f.STRING, example="internal-int-chat-1.us-east-1.elb.amazonaws.com"),
    f.Field("path_patterns", f.array(f.STRING), "All of them are adopted together.",
            example=["/ws/chat"]),
    f.Field("vpc_origin_id", f.STRING, example="vo_Cg6A14otX0DB1yyDQ6Nond"),
    f.Field("target_arn", f.STRING, example="arn:aws:elasticloadbalancing:us-east-1:111122223333:"
            "loadbalancer/app/int-chat/50dc6c495c0c9188"),
    f.Field("header_names", f.array(f.STRING), "Headers that CloudFront adds; origin_headers has "
            "to name each, with its value.", example=[]),
    f.Field("adoptable", f.FLAG, "Whether it can become an endpoint.", example=True),
    f.Field("obstacle", f.STRING, "Why not, and what to do first.", example=""),
    f.Field("held_by", f.STRING, "The name of the endpoint that it is already.", example=""),
))
CANDIDATES = f.Object("AdoptableList", "What of a distribution can be adopted.", (
    f.Field("adoptable", f.array(f.of(CANDIDATE))),
))
OF_ACCOUNT = (
    f.Field("account_id", f.text(12, re.compile("[0-9]{12}"), ACCOUNT_ID.advice),
            "The account of the distribution: one of your teams'.", required=True,
            example="111122223333", code="not_your_account"),
)
WHERE = fields_of_rows((ACCOUNT_ID, DISTRIBUTION, PATHS), shown=False)
NEW_ADOPTION = f.Body(
    "NewAdoption",
    "What is adopted, and what AWS does not know of it. path_patterns names one or more of its "
    "paths; all behaviors with the same origin are adopted. Everything else is read back from AWS.",
    (TEAM, *WHERE, *fields_of_rows([one for one in GIVEN if one.in_spec], shown=False), *AROUND),
)
# fmt: on


class Adoptables(ApiView):
    @operation("listAdoptable", CANDIDATES, query=OF_ACCOUNT, refusals=AWS_REFUSALS)
    def get(self, request: Request, distribution_id: str) -> Response:
        """List what can be adopted.

        The behaviors of a distribution of your team's account, by origin, read from AWS now. What
        cannot be adopted has an obstacle.
        """
        allowed = AwsAccount.objects.filter(teams__in=Team.objects.of(self.person))
        account = allowed.filter(pk=self.query["account_id"]).first()
        if account is None:
            raise Http404
        found = unless_refused(list_candidates(account, distribution_id))
        return Response({"adoptable": [show_candidate(one) for one in found]})


class Adoptions(ApiView):
    @operation(
        "adoptEndpoint",
        REQUEST,
        body=NEW_ADOPTION,
        headers=IDEMPOTENCY_KEY,
        refusals=(
            "idempotency_conflict",
            "ticket_taken",
            "name_taken",
            "already_held",
            "not_adoptable",
            "path_contested",
            *AWS_REFUSALS,
        ),
        example={**example_in(State.PLANNING), "action": ADOPT},
        statuses=(200, 201),
    )
    def post(self, request: Request) -> Response:
        """Request to adopt an endpoint.

        What was made by hand or with another tool comes under the portal's management. Answers
        with a request, like any other; its plan keeps everything, and its run writes nothing to
        AWS.
        """
        said = without_empties(self.sent)

        def create(pk: uuid.UUID) -> None:
            self._create(said, pk)

        request_id, replayed = once(
            self.person,
            said,
            "requests.adopt",
            key=header_value(request, "Idempotency-Key"),
            now=self.now,
            create=create,
        )
        return created(request_id, self.person, replayed=replayed)

    def _create(self, said: dict[str, Any], pk: uuid.UUID) -> None:
        """Raises SpecError and ApiProblem."""
        called = {"ws_path": "path_patterns"} if "ws_path" in said else {}
        body = {called.get(name, name): value for name, value in said.items()}
        errors = NEW_ADOPTION.unknown(body)
        around = read_around(self.person, body, errors, TEAM, *WHERE)
        team = Team.objects.of(self.person).filter(slug=around.values["team"]).first()
        if around.values["team"] and not team:
            errors.append(FieldError("team", "unknown_team", NO_TEAM))
        try:
            patterns = list(PATHS.parse(body.get("path_patterns")))
        except ValueError:
            patterns = []
        if errors or team is None:
            raise SpecError(errors)
        answers = {row.name: body[row.name] for row in GIVEN if row.name in body}
        try:
            outcome = submit_adoption(
                self.person,
                team,
                str(around.values["account_id"]),
                str(around.values["distribution_id"]),
                leads_to(patterns),
                answers,
                now=self.now,
                justification=around.values["justification"],
                provenance=around.provenance(pk, self.correlation_id),
            )
        except SpecError as refusal:
            back = {name: alias for alias, name in called.items()}
            raise SpecError(as_called(refusal, back)) from None
        unless_refused(outcome)


def show_candidate(one: Candidate) -> dict[str, Any]:
    """One row of the list."""
    return {
        "origin_id": one.origin_id,
        "domain_name": one.domain_name,
        "path_patterns": list(one.path_patterns),
        "vpc_origin_id": one.vpc_origin_id,
        "target_arn": one.target_arn,
        "header_names": list(one.header_names),
        "adoptable": one.adoptable,
        "obstacle": one.obstacle,
        "held_by": one.held_by,
    }
