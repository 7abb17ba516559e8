"""Requests over the API: listed, created, read, followed, and the verbs of portal.requests.verbs.

What is visible to whom is EndpointRequest.objects.visible_to; what may be done is
portal.requests.lifecycle. Another team's request answers exactly like one that does not exist.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import Q, Subquery
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView, header_value
from portal.api.create_request import NEW_REQUEST, create_request
from portal.api.lists import LARGEST_PAGE, PAGE, Filter, page
from portal.api.operation import header, operation
from portal.api.request_output import (
    REQUEST,
    REQUEST_PAGE,
    REQUEST_SUMMARY,
    added_columns,
    example_after,
    example_in,
    show_one,
    with_context,
)
from portal.people.models import Person, Team
from portal.people.visibility import own_teams
from portal.problems import unless_refused
from portal.requests.event_line import event_line
from portal.requests.lifecycle import SETTLED, State
from portal.requests.models import EndpointRequest
from portal.requests.verbs import RequestVerb
from provisioning.models import Event


def _of_team(slug: str) -> Q:
    """By its key, so that the team's rows come in order from the index."""
    return Q(team_id=Subquery(Team.objects.filter(slug=slug).values("pk")))


# fmt: off
FILTERS = (
    Filter("state", f.listed(tuple(State)), f"Some of {', '.join(State)}, separated by commas.",
           lookup="state__in"),
    Filter("team", f.text(60), "A team's short name.", lookup=_of_team),
    Filter("external_system", f.text(40), "servicenow, jira, …", lookup="external_system"),
    Filter("external_id__in", f.listed(most=LARGEST_PAGE),
           f"Up to {LARGEST_PAGE} ticket numbers, separated by commas.",
           lookup="external_id__in", needs="external_system"),
    Filter("updated_since", f.TIME, "Only those changed at or after this time.",
           lookup="updated_at__gte"),
)
AFTER = (
    f.Field("after", f.whole_number(0, 2**63 - 1), "Number of the last event you have.", default=0),
    f.Field("limit", f.whole_number(1, 1000), "200 if absent.", default=200),
    f.Field("html", f.FLAG, "true adds each event as an HTML fragment.", default=False),
)
EVENT = f.Object("Event", "One line of what happened.", (
    f.Field("seq", f.INTEGER),
    f.Field("at", f.TIME),
    f.Field("kind", f.STRING, example="request.submitted"),
    f.Field("level", f.choice(Event.Level)),
    f.Field("step", f.STRING),
    f.Field("text", f.STRING, example="Ana asked for team-chat for Chat."),
    f.Field("data", f.JSON, example={"by": "ana", "state": "planning"}),
    f.Field("html", f.STRING, required=False),
))
EVENT_PAGE = f.Object("EventPage", "The events after a cursor.", (
    f.Field("events", f.array(f.of(EVENT))),
    f.Field("next_after", f.INTEGER),
    f.Field("more", f.FLAG),
    f.Field("state", f.choice(State)),
    f.Field("settled", f.FLAG),
))
# fmt: on
UNCHANGED = {304: OpenApiResponse(description="Unchanged since the ETag in If-None-Match.")}
IDEMPOTENCY_KEY = (header("Idempotency-Key", "A unique string per request, up to 120 characters."),)
IF_NONE_MATCH = (header("If-None-Match", "ETag of the response that you have."),)


class Requests(ApiView):
    @operation("listRequests", REQUEST_PAGE, query=(*FILTERS, *PAGE))
    def get(self, request: Request) -> Response:
        """List requests.

        Newest first. Paginated by an opaque cursor.
        """
        rows = with_context(EndpointRequest.objects.all(), self.person)
        own = own_teams(self.person, "team_id")
        added = added_columns(self.person)
        shown = page("requests", REQUEST_SUMMARY, rows, self.query, FILTERS, of=own, added=added)
        return Response(shown)

    @operation(
        "createRequest",
        REQUEST,
        body=NEW_REQUEST,
        headers=IDEMPOTENCY_KEY,
        refusals=("idempotency_conflict", "name_taken", "ticket_taken"),
        example=example_in(State.PLANNING),
        statuses=(200, 201),
    )
    def post(self, request: Request) -> Response:
        """Request an endpoint.

        Answers immediately; planning, approval and provisioning follow. Idempotent by
        Idempotency-Key, or else by external_system, external_id and action: the same call again
        answers 200 with the original and the header Idempotent-Replayed: true.
        """
        request_id, replayed = create_request(
            self.person,
            self.sent,
            key=header_value(request, "Idempotency-Key"),
            correlation_id=self.correlation_id,
            now=self.now,
        )
        return created(request_id, self.person, replayed=replayed)


def created(request_id: uuid.UUID, person: Person, *, replayed: bool) -> Response:
    """A new request in full, or the one that an earlier call had made."""
    shown = show_one(EndpointRequest.objects.filter(pk=request_id), person)
    headers = {"Location": shown["url"], **retry_header(shown["state"])}
    headers |= {"Idempotent-Replayed": "true"} if replayed else {}
    return Response(shown, status=200 if replayed else 201, headers=headers)


class OneRequest(ApiView):
    @operation("getRequest", REQUEST, headers=IF_NONE_MATCH, also=UNCHANGED)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        """Read a request.

        Has an ETag, and Retry-After until the request is settled.
        """
        asked = EndpointRequest.objects.filter(pk=request_id)
        return unless_known(request, show_one(asked, self.person))


class RequestByTicket(ApiView):
    @operation("getRequestByTicket", REQUEST, headers=IF_NONE_MATCH, also=UNCHANGED)
    def get(self, request: Request, system: str, external_id: str) -> Response:
        """Read the newest request of a ticket.

        Of several clients that use the same number, your own requests are found; else those of the
        client that used it first.

        Has an ETag, and Retry-After until the request is settled.
        """
        if "\x00" in system or "\x00" in external_id:
            raise Http404
        asked = EndpointRequest.objects.of_ticket(system, external_id, self.person)
        return unless_known(request, show_one(asked, self.person, newest=True))


class NDJSONRenderer(BaseRenderer):
    """One event per line."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        lines: list[dict[str, Any]] = data["events"]
        return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


NDJSON = {
    (200, NDJSONRenderer.media_type): OpenApiResponse(
        OpenApiTypes.STR, description="One JSON object per line."
    )
}


class RequestEvents(ApiView):
    renderer_classes = (JSONRenderer, NDJSONRenderer)

    @operation("listRequestEvents", EVENT_PAGE, query=AFTER, also=NDJSON)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        """Read events after a cursor.

        Events are numbered from 1 without gaps. With Accept: application/x-ndjson one event per
        line.
        """
        after, limit = self.query["after"], self.query["limit"]
        asked = EndpointRequest.objects.visible_to(self.person).filter(pk=request_id)
        row = asked.values("stream", "state").first()
        if row is None:
            raise Http404
        events = list(Event.objects.after(row["stream"], after)[: limit + 1])
        shown = [event.to_dict() for event in events[:limit]]
        if self.query["html"]:
            for line, event in zip(shown, events, strict=False):
                line["html"] = event_line(event)
        events_page = {
            "events": shown,
            "next_after": shown[-1]["seq"] if shown else after,
            "more": len(events) > limit,
            "state": row["state"],
            "settled": State(row["state"]) in SETTLED,
        }
        return Response(events_page, headers=retry_header(row["state"]))


def verb_view(verb: RequestVerb) -> type[ApiView]:
    """The view of a verb: find the request, use the verb, show the request."""
    name = verb.name.title().replace("-", "")
    body = f.Body(f"{name}Input", f"{verb.summary}.", verb.fields)

    class VerbView(ApiView):
        @operation(
            f"{name[0].lower()}{name[1:]}Request",
            REQUEST,
            scope=verb.scope,
            body=body if body.fields else None,
            refusals=verb.refusals,
            example=example_after(verb),
            docs=f"{verb.summary}\n\n{verb.description}",
        )
        def post(self, request: Request, request_id: uuid.UUID) -> Response:
            asked = EndpointRequest.objects.filter(pk=request_id)
            found = asked.visible_to(self.person).select_related("team").first()
            if found is None:
                raise Http404
            unless_refused(verb.use(self.person, found, body.read(self.sent), self.now))
            return Response(show_one(asked, self.person))

    return VerbView


def unless_known(request: Request, shown: dict[str, Any]) -> Response:
    """One request, or 304 when the caller has it already."""
    etag = f'"{hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, **retry_header(shown["state"])}
    tags = request.headers.get("If-None-Match", "").split(",")
    if {etag, "*"} & {tag.strip().removeprefix("W/") for tag in tags}:
        return Response(status=304, headers=headers)
    return Response(shown, headers=headers)


def retry_header(state: str) -> dict[str, str]:
    """In how many seconds to read again; no header for a request that is settled."""
    if State(state) in SETTLED:
        return {}
    seconds = {State.AWAITING_APPROVAL: 60, State.PROVISIONING: 15}.get(State(state), 2)
    return {"Retry-After": str(max(1, round(seconds / max(1.0, settings.PROVISIONING_PACE))))}
