"""Says how each component does; the exit status is 1 if one that was asked about is not ok."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.operations.observe import observe
from portal.operations.readiness import Level, components

NAMES = ("postgresql", "redis", "ticker", "workers", "aws-polling", "retention")


class Command(BaseCommand):
    help = "Say how each component of the portal does. Exit status 1 if one is not ok."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("component", nargs="*", choices=[[], *NAMES], help="Only these.")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = options["component"] or NAMES
        found = [one for one in components(observe(timezone.now())) if one.name in asked]
        for one in found:
            self.stdout.write(f"{one.name:<12} {one.level:<9} {one.text}")
        if any(one.level is not Level.OK for one in found) or len(found) < len(asked):
            raise CommandError("Not everything is ok.", returncode=1)
