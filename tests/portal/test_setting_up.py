"""Setting a portal up from the command line: account, team, person, token, each refusal beside its permission."""

from __future__ import annotations

from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from portal.actions import token_digest
from portal.models import ApiToken, Person, Team
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
    ana = Person.objects.get()
    assert ana.check_password(told.split(": ")[1].split()[0])
    run("add_person", "ana", "--role", "approver")
    ana.refresh_from_db()
    assert (ana.role, ana.teams.count()) == ("approver", 1)
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
    ],
)
def test_what_is_missing_is_named(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(*words)


def test_an_account_is_registered_once() -> None:
    run("add_account", "111122223333", "Chat")
    with pytest.raises(CommandError, match="already"):
        run("add_account", "111122223333", "Other")


def test_a_process_that_is_frozen_within_a_transaction_loses_it_and_a_person_may_say_when(database_url: str) -> None:
    for more, ends_after in (({}, "1min"), ({"options": "-c idle_in_transaction_session_timeout=5s"}, "5s")):
        with psycopg.connect(database_url, **(POSTGRES_PATIENCE | more)) as session:
            assert session.execute("SHOW idle_in_transaction_session_timeout").fetchone() == (ends_after,)
