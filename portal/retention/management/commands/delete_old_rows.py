"""Deletes what the RETAIN_ settings no longer keep, at once; with --dry-run only counts it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from portal.retention import housekeeping
from portal.retention.kinds import Batch

SECONDS_BETWEEN_REPORTS = 10.0


class Command(BaseCommand):
    help = "Delete the rows that the RETAIN_ settings no longer keep. The ticker does it, too."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count, by kind")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["dry_run"]:
            self._report("would delete", housekeeping.preview(now))
            return
        housekeeping.look_now(now)
        total: dict[str, Batch] = {}
        while made := housekeeping.delete_due(now, seconds=SECONDS_BETWEEN_REPORTS):
            total = {
                name: total.get(name, Batch()) + made.get(name, Batch())
                for name in dict.fromkeys([*total, *made])
            }
        self._report("deleted", total)

    def _report(self, verb: str, found: dict[str, Batch]) -> None:
        for name, batch in found.items():
            also = f", and {batch.emptied} transcripts" if batch.emptied else ""
            self.stdout.write(f"{name:<20} {verb} {batch.deleted} rows{also}")
