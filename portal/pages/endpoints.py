"""One endpoint: whether clients can connect, the handshake line by line, how to repeat it, its
uptime and its settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from checks.actions import usual_check_interval
from checks.diagnosis.app_recognition import recognize_app
from checks.diagnosis.probe_kinds import DESCRIPTIONS, ProbeKind
from checks.diagnosis.verdicts import Verdict, verdict_of
from checks.models import Check, Probe
from checks.output.client_commands import ClientCommand, commands_for
from checks.output.reports import Report
from checks.preflight import Fix
from checks.probe.probe_request import usual_silence
from checks.protocol.connect_to import parse_connect_to, pick
from checks.protocol.transcript import Transcript
from checks.protocol.urls import AllowedUrl, judge_url
from checks.usual_check import (
    UsualCheckSummary,
    opening,
    own_protocol,
    usual_target_to_repeat,
)
from portal.endpoints.actions import check_now, check_refusal
from portal.endpoints.endpoint_status import endpoint_status
from portal.endpoints.health import with_health
from portal.endpoints.uptime import SPANS, draw, measure_uptime, span_of
from portal.endpoints.usual_samples import usual_samples
from portal.pages.auth import SignedIn, endpoint_or_404, query_of_page, signed_in, to_page
from portal.pages.drift import drift_context
from portal.pages.exports import FORMATS
from portal.pages.forms import LogRowsForm, settings_form_data
from portal.pages.privacy import privacy_context
from portal.people.models import Person, Team
from portal.requests.actions import request_under_way
from portal.requests.end_dates import last_possible, today
from portal.requests.endpoint_changes import answers_of, change_refusal
from portal.requests.forgetting import may_forget
from portal.requests.lifecycle import Allowed, Denied, State, Verb, may
from portal.requests.models import EndDate, EndpointRequest
from portal.requests.plan_diff import unusual_lines
from portal.requests.prefilled_links import PrefilledLink, prefilled_links_after_check
from portal.requests.transfers import offered_to, open_offer
from provisioning.engine.decide import Direction
from provisioning.models import Endpoint, Run
from provisioning.plan.adoption import unusual_settings
from provisioning.sagas import change_endpoint
from provisioning.spec.app_kinds import APP_KINDS, AppKind
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.fields import FIELD, USUAL_CHECK
from provisioning.spec.parsing import derive_settings
from provisioning.steps.grace import ends_at

HISTORY_SHOWN = 20
DRIFT_NAMED = 3
FIX_PURPOSE = "Set what the portal would have built, in place of what was adopted."
CHECKS_CHARTED = 10_000
"""Checks that one chart counts at most: a month of one every five minutes."""
PHASES = {
    "dns": "DNS",
    "tcp": "TCP",
    "tls": "TLS",
    "first_byte": "First byte",
    "upgrade": "Handshake",
    "first_frame": "First message",
    "echo": "Echo",
    "ping": "Ping",
    "close": "Close",
    "total": "Total",
}


@dataclass(frozen=True)
class VerdictFinding:
    """A verdict with its evidence in this check. `here` is the fix with the names of this account,
    if AWS told them; `signature` says who answered in words that are known, what they mean and how
    to fix it; `prefilled` is a request that fixes the problem, if one can.
    """

    verdict: Verdict
    certainty: str
    evidence: list[str]
    here: Fix | None = None
    signature: Mapping[str, str] | None = None
    prefilled: PrefilledLink | None = None


@dataclass(frozen=True)
class FurtherProbe:
    """A probe that was made to find the cause of a failure, its outcome, and how many times in a
    row that was the same.
    """

    title: str
    outcome: str
    times: int = 1


@dataclass(frozen=True)
class SettingRow:
    """A setting of the endpoint and the reason for its value."""

    label: str
    value: Any
    reason: str


@signed_in
@require_safe
def endpoint_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """The page; `?check=` shows an earlier check."""
    if offer := offered_to(request.user, pk):
        return redirect(offer)
    return detail_page(request, endpoint_or_404(request.user, pk))


def detail_page(
    request: SignedIn,
    endpoint: Endpoint,
    *,
    check_id: str = "",
    log_form: LogRowsForm | None = None,
) -> HttpResponse:
    """The page, of one check in particular, and with log lines that could not be parsed."""
    team = Team.objects.filter(slug=endpoint.owner).first()
    source = _newest_request(endpoint)
    pending = request_under_way(endpoint)
    context = {
        "team": team,
        "source": source,
        "history": _history(endpoint),
        "commands": () if _is_past(endpoint) else _commands(endpoint),
        "client_code": _client_code(endpoint),
        "export_formats": FORMATS,
        "usual_check": UsualCheckSummary.of(endpoint.spec.to_dict()),
        "check_minutes": check_interval(endpoint),
        "posts_are_refused": _posts_are_refused(endpoint),
        "settings_shown": _settings(endpoint.spec, answers_of(endpoint)),
        "pending": pending,
        "changed": endpoint.runs.filter(saga=change_endpoint.SAGA.name, state=Run.State.DONE)
        .order_by("-finished_at")
        .first(),
        **_removal_context(request.user, pending),
        "transfer": open_offer(endpoint),
        "may_forget": may_forget(request.user, endpoint) is None,
        "clone_url": _clone_url(endpoint, team),
        "end_date": EndDate.objects.filter(endpoint=endpoint).first(),
        "first_end": today(timezone.now()) + timedelta(days=1),
        "last_end": last_possible(timezone.now()),
        "may_change": change_refusal(request.user, endpoint) is None,
        **privacy_context(request.user, endpoint),
        **drift_context(request.user, endpoint),
        **_adopted_context(endpoint),
    }
    context |= _check_context(request, endpoint, check_id, log_form) | _uptime_context(
        endpoint, request.GET.get("uptime", "")
    )
    return render(request, "endpoints/detail.html", context, status=422 if log_form else 200)


def _is_past(endpoint: Endpoint) -> bool:
    """Whether it was in service and is no longer: nothing on its page is true now."""
    return endpoint.state in (Endpoint.State.RETIRED, Endpoint.State.ABSENT)


def _removal_context(person: Person, pending: EndpointRequest | None) -> dict[str, Any]:
    """While the endpoint is out of service: since when, until when it can be restored, and whether
    this person may.
    """
    if pending is None or pending.state != State.OUT_OF_SERVICE or pending.run is None:
        return {}
    waits = (
        one
        for one in pending.run.journal()
        if one.step == "grace" and one.direction is Direction.FORWARD
    )
    first = next(waits, None)
    allowed = may(Verb.RESTORE, person.actor_for(pending.team), pending.standing)
    return {
        "out_of_service_since": first.since if first else None,
        "restorable_until": ends_at(first.since, pending.run.plan_data) if first else None,
        "may_restore": isinstance(allowed, Allowed),
    }


@signed_in
@require_safe
def check_latest(request: SignedIn, pk: UUID) -> HttpResponse:
    """The latest check (or `?check=`) as a fragment, which refreshes itself while a check is
    running; then also what the result changes elsewhere on the page.
    """
    endpoint = endpoint_or_404(request.user, pk)
    context = _check_context(request, endpoint)
    if context["running"] or context["analyzing"]:
        return render(request, "checks/_check.html", context)
    context |= {"history": _history(endpoint)}
    context |= _uptime_context(endpoint, query_of_page(request).get("uptime", ""))
    return render(request, "checks/_check_finished.html", context)


@signed_in
@require_POST
def check_run(request: SignedIn, pk: UUID) -> HttpResponse:
    """Start a check now. One at a time: a second request shows the one that is running."""
    endpoint = endpoint_or_404(request.user, pk)
    answer = check_now(request.user, endpoint, now=timezone.now())
    page = reverse("endpoint-detail", args=[pk])
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
        return to_page(request, page)
    if request.htmx:
        return render(request, "checks/_check.html", _check_context(request, endpoint))
    return redirect(f"{page}#check")


def _history(endpoint: Endpoint) -> list[tuple[Check, Verdict | None]]:
    """The checks so far, newest first, each with its verdict."""
    finished = Check.objects.filter(endpoint=endpoint, finished_at__isnull=False)
    newest = finished.defer("transcript_data", "findings").order_by("-requested_at")[:HISTORY_SHOWN]
    return [(one, verdict_of(one.verdict)) for one in newest]


def _check_context(
    request: SignedIn, endpoint: Endpoint, check_id: str = "", log_form: LogRowsForm | None = None
) -> dict[str, Any]:
    checks = Check.objects.filter(endpoint=endpoint)
    running = checks.filter(finished_at__isnull=True).first()
    finished = checks.filter(finished_at__isnull=False)
    wanted = check_id or request.GET.get("check", "")
    newest = finished.order_by("-requested_at").first()
    health = with_health(Endpoint.objects.select_related("health"), timezone.now())
    known = health.get(pk=endpoint.pk)
    shown = newest
    if wanted:
        try:
            shown = finished.filter(pk=UUID(wanted)).first() or (
                newest if checks.filter(pk=UUID(wanted)) else None
            )
        except ValueError:
            raise Http404 from None
        if shown is None and not (running and str(running.pk) == wanted):
            raise Http404
    transcript = _transcript(shown) if shown else None
    return {
        "endpoint": endpoint,
        "past": _is_past(endpoint),
        "endpoint_status": endpoint_status(
            known.state, known.health_status, checked=known.looked_at is not None
        ),
        "health": known,
        "running": running,
        "drift_too": _drift_beside(endpoint) if newest and not newest.ok else [],
        "check": shown,
        "is_newest": shown is not None and newest is not None and shown.pk == newest.pk,
        "findings": _findings(shown, prefilled_links_after_check(request.user, shown))
        if shown
        else [],
        "transcript": transcript,
        "further_probes": _further_probes(shown) if shown else [],
        "leaves_out": APP_KINDS[endpoint.spec.app_kind].leaves_out,
        "recognized": _recognized(shown, transcript),
        "next_probe": DESCRIPTIONS.get(shown.next_probe, "") if shown else "",
        "may_check": check_refusal(request.user, endpoint) is None,
        "log_form": log_form or (_log_form(shown, transcript) if shown else None),
        "idle_seconds": usual_silence(settings.PROBE_IDLE_PACE),
        **_log_analysis(shown),
    }


def _drift_beside(endpoint: Endpoint) -> list[str]:
    """What AWS has other than approved, in sentences, while the endpoint's check fails."""
    found = endpoint.drift_findings.open().order_by("first_seen_at")
    return list(found.values_list("text", flat=True)[:DRIFT_NAMED])


def _uptime_context(endpoint: Endpoint, wanted: str) -> dict[str, Any]:
    """What the standard checks say about uptime, those that are deleted included."""
    span, now = span_of(wanted), timezone.now()
    samples = usual_samples(endpoint, now - span.length, most=CHECKS_CHARTED)
    uptime = measure_uptime(samples, span, now)
    last = uptime.last_failure
    failure = verdict_of(last.verdict) if last else None
    return {
        "spans": SPANS,
        "uptime": uptime,
        "chart": draw(uptime),
        "uptime_truncated": uptime.checks >= CHECKS_CHARTED,
        "last_failure_title": failure.title if failure else "",
        "every_minutes": check_interval(endpoint),
    }


def check_interval(endpoint: Endpoint) -> int:
    """How often the usual check runs by itself, in minutes; before the build, how often it will."""
    if endpoint.state == Endpoint.State.WANTED:
        return int(settings.CHECK_EVERY_MINUTES)
    return usual_check_interval(endpoint)


def _log_form(check: Check, transcript: Mapping[str, Any] | None) -> LogRowsForm:
    return LogRowsForm(
        None, check=check, edge_request_id=transcript["seen"].edge_request_id if transcript else ""
    )


def _log_analysis(check: Check | None) -> dict[str, Any]:
    """Whether the check is being analyzed again with log lines, and the result of the last time."""
    last = (
        Probe.objects.filter(of_check=check, kind=ProbeKind.LOG_ROWS)
        .order_by("-requested_at")
        .first()
        if check
        else None
    )
    if last is None:
        return {"analyzing": False, "analysis": None}
    try:
        report = Report.from_dict(last.report or {})
    except ValueError:
        report = None
    return {"analyzing": last.finished_at is None, "analysis": report}


def _transcript(check: Check) -> dict[str, Any] | None:
    """What was observed; None if it was stored in a format that this version cannot read."""
    try:
        seen = Transcript.from_dict(check.transcript_data or {})
    except ValueError:
        return None
    timings = asdict(seen.timing)
    return {
        "seen": seen,
        "timings": [(PHASES[key], timings[key]) for key in PHASES if timings.get(key) is not None],
    }


def _recognized(check: Check | None, transcript: Mapping[str, Any] | None) -> AppKind | None:
    """The kind of app that answered a failed usual check, if the check is of another kind."""
    if check is None or check.ok or check.options or transcript is None:
        return None
    return recognize_app([transcript["seen"]], check.endpoint.spec.app_kind)


def _findings(check: Check, prefilled_links: Mapping[str, PrefilledLink]) -> list[VerdictFinding]:
    """The verdicts of a check, most certain first; at least its own."""
    found = [(verdict_of(str(one.get("code"))), one) for one in check.findings]
    known = [(verdict, one) for verdict, one in found if verdict is not None]
    own = verdict_of(check.verdict)
    return [
        VerdictFinding(
            verdict,
            str(one.get("certainty", "")),
            [str(line) for line in one.get("evidence", ())],
            Fix.from_dict(one.get("here")),
            one.get("signature"),
            prefilled_links.get(verdict.code),
        )
        for verdict, one in known or ([(own, {})] if own else [])
    ]


def _further_probes(check: Check) -> list[FurtherProbe]:
    """The probes made to find the cause; entries of another version of the portal are skipped."""
    found: list[FurtherProbe] = []
    for one in check.probes:
        with contextlib.suppress(ValueError, KeyError):
            seen = Transcript.from_dict(one["transcript"])
            outcome = (
                seen.response.status_line
                if seen.response
                else seen.failure.detail
                if seen.failure
                else ""
            )
            route = f"{one['route']}: " if "route" in one else ""
            title = DESCRIPTIONS[one["kind"]]
            outcome = route + ("The WebSocket opened." if seen.upgraded else outcome)
            if found and (found[-1].title, found[-1].outcome) == (title, outcome):
                found[-1] = replace(found[-1], times=found[-1].times + 1)
            else:
                found.append(FurtherProbe(title, outcome))
    return found


def _commands(endpoint: Endpoint) -> tuple[ClientCommand, ...]:
    """The same handshake from a person's own machine, with the portal's own rules for resolving
    names.
    """
    target = usual_target_to_repeat(endpoint.spec, endpoint.domain_name or "")
    url = judge_url(target.url) if endpoint.url else None
    if not isinstance(url, AllowedUrl):
        return ()
    return commands_for(
        url,
        headers=target.headers,
        subprotocols=target.subprotocols,
        ca_file=settings.PROBE_CA_FILE or None,
        connect_to=pick(parse_connect_to(settings.PROBE_CONNECT_TO), url.host, url.port),
        opening=opening(endpoint.spec),
        protocol=own_protocol(APP_KINDS[endpoint.spec.app_kind]),
    )


def _client_code(endpoint: Endpoint) -> str:
    """How the app's own client library connects, where its kind has one."""
    spec = endpoint.spec
    if not endpoint.url:
        return ""
    return APP_KINDS[spec.app_kind].client_code(endpoint.domain_name, spec.check_path)


def _posts_are_refused(endpoint: Endpoint) -> bool:
    """Whether clients of the app's kind send POST to the path, and CloudFront answers it with
    403.
    """
    spec = endpoint.spec
    built = endpoint.state == Endpoint.State.DEPLOYED
    return built and APP_KINDS[spec.app_kind].http_api and "POST" not in spec.allowed_methods


def _settings(spec: EndpointSpec, answers: Mapping[str, Any]) -> list[SettingRow]:
    """Every setting that can be derived: its value, and the reason (or that it was chosen). Those
    of the usual check are shown by themselves.
    """
    plain = spec.to_dict()
    leg = "HTTPS" if spec.origin_protocol == "https-only" else "HTTP"
    shown = []
    named = {spec.https_port: (spec.origin_domain,)} if spec.origin_domain else None
    for derived in derive_settings(answers, {spec.origin_port: leg}, named):
        chosen = answers.get(derived.field) not in (None, "")
        value, follows = plain[derived.field], derived.value
        follows = list(follows) if isinstance(follows, tuple) else follows
        if chosen:
            reason = "Chosen in the request."
        elif value != follows:
            reason = "As built. Today the portal would choose another value."
        else:
            reason = derived.reason
        if derived.field == {"http-only": "https_port", "https-only": "http_port"}.get(
            spec.origin_protocol
        ):
            continue
        if FIELD[derived.field] in USUAL_CHECK or not (FIELD[derived.field].asked or value):
            continue
        shown.append(SettingRow(FIELD[derived.field].label, value, reason))
    return shown


def _clone_url(endpoint: Endpoint, team: Team | None) -> str:
    """The form of a new request with the same settings, but its own name. For a team with several
    accounts it can be for another environment, so what only this account has is left out.
    """
    elsewhere = team is None or team.accounts.count() != 1
    own = ["name", "origin_id", "vpc_origin_id"]
    own += ("account_id", "distribution_id", "target_arn") if elsewhere else ()
    answers = {name: value for name, value in answers_of(endpoint).items() if name not in own}
    data = settings_form_data(answers) | ({"team": team.slug} if team else {})
    return (
        f"{reverse('request-new')}?{urlencode({key: text for key, text in data.items() if text})}"
    )


def _adopted_context(endpoint: Endpoint) -> dict[str, Any]:
    """Of an adopted endpoint, what the portal would build otherwise, and the form of a change that
    does.
    """
    if not endpoint.spec_data.get("origin_id"):
        return {}
    applied = endpoint.applied_plan()
    unusual = unusual_settings(endpoint.spec, applied, settings.PROVISIONING_OWNER)
    query = urlencode({"justification": FIX_PURPOSE})
    return {
        "unusual": unusual_lines(unusual),
        "fix_url": f"{reverse('endpoint-change', args=[endpoint.pk])}?{query}",
    }


def _newest_request(endpoint: Endpoint) -> EndpointRequest | None:
    found: EndpointRequest | None = (
        EndpointRequest.objects.filter(endpoint=endpoint)
        .select_related("requester")
        .order_by("-created_at")
        .first()
    )
    return found
