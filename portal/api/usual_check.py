"""The usual check of an endpoint over the API."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from checks.usual_check import UsualCheckSummary, usual_check_answers
from portal import json_fields as f
from portal.api.checks import CHECK, STARTED, accepted, show_check
from portal.api.endpoint_settings import EXAMPLE_SPEC, fields_of_rows
from portal.api.endpoints import OfEndpoint
from portal.api.operation import operation
from portal.endpoints.actions import CHECK_REFUSALS, change_usual_check
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.fields import USUAL_CHECK

# fmt: off
USUAL_CHECK_SHOWN = f.Object("UsualCheck", "What the usual check asks, sends and awaits.", (
    *fields_of_rows(USUAL_CHECK, shown=True),
    f.Field("sends", f.array(f.STRING), "The messages that go to the app; empty if it is silent."),
    f.Field("awaits", f.array(f.STRING), "What must come back."),
    f.Field("heartbeat", f.STRING, "What is sent meanwhile to keep the connection; empty if "
            "nothing is."),
))
NEW_USUAL_CHECK = f.Body(
    "NewUsualCheck",
    "The usual check. What is absent follows from app_kind.",
    fields_of_rows(USUAL_CHECK, shown=False),
)
# fmt: on


def show_usual_check(spec: EndpointSpec) -> dict[str, Any]:
    """The settings, and what follows from them."""
    summary = UsualCheckSummary.of(spec.to_dict())
    sent = {
        "sends": list(summary.sends),
        "awaits": list(summary.awaits),
        "heartbeat": str(summary.heartbeat or ""),
    }
    return USUAL_CHECK_SHOWN.show(usual_check_answers(spec) | sent)


class UsualCheck(OfEndpoint):
    @operation("getUsualCheck", USUAL_CHECK_SHOWN, example=show_usual_check(EXAMPLE_SPEC))
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Read the usual check.

        It decides whether the endpoint counts as live.
        """
        return Response(show_usual_check(self.endpoint(endpoint_id).spec))

    @operation(
        "changeUsualCheck",
        CHECK,
        body=NEW_USUAL_CHECK,
        example=STARTED,
        statuses=(202,),
        refusals=(*CHECK_REFUSALS, "busy", "request_under_way"),
    )
    def put(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Change the usual check.

        Changes nothing in AWS and needs no approval. Answers with the check that is made with the
        new settings; poll it until it is finished.
        """
        said = {name: value for name, value in self.sent.items() if value not in (None, "")}
        NEW_USUAL_CHECK.read(said)
        endpoint = self.endpoint(endpoint_id)
        return accepted(change_usual_check(self.person, endpoint, said, now=self.now), show_check)
