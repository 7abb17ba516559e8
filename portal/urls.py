"""The addresses of the portal. Pages end in a slash; the API's do not."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from portal import api_reference
from portal.pages import (
    adoption,
    approvals,
    custom_checks,
    drift,
    endpoint_settings,
    endpoints,
    errors,
    exports,
    home,
    privacy,
    probes,
    quotas,
    removal,
    request_form,
    requests,
    secrets,
    sign_in,
    tokens,
    transfers,
    usual_check,
)
from portal.pages import help as help_pages
from portal.requests.verbs import VERBS_BY_NAME

# Approving and rejecting have a page of their own.
PAGE_VERBS = [name for name in VERBS_BY_NAME if name not in ("approve", "reject")]

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in/", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("requests/", home.requests, name="requests"),
    path("requests/new/", request_form.request_new, name="request-new"),
    path("requests/new/preview/", request_form.request_preview, name="request-preview"),
    path("requests/<uuid:pk>/", requests.request_detail, name="request-detail"),
    path("requests/<uuid:pk>/edit/", request_form.request_edit, name="request-edit"),
    path("requests/<uuid:pk>/standing/", requests.request_standing, name="request-standing"),
    *[
        path(
            f"requests/<uuid:pk>/{name}/",
            requests.request_verb,
            {"name": name},
            name=f"request-{name}",
        )
        for name in PAGE_VERBS
    ],
    path("requests/<uuid:pk>/events.<str:form>", requests.events_download, name="events-download"),
    path("requests/<uuid:pk>/decide/", approvals.decide, name="decide"),
    path("approvals/", approvals.approvals, name="approvals"),
    path("approvals/<uuid:pk>/", approvals.approval, name="approval"),
    path("endpoints/<uuid:pk>/", endpoints.endpoint_detail, name="endpoint-detail"),
    path("endpoints/<uuid:pk>/change/", request_form.endpoint_change, name="endpoint-change"),
    path("endpoints/<uuid:pk>/restore/", request_form.endpoint_restore, name="endpoint-restore"),
    path(
        "endpoints/<uuid:pk>/end-date/",
        endpoint_settings.endpoint_end_date,
        name="endpoint-end-date",
    ),
    path("endpoints/<uuid:pk>/rename/", endpoint_settings.endpoint_rename, name="endpoint-rename"),
    path("endpoints/<uuid:pk>/remove/", removal.endpoint_remove, name="endpoint-remove"),
    path("endpoints/<uuid:pk>/forget/", removal.endpoint_forget, name="endpoint-forget"),
    path("endpoints/<uuid:pk>/transfer/", transfers.endpoint_transfer, name="endpoint-transfer"),
    path("transfers/<uuid:pk>/", transfers.transfer_page, name="transfer"),
    path("transfers/<uuid:pk>/accept/", transfers.transfer_accept, name="transfer-accept"),
    path("transfers/<uuid:pk>/decline/", transfers.transfer_decline, name="transfer-decline"),
    path("transfers/<uuid:pk>/withdraw/", transfers.transfer_withdraw, name="transfer-withdraw"),
    path("endpoints/<uuid:pk>/checks/latest/", endpoints.check_latest, name="check-latest"),
    path("endpoints/<uuid:pk>/checks/run/", endpoints.check_run, name="check-run"),
    path("endpoints/<uuid:pk>/checks/usual/", usual_check.usual_check, name="usual-check"),
    path("endpoints/<uuid:pk>/checks/custom/", custom_checks.custom_check, name="custom-check"),
    path(
        "endpoints/<uuid:pk>/checks/saved/<int:saved_pk>/run/",
        custom_checks.saved_check_run,
        name="saved-check-run",
    ),
    path(
        "endpoints/<uuid:pk>/checks/saved/<int:saved_pk>/delete/",
        custom_checks.saved_check_delete,
        name="saved-check-delete",
    ),
    path("endpoints/<uuid:pk>/probes/", probes.probes, name="probes"),
    path("endpoints/<uuid:pk>/probes/<uuid:probe_pk>/", probes.probe_result, name="probe-result"),
    path(
        "endpoints/<uuid:pk>/checks/<uuid:check_pk>/log-rows/",
        probes.check_log_rows,
        name="check-log-rows",
    ),
    path("endpoints/<uuid:pk>/privacy/", privacy.audits, name="privacy"),
    path("endpoints/<uuid:pk>/privacy/<uuid:audit>/", privacy.audit_page, name="privacy-audit"),
    path(
        "endpoints/<uuid:pk>/privacy/<uuid:audit>.json",
        privacy.audit_json,
        name="privacy-audit-json",
    ),
    path(
        "endpoints/<uuid:pk>/privacy/exceptions/",
        privacy.exceptions_accept,
        name="privacy-exceptions",
    ),
    path(
        "endpoints/<uuid:pk>/privacy/exceptions/<uuid:exception_pk>/withdraw/",
        privacy.exception_withdraw,
        name="privacy-exception-withdraw",
    ),
    path("endpoints/<uuid:pk>/drift/", drift.endpoint_drift, name="drift-endpoint"),
    path("endpoints/<uuid:pk>/drift/accept/", drift.drift_accept, name="drift-accept"),
    path("endpoints/<uuid:pk>/export/<str:form>/", exports.endpoint_export, name="export-endpoint"),
    path("exports/", exports.exports, name="exports"),
    path("exports/<str:form>/", exports.fleet_export, name="export-fleet"),
    path(
        "exports/<slug:distribution_id>/<str:form>/",
        exports.distribution_export,
        name="export-distribution",
    ),
    path("adopt/", adoption.adopt, name="adopt"),
    path("drift/", drift.drift, name="drift"),
    path("quotas/", quotas.quotas, name="quotas"),
    path("drift/accounts/<slug:account_id>/", drift.account_drift, name="drift-account"),
    path("drift/<uuid:pk>/ignore/", drift.finding_ignore, name="drift-ignore"),
    path("drift/<uuid:pk>/count/", drift.finding_count, name="drift-count"),
    path("teams/<slug:slug>/secrets/", secrets.secrets, name="secrets"),
    path(
        "teams/<slug:slug>/secrets/<uuid:pk>/replace/",
        secrets.secret_replace,
        name="secret-replace",
    ),
    path(
        "teams/<slug:slug>/secrets/<uuid:pk>/delete/", secrets.secret_delete, name="secret-delete"
    ),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", tokens.token_revoke, name="token-revoke"),
    path("help/", help_pages.help_index, name="help"),
    path("help/app-kinds/", help_pages.help_app_kinds, name="help-app-kinds"),
    path("help/troubleshooting/", help_pages.help_troubleshooting, name="help-troubleshooting"),
    path("help/verify-audit/", privacy.help_verify_audit, name="help-verify-audit"),
    path("help/verify-audit/key.pem", privacy.evidence_key, name="evidence-key"),
    path("help/verdicts/<str:code>/", help_pages.help_verdict, name="help-verdict"),
    path("api/v1/docs", api_reference.reference, name="api-docs"),
    path("api/v1/docs/", api_reference.reference),
    path("api/v1/docs/try", api_reference.swagger_ui, name="api-try"),
    path("api/v1/problems/<slug:code>", api_reference.problem, name="api-problem"),
    path("api/v1/", include("portal.api.urls")),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
