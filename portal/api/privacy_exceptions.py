"""Accepted exceptions from privacy over the API: listed, accepted, withdrawn.

Who may do what is decided in portal.endpoints.privacy_exceptions.
"""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from checks.models import PrivacyException
from portal import json_fields as f
from portal.api.endpoints import OfEndpoint, api_url
from portal.api.operation import operation
from portal.endpoints.privacy_exceptions import accept_found, open_exposures, withdraw_exception
from portal.people.models import ApiToken
from portal.problems import unless_refused
from portal.requests.accepted_exceptions import UNTIL_HELP
from portal.requests.verbs import LONGEST_REASON
from provisioning.models import Endpoint


def exception_url(endpoint_id: uuid.UUID, exception_id: Any) -> str:
    return api_url(endpoint_id, f"/privacy-exceptions/{exception_id}")


# fmt: off
EXCEPTION = f.Object("PrivacyException", "A way past CloudFront that an approver accepts.", (
    f.Field("id", f.UUID),
    f.Field("url", f.STRING, "", exception_url, ("endpoint_id", "id")),
    f.Field("exposure", f.STRING, example="sg-0a1b2c3d allows tcp 80 from 10.10.0.0/16"),
    f.Field("reason", f.STRING, example="The monitoring hosts ask the app directly"),
    f.Field("accepted_by", f.STRING, example="Olga"),
    f.Field("accepted_at", f.TIME),
    f.Field("until", f.TIME, "From then on, audits fail."),
    f.Field("plan_digest", f.STRING, "The plan whose approval accepted it; empty if it was "
            "accepted later.", example=""),
    f.Field("withdrawn_by", f.STRING, example=""),
    f.Field("withdrawn_at", f.TIME, null=True),
))
EXCEPTIONS = f.Object("PrivacyExceptions", "The accepted exceptions of an endpoint.", (
    f.Field("privacy_exceptions", f.array(f.of(EXCEPTION)), "Newest first, also those that ended."),
    f.Field("not_accepted", f.array(f.STRING), "What the latest audit found besides."),
))
NEW_EXCEPTION = f.Body("NewPrivacyExceptions", "What to accept, why, and until when.", (
    f.Field("exposures", f.texts(400), "Some of `not_accepted`.", required=True,
            example=["sg-0a1b2c3d allows tcp 80 from 10.10.0.0/16"]),
    f.Field("reason", f.one_line(LONGEST_REASON), "Recorded, and shown with each audit.",
            required=True, example="The monitoring hosts ask the app directly"),
    f.Field("until", f.text(10), f"{UNTIL_HELP} Default: as long as the platform team allows.",
            default="", example="2027-02-28"),
))
# fmt: on


def shown(endpoint: Endpoint) -> dict[str, Any]:
    rows = PrivacyException.objects.filter(endpoint=endpoint)
    return {
        "privacy_exceptions": [EXCEPTION.show_model(row, {}) for row in rows],
        "not_accepted": open_exposures(endpoint),
    }


class PrivacyExceptions(OfEndpoint):
    @operation("listPrivacyExceptions", EXCEPTIONS)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """List accepted exceptions.

        And what the latest privacy audit found that nobody has accepted.
        """
        return Response(shown(self.endpoint(endpoint_id)))

    @operation(
        "acceptPrivacyExceptions",
        EXCEPTIONS,
        body=NEW_EXCEPTION,
        scope=ApiToken.Scope.APPROVE,
        refusals=("not_approver", "own_team", "bad_date", "reason_required", "not_found"),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Accept exceptions.

        For approvers who do not belong to the endpoint's team. The endpoint is audited again.
        """
        endpoint = self.endpoint(endpoint_id)
        said = NEW_EXCEPTION.read(self.sent)
        unless_refused(accept_found(self.person, endpoint, now=self.now, **said))
        return Response(shown(endpoint))


class OnePrivacyException(OfEndpoint):
    @operation(
        "withdrawPrivacyException",
        statuses=(204,),
        scope=ApiToken.Scope.APPROVE,
        refusals=("not_approver", "own_team", "wrong_state"),
    )
    def delete(self, request: Request, endpoint_id: uuid.UUID, exception_id: uuid.UUID) -> Response:
        """Withdraw an accepted exception.

        It is kept on record, and the endpoint is audited again.
        """
        exception = self.one_of(PrivacyException, endpoint_id, exception_id)
        unless_refused(withdraw_exception(self.person, exception, now=self.now))
        return Response(status=204)
