"""A team's secrets over the API: added, listed by name, replaced, deleted. Never read.

Who may do what is decided in portal.endpoints.secrets.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView
from portal.api.create_request import TEAM
from portal.api.lists import PAGE, Filter, page, page_of
from portal.api.operation import operation
from portal.endpoints.secrets import (
    add_secret,
    delete_secret,
    endpoints_sending,
    replace_secret,
    visible_secrets,
)
from portal.people.models import Team
from portal.problems import unless_refused
from provisioning.models import Secret
from provisioning.redaction.references import NAME, NAME_ADVICE
from provisioning.secrets.store import MAX_VALUE, VALUE_ADVICE, value_fault


def read_value(value: Any) -> str:
    """The advice never repeats the value."""
    if not isinstance(value, str) or value_fault(value):
        raise ValueError(VALUE_ADVICE)
    return value


# fmt: off
SECRET = f.Object("Secret", "A secret of a team, without its value.", (
    f.Field("id", f.UUID),
    f.Field("url", f.STRING, "",
            lambda secret_id: f"{settings.PORTAL_URL}/api/v1/secrets/{secret_id}", ("id",)),
    f.Field("team", f.STRING, source="owner", example="chat"),
    f.Field("name", f.STRING, example="API_TOKEN"),
    f.Field("reference", f.STRING, "What to write in a check in place of the value.",
            lambda name: f"${{secret:{name}}}", ("name",), "${secret:API_TOKEN}"),
    f.Field("created_by", f.STRING, example="Ana"),
    f.Field("created_at", f.TIME),
    f.Field("replaced_by", f.STRING, "Empty if its value was never replaced.", example=""),
    f.Field("replaced_at", f.TIME, null=True),
    f.Field("last_used_at", f.TIME, null=True, example="2026-11-21T09:21:00.000Z"),
))
REPLACED = f.Object("ReplacedSecret", "A secret whose value was replaced.", (
    *SECRET.fields,
    f.Field("change_needed", f.array(f.STRING),
            "Names of the endpoints whose target gets the old value until they are changed.",
            example=["team-chat"]),
))
SECRET_PAGE = page_of("SecretPage", "secrets", SECRET)
VALUE = f.Field(
    "value", f.Kind({"type": "string", "maxLength": MAX_VALUE, "writeOnly": True}, "", read_value),
    "What is sent. It cannot be read again.", required=True, example="eyJhbGciOi…",
)
NEW_SECRET = f.Body("NewSecret", "A secret of one of your teams.", (
    TEAM,
    f.Field("name", f.text(40, NAME, NAME_ADVICE), NAME_ADVICE, required=True,
            example="API_TOKEN"),
    VALUE,
))
NEW_VALUE = f.Body("NewSecretValue", "Another value for a secret.", (VALUE,))
FILTERS = (Filter("team", f.text(60), "A team's short name.", lookup="owner"),)
# fmt: on


class Secrets(ApiView):
    @operation("listSecrets", SECRET_PAGE, query=(*FILTERS, *PAGE))
    def get(self, request: Request) -> Response:
        """List secrets.

        Names only, newest first. Paginated by an opaque cursor.
        """
        visible = visible_secrets(self.person)
        return Response(page("secrets", SECRET, visible, self.query, FILTERS))

    @operation(
        "createSecret",
        SECRET,
        body=NEW_SECRET,
        statuses=(201,),
        refusals=("not_your_team", "too_many", "name_taken"),
    )
    def post(self, request: Request) -> Response:
        """Add a secret.

        Stored encrypted, for the team's checks and targets: write ${secret:NAME} in a check's
        header, path, subprotocol or message, or in an endpoint's origin_headers. Only the worker
        that makes the handshake or writes the distribution reads the value.
        """
        said = NEW_SECRET.read(self.sent)
        team = Team.objects.of(self.person).filter(slug=said["team"]).first()
        if team is None:
            raise f.spec_error(
                {"team": TEAM.kind.advice or "You are not in a team with this name."}
            )
        made = add_secret(self.person, team, said["name"], said["value"], now=self.now)
        shown = SECRET.show_model(unless_refused(made), {})
        return Response(shown, status=201, headers={"Location": shown["url"]})


class OfSecret(ApiView):
    """What the views of one secret share."""

    def secret(self, secret_id: uuid.UUID) -> Secret:
        """The secret, if the caller may know its name."""
        return get_object_or_404(visible_secrets(self.person), pk=secret_id)


class OneSecret(OfSecret):
    @operation("getSecret", SECRET)
    def get(self, request: Request, secret_id: uuid.UUID) -> Response:
        """Read a secret's name.

        And who added and replaced it, and when a check last used it. The value is not shown.
        """
        return Response(SECRET.show_model(self.secret(secret_id), {}))

    @operation("deleteSecret", statuses=(204,), refusals=("not_your_team", "secret_in_use"))
    def delete(self, request: Request, secret_id: uuid.UUID) -> Response:
        """Delete a secret.

        Checks that refer to it fail from then on, and say so. One that CloudFront sends to a target
        cannot be deleted.
        """
        unless_refused(delete_secret(self.person, self.secret(secret_id), now=self.now))
        return Response(status=204)


class ReplaceSecret(OfSecret):
    @operation("replaceSecret", REPLACED, body=NEW_VALUE, refusals=("not_your_team",))
    def post(self, request: Request, secret_id: uuid.UUID) -> Response:
        """Replace a secret's value.

        Checks send the new value from then on. The old one is gone. CloudFront sends the new value
        to targets once the endpoints in `change_needed` are changed; a change with the same
        settings will do.
        """
        said = NEW_VALUE.read(self.sent)
        secret = self.secret(secret_id)
        unless_refused(replace_secret(self.person, secret, said["value"], now=self.now))
        needed = {"change_needed": [one.name for one in endpoints_sending(secret)]}
        return Response(REPLACED.show_model(self.secret(secret_id), needed))
