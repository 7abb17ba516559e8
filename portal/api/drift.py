"""Drift over the API: what differs between AWS and what was approved, looked for now, agreed to."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView
from portal.api.checks import POLL
from portal.api.endpoints import OfEndpoint, api_url
from portal.api.lists import PAGE, Filter, page, page_of
from portal.api.operation import operation
from portal.endpoints.drift import (
    LONGEST_IGNORED_DAYS,
    LONGEST_REASON,
    compare_now,
    ignore_finding,
    stop_ignoring,
    troubles_for,
    visible_findings,
)
from portal.problems import unless_refused
from portal.requests.lifecycle import Denied
from provisioning.drift.comparison import TITLES, Code
from provisioning.models import DriftFinding, DriftReport, Endpoint

# fmt: off
IGNORED = f.Object("Ignored", "Until when somebody agreed to a difference, who, and why.", (
    f.Field("until", f.TIME, source="ignored_until", null=True),
    f.Field("by", f.STRING, source="ignored_by", example="olga"),
    f.Field("reason", f.STRING, source="ignored_reason", example="A test of the shop team"),
))
FINDING = f.Object("DriftFinding", "A difference between AWS and what was approved.", (
    f.Field("id", f.UUID),
    f.Field("account_id", f.STRING, example="111122223333"),
    f.Field("endpoint_id", f.UUID, "null for an orphan: it carries the portal's name, but belongs "
            "to no endpoint.", null=True, example=f.EXAMPLE_ID),
    f.Field("code", f.choice(Code), example="changed"),
    f.Field("resource", f.choice(TITLES), example="behavior"),
    f.Field("subject", f.STRING, "Its name in AWS.", example="/ws/chat"),
    f.Field("setting", f.STRING, "What changed, in AWS's words; else empty.",
            example="ViewerProtocolPolicy"),
    f.Field("approved", f.STRING, example="https-only"),
    f.Field("seen", f.STRING, "What AWS has.", example="allow-all"),
    f.Field("text", f.STRING, "The same in a sentence."),
    f.Field("first_seen_at", f.TIME),
    f.Field("last_seen_at", f.TIME),
    f.Field("ignored", f.of(IGNORED), null=True, of="ignored_until"),
))
FINDING_PAGE = page_of("DriftFindingPage", "findings", FINDING)
FILTERS = (
    Filter("endpoint", f.UUID, "An endpoint's ID.", lookup="endpoint_id"),
    Filter("account", f.text(12), "An account's ID.", lookup="account_id"),
    Filter("code", f.choice(Code), "missing, changed or orphan.", lookup="code"),
)
REPORT = f.Object("DriftReport", "A comparison of the endpoint's account with AWS.", (
    f.Field("url", f.STRING, "Of the account's newest report.",
            lambda pk: api_url(pk, "/drift-reports"), ("endpoint_id",)),
    f.Field("requested_by", f.STRING, example="ana"),
    f.Field("requested_at", f.TIME),
    f.Field("finished_at", f.TIME, "null while it is made.", null=True),
    f.Field("troubles", f.array(f.STRING), "What AWS did not show.", example=[]),
))
IGNORE = f.Body("IgnoreDrift", "Why a difference may stay, and how long.", (
    f.Field("reason", f.text(LONGEST_REASON), "Others read it.", required=True,
            missing="reason_required", example="A test of the shop team"),
    f.Field("days", f.whole_number(1, LONGEST_IGNORED_DAYS), f"1 to {LONGEST_IGNORED_DAYS}.",
            required=True, example=7),
))
# fmt: on


class DriftReports(OfEndpoint):
    @operation("getDriftReport", REPORT)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Read the newest drift report.

        Of the endpoint's account; 404 before the first. Its findings are in the list of findings.
        """
        endpoint = self.endpoint(endpoint_id)
        report = endpoint.account.drift_reports.first()
        if report is None:
            raise Http404
        return Response(show_report(endpoint, report))

    @operation(
        "compareWithAws",
        REPORT,
        statuses=(202,),
        example={"finished_at": None},
        refusals=("not_your_team",),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Compare with AWS now.

        Compares the whole account; nothing is changed. Returns the report that is under way if
        there is one. Poll it until it is finished.
        """
        endpoint = self.endpoint(endpoint_id)
        made = compare_now(self.person, endpoint.account, endpoint, now=self.now)
        shown = show_report(endpoint, unless_refused(made))
        return Response(shown, status=202, headers={"Location": shown["url"], **POLL})


class DriftFindings(ApiView):
    @operation("listDriftFindings", FINDING_PAGE, query=(*FILTERS, *PAGE))
    def get(self, request: Request) -> Response:
        """List drift findings.

        What differs now, newest first, also what is ignored. Paginated by an opaque cursor.
        """
        visible = visible_findings(self.person)
        return Response(page("findings", FINDING, visible, self.query, FILTERS, at="first_seen_at"))


class OfFinding(ApiView):
    """What the views of one finding share."""

    def finding(self, finding_id: uuid.UUID) -> DriftFinding:
        """The finding, if the caller may see it."""
        return get_object_or_404(visible_findings(self.person), pk=finding_id)

    def answer(self, refusal: Denied | None, finding_id: uuid.UUID) -> Response:
        """The finding as it is now. Raises ApiProblem for a refusal."""
        unless_refused(refusal)
        return Response(FINDING.show_model(self.finding(finding_id), {}))


class IgnoreFinding(OfFinding):
    @operation(
        "ignoreDriftFinding",
        FINDING,
        body=IGNORE,
        refusals=("not_your_team", "wrong_state", "reason_required"),
    )
    def post(self, request: Request, finding_id: uuid.UUID) -> Response:
        """Ignore a difference for some days.

        For the endpoint's team and the platform team. It counts again as soon as it changes.
        """
        said = IGNORE.read(self.sent)
        refusal = ignore_finding(
            self.person,
            self.finding(finding_id),
            reason=said["reason"],
            days=said["days"],
            now=self.now,
        )
        return self.answer(refusal, finding_id)


class StopIgnoring(OfFinding):
    @operation("stopIgnoringDriftFinding", FINDING, refusals=("not_your_team",))
    def post(self, request: Request, finding_id: uuid.UUID) -> Response:
        """Stop ignoring a difference."""
        refusal = stop_ignoring(self.person, self.finding(finding_id), now=self.now)
        return self.answer(refusal, finding_id)


def show_report(endpoint: Endpoint, report: DriftReport) -> dict[str, Any]:
    """The report as the endpoint's readers may see it."""
    finished: datetime | None = report.finished_at
    added = {"endpoint_id": endpoint.pk, "troubles": troubles_for(endpoint, report)}
    return REPORT.show_model(report, added | {"finished_at": finished})
