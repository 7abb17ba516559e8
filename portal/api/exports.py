"""Exports over the API: the files of an endpoint, a distribution or the fleet, as JSON or ZIP."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView
from portal.api.endpoints import OfEndpoint
from portal.api.operation import operation
from portal.endpoints.exports import (
    EXPORT_REFUSALS,
    distribution_as_code,
    endpoint_as_code,
    fleet_as_code,
)
from portal.problems import unless_refused
from portal.requests.lifecycle import Denied
from provisioning.export import bundle
from provisioning.export.content import Export, Format, Scope

OF_ALL = (*EXPORT_REFUSALS, "forbidden")


class ZipRenderer(BaseRenderer):
    """The files as an archive."""

    media_type = "application/zip"
    format = "zip"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return bundle.as_zip({one["path"]: one["text"] for one in data["files"]})


# fmt: off
FILE = f.Object("ExportedFile", "A file of an export.", (
    f.Field("path", f.STRING, example="main.tf"),
    f.Field("text", f.STRING, example="resource \"aws_cloudfront_vpc_origin\" ..."),
))
EXPORT = f.Object("Export", "What exists in AWS, as code.", (
    f.Field("scope", f.choice(Scope), example="endpoint"),
    f.Field("name", f.STRING, "The endpoint's name, the distribution's ID, or fleet.",
            example="team-chat"),
    f.Field("format", f.choice(Format), example="terraform"),
    f.Field("files", f.array(f.of(FILE)), "README.md says how to take it over."),
))
FORMAT = (
    f.Field("format", f.choice(Format), "terraform if absent.", default=Format.TERRAFORM.value),
)
ALSO = {
    (200, ZipRenderer.media_type): OpenApiResponse(OpenApiTypes.BINARY, description="The files."),
}
# fmt: on


class OfExport(ApiView):
    """What the three have in common."""

    renderer_classes = (JSONRenderer, ZipRenderer)

    def answer(self, outcome: Export | Denied) -> Response:
        """The files, or the reason why there are none."""
        export = unless_refused(outcome)
        form = Format(self.query["format"])
        files = bundle.files_of(export, form)
        name = bundle.archive_name(export, form)
        return Response(
            {
                "scope": export.scope,
                "name": export.name,
                "format": form,
                "files": [{"path": path, "text": text} for path, text in files.items()],
            },
            headers={"Content-Disposition": f'attachment; filename="{name}"'}
            if isinstance(self.request.accepted_renderer, ZipRenderer)
            else None,
        )


class EndpointExport(OfExport, OfEndpoint):
    @operation("exportEndpoint", EXPORT, query=FORMAT, also=ALSO, refusals=EXPORT_REFUSALS)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Export an endpoint.

        Its VPC origin and ingress rules with import blocks or identifiers, and its part of the
        distribution, to paste. Secrets are variables. With Accept: application/zip an archive.
        """
        return self.answer(endpoint_as_code(self.endpoint(endpoint_id)))


class DistributionExport(OfExport):
    @operation("exportDistribution", EXPORT, query=FORMAT, also=ALSO, refusals=OF_ALL)
    def get(self, request: Request, distribution_id: str) -> Response:
        """Export a distribution.

        The whole of it, for those who see everything, with its VPC origins and the ingress rules
        that the portal added. With Accept: application/zip an archive.
        """
        return self.answer(distribution_as_code(self.person, distribution_id))


class FleetExport(OfExport):
    @operation("exportFleet", EXPORT, query=FORMAT, also=ALSO, refusals=OF_ALL)
    def get(self, request: Request) -> Response:
        """Export the fleet.

        Every distribution with endpoints, for those who see everything. With Accept:
        application/zip an archive.
        """
        return self.answer(fleet_as_code(self.person))
