"""Diagnostics of an endpoint: probes and their results, and the analysis of pasted log lines."""

from __future__ import annotations

from typing import Any
from uuid import UUID

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
from portal.endpoints.actions import analyze_log_rows, check_refusal, probe_now
from portal.endpoints.secrets import usable_secrets
from portal.pages.auth import SignedIn, endpoint_or_404, signed_in
from portal.pages.endpoints import detail_page
from portal.pages.forms import LogRowsForm, ProbeForm
from portal.pages.probe_offers import probe_offers
from portal.requests.lifecycle import Denied
from portal.requests.prefilled_links import prefilled_links_after_probe
from provisioning.models import Endpoint

HISTORY_SHOWN = 20


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def probes(request: SignedIn, pk: UUID) -> HttpResponse:
    """The page; `?probe=` shows an earlier probe. A POST starts one."""
    endpoint = endpoint_or_404(request.user, pk)
    if request.method != "POST":
        return _page(request, endpoint, None)
    kind = request.POST.get("kind", "")
    offer = next((one for one in probe_offers() if one.kind == kind), None)
    secrets = usable_secrets(request.user, endpoint)
    form = ProbeForm(request.POST, offer, url=endpoint.url, stored_secrets=secrets)
    if not form.is_valid():
        return _page(request, endpoint, form)
    answer = probe_now(request.user, endpoint, form.asked, now=timezone.now())
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
        return redirect("probes", pk)
    return redirect(f"{reverse('probes', args=[pk])}?probe={answer.pk}#probe")


@signed_in
@require_safe
def probe_result(request: SignedIn, pk: UUID, probe_pk: UUID) -> HttpResponse:
    """One probe as a fragment, which refreshes itself until the probe has finished; then also what
    the result changes elsewhere on the page.
    """
    endpoint = endpoint_or_404(request.user, pk)
    probe = Probe.objects.filter(endpoint=endpoint, pk=probe_pk).first()
    if probe is None:
        raise Http404
    context = {"endpoint": endpoint} | _shown(request, probe)
    if probe.finished_at is None:
        return render(request, "probes/_probe.html", context)
    runnable = probe_offers() if check_refusal(request.user, endpoint) is None else ()
    context |= _history(endpoint) | {"runnable": runnable}
    return render(request, "probes/_probe_finished.html", context)


@signed_in
@require_POST
def check_log_rows(request: SignedIn, pk: UUID, check_pk: UUID) -> HttpResponse:
    """Analyze a check again with the lines of CloudFront's log that were pasted."""
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
    return redirect(f"{reverse('endpoint-detail', args=[pk])}?check={check.pk}#check")


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
    offers = [
        (offer, form if form and form.offer is offer else ProbeForm(None, offer, url=endpoint.url))
        for offer in probe_offers()
    ]
    context: dict[str, Any] = {
        "endpoint": endpoint,
        "form": form,
        "offers": offers,
        "refusal": refusal.reason if refusal else "",
    } | _history(endpoint)
    if shown is not None:
        context |= _shown(request, shown)
    return render(request, "probes/diagnostics.html", context, status=422 if form else 200)


def _history(endpoint: Endpoint) -> dict[str, Any]:
    """The probes so far, newest first, and whether one is running."""
    titles = {offer.kind.value: offer.title for offer in probe_offers()}
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
    """A probe with its report; without one if another version of the portal stored it."""
    titles = {offer.kind.value: offer.title for offer in probe_offers()}
    try:
        report = Report.from_dict(probe.report or {})
    except ValueError:
        report = None
    code = report.code if report else None
    return {
        "prefilled": prefilled_links_after_probe(request.user, probe).get(code) if code else None,
        "probe": probe,
        "title": titles.get(probe.kind, probe.kind),
        "report": report,
        "verdict": VERDICTS[code] if code else None,
    }
