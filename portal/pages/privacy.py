"""Privacy audits of an endpoint, each as a document to print or download, and how to verify one."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import rfc8785
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from checks.models import PrivacyAudit, PrivacyException
from checks.privacy import signing
from checks.privacy.keys import KeyFault, public_pem, signing_key
from checks.privacy.rules import Outcome
from portal.endpoints.actions import check_refusal
from portal.endpoints.privacy_audits import audit_now
from portal.endpoints.privacy_exceptions import (
    accept_found,
    acceptance_refusal,
    open_exposures,
    withdraw_exception,
)
from portal.pages.auth import (
    SignedIn,
    endpoint_or_404,
    path_of_page,
    posted_text,
    signed_in,
    to_page,
)
from portal.people.models import Person
from portal.requests.accepted_exceptions import last_day
from portal.requests.lifecycle import Denied
from portal.requests.verbs import LONGEST_REASON
from provisioning.models import Endpoint
from provisioning.redaction.masking import mask_prose

MAX_SHOWN = 100


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def audits(request: SignedIn, pk: UUID) -> HttpResponse:
    """All audits, or as a fragment the latest one with what it changes elsewhere on the page. A
    POST starts one.
    """
    endpoint = endpoint_or_404(request.user, pk)
    if request.method == "POST":
        answer = audit_now(request.user, endpoint, now=timezone.now())
        page = reverse("privacy", args=[pk])
        if isinstance(answer, Denied):
            messages.warning(request, answer.reason)
            return to_page(request, page)
        if not request.htmx:
            return redirect(f"{page}#privacy")
    context = {"endpoint": endpoint} | privacy_context(request.user, endpoint)
    if request.htmx and (context["audit_running"] or not context["latest_audit"]):
        return render(request, "privacy/_latest_audit.html", context)
    made = PrivacyAudit.objects.filter(endpoint=endpoint, finished_at__isnull=False).defer(
        "document"
    )
    context |= _exceptions_context(request.user, endpoint)
    context["audits"] = made.order_by("-requested_at")[:MAX_SHOWN]
    if request.htmx:
        context["on_list"] = path_of_page(request) == request.path
        return render(request, "privacy/_audit_finished.html", context)
    return render(request, "privacy/list.html", context)


@signed_in
@require_POST
def exceptions_accept(request: SignedIn, pk: UUID) -> HttpResponse:
    """Accept what the latest audit found."""
    endpoint = endpoint_or_404(request.user, pk)
    reason = posted_text(request, "reason", LONGEST_REASON)
    denied = accept_found(
        request.user,
        endpoint,
        request.POST.getlist("exposures"),
        reason=mask_prose(reason, LONGEST_REASON),
        until=posted_text(request, "until", 10),
        now=timezone.now(),
    )
    if denied:
        messages.warning(request, denied.reason)
    else:
        messages.success(request, "Accepted. The endpoint is audited again.")
    return redirect("privacy", pk)


@signed_in
@require_POST
def exception_withdraw(request: SignedIn, pk: UUID, exception_pk: UUID) -> HttpResponse:
    """End an exception before its time."""
    endpoint = endpoint_or_404(request.user, pk)
    found = PrivacyException.objects.filter(endpoint=endpoint, pk=exception_pk).first()
    if found is None:
        raise Http404
    denied = withdraw_exception(request.user, found, now=timezone.now())
    if denied:
        messages.warning(request, denied.reason)
    else:
        messages.success(request, "Withdrawn. The endpoint is audited again.")
    return redirect("privacy", pk)


@signed_in
@require_safe
def audit_page(request: SignedIn, pk: UUID, audit: UUID) -> HttpResponse:
    """One audit, to read or print."""
    endpoint = endpoint_or_404(request.user, pk)
    made = _made_or_404(endpoint, audit)
    counted = Counter(one["outcome"] for one in made.document["questions"])
    answers = [
        (outcome, counted[outcome]) for outcome in sorted(Outcome, reverse=True) if counted[outcome]
    ]
    context = {"endpoint": endpoint, "audit": made, "document": made.document, "answers": answers}
    return render(request, "privacy/audit.html", context)


@signed_in
@require_safe
def audit_json(request: SignedIn, pk: UUID, audit: UUID) -> HttpResponse:
    """The same as a download: canonical JSON with digest and signature."""
    endpoint = endpoint_or_404(request.user, pk)
    made = _made_or_404(endpoint, audit)
    kept = rfc8785.dumps(signing.sealed(made.document, made.digest, made.signature))
    name = f"privacy-{endpoint.name}-{made.finished_at:%Y%m%dT%H%M%SZ}.json"
    response = HttpResponse(kept, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@signed_in
@require_safe
def help_verify_audit(request: SignedIn) -> HttpResponse:
    """How to verify a downloaded audit, with the public key."""
    return render(
        request, "help/verify_audit.html", _key_context() | {"commands": signing.HOW_TO_VERIFY}
    )


@require_safe
def evidence_key(request: HttpRequest) -> HttpResponse:
    """The public key alone, for anyone who has a document; it is not secret."""
    pem = _key_context()["pem"]
    if not pem:
        raise Http404
    return HttpResponse(pem, content_type="application/x-pem-file")


def privacy_context(person: Person, endpoint: Endpoint) -> dict[str, Any]:
    """The latest audit, the one that is running, and whether this person may start one."""
    known = PrivacyAudit.objects.filter(endpoint=endpoint).defer("document")
    return {
        "latest_audit": known.filter(finished_at__isnull=False).order_by("-requested_at").first(),
        "audit_running": known.filter(finished_at__isnull=True).first(),
        "may_audit": check_refusal(person, endpoint) is None,
    }


def _exceptions_context(person: Person, endpoint: Endpoint) -> dict[str, Any]:
    """What is accepted, what was, and what this person may accept."""
    now = timezone.now()
    rows = PrivacyException.objects.filter(endpoint=endpoint)
    in_force = list(rows.in_force(now))
    may_accept = acceptance_refusal(person, endpoint) is None
    return {
        "exceptions": in_force,
        "ended_exceptions": rows.exclude(pk__in=[one.pk for one in in_force])[:MAX_SHOWN],
        "may_accept": may_accept,
        "open_exposures": open_exposures(endpoint) if may_accept else [],
        "last_day": last_day(now).isoformat(),
        "today": now.date().isoformat(),
    }


def _key_context() -> dict[str, Any]:
    try:
        key = signing_key()
    except KeyFault:
        key = None
    return (
        {"pem": public_pem(key), "key_id": signing.key_id(key.public_key())}
        if key
        else {"pem": "", "key_id": ""}
    )


def _made_or_404(endpoint: Endpoint, audit: UUID) -> PrivacyAudit:
    found: PrivacyAudit | None = PrivacyAudit.objects.filter(
        endpoint=endpoint, pk=audit, finished_at__isnull=False
    ).first()
    if found is None:
        raise Http404
    return found
