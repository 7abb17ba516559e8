"""Setting a portal up from the command line: account, team, person, token, each refusal beside its
permission.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from portal.people.actions import token_digest
from portal.people.models import ApiToken, Person, Team
from portal.settings import POSTGRES_PATIENCE
from provisioning.models import AwsAccount

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_from_nothing_to_a_token_that_opens_the_door() -> None:
    told = run("add_account", "111122223333", "Chat production", "--region", "eu-west-1")
    account = AwsAccount.objects.get()
    assert account.external_id in told
    assert len(account.external_id) >= 24
    assert account.role_arn == "arn:aws:iam::111122223333:role/edge-portal"
    run("add_team", "chat", "Chat", "--account", "111122223333")
    assert list(Team.objects.get().accounts.all()) == [account]
    told = run("add_person", "ana", "--name", "Ana Alves", "--team", "chat")
    ana = Person.objects.get(username="ana")
    assert ana.check_password(told.split(": ")[1].split()[0])
    run("add_person", "ana", "--role", "approver")
    ana.refresh_from_db()
    assert (ana.role, ana.teams.count()) == ("approver", 1)
    assert not ana.names_people
    run("add_person", "servicenow", "--team", "chat", "--integration")
    assert Person.objects.get(username="servicenow").names_people
    clear = run("issue_token", "ana", "ci", "--scope", "requests:read").strip()
    assert ApiToken.objects.usable(timezone.now()).filter(digest=token_digest(clear)).exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add_account", "12", "X"), "twelve digits"),
        (("add_team", "a b", "X"), "slug"),
        (("add_team", "chat", "Chat", "--account", "999999999999"), "add_account"),
        (("add_person", "ana", "--team", "nowhere"), "add_team"),
        (("issue_token", "nobody", "x", "--scope", "requests:read"), "add_person"),
        (("end_person", "nobody"), "No person is named nobody"),
    ],
)
def test_what_is_missing_is_named(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(*words)


def test_an_account_is_registered_once() -> None:
    run("add_account", "111122223333", "Chat")
    with pytest.raises(CommandError, match="already"):
        run("add_account", "111122223333", "Other")


def test_whoever_leaves_gets_in_nowhere_any_more_and_nobody_else_is_kept_out() -> None:
    def entered(name: str, password: str) -> Client:
        client = Client()
        assert client.post("/sign-in/", {"username": name, "password": password})["Location"] == "/"
        return client

    passwords = {name: run("add_person", name).split(": ")[1].split()[0] for name in ("ana", "ben")}
    browsers = {
        name: [entered(name, password) for _ in range(2)] for name, password in passwords.items()
    }
    tokens = {
        name: run("issue_token", name, "ci", "--scope", "requests:read").strip()
        for name in passwords
    }
    revoked = ApiToken.objects.get(person__username="ana")
    run("issue_token", "ana", "old", "--scope", "requests:read")
    ApiToken.objects.filter(name="old").update(revoked_at=revoked.created_at)

    assert (
        run("end_person", "ana")
        == "ana (ana) can no longer sign in. Tokens revoked: 1. Sessions ended: 2.\n"
    )

    def gets_in(name: str) -> list[bool]:
        bearer = {"Authorization": f"Bearer {tokens[name]}"}
        said = {"username": name, "password": passwords[name]}
        return [
            *(one.get("/").status_code == 200 for one in browsers[name]),
            Client().get("/api/v1/requests", headers=bearer).status_code == 200,
            Client().post("/sign-in/", said).status_code == 302,
        ]

    assert not any(gets_in("ana"))
    assert all(gets_in("ben"))
    assert ApiToken.objects.get(name="old").revoked_at == revoked.created_at, (
        "when it was revoked stays as it was"
    )
    Person.objects.filter(username="ana").update(is_active=True)
    assert gets_in("ana") == [False, False, False, True], (
        "what was ended stays so, should she come back"
    )
    run("end_person", "ana")
    assert (
        run("end_person", "ana")
        == "ana (ana) was already deactivated. Tokens revoked: 0. Sessions ended: 0.\n"
    )


def test_a_process_that_is_frozen_within_a_transaction_loses_it_and_a_person_may_say_when(
    database_url: str,
) -> None:
    five_seconds = {"options": "-c idle_in_transaction_session_timeout=5s"}
    for options, ends_after in (
        (POSTGRES_PATIENCE, "1min"),
        (POSTGRES_PATIENCE | five_seconds, "5s"),
    ):
        given: dict[str, Any] = options
        with psycopg.connect(database_url, **given) as session:
            assert session.execute("SHOW idle_in_transaction_session_timeout").fetchone() == (
                ends_after,
            )
