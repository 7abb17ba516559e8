"""Endpoints over the API: what exists, for those who may see it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api import endpoints_schema as schema
from portal.api.base import ApiView
from portal.api.output import LARGEST_PAGE, get_endpoint, list_endpoints
from portal.api.requests import whole_number
from portal.people.models import ApiToken, Person, Team
from provisioning.models import Endpoint


class Endpoints(ApiView):
    """All endpoints the caller may see."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": ApiToken.Scope.READ}
    parameters = frozenset({"team", "cursor", "limit"})

    @extend_schema(**schema.LIST_ENDPOINTS)
    def get(self, request: Request) -> Response:
        said = request.query_params
        limit = whole_number(said.get("limit", "50"), "limit", 1, LARGEST_PAGE)
        found = visible_endpoints(self.person)
        if "team" in said:
            found = found.filter(owner=said["team"])
        return Response(list_endpoints(found, said.get("cursor", ""), limit))


class OneEndpoint(ApiView):
    """An endpoint by its id."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": ApiToken.Scope.READ}

    @extend_schema(**schema.GET_ENDPOINT)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        return Response(_found(get_endpoint(visible_endpoints(self.person).filter(pk=endpoint_id))))


def visible_endpoints(person: Person) -> QuerySet[Endpoint]:
    """What a person may know of: their teams' endpoints; everything for the platform team and
    auditors.
    """
    if person.sees_everything:
        return Endpoint.objects.all()
    return Endpoint.objects.filter(
        owner__in=Team.objects.filter(memberships__person=person).values("slug")
    )


def _found(shown: dict[str, Any] | None) -> dict[str, Any]:
    if shown is None:
        raise Http404
    return shown
