"""What the OpenAPI document says about endpoints.

As in portal.api.requests_schema these serializers only describe; answers are made by
portal.api.output.
"""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers as s

from portal.api.schema import PAGING, READ, REQUEST_ID, Body, operation, parameter


class EndpointShown(Body):
    """An endpoint."""

    id = s.UUIDField()
    url = s.CharField()
    name = s.CharField()
    team = s.CharField()
    account_id = s.CharField()
    state = s.CharField()
    endpoint_url = s.CharField(help_text="Where viewers connect, wss://…")
    spec = s.DictField()
    links = s.DictField(child=s.CharField())
    created_at = s.DateTimeField()
    deployed_at = s.DateTimeField(allow_null=True)


class EndpointPage(Body):
    endpoints = s.ListField(child=EndpointShown())
    next_cursor = s.CharField(allow_null=True)


ENDPOINT_EXAMPLE = {
    "id": REQUEST_ID,
    "url": f"https://portal.example/api/v1/endpoints/{REQUEST_ID}",
    "name": "team-chat",
    "team": "chat",
    "account_id": "111122223333",
    "state": "deployed",
    "endpoint_url": "wss://d111111abcdef8.cloudfront.net/ws/chat",
    "spec": {"name": "team-chat", "path_patterns": ["/ws/chat"]},
    "links": {
        "portal": f"https://portal.example/endpoints/{REQUEST_ID}/",
        **{
            link: f"https://portal.example/api/v1/endpoints/{REQUEST_ID}/{link.replace('_', '-')}"
            for link in ("checks", "probes", "saved_checks")
        },
    },
    "created_at": "2026-11-21T09:05:00.000Z",
    "deployed_at": "2026-11-21T09:20:00.000Z",
}

LIST_ENDPOINTS = operation(
    "listEndpoints",
    "List endpoints",
    "Newest first. Pages by an opaque cursor.",
    "endpoints",
    EndpointPage,
    {"endpoints": [ENDPOINT_EXAMPLE], "next_cursor": None},
    scope=READ,
    parameters=(parameter("team", OpenApiTypes.STR, "A team's short name."), *PAGING),
    refusals=(400,),
)
GET_ENDPOINT = operation(
    "getEndpoint",
    "Read an endpoint",
    "What it is and where viewers connect.",
    "endpoints",
    EndpointShown,
    ENDPOINT_EXAMPLE,
    scope=READ,
    refusals=(400, 404),
)
