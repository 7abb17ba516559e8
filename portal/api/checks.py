"""Handshake checks over the API: asked for, read.

Who may check is decided in portal.endpoints.actions, what a handshake may be in
checks.protocol.handshake_options.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from checks.diagnosis.probe_kinds import DESCRIPTIONS
from checks.diagnosis.verdicts import VERDICTS, Certainty, verdict_of
from checks.models import Check
from checks.preflight import Fix
from checks.protocol.handshake_options import (
    MAX_SCRIPT,
    HandshakeOptions,
    parse_handshake_options,
)
from portal import json_fields as f
from portal.api.endpoints import OfEndpoint, api_url
from portal.api.operation import operation
from portal.endpoints.actions import CHECK_REFUSALS, check_now
from portal.endpoints.secrets import usable_secrets
from portal.people.models import Person
from portal.problems import unless_refused
from portal.requests.prefilled_links import PrefilledLink, prefilled_links_after_check
from provisioning.models import Endpoint
from provisioning.spec.client_profiles import CLIENTS

VERDICT_TEXTS = ("code", "title", "plain", "cause", "fix", "opens", "narrower")
POLL = {"Retry-After": "1"}
_TEXT = f.text(MAX_SCRIPT)
Requests = Mapping[str, PrefilledLink]
"""The requests that fix something, by verdict."""
NONE: Requests = {}


def check_url(endpoint_id: uuid.UUID, check_id: Any) -> str:
    return api_url(endpoint_id, f"/checks/{check_id}")


def request_url(code: str, requests: Requests) -> str | None:
    return f"{settings.PORTAL_URL}{requests[code].url}" if code in requests else None


def show_verdict(code: str, requests: Requests) -> dict[str, Any] | None:
    known = verdict_of(code)
    if known is None:
        return None
    shown = {name: getattr(known, name) for name in VERDICT_TEXTS}
    shown["page"] = f"{settings.PORTAL_URL}/help/verdicts/{code}/"
    return shown | {"request_url": request_url(code, requests)}


def show_findings(findings: list[dict[str, Any]], requests: Requests) -> list[dict[str, Any]]:
    return [
        {
            "here": None,
            "signature": None,
            **found,
            "request_url": request_url(found["code"], requests),
        }
        for found in findings
    ]


# fmt: off
REQUEST_URL = f.Field("request_url", f.STRING, null=True,
                      help="Links to a prefilled request that fixes the problem, if one exists.")
STATE = f.Field("state", f.choice(("running", "finished")), "",
                lambda finished_at: "finished" if finished_at else "running", ("finished_at",))
REQUESTED = (
    f.Field("requested_by", f.STRING, example="Ana"),
    f.Field("requested_at", f.TIME, example="2026-11-21T09:21:00.000Z"),
    f.Field("finished_at", f.TIME, null=True, example="2026-11-21T09:21:03.000Z"),
)
FIX = f.object_of(Fix)
VERDICT = f.Object("Verdict", "A coded conclusion.", (
    *(f.Field(name, f.STRING, example=getattr(VERDICTS["WSE-LIVE"], name))
      for name in VERDICT_TEXTS),
    f.Field("page", f.STRING, example="https://portal.example/help/verdicts/WSE-LIVE/"),
    REQUEST_URL,
))
SIGNATURE = f.Object("Signature", "Who answered in words that are known, and what they mean.", (
    f.Field("by", f.STRING, example="a Socket.IO server (Engine.IO)"),
    f.Field("means", f.STRING),
    f.Field("fix", f.STRING),
    f.Field("source", f.STRING, "The documentation or code that says so."),
))
FINDING = f.Object("Finding", "A verdict with what supports it.", (
    f.Field("code", f.STRING, example="WSE-LIVE"),
    f.Field("certainty", f.choice(Certainty), example="high"),
    f.Field("evidence", f.array(f.STRING), "What was observed; the other side's words first.",
            example=["HTTP/1.1 101 Switching Protocols"]),
    f.Field("here", f.of(FIX), "How to fix it in this account.", null=True),
    f.Field("signature", f.of(SIGNATURE), null=True),
    REQUEST_URL,
))
CHECK = f.Object("Check", "A recorded handshake check.", (
    f.Field("id", f.UUID),
    f.Field("url", f.STRING, "", check_url, ("endpoint_id", "id")),
    f.Field("endpoint", f.UUID, source="endpoint_id"),
    STATE,
    f.Field("ok", f.FLAG, null=True, example=True),
    f.Field("verdict", f.of(VERDICT), "", show_verdict, ("verdict", "@requests"), VERDICT.example,
            null=True),
    f.Field("certainty", f.choice(Certainty), "How sure the verdict is.",
            lambda found: found[0]["certainty"] if found else None, ("findings",), "high",
            null=True),
    f.Field("findings", f.array(f.of(FINDING)), "Most certain first.", show_findings,
            ("findings", "@requests")),
    f.Field("next_probe", f.STRING, "The probe that would tell more; empty if a cause is shown.",
            lambda kind: DESCRIPTIONS.get(kind, ""), ("next_probe",)),
    f.Field("probes", f.array(f.JSON), "What was tried to explain a failure."),
    f.Field("options", f.JSON, "As createCheck takes them; empty for the usual handshake."),
    f.Field("total_ms", f.NUMBER, null=True, example=61.4),
    *REQUESTED,
    f.Field("transcript", f.JSON, "Every header line, and the timings.", "transcript_data",
            example={}, null=True),
))
OPTIONS = (
    f.Field("path", _TEXT, "Another path on the endpoint's host.", example="/ws/chat?room=1"),
    f.Field("unencrypted", _TEXT, "true connects over ws://."),
    f.Field("origin", _TEXT, "The Origin header; none sends none."),
    f.Field("subprotocols", _TEXT, "In order of preference, separated by commas."),
    f.Field("headers", _TEXT, "One per line. Credentials are sent and not kept; ${secret:NAME} "
            "sends a stored secret."),
    f.Field("client", f.choice(CLIENTS), "The client whose headers are sent, including "
            "User-Agent; that of the usual check if absent."),
    f.Field("compress", _TEXT, "true offers permessage-deflate."),
    f.Field("script", _TEXT, "What to send and to expect, one step per line.",
            example="send hello\nexpect text hello within 5"),
)
NEW_CHECK = f.Body("NewCheck", "A custom handshake; every field is optional.", OPTIONS)
STARTED: f.Row = dict.fromkeys(("ok", "verdict", "total_ms", "finished_at", "transcript")) | {
    "state": "running", "findings": [], "certainty": None,
}
# fmt: on


class Checks(OfEndpoint):
    @operation(
        "createCheck",
        CHECK,
        body=NEW_CHECK,
        example=STARTED,
        statuses=(202,),
        refusals=(*CHECK_REFUSALS, "busy"),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Check the handshake now.

        A real WebSocket handshake through the edge. Answers immediately; poll the check until it
        is finished. One at a time: while one is running, the same call returns it, and another
        kind of check is refused. Without a body it is the endpoint's usual handshake.
        """
        said = NEW_CHECK.read(self.sent)
        endpoint = self.endpoint(endpoint_id)
        # An endpoint that is not deployed has no address yet, and is refused for that.
        options = None
        if any(said.values()) and endpoint.url:
            options = handshake_options(said, endpoint, self.person)
        return accepted(check_now(self.person, endpoint, now=self.now, options=options), show_check)


class OneCheck(OfEndpoint):
    @operation("getCheck", CHECK)
    def get(self, request: Request, endpoint_id: uuid.UUID, check_id: uuid.UUID) -> Response:
        """Read a check.

        Every header line sent and received, the timings, and the verdict with cause and fix.
        """
        check = self.one_of(Check, endpoint_id, check_id)
        shown = show_check(check, prefilled_links_after_check(self.person, check))
        return Response(shown, headers={} if check.finished_at else POLL)


def show_check(check: Check, requests: Requests = NONE) -> dict[str, Any]:
    """A check, with the requests that fix what it found."""
    return CHECK.show_model(check, {"@requests": requests})


def accepted(made: Any, show: Callable[[Any], dict[str, Any]]) -> Response:
    """A check or a probe that was asked for. Raises ApiProblem if it was refused."""
    shown = show(unless_refused(made))
    return Response(shown, status=202, headers={"Location": shown["url"], **POLL})


def handshake_options(
    said: Mapping[str, Any], endpoint: Endpoint, person: Person, *, saved: bool = False
) -> HandshakeOptions:
    """The fields OPTIONS together, for this person to send. Raises HandshakeOptionsError."""
    given = {field.name: said[field.name] or "" for field in OPTIONS}
    secrets = usable_secrets(person, endpoint)
    return parse_handshake_options(given, url=endpoint.url, saved=saved, stored_secrets=secrets)
