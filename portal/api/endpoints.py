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

from checks.models import Check
from checks.wanted import FIELDS, MAX_SCRIPT, WantedError, parse_wanted
from portal.actions import ask_for_check
from portal.api import schema
from portal.api.problems import refused
from portal.api.representation import LARGEST_PAGE, get_endpoint, list_endpoints, show_check
from portal.api.requests import read_texts, whole_number
from portal.api.view import ApiView
from portal.lifecycle import Denied
from portal.models import ApiToken, Person, Team
from provisioning.models import Endpoint
from provisioning.spec import FieldError, SpecError

LOOK_AGAIN_SECONDS = "1"


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


class Checks(ApiView):
    """Testing the handshake now: the endpoint's usual one, or one of one's own."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": ApiToken.Scope.WRITE}

    @extend_schema(**schema.CREATE_CHECK)
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        said = read_texts(self.body, frozenset(FIELDS), longest=MAX_SCRIPT)
        endpoint = visible_endpoints(self.person).filter(pk=endpoint_id).first()
        if endpoint is None:
            raise Http404
        try:
            # What is not deployed has no address yet, and is refused for that.
            wanted = parse_wanted(said, url=endpoint.url) if any(said.values()) and endpoint.url else None
        except WantedError as error:
            raise SpecError([FieldError(field, "invalid", fault) for field, fault in error.faults.items()]) from error
        check = ask_for_check(self.person, endpoint, now=self.now, wanted=wanted)
        if isinstance(check, Denied):
            raise refused(check)
        shown = show_check(check)
        return Response(shown, status=202, headers={"Location": shown["url"], "Retry-After": LOOK_AGAIN_SECONDS})


class OneCheck(ApiView):
    """A check by its id."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": ApiToken.Scope.READ}

    @extend_schema(**schema.GET_CHECK)
    def get(self, request: Request, endpoint_id: uuid.UUID, check_id: uuid.UUID) -> Response:
        visible = visible_endpoints(self.person).filter(pk=endpoint_id)
        check = Check.objects.filter(pk=check_id, endpoint__in=visible).first()
        if check is None:
            raise Http404
        headers = {} if check.finished_at else {"Retry-After": LOOK_AGAIN_SECONDS}
        return Response(show_check(check), headers=headers)


def visible_endpoints(person: Person) -> QuerySet[Endpoint]:
    """What a person may know of: their teams' endpoints; everything for the platform team and auditors."""
    if person.sees_everything:
        return Endpoint.objects.all()
    return Endpoint.objects.filter(owner__in=Team.objects.filter(memberships__person=person).values("slug"))


def _found(shown: dict[str, Any] | None) -> dict[str, Any]:
    if shown is None:
        raise Http404
    return shown
