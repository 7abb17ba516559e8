"""Further probes of an endpoint: the page that asks for them and shows what they found, and pasted
log rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.verdicts import VERDICTS
from checks.models import Check, Probe
from checks.output.reports import Report
from checks.probe.probe_request import BOUNDS, usual_number
from portal.endpoints.actions import analyze_log_rows, check_refusal, probe_now
from portal.pages.auth import SignedIn, endpoint_or_404, signed_in
from portal.pages.endpoints import detail_page
from portal.pages.forms import LogRowsForm, ProbeForm
from portal.requests.lifecycle import Denied
from portal.requests.prefilled_requests import prefilled_requests_after_probe
from provisioning.models import Endpoint

HISTORY_SHOWN = 20


@dataclass(frozen=True)
class Choice:
    """A kind of probe as the page offers it: `number` and `path` are the labels of what it takes,
    empty for nothing.
    """

    kind: ProbeKind
    title: str
    what: str
    number: str = ""
    path: str = ""
    path_hint: str = ""
    least: int = 0
    most: int = 0
    usual: int = 0


def _choices() -> tuple[Choice, ...]:
    """In the order of the page."""

    def numbered(kind: ProbeKind, title: str, what: str, number: str) -> Choice:
        usual = usual_number(kind, idle_pace=settings.PROBE_IDLE_PACE)
        return Choice(
            kind,
            title,
            what,
            number=number,
            least=BOUNDS[kind][0],
            most=BOUNDS[kind][1],
            usual=usual,
        )

    return (
        Choice(
            ProbeKind.PLAIN_GET,
            "A plain GET beside the upgrade",
            "Tells whether only the upgrade fails, or every request of this address.",
            path="Path",
            path_hint="Empty: the endpoint's own path.",
        ),
        Choice(
            ProbeKind.WAYS,
            "Ways side by side",
            "Through the edge as browsers do, without Origin, with compression, and every "
            "further way that this "
            "portal's operator names. The first that fails is named.",
            path="Another path to compare with",
            path_hint="With its query. Empty: none.",
        ),
        Choice(
            ProbeKind.JOURNEY,
            "The way of each header line",
            "What is sent, what the distribution's policies keep or drop and why, and what "
            "the app sees in the end.",
            path="A path that tells which headers arrived",
            path_hint="Its first message must be JSON with “headers”, a list of name and value; the "
            "lab's chat app has "
            "such paths, they end in /headers. Empty: simulated from the policy.",
        ),
        Choice(
            ProbeKind.NEGOTIATION,
            "Subprotocol and compression",
            "Which of them the app agrees on, offered one by one and together.",
            path="Path",
            path_hint="Empty: the endpoint's own path.",
        ),
        numbered(
            ProbeKind.RECONNECT,
            "Reconnect drill",
            "Connects, closes and comes back, as clients do after a deployment: how often, "
            "and how fast.",
            "How many times",
        ),
        numbered(
            ProbeKind.CROWD,
            "A crowd",
            "Several clients at once; each says one line and must hear every other's. For "
            "apps that pass messages on.",
            "How many clients",
        ),
        numbered(
            ProbeKind.IDLE,
            "Idle meter",
            "Holds a silent socket beside two that talk, and names the clock that ends it. "
            "Longer silences: manage.py "
            "probe --idle.",
            "Seconds of silence",
        ),
    )


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def probes(request: SignedIn, pk: UUID) -> HttpResponse:
    """The page; with `?probe=` for an earlier one than the newest. A post asks for one."""
    endpoint = endpoint_or_404(request.user, pk)
    if request.method != "POST":
        return _page(request, endpoint, None)
    form = ProbeForm(request.POST, url=endpoint.url)
    if not form.is_valid():
        return _page(request, endpoint, form)
    answer = probe_now(request.user, endpoint, form.asked, now=timezone.now())
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
        return redirect("probes", pk)
    return redirect(f"{reverse('probes', args=[pk])}?probe={answer.pk}")


@signed_in
@require_safe
def probe_result(request: SignedIn, pk: UUID, probe_pk: UUID) -> HttpResponse:
    """One probe as a fragment; it refreshes itself until it has ended, and then what it changes of
    the page.
    """
    endpoint = endpoint_or_404(request.user, pk)
    probe = Probe.objects.filter(endpoint=endpoint, pk=probe_pk).first()
    if probe is None:
        raise Http404
    context = {"endpoint": endpoint, "fragment": True} | _shown(request, probe)
    if probe.finished_at is None:
        return render(request, "probes/_probe.html", context)
    offered = _choices() if check_refusal(request.user, endpoint) is None else ()
    return render(
        request, "probes/_probe_finished.html", context | _made(endpoint) | {"choices": offered}
    )


@signed_in
@require_POST
def check_log_rows(request: SignedIn, pk: UUID, check_pk: UUID) -> HttpResponse:
    """Weigh a failed check again with the rows of CloudFront's log that were pasted."""
    endpoint = endpoint_or_404(request.user, pk)
    check = Check.objects.filter(endpoint=endpoint, pk=check_pk, finished_at__isnull=False).first()
    if check is None:
        raise Http404
    form = LogRowsForm(request.POST, check=check)
    if not form.is_valid():
        return detail_page(request, endpoint, check_id=str(check.pk), log_form=form)
    answer = analyze_log_rows(request.user, check, form.rows, now=timezone.now())
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
    return redirect(f"{reverse('endpoint-detail', args=[pk])}?check={check.pk}")


def _page(request: SignedIn, endpoint: Endpoint, form: ProbeForm | None) -> HttpResponse:
    refusal = check_refusal(request.user, endpoint)
    made = Probe.objects.filter(endpoint=endpoint).exclude(kind=ProbeKind.LOG_ROWS)
    shown = made.order_by("-requested_at").first()
    if wanted := request.GET.get("probe", ""):
        try:
            shown = made.filter(pk=UUID(wanted)).first()
        except ValueError:
            raise Http404 from None
        if shown is None:
            raise Http404
    context: dict[str, Any] = {
        "endpoint": endpoint,
        "form": form,
        "choices": _choices(),
        "refusal": refusal.reason if refusal else "",
    } | _made(endpoint)
    if shown is not None:
        context |= _shown(request, shown)
    return render(request, "probes/diagnostics.html", context, status=422 if form else 200)


def _made(endpoint: Endpoint) -> dict[str, Any]:
    """The probes so far, newest first, and whether one is under way."""
    titles = {choice.kind.value: choice.title for choice in _choices()}
    made = (
        Probe.objects.filter(endpoint=endpoint)
        .exclude(kind=ProbeKind.LOG_ROWS)
        .order_by("-requested_at")
    )
    return {
        "history": [(one, titles.get(one.kind, one.kind)) for one in made[:HISTORY_SHOWN]],
        "busy": Probe.objects.filter(endpoint=endpoint, finished_at__isnull=True).exists(),
    }


def _shown(request: SignedIn, probe: Probe) -> dict[str, Any]:
    """A probe with its report; without one where another version of the portal stored it."""
    titles = {choice.kind.value: choice.title for choice in _choices()}
    try:
        report = Report.from_dict(probe.report or {})
    except ValueError:
        report = None
    code = report.code if report else None
    return {
        "prefilled": prefilled_requests_after_probe(request.user, probe).get(code)
        if code
        else None,
        "probe": probe,
        "title": titles.get(probe.kind, probe.kind),
        "report": report,
        "verdict": VERDICTS[code] if code else None,
    }
