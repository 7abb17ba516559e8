"""Further probes over the API: listed, asked for, read; also the one that analyzes log lines.

What may be probed is decided in checks.probe.probe_request.
"""

from __future__ import annotations

import json
import uuid
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db.models.fields.json import KT
from rest_framework.request import Request
from rest_framework.response import Response

from checks.diagnosis.access_log import LogRowError
from checks.diagnosis.probe_kinds import ProbeKind
from checks.models import Check, Probe
from checks.output.comparison import Cell
from checks.output.reports import Report
from checks.probe.probe_request import (
    BOUNDS,
    REQUESTABLE,
    parse_probe_request,
)
from checks.probe_actions import LONGEST_LOG_ROWS, read_log_rows
from portal import json_fields as f
from portal.api.checks import (
    NONE,
    POLL,
    REQUESTED,
    STATE,
    VERDICT,
    Requests,
    accepted,
    check_url,
    show_verdict,
)
from portal.api.endpoints import OfEndpoint, api_url
from portal.api.lists import PAGE, page, page_of
from portal.api.operation import operation
from portal.endpoints.actions import CHECK_REFUSALS, analyze_log_rows, check_refusal, probe_now
from portal.endpoints.secrets import usable_secrets
from portal.problems import refused, unless_refused
from portal.requests.lifecycle import Denied
from portal.requests.prefilled_links import prefilled_links_after_probe

_BOUNDED = "; ".join(f"{kind} {least} to {most}" for kind, (least, most) in BOUNDS.items())
_LOG_ROW = {"x-edge-request-id": "abc", "sc-status": "502", "x-edge-result-type": "Error"}
_HEADLINE = "All 3 clients heard each other."


def show_rows(report: Report) -> list[dict[str, Any]]:
    return [
        {"title": title, "cells": [{"state": one.state, "text": one.text} for one in cells]}
        for title, cells in report.rows
    ]


# fmt: off
CELL = f.object_of(Cell)
REPORT_ROW = f.Object("ReportRow", "A row of a report.", (
    f.Field("title", f.STRING),
    f.Field("cells", f.array(f.of(CELL)), "One for each of columns."),
))
PROBE_SUMMARY = f.Object("ProbeSummary", "A further probe, without its report.", (
    f.Field("id", f.UUID),
    f.Field("url", f.STRING, "", lambda at, pk: api_url(at, f"/probes/{pk}"),
            ("endpoint_id", "id")),
    f.Field("endpoint", f.UUID, source="endpoint_id"),
    f.Field("kind", f.choice(REQUESTABLE), example="crowd"),
    f.Field("number", f.INTEGER, example=3),
    f.Field("path", f.STRING),
    f.Field("check", f.STRING, "The check that log lines belong to.",
            lambda endpoint, check: check_url(endpoint, check) if check else None,
            ("endpoint_id", "of_check_id"), null=True),
    STATE,
    f.Field("ok", f.FLAG, null=True, example=True),
    f.Field("headline", f.STRING, "What was found; empty until it is finished.",
            lambda headline: headline or "", ("headline",), _HEADLINE),
    f.Field("code", f.STRING, "The code of the verdict, or empty.", lambda code: code or "",
            ("code",)),
    *REQUESTED,
))
PROBE = f.Object("Probe", "A further probe with its report.", (
    *PROBE_SUMMARY.fields,
    f.Field("lines", f.array(f.STRING), "What supports the headline.", attrgetter("lines"),
            ("@report",)),
    f.Field("columns", f.array(f.STRING), "", attrgetter("columns"), ("@report",)),
    f.Field("rows", f.array(f.of(REPORT_ROW)), "", show_rows, ("@report",), []),
    f.Field("verdict", f.of(VERDICT), "", show_verdict, ("code", "@requests"), null=True),
))
PROBE_PAGE = page_of("ProbePage", "probes", PROBE_SUMMARY)
STARTED = {"state": "running", "ok": None, "headline": "", "finished_at": None}
ANALYZING = STARTED | {"kind": ProbeKind.LOG_ROWS.value, "number": 0}
NEW_PROBE = f.Body("NewProbe", "A further probe, with what its kind takes.", (
    f.Field("kind", f.choice(kind for kind in REQUESTABLE if kind is not ProbeKind.LOG_ROWS),
            "What to probe.", example="crowd", required=True),
    f.Field("number", f.whole_number(0, 10**6),
            f"Times, clients or seconds: {_BOUNDED}. The usual number if absent.", example=3),
    f.Field("path", f.text(2000), "Another path on the endpoint's host, for kinds without number.",
            default=""),
))
NEW_LOG_ROWS = f.Body("NewLogRows", "Lines of CloudFront's log.", (
    f.Field("rows", f.text(LONGEST_LOG_ROWS), "JSON, tab-separated, or CSV.",
            example=json.dumps(_LOG_ROW), required=True),
))
# fmt: on


class Probes(OfEndpoint):
    @operation("listProbes", PROBE_PAGE, query=PAGE)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """List probes.

        Newest first, without their reports. Paginated by an opaque cursor.
        """
        probes = Probe.objects.filter(endpoint=self.endpoint(endpoint_id)).annotate(
            headline=KT("report__headline"), code=KT("report__code")
        )
        return Response(page("probes", PROBE_SUMMARY, probes, self.query, at="requested_at"))

    @operation(
        "createProbe",
        PROBE,
        body=NEW_PROBE,
        example=STARTED,
        statuses=(202,),
        refusals=(*CHECK_REFUSALS, "busy"),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Run a probe.

        plain get: a plain GET beside the upgrade. routes: this route beside others. journey: what
        happens to each header line. negotiation: subprotocol and compression. reconnect: connects,
        closes and connects again. crowd: several clients side by side. broadcast: several
        clients that send one line each and must hear each other; users of the app may see it. idle:
        holds a silent socket and names the idle timeout that ends it. Answers immediately; poll the
        probe until it is finished. One at a time: while one is running, the same call returns it,
        and another is refused.
        """
        said = NEW_PROBE.read(self.sent)
        endpoint = self.endpoint(endpoint_id)
        unless_refused(check_refusal(self.person, endpoint))
        asked = parse_probe_request(
            ProbeKind(said["kind"]),
            said["number"],
            said["path"],
            url=endpoint.url,
            idle_pace=settings.PROBE_IDLE_PACE,
            stored_secrets=usable_secrets(self.person, endpoint),
        )
        return accepted(probe_now(self.person, endpoint, asked, now=self.now), show_probe)


class LogRows(OfEndpoint):
    @operation(
        "createLogRows",
        PROBE,
        body=NEW_LOG_ROWS,
        example=ANALYZING,
        statuses=(202,),
        refusals=(*CHECK_REFUSALS, "busy"),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID, check_id: uuid.UUID) -> Response:
        """Analyze a check again with log lines.

        Adds what CloudFront's log says about this handshake to the evidence; the verdict may
        change. Answers with the probe that does it; read the check when the probe is finished.
        """
        said = NEW_LOG_ROWS.read(self.sent)
        check = self.one_of(Check, endpoint_id, check_id)
        if check.finished_at is None:
            busy = "This check is still running. Wait until it is finished."
            raise refused(Denied("busy", busy))
        try:
            rows = read_log_rows(check, said["rows"])
        except LogRowError as error:
            raise f.spec_error({"rows": str(error)}) from error
        return accepted(analyze_log_rows(self.person, check, rows, now=self.now), show_probe)


class OneProbe(OfEndpoint):
    @operation("getProbe", PROBE)
    def get(self, request: Request, endpoint_id: uuid.UUID, probe_id: uuid.UUID) -> Response:
        """Read a further probe.

        What it found: one sentence, what supports it, a table, and the verdict.
        """
        probe = self.one_of(Probe, endpoint_id, probe_id)
        shown = show_probe(probe, prefilled_links_after_probe(self.person, probe))
        return Response(shown, headers={} if probe.finished_at else POLL)


def show_probe(probe: Probe, requests: Requests = NONE) -> dict[str, Any]:
    """A probe with its report; an empty one if there is none yet, or if another version of the
    portal stored it.
    """
    try:
        report = Report.from_dict(probe.report or {})
    except ValueError:
        report = Report(ok=False, headline="")
    found = {"headline": report.headline, "code": report.code or ""}
    return PROBE.show_model(probe, {**found, "@report": report, "@requests": requests})
