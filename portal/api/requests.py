"""Requests over the API: each view parses, calls one action or reads one set, and shows the result.

What is visible to whom is EndpointRequest.objects.visible_to; what may be done is portal.requests.lifecycle.
Another team's request answers exactly like one that does not exist.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.http import Http404
from django.template.loader import render_to_string
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api import requests_schema as schema
from portal.api.base import ApiView, bad_parameters, header_value
from portal.api.create_request import create
from portal.api.output import LARGEST_PAGE, get_request, list_requests, retry_after, states
from portal.people.models import ApiToken
from portal.problems import refused
from portal.requests.actions import (
    approve_request,
    cancel_request,
    close_request,
    reject_request,
    replan_request,
    retry_undo,
)
from portal.requests.lifecycle import SETTLED, Allowed, Denied, State
from portal.requests.models import EndpointRequest, EndpointRequestQuerySet
from portal.requests.suggestions import amend_request
from portal.timestamps import parse_timestamp
from provisioning.models import Event
from provisioning.spec.parsing import FieldError, SpecError

READ, WRITE, APPROVE = ApiToken.Scope.READ, ApiToken.Scope.WRITE, ApiToken.Scope.APPROVE
LARGEST_EVENT_PAGE = 1000
LARGEST_SEQ = 2**63 - 1
LONGEST_REASON = 400


class Requests(ApiView):
    """All requests the caller may see; asking for a new one."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ, "POST": WRITE}
    filters: ClassVar[frozenset[str]] = frozenset(
        {"state", "team", "external_system", "external_id__in", "updated_since", "cursor", "limit"}
    )

    @property
    def parameters(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset() if self.request.method == "POST" else self.filters

    @extend_schema(**schema.LIST_REQUESTS)
    def get(self, request: Request) -> Response:
        said = request.query_params
        limit = whole_number(said.get("limit", "50"), "limit", 1, LARGEST_PAGE)
        found = _filtered(EndpointRequest.objects.visible_to(self.person), said)
        return Response(list_requests(found, said.get("cursor", ""), limit))

    @extend_schema(**schema.CREATE_REQUEST)
    def post(self, request: Request) -> Response:
        created = create(
            self.person,
            self.body,
            key=header_value(request, "Idempotency-Key"),
            correlation_id=self.correlation_id,
            now=self.now,
        )
        shown = _shown(
            EndpointRequest.objects.visible_to(self.person).filter(pk=created.request_id)
        )
        headers = {"Location": shown["url"]} | (
            {"Idempotent-Replayed": "true"} if created.replayed else {}
        )
        return Response(
            shown, status=200 if created.replayed else 201, headers=headers | _retry(shown["state"])
        )


class OneRequest(ApiView):
    """A request by its id."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ}

    @extend_schema(**schema.GET_REQUEST)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        return _answer(
            request, EndpointRequest.objects.visible_to(self.person).filter(pk=request_id)
        )


class RequestByTicket(ApiView):
    """The newest request that a ticket asked for."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ}

    @extend_schema(**schema.GET_REQUEST_BY_TICKET)
    def get(self, request: Request, system: str, external_id: str) -> Response:
        if "\x00" in system or "\x00" in external_id:
            raise Http404
        asked = EndpointRequest.objects.visible_to(self.person).filter(
            external_system=system, external_id=external_id
        )
        return _answer(request, asked.order_by("-created_at", "-id"))


class NDJSONRenderer(BaseRenderer):
    """One event a line."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        lines: Iterable[Any] = data["events"]
        return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


class RequestEvents(ApiView):
    """The events of a request after a cursor."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ}
    parameters = frozenset({"after", "limit", "html"})
    renderer_classes = (JSONRenderer, NDJSONRenderer)

    @extend_schema(**schema.LIST_EVENTS)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        said = request.query_params
        after = whole_number(said.get("after", "0"), "after", 0, LARGEST_SEQ)
        limit = whole_number(said.get("limit", "200"), "limit", 1, LARGEST_EVENT_PAGE)
        html = yes_or_no(said.get("html", "false"), "html")
        asked = EndpointRequest.objects.visible_to(self.person).filter(pk=request_id)
        row = asked.values("stream", "state").first()
        if row is None:
            raise Http404
        events = list(Event.objects.after(row["stream"], after)[: limit + 1])
        shown = [_event(event, html) for event in events[:limit]]
        body = {
            "events": shown,
            "next_after": events[:limit][-1].seq if shown else after,
            "more": len(events) > limit,
            "state": row["state"],
            "settled": State(row["state"]) in SETTLED,
        }
        return Response(body, headers=_retry(row["state"]))


class Decide(ApiView):
    """What the views of the verbs share: find the request, act, show what became of it."""

    http_method_names = ("post",)
    fields: ClassVar[frozenset[str]] = frozenset({"reason"})

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        """Call the one action."""
        raise NotImplementedError

    def decide(self, request: Request, request_id: uuid.UUID) -> Response:
        visible = EndpointRequest.objects.visible_to(self.person).filter(pk=request_id)
        found = visible.select_related("team").first()
        if found is None:
            raise Http404
        outcome = self.act(found, read_texts(self.body, self.fields))
        if isinstance(outcome, Denied):
            raise refused(outcome)
        return Response(_shown(visible))


class Approve(Decide):
    """Agree to exactly one plan."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": APPROVE}
    fields = frozenset({"plan_digest", "reason"})

    @extend_schema(**schema.APPROVE_REQUEST)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.decide(request, request_id)

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        if not said.get("plan_digest"):
            raise SpecError(
                [
                    FieldError(
                        "plan_digest", "required", "Needed. The digest of the plan that you read."
                    )
                ]
            )
        reason = said.get("reason", "")
        return approve_request(
            self.person, request, plan_digest=said["plan_digest"], reason=reason, now=self.now
        )


class Reject(Decide):
    """Say no, with a reason."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": APPROVE}

    @extend_schema(**schema.REJECT_REQUEST)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.decide(request, request_id)

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        return reject_request(self.person, request, reason=said.get("reason", ""), now=self.now)


class Cancel(Decide):
    """Give it up; what is being built is undone first."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": WRITE}

    @extend_schema(**schema.CANCEL_REQUEST)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.decide(request, request_id)

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        return cancel_request(self.person, request, reason=said.get("reason", ""), now=self.now)


class RetryUndo(Decide):
    """Have a failed undo tried again."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": APPROVE}

    @extend_schema(**schema.RETRY_UNDO)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.decide(request, request_id)

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        return retry_undo(self.person, request, reason=said.get("reason", ""), now=self.now)


class Close(Decide):
    """Give up a failed undo for good."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": APPROVE}

    @extend_schema(**schema.CLOSE_REQUEST)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.decide(request, request_id)

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        return close_request(self.person, request, reason=said.get("reason", ""), now=self.now)


class Replan(Decide):
    """Ask AWS again without changing the wish."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": WRITE}
    fields = frozenset()

    @extend_schema(**schema.REPLAN_REQUEST)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.decide(request, request_id)

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        return replan_request(self.person, request, now=self.now)


class Amend(Decide):
    """Take up what the preflight proposes."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": WRITE}
    fields = frozenset({"code", "amendment_label"})

    @extend_schema(**schema.AMEND_REQUEST)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.decide(request, request_id)

    def act(self, request: EndpointRequest, said: Mapping[str, str]) -> Allowed | Denied:
        if not said.get("code"):
            raise SpecError(
                [
                    FieldError(
                        "code",
                        "required",
                        "Needed. The code of a preflight result, as PF-PATH-BARE.",
                    )
                ]
            )
        code, label = said["code"], said.get("amendment_label", "")
        return amend_request(self.person, request, code=code, amendment_label=label, now=self.now)


def whole_number(text: str, name: str, low: int, high: int) -> int:
    """A query parameter as a number; raises ApiProblem."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high:
        return int(text)
    raise bad_parameters([FieldError(name, "invalid", f"A whole number from {low} to {high}.")])


def yes_or_no(text: str, name: str) -> bool:
    """A query parameter that is true or false; raises ApiProblem."""
    if text not in ("true", "false"):
        raise bad_parameters([FieldError(name, "invalid", "true or false.")])
    return text == "true"


def _filtered(
    requests: EndpointRequestQuerySet, said: Mapping[str, str]
) -> EndpointRequestQuerySet:
    faults = []
    if "state" in said:
        try:
            requests = requests.filter(state__in=states(said["state"].split(",")))
        except ValueError:
            faults.append(
                FieldError("state", "invalid", f"Some of: {', '.join(State)}, separated by commas.")
            )
    if "team" in said:
        requests = requests.filter(team__slug=said["team"])
    if "external_system" in said:
        requests = requests.filter(external_system=said["external_system"])
    if "external_id__in" in said:
        ids = [name.strip() for name in said["external_id__in"].split(",")]
        if "external_system" not in said:
            faults.append(FieldError("external_system", "required", "external_id__in needs it."))
        if len(ids) > LARGEST_PAGE:
            faults.append(FieldError("external_id__in", "too_many", f"At most {LARGEST_PAGE}."))
        requests = requests.filter(external_id__in=ids)
    if "updated_since" in said:
        try:
            # A + that was not sent as %2B arrives as a space.
            since = parse_timestamp(said["updated_since"].replace(" ", "+"))
            requests = requests.filter(updated_at__gte=since)
        except ValueError:
            faults.append(
                FieldError(
                    "updated_since", "invalid", "A time with zone, as in 2026-11-21T09:00:00Z."
                )
            )
    if faults:
        raise bad_parameters(faults)
    return requests


def read_texts(
    body: Mapping[str, Any], known: frozenset[str], *, longest: int = LONGEST_REASON
) -> dict[str, str]:
    """The texts a verb's body may have. Raises SpecError."""
    faults, said = [], {}
    for field, value in body.items():
        if field not in known:
            if not field.startswith("x_"):
                faults.append(
                    FieldError(field[:60], "unknown", "This field does not exist. Remove it.")
                )
        elif value is not None and not (isinstance(value, str) and len(value) <= longest):
            faults.append(FieldError(field, "invalid", f"A text of at most {longest} characters."))
        else:
            said[field] = value or ""
    if faults:
        raise SpecError(faults)
    return said


def _answer(request: Request, asked: EndpointRequestQuerySet) -> Response:
    """One request, or 304 when the caller has it already."""
    shown = _shown(asked)
    etag = f'"{hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag} | _retry(shown["state"])
    known = [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get("If-None-Match", "").split(",")
    ]
    if etag in known or "*" in known:
        return Response(status=304, headers=headers)
    return Response(shown, headers=headers)


def _shown(asked: EndpointRequestQuerySet) -> dict[str, Any]:
    shown = get_request(asked)
    if shown is None:
        raise Http404
    return shown


def _retry(state: str) -> dict[str, str]:
    seconds = retry_after(state)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _event(event: Event, html: bool) -> dict[str, Any]:
    shown = event.to_dict()
    if html:
        shown["html"] = render_to_string("requests/_event.html", {"event": event})
    return shown
