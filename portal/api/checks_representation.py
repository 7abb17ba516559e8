"""How the API shows checks, further probes and saved checks, each set in one query.

It shows what the caller may see and nothing else: every query here starts from a set somebody else
has narrowed, and `prefilled_requests` is what somebody else has found for this person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import JSONObject

from checks.diagnosis.probe_kinds import DESCRIPTIONS
from checks.diagnosis.verdicts import verdict_of
from checks.models import Check, Probe, SavedCheck
from checks.output.reports import Report
from portal.api.output import next_cursor, page, time
from portal.requests.prefilled_requests import PrefilledRequest

PROBE = (
    "id", "endpoint_id", "kind", "number", "path", "of_check_id", "ok", "requested_by", "requested_at", "finished_at",
)  # fmt: skip
SAVED = (
    "id",
    "endpoint_id",
    "name",
    "options",
    "every_minutes",
    "after_changes",
    "created_by",
    "next_due_at",
)
NOTHING: Mapping[str, PrefilledRequest] = {}


def show_check(
    check: Check, prefilled_requests: Mapping[str, PrefilledRequest] = NOTHING
) -> dict[str, Any]:
    """A check, with its verdict in words, and the requests that put its verdicts right."""
    return {
        "id": str(check.pk),
        "url": f"{_api(check.endpoint_id)}/checks/{check.pk}",
        "endpoint": str(check.endpoint_id),
        "state": _state(check.finished_at),
        "ok": check.ok,
        "verdict": _verdict(check.verdict, prefilled_requests),
        "findings": [_finding(one, prefilled_requests) for one in check.findings],
        "next_probe": DESCRIPTIONS.get(check.next_probe, ""),
        "probes": check.probes,
        "options": check.options,
        "total_ms": check.total_ms,
        "requested_by": check.requested_by,
        "requested_at": time(check.requested_at),
        "finished_at": time(check.finished_at),
        "transcript": check.transcript_data,
    }


def list_probes(probes: QuerySet[Probe], cursor: str, limit: int) -> dict[str, Any]:
    """One page of further probes, newest first, without what they found in detail. One query."""
    told = probes.annotate(headline=KT("report__headline"), code=KT("report__code"))
    rows = page(told, cursor, limit, (*PROBE, "headline", "code"), at="requested_at")
    shown = [_probe(row, row["headline"] or "", row["code"] or "") for row in rows[:limit]]
    return {"probes": shown, "next_cursor": next_cursor(rows, limit, at="requested_at")}


def show_probe(
    probe: Probe, prefilled_requests: Mapping[str, PrefilledRequest] = NOTHING
) -> dict[str, Any]:
    """A further probe with its report; without one where another version of the portal stored
    it.
    """
    try:
        report = Report.from_dict(probe.report or {})
    except ValueError:
        report = None
    row = {field: getattr(probe, field) for field in PROBE}
    if report is None:
        return _probe(row, "", "") | {"lines": [], "columns": [], "rows": [], "verdict": None}
    code = report.code or ""
    return _probe(row, report.headline, code) | {
        "lines": list(report.lines),
        "columns": list(report.columns),
        "rows": [
            {"title": title, "cells": [{"state": cell.state, "text": cell.text} for cell in cells]}
            for title, cells in report.rows
        ],
        "verdict": _verdict(code, prefilled_requests),
    }


def list_saved_checks(saved: QuerySet[SavedCheck]) -> dict[str, Any]:
    """All of an endpoint, by name. One query."""
    return {
        "saved_checks": [
            _saved(row) for row in _with_last(saved).order_by("name").values(*SAVED, "last")
        ]
    }


def get_saved_check(saved: QuerySet[SavedCheck]) -> dict[str, Any] | None:
    """The first of a set. One query."""
    row = _with_last(saved).values(*SAVED, "last").first()
    return None if row is None else _saved(row)


def _with_last(saved: QuerySet[SavedCheck]) -> QuerySet[SavedCheck]:
    """`last`: what the check found when it was last made."""
    made = Check.objects.filter(saved=OuterRef("pk"), finished_at__isnull=False).order_by(
        "-requested_at"
    )
    found = JSONObject(id="pk", ok="ok", verdict="verdict", finished_at="finished_at")
    return saved.annotate(last=Subquery(made.values(found=found)[:1]))


def _saved(row: Mapping[str, Any]) -> dict[str, Any]:
    url, last = f"{_api(row['endpoint_id'])}/saved-checks/{row['id']}", row["last"]
    return {
        "id": row["id"],
        "url": url,
        "endpoint": str(row["endpoint_id"]),
        "name": row["name"],
        "options": row["options"],
        "every_minutes": row["every_minutes"],
        "after_changes": row["after_changes"],
        "next_due_at": time(row["next_due_at"]),
        "created_by": row["created_by"],
        "last_check": {"url": f"{_api(row['endpoint_id'])}/checks/{last['id']}", "ok": last["ok"]}
        | {"verdict": last["verdict"]}
        if last
        else None,
        "links": {"checks": f"{url}/checks"},
    }


def _probe(row: Mapping[str, Any], headline: str, code: str) -> dict[str, Any]:
    of_check = row["of_check_id"]
    return {
        "id": str(row["id"]),
        "url": f"{_api(row['endpoint_id'])}/probes/{row['id']}",
        "endpoint": str(row["endpoint_id"]),
        "kind": row["kind"],
        "number": row["number"],
        "path": row["path"],
        "check": f"{_api(row['endpoint_id'])}/checks/{of_check}" if of_check else None,
        "state": _state(row["finished_at"]),
        "ok": row["ok"],
        "headline": headline,
        "code": code,
        "requested_by": row["requested_by"],
        "requested_at": time(row["requested_at"]),
        "finished_at": time(row["finished_at"]),
    }


def _verdict(
    code: str, prefilled_requests: Mapping[str, PrefilledRequest]
) -> dict[str, Any] | None:
    verdict = verdict_of(code)
    if verdict is None:
        return None
    return {
        "code": verdict.code,
        "title": verdict.title,
        "plain": verdict.plain,
        "cause": verdict.cause,
        "fix": verdict.fix,
        "page": f"{settings.PORTAL_URL}/help/verdicts/{verdict.code}/",
        "request_url": _request_url(code, prefilled_requests),
    }


def _finding(
    stored: Mapping[str, Any], prefilled_requests: Mapping[str, PrefilledRequest]
) -> dict[str, Any]:
    return {
        "here": None,
        **stored,
        "request_url": _request_url(stored.get("code", ""), prefilled_requests),
    }


def _request_url(code: str, prefilled_requests: Mapping[str, PrefilledRequest]) -> str | None:
    found = prefilled_requests.get(code)
    return f"{settings.PORTAL_URL}{found.url}" if found else None


def _state(finished_at: Any) -> str:
    return "finished" if finished_at else "running"


def _api(endpoint_id: Any) -> str:
    return f"{settings.PORTAL_URL}/api/v1/endpoints/{endpoint_id}"
