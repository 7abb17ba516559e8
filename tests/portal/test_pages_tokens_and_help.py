"""API tokens (shown once, revoked for good), the help pages, and the pages for what went wrong."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone

from checks.diagnosis.glossary import TERMS
from checks.diagnosis.verdicts import VERDICTS
from checks.preflight import TITLES
from checks.usual_check import sent_and_awaited
from portal.pages import errors
from portal.people.actions import issue_token, revoke_token
from portal.people.models import ApiToken
from provisioning.spec.app_kinds import APP_KINDS
from tests.portal.page_text import faults_untied, text_of
from tests.portal.people import Cast, signed_in


def test_a_token_is_shown_once_and_opens_the_api_until_revoked(people: Cast) -> None:
    client = signed_in(people.ana)
    made = client.post("/tokens/", {"name": "CI", "scopes": [ApiToken.Scope.READ], "days": "30"})
    found = re.search(r"pwe_[\w-]+", made.content.decode())
    assert found
    assert "no-store" in made["Cache-Control"]
    header = {"Authorization": f"Bearer {found[0]}"}
    assert Client().get("/api/v1/requests", headers=header).status_code == 200
    again = client.get("/tokens/").content.decode()
    assert found[0] not in again
    assert "CI" in again
    assert "Token “CI” created, valid until " in text_of(client.get("/tokens/"))
    revoke = f"/tokens/{ApiToken.objects.get().pk}/revoke/"
    question = client.get("/tokens/").content.decode()
    form = question.index(f'action="{revoke}"')
    assert "</details>" not in question[question.rindex("<details>", 0, form) : form], "confirmed"
    client.post(revoke)
    assert Client().get("/api/v1/requests", headers=header).status_code == 401
    assert "Token “CI” revoked." in text_of(client.get("/tokens/"))
    assert "Revoked" in text_of(client.get("/tokens/"))
    assert "was already revoked" in text_of(
        client.post(f"/tokens/{ApiToken.objects.get().pk}/revoke/", follow=True)
    )


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "", "scopes": ["requests:read"], "days": "30"}, "name"),
        ({"name": "x", "days": "30"}, "scopes"),
        ({"name": "x", "scopes": ["everything"], "days": "30"}, "scopes"),
        ({"name": "x", "scopes": ["requests:read"], "days": "0"}, "days"),
        ({"name": "x", "scopes": ["requests:read"], "days": "366"}, "days"),
    ],
)
def test_a_token_needs_a_name_a_scope_and_an_end(
    people: Cast, said: dict[str, object], field: str
) -> None:
    page = signed_in(people.ana).post("/tokens/", said)
    assert page.status_code == 422
    assert f'href="#id_{field}"' in page.content.decode()
    assert faults_untied(page) == []
    assert not ApiToken.objects.exists()


def test_nobody_sees_or_revokes_somebody_elses_tokens(people: Cast) -> None:
    _, token = issue_token(people.ana, "mine", ["requests:read"], days=1, now=timezone.now())
    assert "mine" not in text_of(signed_in(people.ben).get("/tokens/"))
    assert signed_in(people.ben).post(f"/tokens/{token.pk}/revoke/").status_code == 404
    assert "“mine” revoked" not in text_of(signed_in(people.ana).get("/tokens/"))
    token.refresh_from_db()
    assert token.revoked_at is None


def test_what_still_works_can_be_revoked_however_many_were_made_since(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.pages.tokens.TOKENS_SHOWN", 3)
    now = timezone.now()
    for number, name in enumerate(
        ("oldest", "older", "revoked", "expired", "newest", "revoked too")
    ):
        at = now - timedelta(days=30 - number)
        _, token = issue_token(
            people.ana, name, ["requests:read"], days=1 if name == "expired" else 365, now=at
        )
        if name.startswith("revoked"):
            assert revoke_token(people.ana, token, now=now)
    shown = signed_in(people.ana).get("/tokens/").context["tokens"]
    assert [token.name for token in shown] == ["newest", "older", "oldest"]


def test_only_who_may_decide_is_offered_tokens_that_decide(people: Cast) -> None:
    assert "approvals:write" not in text_of(signed_in(people.ana).get("/tokens/"))
    assert "approvals:write" in text_of(signed_in(people.olga).get("/tokens/"))


def test_every_verdict_has_a_page_and_is_listed(people: Cast) -> None:
    client = signed_in(people.ana)
    index = text_of(client.get("/help/"))
    for verdict in VERDICTS.values():
        page = text_of(client.get(f"/help/verdicts/{verdict.code}/"))
        for part in (verdict.title, verdict.plain, verdict.cause, verdict.fix, verdict.confirm):
            assert " ".join(part.split()) in page
        assert verdict.code in index
    for code in TITLES:
        assert code in index
    for word, _, meaning in TERMS:
        assert f"{word} {meaning}" in index
    assert client.get("/help/verdicts/WSE-NONSENSE/").status_code == 404


def test_trouble_has_pages_in_plain_words_without_the_database() -> None:
    request = RequestFactory().get("/")
    for view, status in (
        (errors.bad_request, 400),
        (errors.forbidden, 403),
        (errors.not_found, 404),
    ):
        page = view(request, Exception("secret detail"))
        assert page.status_code == status
        assert b"secret detail" not in page.content
        assert b"Go to endpoints" in page.content
    assert "bug in the portal" in text_of(errors.server_error(request))


def test_the_help_page_shows_every_kind_and_the_form_leads_to_it(people: Cast) -> None:
    ana = signed_in(people.ana)
    words = text_of(ana.get("/help/app-kinds/"))
    for kind in APP_KINDS.values():
        sends, awaits = sent_and_awaited(kind.script)
        for text in (kind.title, kind.about, kind.heartbeat, *sends, *awaits):
            assert " ".join(text.split()) in words, text
    for page in ("/help/", "/requests/new/"):
        assert 'href="/help/app-kinds/"' in ana.get(page).content.decode(), page
