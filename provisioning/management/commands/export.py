"""Writes an endpoint, a distribution or the whole fleet as code, for whoever takes it over."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioning.aws.errors import AwsError
from provisioning.export import bundle
from provisioning.export.content import Export, Format
from provisioning.export.reading import (
    NothingToExport,
    Patience,
    deployed,
    export_distribution,
    export_endpoint,
    export_fleet,
)


class Command(BaseCommand):
    help = (
        "Write what is in AWS as Terraform, CloudFormation or CDK into a new folder, with import "
        "blocks or identifiers. Reads AWS; changes nothing there. It waits for the account's "
        "budget of calls as long as it takes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("format", choices=[one.value for one in Format])
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--endpoint", metavar="ID", help="the endpoint's ID, or its name")
        what.add_argument("--distribution", metavar="ID", help="one that has an endpoint")
        what.add_argument("--fleet", action="store_true", help="all distributions with endpoints")
        parser.add_argument(
            "--to", type=Path, required=True, metavar="FOLDER", help="new, or empty"
        )

    def handle(self, *args: Any, to: Path, **options: Any) -> None:
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise CommandError(f"{to} is not empty. Name a new folder.")
        try:
            export = self._export(options)
        except (AwsError, NothingToExport) as error:
            raise CommandError(f"{error} {getattr(error, 'fix', '')}".strip()) from error
        for name, text in bundle.files_of(export, Format(options["format"])).items():
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self.stdout.write(str(path))

    def _export(self, options: dict[str, Any]) -> Export:
        patience = Patience(float("inf"))
        if options["fleet"]:
            return export_fleet(patience)
        if wanted := options["distribution"]:
            one = deployed().filter(spec_data__distribution_id=wanted).first()
            if one is None:
                raise CommandError(f"No endpoint is deployed on a distribution {wanted}.")
            return export_distribution(one.account, wanted, patience)
        wanted = options["endpoint"]
        try:
            found = list(deployed().filter(pk=uuid.UUID(wanted)))
        except ValueError:
            found = list(deployed().filter(name=wanted))
        if not found:
            raise CommandError(f"No endpoint {wanted} is deployed.")
        if len(found) > 1:
            ids = ", ".join(f"{one.pk} in {one.account}" for one in found)
            raise CommandError(f"Several endpoints have this name. Use an ID: {ids}.")
        return export_endpoint(found[0], patience)
