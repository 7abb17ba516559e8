"""Issues an API token for a person or a ticket system's account."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.people import actions
from portal.people.models import ApiToken, Person


class Command(BaseCommand):
    help = "Issue an API token. It is printed once; only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("name", help="what it is for, for example servicenow")
        parser.add_argument(
            "--scope", action="append", choices=ApiToken.Scope.values, required=True
        )
        parser.add_argument("--days", type=int, default=180)

    def handle(self, *args: Any, **options: Any) -> None:
        person = Person.objects.filter(username=options["username"], is_active=True).first()
        if person is None:
            raise CommandError(
                f"No active person is named {options['username']}. Use `manage.py "
                "add_person` first."
            )
        try:
            clear, token = actions.issue_token(
                person, options["name"], options["scope"], days=options["days"], now=timezone.now()
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(clear)
        self.stderr.write(f"Expires {token.expires_at:%Y-%m-%d}. It will not be shown again.")
