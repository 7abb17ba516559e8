"""The routes under /api/v1/. No trailing slashes; every other path answers as a problem, not as a
page.
"""

from django.urls import path, re_path

from portal.api import (
    adoption,
    checks,
    docs,
    drift,
    endpoint_changes,
    endpoints,
    exports,
    privacy_exceptions,
    probes,
    quotas,
    requests,
    saved_checks,
    secrets,
    transfers,
    usual_check,
)
from portal.api.base import UnknownPath
from portal.requests.verbs import VERBS

ENDPOINT = "endpoints/<uuid:endpoint_id>"
CHECK = f"{ENDPOINT}/checks/<uuid:check_id>"
SAVED_CHECK = f"{ENDPOINT}/saved-checks/<int:saved_id>"
BY_TICKET = "requests/by-external/<str:system>/<path:external_id>"

resources = [
    path("requests", requests.Requests.as_view()),
    path(BY_TICKET, requests.RequestByTicket.as_view()),
    path("requests/<uuid:request_id>", requests.OneRequest.as_view()),
    path("requests/<uuid:request_id>/events", requests.RequestEvents.as_view()),
    *(
        path(f"requests/<uuid:request_id>/{verb.name}", requests.verb_view(verb).as_view())
        for verb in VERBS
    ),
    path("adoptions", adoption.Adoptions.as_view()),
    path("distributions/<slug:distribution_id>/adoptable", adoption.Adoptables.as_view()),
    path("endpoints", endpoints.Endpoints.as_view()),
    path(ENDPOINT, endpoints.OneEndpoint.as_view()),
    path(f"{ENDPOINT}/export", exports.EndpointExport.as_view()),
    path("distributions/<slug:distribution_id>/export", exports.DistributionExport.as_view()),
    path("export", exports.FleetExport.as_view()),
    path(f"{ENDPOINT}/change", endpoint_changes.ChangeEndpoint.as_view()),
    path(f"{ENDPOINT}/accept-drift", endpoint_changes.AcceptDrift.as_view()),
    path(f"{ENDPOINT}/end-date", endpoint_changes.EndpointEndDate.as_view()),
    path(f"{ENDPOINT}/rename", endpoint_changes.RenameEndpoint.as_view()),
    path(f"{ENDPOINT}/remove", endpoint_changes.RemoveEndpoint.as_view()),
    path(f"{ENDPOINT}/forget", endpoint_changes.ForgetEndpoint.as_view()),
    path(f"{ENDPOINT}/transfer", transfers.EndpointTransfer.as_view()),
    path("transfers", transfers.Transfers.as_view()),
    path("transfers/<uuid:transfer_id>", transfers.OneTransfer.as_view()),
    path("transfers/<uuid:transfer_id>/accept", transfers.AcceptTransfer.as_view()),
    path("transfers/<uuid:transfer_id>/decline", transfers.DeclineTransfer.as_view()),
    path("transfers/<uuid:transfer_id>/withdraw", transfers.WithdrawTransfer.as_view()),
    path(f"{ENDPOINT}/checks", checks.Checks.as_view()),
    path(CHECK, checks.OneCheck.as_view()),
    path(f"{CHECK}/log-rows", probes.LogRows.as_view()),
    path(f"{ENDPOINT}/probes", probes.Probes.as_view()),
    path(f"{ENDPOINT}/probes/<uuid:probe_id>", probes.OneProbe.as_view()),
    path(f"{ENDPOINT}/usual-check", usual_check.UsualCheck.as_view()),
    path(f"{ENDPOINT}/saved-checks", saved_checks.SavedChecks.as_view()),
    path(SAVED_CHECK, saved_checks.OneSavedCheck.as_view()),
    path(f"{SAVED_CHECK}/checks", saved_checks.ChecksOfSaved.as_view()),
    path(f"{ENDPOINT}/privacy-exceptions", privacy_exceptions.PrivacyExceptions.as_view()),
    path(
        f"{ENDPOINT}/privacy-exceptions/<uuid:exception_id>",
        privacy_exceptions.OnePrivacyException.as_view(),
    ),
    path(f"{ENDPOINT}/drift-reports", drift.DriftReports.as_view()),
    path("quotas", quotas.Quotas.as_view()),
    path("drift-findings", drift.DriftFindings.as_view()),
    path("drift-findings/<uuid:finding_id>/ignore", drift.IgnoreFinding.as_view()),
    path("drift-findings/<uuid:finding_id>/stop-ignoring", drift.StopIgnoring.as_view()),
    path("secrets", secrets.Secrets.as_view()),
    path("secrets/<uuid:secret_id>", secrets.OneSecret.as_view()),
    path("secrets/<uuid:secret_id>/replace", secrets.ReplaceSecret.as_view()),
]
urlpatterns = [
    path("schema", docs.openapi, name="api-schema"),
    path("schema/", docs.openapi),
    *resources,
    re_path(r"^.*$", UnknownPath.as_view()),
]
