"""Downloads of what is in AWS as code: of an endpoint, and for those who see everything of a
distribution and the fleet.
"""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.endpoints.exports import (
    distribution_as_code,
    endpoint_as_code,
    exportable_distributions,
    fleet_as_code,
)
from portal.pages.auth import SignedIn, endpoint_or_404, signed_in
from portal.requests.lifecycle import Denied
from provisioning.export import bundle
from provisioning.export.content import TITLES, Export, Format

FORMATS = [(form.value, title) for form, title in TITLES.items()]


@signed_in
@require_safe
def exports(request: SignedIn) -> HttpResponse:
    """The distributions to choose from."""
    if not request.user.sees_everything:
        raise Http404
    context = {"distributions": exportable_distributions(), "formats": FORMATS}
    return render(request, "endpoints/exports.html", context)


@signed_in
@require_safe
def endpoint_export(request: SignedIn, pk: UUID, form: str) -> HttpResponse:
    """An endpoint as an archive."""
    endpoint = endpoint_or_404(request.user, pk)
    page = f"{reverse('endpoint-detail', args=[pk])}#export-title"
    return _download(request, endpoint_as_code(endpoint), _format(form), page)


@signed_in
@require_safe
def distribution_export(request: SignedIn, distribution_id: str, form: str) -> HttpResponse:
    """A distribution as an archive."""
    found = distribution_as_code(request.user, distribution_id)
    return _download(request, found, _format(form), reverse("exports"))


@signed_in
@require_safe
def fleet_export(request: SignedIn, form: str) -> HttpResponse:
    """The fleet as an archive."""
    return _download(request, fleet_as_code(request.user), _format(form), reverse("exports"))


def _format(form: str) -> Format:
    try:
        return Format(form)
    except ValueError:
        raise Http404 from None


def _download(request: SignedIn, export: Export | Denied, form: Format, page: str) -> HttpResponse:
    if isinstance(export, Denied):
        if export.code == "forbidden":
            raise Http404
        messages.warning(request, export.reason)
        return redirect(page)
    response = HttpResponse(
        bundle.as_zip(bundle.files_of(export, form)), content_type="application/zip"
    )
    name = bundle.archive_name(export, form)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
