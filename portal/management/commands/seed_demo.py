"""Fills a portal that works against the lab: two accounts, two teams, six people with known
passwords.

It may be run again at any time: what exists stays as it is. It refuses to run where AWS is the real
one, because everybody knows these passwords.
"""

from __future__ import annotations

import json
import os
import secrets
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from portal.people.actions import issue_token, revoke_token
from portal.people.models import ApiToken, Membership, Person, Team
from provisioning.models import AwsAccount

TOKEN_NAME = "demo"  # noqa: S105  the name under which it is listed, not a secret
TOKEN_DAYS = 30
# These passwords are public: Django's million rounds would protect nothing and cost half a second
# each. Signing in upgrades the hash.
ROUNDS = 1000
ACCOUNTS = {"111122223333": "Chat production", "444455556666": "Trading"}
TEAMS = {"chat": ("Chat", "111122223333"), "trading": ("Trading", "444455556666")}


@dataclass(frozen=True)
class DemoPerson:
    """A person to sign in as."""

    username: str
    first_name: str
    last_name: str
    role: str
    team: str
    does: str

    @property
    def password(self) -> str:
        """Known to everybody who reads this."""
        return f"demo-{self.username}-2026"

    @property
    def scopes(self) -> list[str]:
        """What their API token may do."""
        scopes = [ApiToken.Scope.READ]
        if self.team or self.role == Person.Role.PLATFORM_ADMIN:
            scopes.append(ApiToken.Scope.WRITE)
        if self.role in (Person.Role.APPROVER, Person.Role.PLATFORM_ADMIN):
            scopes.append(ApiToken.Scope.APPROVE)
        return [str(scope) for scope in scopes]


PEOPLE = (
    DemoPerson(
        "ana", "Ana", "Alves", Person.Role.NONE, "chat", "member of Chat: asks for endpoints"
    ),
    DemoPerson(
        "ben", "Ben", "Brandt", Person.Role.NONE, "chat", "member of Chat: a colleague of Ana"
    ),
    DemoPerson(
        "tara",
        "Tara",
        "Tanaka",
        Person.Role.NONE,
        "trading",
        "member of Trading: sees nothing of Chat",
    ),
    DemoPerson("olga", "Olga", "Okafor", Person.Role.APPROVER, "", "approver: decides"),
    DemoPerson(
        "max",
        "Max",
        "Moreau",
        Person.Role.PLATFORM_ADMIN,
        "",
        "platform admin: decides, looks after all",
    ),
    DemoPerson(
        "rita",
        "Rita",
        "Rossi",
        Person.Role.AUDITOR,
        "",
        "auditor: reads everything, changes nothing",
    ),
)


class Command(BaseCommand):
    help = (
        "Create the demo's accounts, teams and people (with known passwords; only for a portal "
        "that works on a lab)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--tokens",
            type=Path,
            metavar="FILE",
            help="write new API tokens to FILE as JSON, mode 600",
        )

    def handle(self, *args: Any, tokens: Path | None = None, **options: Any) -> None:
        if not os.environ.get("AWS_ENDPOINT_URL"):
            raise CommandError(
                "Everybody knows these passwords: seed_demo only runs where "
                "AWS_ENDPOINT_URL leads to a lab."
            )
        with transaction.atomic():
            self._accounts_and_teams()
            people = {demo.username: self._person(demo) for demo in PEOPLE}
        if tokens:
            self._write_tokens(tokens, people)
        width = max(len(demo.password) for demo in PEOPLE)
        self.stdout.write(f"{'person':<8}{'password':<{width + 2}}who")
        for demo in PEOPLE:
            self.stdout.write(f"{demo.username:<8}{demo.password:<{width + 2}}{demo.does}")

    def _accounts_and_teams(self) -> None:
        for account_id, name in ACCOUNTS.items():
            AwsAccount.objects.get_or_create(
                account_id=account_id,
                defaults={
                    "name": name,
                    "role_arn": f"arn:aws:iam::{account_id}:role/edge-portal",
                    # What the lab's roles demand (LAB_EXTERNAL_ID), if anything.
                    "external_id": os.environ.get("LAB_EXTERNAL_ID") or secrets.token_hex(16),
                },
            )
        for slug, (name, account_id) in TEAMS.items():
            team, _ = Team.objects.get_or_create(slug=slug, defaults={"name": name})
            team.accounts.add(AwsAccount.objects.get(account_id=account_id))

    def _person(self, demo: DemoPerson) -> Person:
        person, created = Person.objects.get_or_create(
            username=demo.username,
            defaults={
                "first_name": demo.first_name,
                "last_name": demo.last_name,
                "email": f"{demo.username}@demo.example",
                "role": demo.role,
            },
        )
        if created:
            hasher = PBKDF2PasswordHasher()
            person.password = hasher.encode(demo.password, hasher.salt(), iterations=ROUNDS)
            person.save(update_fields=["password"])
        if demo.team:
            Membership.objects.get_or_create(person=person, team=Team.objects.get(slug=demo.team))
        return person

    def _write_tokens(self, path: Path, people: dict[str, Person]) -> None:
        """New tokens for everybody; the ones of an earlier run are revoked, since their clear text
        is lost.
        """
        now = timezone.now()
        for token in ApiToken.objects.filter(
            name=TOKEN_NAME, person__in=people.values(), revoked_at=None
        ):
            revoke_token(token.person, token, now=now)
        clear = {
            demo.username: issue_token(
                people[demo.username], TOKEN_NAME, demo.scopes, days=TOKEN_DAYS, now=now
            )[0]
            for demo in PEOPLE
        }
        # Beside its place, then renamed: half a file would be taken for the tokens at the next
        # start.
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(clear, file, indent=2)
            file.write("\n")
        fresh.replace(path)
