"""Endpoints over the API: what exists, for those who may see it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model
from django.http import Http404
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from checks.health import Health
from checks.models import PrivacyAudit
from portal import json_fields as f
from portal.api.base import ApiView
from portal.api.endpoint_settings import ENDPOINT_SPEC
from portal.api.lists import PAGE, Filter, page, page_of
from portal.api.operation import operation
from portal.endpoints.health import has_health, with_health
from portal.people.models import Person
from portal.people.visibility import own_teams, visible_endpoints
from provisioning.models import Endpoint

Model_ = TypeVar("Model_", bound=Model)


def api_url(endpoint_id: Any, below: str = "") -> str:
    """Where an endpoint, or something below it, is in the API."""
    return f"{settings.PORTAL_URL}/api/v1/endpoints/{endpoint_id}{below}"


def client_url(
    domain_name: str | None, spec_data: Mapping[str, Any] | None, state: str | None
) -> str:
    """Where clients connect; "" as long as that is not known, and once the endpoint is removed."""
    if not (domain_name and spec_data and state):
        return ""
    return Endpoint(domain_name=domain_name, spec_data=spec_data, state=state).url


# fmt: off
ENDPOINT_LINKS = f.Object("EndpointLinks", "Where to go from an endpoint.", (
    f.Field("portal", f.STRING, "Its page.",
            lambda pk: f"{settings.PORTAL_URL}/endpoints/{pk}/", ("id",)),
    f.Field("change", f.STRING, "POST: Request a change.", lambda pk: api_url(pk, "/change"),
            ("id",)),
    f.Field("rename", f.STRING, "POST: Give it another name.", lambda pk: api_url(pk, "/rename"),
            ("id",)),
    f.Field("remove", f.STRING, "POST: Request the removal.", lambda pk: api_url(pk, "/remove"),
            ("id",)),
    f.Field("transfer", f.STRING, "GET, POST: The offer of it to another team.",
            lambda pk: api_url(pk, "/transfer"), ("id",)),
    f.Field("checks", f.STRING, "", lambda pk: api_url(pk, "/checks"), ("id",)),
    f.Field("probes", f.STRING, "", lambda pk: api_url(pk, "/probes"), ("id",)),
    f.Field("saved_checks", f.STRING, "", lambda pk: api_url(pk, "/saved-checks"), ("id",)),
    f.Field("export", f.STRING, "", lambda pk: api_url(pk, "/export"), ("id",)),
    f.Field("privacy_exceptions", f.STRING, "",
            lambda pk: api_url(pk, "/privacy-exceptions"), ("id",)),
))
HEALTH = f.Object(
    "EndpointHealth", "Whether clients reach it, by its last usual check; null where not known.", (
    f.Field("status", f.choice(Health),
            "drifted: the distribution leads its paths, or some, elsewhere. unknown: not deployed, "
            "not checked lately, or its distribution could not be read.",
            source="health_status", example="live"),
    f.Field("since", f.TIME, "When that began.", source="health_since", null=True,
            example="2026-11-21T09:20:00.000Z"),
    f.Field("verdict", f.STRING, "Of the last usual check.", source="health__verdict", null=True,
            example="WSE-LIVE"),
    f.Field("reason", f.STRING, "What answers instead, where it is drifted.",
            source="health__reason", null=True, example=""),
    f.Field("checked_at", f.TIME, source="health__checked_at", null=True,
            example="2026-11-21T10:20:00.000Z"),
    f.Field("connect_ms", f.NUMBER, "Until the WebSocket was open, in the last usual check.",
            source="health__connect_ms", null=True, example=41.5),
    f.Field("distribution_etag", f.STRING, "Of the configuration that the check compared.",
            source="health__distribution_etag", null=True, example="E2QWRUHEXAMPLE"),
    f.Field("privacy", f.choice(PrivacyAudit.Outcome), "Of the last privacy audit.",
            lambda outcome: outcome or None, ("health__privacy",), "pass", null=True),
    f.Field("privacy_at", f.TIME, source="health__privacy_at", null=True,
            example="2026-11-21T03:20:00.000Z"),
))
ENDPOINT = f.Object("Endpoint", "An endpoint.", (
    f.Field("id", f.UUID),
    f.Field("url", f.STRING, "", api_url, ("id",)),
    f.Field("name", f.STRING, example="team-chat"),
    f.Field("team", f.STRING, source="owner", example="chat"),
    f.Field("account_id", f.STRING, example="111122223333"),
    f.Field("state", f.choice(Endpoint.State), example="deployed"),
    f.Field("endpoint_url", f.STRING, "Where clients connect; empty once it is removed.",
            client_url, ("domain_name", "spec_data", "state"),
            "wss://d111111abcdef8.cloudfront.net/ws/chat"),
    f.Field("health", f.of(HEALTH)),
    f.Field("spec", f.of(ENDPOINT_SPEC), source="spec_data"),
    f.Field("end_date", f.STRING, "Its last day, if it has one.",
            lambda on: on.isoformat() if on else "", ("end_date__on",), "2027-03-31"),
    f.Field("links", f.of(ENDPOINT_LINKS)),
    f.Field("created_at", f.TIME),
    f.Field("deployed_at", f.TIME, null=True, example="2026-11-21T09:20:00.000Z"),
))
ENDPOINT_PAGE = page_of("EndpointPage", "endpoints", ENDPOINT)
FILTERS = (
    Filter("team", f.text(60), "A team's short name.", lookup="owner"),
    Filter("health", f.choice(Health), "live, failing, drifted or unknown.",
           lookup=has_health),
)
# fmt: on


class Endpoints(ApiView):
    @operation("listEndpoints", ENDPOINT_PAGE, query=(*FILTERS, *PAGE))
    def get(self, request: Request) -> Response:
        """List endpoints.

        Newest first. Paginated by an opaque cursor.
        """
        rows = with_health(Endpoint.objects.all(), self.now)
        own = own_teams(self.person, "owner", "slug")
        return Response(page("endpoints", ENDPOINT, rows, self.query, FILTERS, of=own))


class OneEndpoint(ApiView):
    @operation("getEndpoint", ENDPOINT)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Read an endpoint.

        What it is, where clients connect, and whether they reach it.
        """
        return Response(show_endpoint(self.person, endpoint_id, self.now))


def show_endpoint(person: Person, endpoint_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    """The endpoint, if the person may see it. Raises Http404."""
    found = with_health(visible_endpoints(person), now).filter(pk=endpoint_id)
    row = found.values(*ENDPOINT.columns).first()
    if row is None:
        raise Http404
    return ENDPOINT.show(row)


class OfEndpoint(ApiView):
    """What the views below one endpoint share."""

    def endpoint(self, endpoint_id: uuid.UUID) -> Endpoint:
        """The endpoint, if the caller may see it."""
        return get_object_or_404(visible_endpoints(self.person), pk=endpoint_id)

    def one_of(self, model: type[Model_], endpoint_id: uuid.UUID, pk: Any) -> Model_:
        """A row that belongs to the endpoint, with the endpoint, if the caller may see it."""
        visible = visible_endpoints(self.person).filter(pk=endpoint_id)
        rows = model._default_manager.select_related("endpoint")
        return get_object_or_404(rows, pk=pk, endpoint__in=visible)
