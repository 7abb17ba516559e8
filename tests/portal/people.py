"""The people of the tests, the same as the demo's: Ana and Ben of the team Chat, Tara of Trading,
Olga who approves, Max the platform admin, Rita the auditor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.test import Client
from django.utils import timezone

from portal.people.actions import issue_token
from portal.people.models import ApiToken, Membership, Person, Team
from provisioning.models import AwsAccount
from tests.provisioning.examples import ACCOUNT

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TRADING_ACCOUNT = "444455556666"
EVERY_SCOPE = tuple(ApiToken.Scope.values)


@dataclass(frozen=True)
class Cast:
    """Everybody, and the two teams."""

    ana: Person
    ben: Person
    tara: Person
    olga: Person
    max: Person
    rita: Person
    chat: Team
    trading: Team


def make_cast() -> Cast:
    """Rows for people, teams and accounts. Nobody has a password: hashing one is slow."""
    chat = Team.objects.create(slug="chat", name="Chat")
    trading = Team.objects.create(slug="trading", name="Trading")
    chat.accounts.add(AwsAccount.objects.create(account_id=ACCOUNT, name="Chat production"))
    trading.accounts.add(AwsAccount.objects.create(account_id=TRADING_ACCOUNT, name="Trading"))
    people = {
        name: Person.objects.create_user(name, f"{name}@example.com", role=role)
        for name, role in (
            ("ana", Person.Role.NONE),
            ("ben", Person.Role.NONE),
            ("tara", Person.Role.NONE),
            ("olga", Person.Role.APPROVER),
            ("max", Person.Role.PLATFORM_ADMIN),
            ("rita", Person.Role.AUDITOR),
        )
    }
    for name, team in (("ana", chat), ("ben", chat), ("tara", trading)):
        Membership.objects.create(person=people[name], team=team)
    return Cast(**people, chat=chat, trading=trading)


def signed_in(person: Person) -> Client:
    """A browser in which this person has signed in."""
    client = Client()
    client.force_login(person)
    return client


def bearer(person: Person, scopes: Sequence[str] = EVERY_SCOPE) -> dict[str, str]:
    """The header of a fresh API token."""
    clear, _ = issue_token(person, "test", scopes, days=1, now=timezone.now())
    return {"Authorization": f"Bearer {clear}"}


def enter_by_role() -> None:
    """The portal assumes a role in both accounts, as it does in real ones."""
    for account in AwsAccount.objects.all():
        account.role_arn = f"arn:aws:iam::{account.account_id}:role/edge-portal"
        account.external_id = "pages"
        account.save()
