"""The demo's people: made once, with tokens that work, and never where AWS is the real one."""

from __future__ import annotations

import json
import stat
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from portal.people.models import ApiToken, Membership, Person, Team
from provisioning.models import AwsAccount

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def seed(**options: object) -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out, **options)
    return out.getvalue()


def test_seeding_twice_changes_nothing() -> None:
    printed = seed()
    before = [
        list(model.objects.order_by("pk").values())
        for model in (Person, Team, Membership, AwsAccount)
    ]
    assert seed() == printed
    assert [
        list(model.objects.order_by("pk").values())
        for model in (Person, Team, Membership, AwsAccount)
    ] == before
    assert "demo-olga-2026" in printed
    assert (
        AwsAccount.objects.get(pk="111122223333").role_arn
        == "arn:aws:iam::111122223333:role/edge-portal"
    )
    assert Client().login(username="ana", password="demo-ana-2026")
    assert Person.objects.get(username="max").decides
    assert not Person.objects.get(username="rita").decides


def test_tokens_are_new_each_time_and_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    seed(tokens=file)
    first = json.loads(file.read_text())
    seed(tokens=file)
    second = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(first) == {"ana", "ben", "tara", "olga", "max", "rita"}
    assert (
        Client()
        .get("/api/v1/requests", headers={"Authorization": f"Bearer {first['ana']}"})
        .status_code
        == 401
    )
    assert (
        Client()
        .get("/api/v1/requests", headers={"Authorization": f"Bearer {second['ana']}"})
        .status_code
        == 200
    )
    assert ApiToken.objects.get(person__username="rita", revoked_at=None).scopes == [
        "requests:read"
    ]
    assert (
        "approvals:write" in ApiToken.objects.get(person__username="olga", revoked_at=None).scopes
    )


def test_it_refuses_where_aws_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(CommandError, match="Everybody knows"):
        seed()
    assert not Person.objects.exists()
