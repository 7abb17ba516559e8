"""Gives a team paths of a distribution, takes them back, or lists who has which."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.people.models import Team
from provisioning.models import AwsAccount, PathAssignment
from provisioning.spec.field_kinds import InvalidValue
from provisioning.spec.fields import FIELD


class Command(BaseCommand):
    help = (
        "Assign a path pattern of a distribution to a team. Other teams then get no paths in it, "
        "and the team may take it from behaviors that serve it today. Assign part of another "
        "team's endpoint only with that team's consent. Without a pattern, lists the assignments."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("distribution_id", help="for example E1A2B3C4D5E6F7")
        parser.add_argument("pattern", nargs="?", help="for example '/ws/*', or '/*' for all")
        parser.add_argument("team", nargs="?", help="the team's slug")
        parser.add_argument(
            "--account", help="twelve digits; may be left out if the team has one account only"
        )
        parser.add_argument("--remove", action="store_true", help="take the assignment back")

    def handle(self, *args: Any, **options: Any) -> None:
        distribution_id = options["distribution_id"]
        if options["pattern"] is None:
            for one in PathAssignment.objects.filter(distribution_id=distribution_id):
                self.stdout.write(f"{one.path_pattern}\t{one.owner}")
            return
        team = Team.objects.filter(slug=options["team"] or "").first()
        if team is None:
            raise CommandError(f"There is no team {options['team'] or 'given'}.")
        try:
            FIELD["distribution_id"].parse(distribution_id)
            (pattern,) = FIELD["path_patterns"].parse([options["pattern"]])
        except InvalidValue as invalid:
            raise CommandError(invalid.message) from invalid
        row = {
            "account": self._account(team, options["account"]),
            "distribution_id": distribution_id,
            "path_pattern": pattern,
            "owner": team.slug,
        }
        if options["remove"]:
            removed, _ = PathAssignment.objects.filter(**row).delete()
            if not removed:
                raise CommandError(f"{team} has no such assignment.")
            self.stdout.write(f"{pattern} is no longer assigned to {team}.")
            return
        PathAssignment.objects.get_or_create(**row, defaults={"created_at": timezone.now()})
        self.stdout.write(f"{pattern} of {distribution_id} is assigned to {team}.")

    def _account(self, team: Team, account_id: str | None) -> AwsAccount:
        accounts = list(team.accounts.all())
        if account_id:
            accounts = [one for one in accounts if one.account_id == account_id]
        if len(accounts) != 1:
            raise CommandError(f"Name the account of {team} with --account.")
        return accounts[0]
