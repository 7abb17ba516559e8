"""The event log: numbered without gaps, in the transaction of its fact, without secrets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from portal.people.actions import TOKEN_PREFIX
from provisioning import events
from provisioning.models import Event, EventStream

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.django_db
def test_each_stream_counts_from_one_without_gaps() -> None:
    for stream in ("a", "b", "a", "a"):
        with transaction.atomic():
            events.append(stream, "step.started", "Begun.", at=NOW)
    assert list(
        Event.objects.filter(stream_id="a").order_by("seq").values_list("seq", flat=True)
    ) == [1, 2, 3]
    assert EventStream.objects.get(name="b").last_seq == 1


@pytest.mark.django_db
def test_an_event_lives_and_dies_with_its_fact() -> None:
    class Undone(Exception):
        pass

    def begin_and_fail() -> None:
        with transaction.atomic():
            events.append("a", "step.started", "Begun.", at=NOW)
            raise Undone

    with pytest.raises(Undone):
        begin_and_fail()
    with transaction.atomic():
        kept = events.append("a", "step.started", "Begun.", at=NOW)
    assert kept.seq == 1


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        events.append("a", "step.started", "Begun.", at=NOW)
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: Bearer abc.def-123",
        "authorization: ApiKey hunter2 and zzz",
        "Cookie: sessionid=hunter2; other=zzz",
        "Set-Cookie: sessionid=hunter2",
        'Cookie: prefs="dark"; sessionid=hunter2',
        'Authorization: Digest username="ana", response="hunter2"',
        "HTTP_AUTHORIZATION: Basic hunter2",
        '{"Authorization": "Basic hunter2"}',
        "AWS_SECRET_ACCESS_KEY=hunter2",
        "SecretAccessKey: hunter2",
        "X-Api-Key: hunter2",
        "https://user:hunter2@example.com/",
        f"{TOKEN_PREFIX}hunter2",
        "password=hunter2",
        'token: "s3cr3t"',
        "AKIAABCDEFGHIJKLMNOP",
        "api_key=zzz",
    ],
)
def test_secrets_are_gone_before_they_are_stored(secret: str) -> None:
    redacted = events.redact(f"before {secret} after")
    assert "<masked-" in redacted
    assert not any(
        word in redacted for word in ("abc.def", "hunter2", "s3cr3t", "ABCDEFGHIJ", "zzz")
    )
    assert redacted.startswith("before ")


def test_ordinary_text_stays_as_it_is() -> None:
    text = (
        "AWS says vo_Cg6A14otX0DB1yyDQ6Nond is Deploying (Sec-WebSocket-Key: "
        "dGhlIHNhbXBsZSBub25jZQ==). "
        "SignatureDoesNotMatch: see https://example.com:8443/a@b. Cookies: none are kept."
    )
    assert events.redact(text) == text


def test_data_is_redacted_by_key_and_by_content() -> None:
    data = {"headers": [{"name": "x"}], "session_key": "abc", "note": "password=hunter2", "n": 1}
    assert events.redact_data(data) == {
        "headers": [{"name": "x"}],
        "session_key": "<masked-3-characters>",
        "note": "password=<masked-7-characters>",
        "n": 1,
    }


@given(st.text())
def test_whatever_text_comes_can_be_stored(text: str) -> None:
    stored = events.redact(text)
    stored.encode()
    assert "\x00" not in stored
