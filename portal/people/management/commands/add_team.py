"""Registers a team and the accounts its people may use."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_slug

from portal.people.models import Team
from provisioning.models import AwsAccount


class Command(BaseCommand):
    help = "Register a team, or add accounts to a registered one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "slug", help="short name used in URLs, for example team-chat; it never changes"
        )
        parser.add_argument("name", help="display name")
        parser.add_argument(
            "--account", action="append", default=[], help="twelve digits; can be repeated"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            validate_slug(options["slug"])
        except ValidationError as error:
            raise CommandError(
                "A slug can have letters, digits, hyphens and underscores only."
            ) from error
        accounts = list(AwsAccount.objects.filter(account_id__in=options["account"]))
        missing = sorted(set(options["account"]) - {account.account_id for account in accounts})
        if missing:
            raise CommandError(
                f"Not registered: {', '.join(missing)}. Use `manage.py add_account` first."
            )
        team, made = Team.objects.get_or_create(
            slug=options["slug"], defaults={"name": options["name"]}
        )
        team.accounts.add(*accounts)
        held = (
            ", ".join(str(account) for account in team.accounts.order_by("name"))
            or "no account yet"
        )
        self.stdout.write(f"{team} is {'registered' if made else 'known'}: {held}.")
