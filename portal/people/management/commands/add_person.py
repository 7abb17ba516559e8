"""Registers a person who signs in: a team member, a member of the platform team or an auditor."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from portal.people.models import Membership, Person, Team


class Command(BaseCommand):
    help = (
        "Register a person, or add teams or change the role of a registered one. Prints the "
        "initial password once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="first and last name")
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--team", action="append", default=[], help="slug of a team; may be repeated"
        )
        parser.add_argument(
            "--integration",
            action="store_true",
            help="a trusted ticket system: its word counts on who opened a ticket, and for whom",
        )
        parser.add_argument("--role", choices=[role for role in Person.Role.values if role])

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        teams = list(Team.objects.filter(slug__in=options["team"]))
        missing = sorted(set(options["team"]) - {team.slug for team in teams})
        if missing:
            raise CommandError(
                f"No such team: {', '.join(missing)}. Use `manage.py add_team` first."
            )
        person = Person.objects.filter(username=options["username"]).first()
        if person is None:
            first, _, last = options["name"].partition(" ")
            password = secrets.token_urlsafe(12)
            person = Person.objects.create_user(
                options["username"], options["email"], password, first_name=first, last_name=last
            )
            self.stdout.write(f"Initial password of {person.username}: {password}")
        if options["role"]:
            person.role = options["role"]
            person.save(update_fields=["role"])
        if options["integration"]:
            person.names_people = True
            person.save(update_fields=["names_people"])
        for team in teams:
            Membership.objects.get_or_create(person=person, team=team)
        belongs = ", ".join(sorted(team.name for team in person.teams.all())) or "no team"
        self.stdout.write(f"{person} ({person.username}): {belongs}; {person.get_role_display()}.")
