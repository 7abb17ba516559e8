"""The routes under /api/v1/. No trailing slashes; every other path answers as a problem, not as a
page.
"""

from django.urls import path, re_path

from portal.api import checks, docs, endpoints, requests
from portal.api.base import Nowhere

requests_and_endpoints = [
    path("requests", requests.Requests.as_view()),
    path(
        "requests/by-external/<str:system>/<path:external_id>", requests.RequestByTicket.as_view()
    ),
    path("requests/<uuid:request_id>", requests.OneRequest.as_view()),
    path("requests/<uuid:request_id>/events", requests.RequestEvents.as_view()),
    path("requests/<uuid:request_id>/approve", requests.Approve.as_view()),
    path("requests/<uuid:request_id>/reject", requests.Reject.as_view()),
    path("requests/<uuid:request_id>/cancel", requests.Cancel.as_view()),
    path("requests/<uuid:request_id>/retry-undo", requests.RetryUndo.as_view()),
    path("requests/<uuid:request_id>/close", requests.Close.as_view()),
    path("requests/<uuid:request_id>/replan", requests.Replan.as_view()),
    path("requests/<uuid:request_id>/amend", requests.Amend.as_view()),
    path("endpoints", endpoints.Endpoints.as_view()),
    path("endpoints/<uuid:endpoint_id>", endpoints.OneEndpoint.as_view()),
    path("endpoints/<uuid:endpoint_id>/checks", checks.Checks.as_view()),
    path("endpoints/<uuid:endpoint_id>/checks/<uuid:check_id>", checks.OneCheck.as_view()),
    path("endpoints/<uuid:endpoint_id>/checks/<uuid:check_id>/log-rows", checks.LogRows.as_view()),
    path("endpoints/<uuid:endpoint_id>/probes", checks.Probes.as_view()),
    path("endpoints/<uuid:endpoint_id>/probes/<uuid:probe_id>", checks.OneProbe.as_view()),
    path("endpoints/<uuid:endpoint_id>/saved-checks", checks.SavedChecks.as_view()),
    path(
        "endpoints/<uuid:endpoint_id>/saved-checks/<int:saved_id>", checks.OneSavedCheck.as_view()
    ),
    path(
        "endpoints/<uuid:endpoint_id>/saved-checks/<int:saved_id>/checks",
        checks.ChecksOfSaved.as_view(),
    ),
]

urlpatterns = [
    path("schema", docs.openapi, name="api-schema"),
    path("schema/", docs.openapi),
    path("docs", docs.browse, name="api-docs"),
    path("docs/", docs.browse),
    path("problems/<slug:code>", docs.problem, name="api-problem"),
    *requests_and_endpoints,
    re_path(r"^.*$", Nowhere.as_view()),
]
