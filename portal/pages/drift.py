"""Drift as pages show it: of one endpoint, and of every account for the platform team."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.endpoints.drift import (
    IGNORE_DAYS,
    LONGEST_REASON,
    compare_now,
    ignore_finding,
    last_reports,
    may_ignore,
    overtaken,
    stop_ignoring,
    troubles_for,
    visible_findings,
)
from portal.pages.auth import SignedIn, endpoint_or_404, posted_text, signed_in, to_page
from portal.people.models import Person
from portal.requests.endpoint_changes import acceptable, change_refusal, submit_acceptance
from portal.requests.lifecycle import Denied
from provisioning.drift.comparison import Code
from provisioning.models import AwsAccount, DriftFinding, DriftReport, Endpoint
from provisioning.spec.parsing import SpecError

FINDINGS_SHOWN = 200
ACCEPT_PURPOSE = "AWS was changed on purpose; what it has becomes what is approved."


@dataclass(frozen=True)
class ShownFinding:
    """A finding, whether it is ignored now and this person may change that, and whether this person
    may request to accept it. `unacceptable` says why it cannot be accepted.
    """

    row: DriftFinding
    ignored: bool
    may_ignore: bool
    may_accept: bool
    unacceptable: str


@dataclass(frozen=True)
class AccountDrift:
    """An account with its findings, its last report and the one under way. `overtaken`: a run has
    ended there since the last one.
    """

    account: AwsAccount
    findings: list[ShownFinding]
    last: DriftReport | None
    running: DriftReport | None
    overtaken: bool


@signed_in
@require_safe
def drift(request: SignedIn) -> HttpResponse:
    """Every account's findings, for those who see every team."""
    if not request.user.sees_everything:
        raise Http404
    found: dict[str, list[ShownFinding]] = {}
    for row in visible_findings(request.user)[: FINDINGS_SHOWN + 1]:
        found.setdefault(row.account_id, []).append(_shown(request.user, row))
    accounts = [_of_account(one, found.get(one.pk, [])) for one in AwsAccount.objects.all()]
    total = sum(map(len, found.values()))
    context = {"accounts": accounts, "truncated": total > FINDINGS_SHOWN, **_choices(request.user)}
    return render(request, "drift/list.html", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_drift(request: SignedIn, pk: UUID) -> HttpResponse:
    """One endpoint's findings as a fragment, which refreshes itself while a report is made. A POST
    requests one.
    """
    endpoint = endpoint_or_404(request.user, pk)
    page = reverse("endpoint-detail", args=[pk])
    if request.method == "POST":
        answer = compare_now(request.user, endpoint.account, endpoint, now=timezone.now())
        if isinstance(answer, Denied):
            messages.warning(request, answer.reason)
            return to_page(request, page)
    if not request.htmx:
        return redirect(f"{page}#drift")
    context = {"endpoint": endpoint} | drift_context(request.user, endpoint)
    return render(request, "drift/_endpoint.html", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def account_drift(request: SignedIn, account_id: str) -> HttpResponse:
    """One account's findings as a fragment, which refreshes itself while a report is made. A POST
    requests one.
    """
    if not request.user.sees_everything:
        raise Http404
    account = get_object_or_404(AwsAccount, pk=account_id)
    page = f"{reverse('drift')}#account-{account.pk}"
    if request.method == "POST":
        answer = compare_now(request.user, account, None, now=timezone.now())
        if isinstance(answer, Denied):
            messages.warning(request, answer.reason)
            return to_page(request, page)
    if not request.htmx:
        return redirect(page)
    found = visible_findings(request.user).filter(account=account)[:FINDINGS_SHOWN]
    here = _of_account(account, [_shown(request.user, row) for row in found])
    return render(request, "drift/_account.html", {"here": here, **_choices(request.user)})


@signed_in
@require_POST
def finding_ignore(request: SignedIn, pk: UUID) -> HttpResponse:
    """Agree to a finding for some days, with a reason."""
    finding = _finding_or_404(request.user, pk)
    days = posted_text(request, "days", 3)
    if days not in map(str, IGNORE_DAYS):
        raise Http404
    reason, now = posted_text(request, "reason", LONGEST_REASON), timezone.now()
    answer = ignore_finding(request.user, finding, reason=reason, days=int(days), now=now)
    return _back(request, finding, answer, f"Ignored for {days} day{'' if days == '1' else 's'}.")


@signed_in
@require_POST
def finding_count(request: SignedIn, pk: UUID) -> HttpResponse:
    """Let an ignored finding count again."""
    finding = _finding_or_404(request.user, pk)
    answer = stop_ignoring(request.user, finding, now=timezone.now())
    return _back(request, finding, answer, "It counts again.")


@signed_in
@require_POST
def drift_accept(request: SignedIn, pk: UUID) -> HttpResponse:
    """Request that what AWS has becomes what is approved: for the findings that are named."""
    endpoint = endpoint_or_404(request.user, pk)
    named = [one for one in request.POST.getlist("finding") if _is_id(one)]
    findings = list(visible_findings(request.user).filter(endpoint=endpoint, pk__in=named))
    try:
        outcome = submit_acceptance(
            request.user, endpoint, findings, now=timezone.now(), justification=ACCEPT_PURPOSE
        )
    except SpecError as error:
        messages.warning(request, " ".join(one.message for one in error.errors))
        return redirect("endpoint-detail", pk)
    if isinstance(outcome, Denied):
        messages.warning(request, outcome.reason)
        return redirect(f"{reverse('endpoint-detail', args=[pk])}#drift")
    return redirect(outcome)


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def drift_context(person: Person, endpoint: Endpoint) -> dict[str, Any]:
    """What the endpoint's page says about drift."""
    rows = visible_findings(person).filter(endpoint=endpoint)
    last, running = last_reports(endpoint.account)
    shown = [_shown(person, row) for row in rows[:FINDINGS_SHOWN]]
    return {
        "findings_of_drift": shown,
        "findings_to_accept": [one.row for one in shown if one.may_accept],
        "drift_last": last,
        "drift_running": running,
        "drift_overtaken": last is not None and overtaken(last, endpoint),
        "drift_troubles": troubles_for(endpoint, last) if last else [],
        "may_compare": person.decides or person.belongs_to(endpoint.owner),
        "may_change": change_refusal(person, endpoint) is None,
        "parts_gone": rows.filter(code=Code.MISSING).exclude(resource="ingress-rule").exists(),
        **_choices(person),
    }


def _of_account(account: AwsAccount, findings: list[ShownFinding]) -> AccountDrift:
    last, running = last_reports(account)
    return AccountDrift(account, findings, last, running, last is not None and overtaken(last))


def _choices(person: Person) -> dict[str, Any]:
    return {"ignore_days": IGNORE_DAYS, "reason_limit": LONGEST_REASON, "decides": person.decides}


def _shown(person: Person, row: DriftFinding) -> ShownFinding:
    ignored = row.ignored_until is not None and row.ignored_until > timezone.now()
    own = row.endpoint is not None and person.belongs_to(row.endpoint.owner)
    refusal = acceptable(row.endpoint, [row]) if row.endpoint is not None else None
    unacceptable = refusal.reason if isinstance(refusal, Denied) else ""
    return ShownFinding(
        row,
        ignored,
        person.decides or may_ignore(person, row),
        own and not unacceptable,
        unacceptable if own else "",
    )


def _finding_or_404(person: Person, pk: UUID) -> DriftFinding:
    return get_object_or_404(visible_findings(person), pk=pk)


def _back(
    request: SignedIn, finding: DriftFinding, answer: Denied | None, done: str
) -> HttpResponse:
    """To the page that the finding is on."""
    if isinstance(answer, Denied):
        messages.warning(request, answer.reason)
    else:
        messages.success(request, done)
    if finding.endpoint_id and request.POST.get("from") != "list":
        return redirect(f"{reverse('endpoint-detail', args=[finding.endpoint_id])}#drift")
    return redirect(f"{reverse('drift')}#account-{finding.account_id}")
