"""Deactivates a person who leaves: no sign-in, no tokens, no sessions."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.people.actions import end_person
from portal.people.models import Person


class Command(BaseCommand):
    help = (
        "Deactivate a person who leaves: no sign-in, no tokens, no sessions. Their requests and "
        "decisions stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        person = Person.objects.filter(username=options["username"]).first()
        if person is None:
            raise CommandError(f"No person is named {options['username']}.")
        ended = end_person(person, now=timezone.now())
        done = "can no longer sign in" if ended.now else "was already deactivated"
        self.stdout.write(
            f"{person} ({person.username}) {done}. Tokens revoked: {ended.tokens}. Sessions "
            f"ended: {ended.sessions}."
        )
