"""Secrets at rest: encrypted, bound to their row, sent by the worker only, deleted in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any, cast

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from checks import actions, probe_actions, tasks
from checks.diagnosis.probe_kinds import ProbeKind
from checks.models import Check, Probe, SavedCheck
from checks.output.reports import Report
from checks.probe.probe_request import ProbeRequest
from checks.protocol.handshake_options import (
    FIELDS,
    HandshakeOptions,
    HandshakeOptionsError,
    ProbeTarget,
    parse_handshake_options,
)
from checks.protocol.script import Script, Send, parse_script, resolve_steps
from checks.protocol.transcript import Transcript
from checks.stored_secrets.actions import delete_expired_options, references_to
from checks.stored_secrets.sealed_options import EXPIRED, KEPT
from provisioning.models import Endpoint, Event, Secret
from provisioning.redaction.references import UnknownSecretError
from provisioning.secrets import store as stored
from provisioning.secrets.encryption import DecryptionError, decrypt, encrypt
from tests.checks import seen
from tests.checks.test_check_actions import NOW, answering, make

URL = "wss://d111.cloudfront.net/ws/chat"
OLD, NEW = "o" * 40, "n" * 40


def new_secret(name: str = "API", value: str = "hunter2hunter2", owner: str = "chat") -> Secret:
    secret = stored.create_secret(owner, name, value, by="Ana", now=NOW)
    assert secret is not None
    return secret


def parsed(**given: str) -> HandshakeOptions:
    return parse_handshake_options(given, url=URL, stored_secrets=("API", "P"))


class TestEncryption:
    def test_what_is_encrypted_is_read_again(self) -> None:
        token = encrypt("secret 1", "hunter2 ü", now=NOW)
        assert "hunter2" not in token
        assert decrypt("secret 1", token) == "hunter2 ü"
        assert encrypt("secret 1", "hunter2 ü", now=NOW) != token

    def test_it_is_bound_to_its_row(self) -> None:
        with pytest.raises(DecryptionError, match="another purpose"):
            decrypt("secret 2", encrypt("secret 1", "hunter2", now=NOW))

    def test_it_is_too_old_after_its_time(self) -> None:
        token = encrypt("check 1", "hunter2", now=NOW)
        assert decrypt("check 1", token, now=NOW + timedelta(seconds=60), seconds=60) == "hunter2"
        with pytest.raises(DecryptionError):
            decrypt("check 1", token, now=NOW + timedelta(seconds=61), seconds=60)

    def test_the_first_key_encrypts_and_all_decrypt(self, settings: Any) -> None:
        settings.ENCRYPTION_KEYS = [OLD]
        token = encrypt("a", "hunter2", now=NOW)
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        assert decrypt("a", token) == "hunter2"
        later = encrypt("a", "hunter2", now=NOW)
        settings.ENCRYPTION_KEYS = [NEW]
        assert decrypt("a", later) == "hunter2"
        with pytest.raises(DecryptionError):
            decrypt("a", token)

    def test_without_keys_it_is_the_secret_key(self, settings: Any) -> None:
        settings.ENCRYPTION_KEYS, settings.SECRET_KEY = [], OLD
        token = encrypt("a", "hunter2", now=NOW)
        settings.ENCRYPTION_KEYS = [OLD]
        assert decrypt("a", token) == "hunter2"


@pytest.mark.django_db
class TestSecrets:
    def test_a_value_is_nowhere_in_the_clear(self) -> None:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            secret = new_secret()
            stored.replace_secret(secret, "anotherhunter2", by="Ben", now=NOW)
        assert "hunter2" not in str([query["sql"] for query in queries.captured_queries])
        assert "hunter2" not in str(Secret.objects.values())
        assert "hunter2" not in str(Event.objects.values())

    def test_what_happens_to_a_secret_is_recorded(self) -> None:
        secret = new_secret()
        stored.replace_secret(secret, "other", by="Ben", now=NOW)
        stored.secret_values("chat", ["API"], used_by="A check of team-chat", now=NOW)
        stored.secret_values("chat", ["API"], used_by="A check of team-chat", now=NOW)
        tomorrow = NOW + timedelta(days=1)
        stored.secret_values("chat", ["API"], used_by="A check of team-chat", now=tomorrow)
        stored.delete_secret(secret, by="Ana", now=tomorrow)
        assert list(Event.objects.values_list("kind", "text")) == [
            ("secret.created", "Ana added the secret API."),
            ("secret.replaced", "Ben replaced the secret API."),
            ("secret.used", "A check of team-chat used the secret API."),
            ("secret.used", "A check of team-chat used the secret API."),
            ("secret.deleted", "Ana deleted the secret API."),
        ]
        assert {event.stream_id for event in Event.objects.all()} == {"secrets:chat"}

    def test_a_name_is_taken_once_in_a_team(self) -> None:
        new_secret()
        with CaptureQueriesContext(connection) as queries:
            assert stored.create_secret("chat", "API", "x", by="Ben", now=NOW) is None
        assert "ON CONFLICT DO NOTHING" in str(queries.captured_queries)
        assert new_secret(owner="trading").owner == "trading"
        assert decrypt(*_row("chat")) == "hunter2hunter2"

    def test_another_teams_secret_does_not_exist(self) -> None:
        new_secret(owner="trading")
        with pytest.raises(UnknownSecretError, match=r"The secret API no longer exists\."):
            stored.secret_values("chat", ["API"], used_by="x", now=NOW)
        assert stored.names_of("chat") == frozenset()
        assert stored.names_of("trading") == {"API"}

    def test_a_ciphertext_copied_into_another_row_is_not_read(self) -> None:
        foreign = new_secret(owner="trading")
        own = new_secret(value="mine")
        Secret.objects.filter(pk=own.pk).update(encrypted=foreign.encrypted)
        with pytest.raises(UnknownSecretError, match="cannot be decrypted"):
            stored.secret_values("chat", ["API"], used_by="x", now=NOW)

    def test_the_command_moves_all_to_the_first_key(self, settings: Any) -> None:
        settings.ENCRYPTION_KEYS = [OLD]
        new_secret()
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        out = StringIO()
        call_command("encrypt_secrets", stdout=out)
        assert out.getvalue().strip() == "1 secret encrypted under the first key."
        settings.ENCRYPTION_KEYS = [NEW]
        assert stored.secret_values("chat", ["API"], used_by="x", now=NOW) == {
            "API": "hunter2hunter2"
        }
        settings.ENCRYPTION_KEYS = [OLD]
        with pytest.raises(CommandError, match="decrypts chat/API"):
            call_command("encrypt_secrets", stdout=out)

    @pytest.mark.parametrize("value", ["", " a", "a ", "a\nb", "a\x00", "x" * 4097])
    def test_such_a_value_is_refused_without_repeating_it(self, value: str) -> None:
        assert stored.value_fault(value) == stored.VALUE_ADVICE
        assert stored.value_fault(value.strip()[:4].replace("\n", "").strip("\x00") or "a") == ""

    def test_the_stream_of_a_long_name_fits(self) -> None:
        long = stored.stream_of("a" * 60)
        assert len(long) <= 60
        assert long != stored.stream_of("a" * 59 + "b")


def _row(owner: str) -> tuple[str, str]:
    secret = Secret.objects.get(owner=owner, name="API")
    return secret.purpose, secret.encrypted


CREDENTIAL = {
    "path": "/ws?access_token=hunter2hunter2",
    "origin": "https://ana:hunter2hunter2@app.example.com",
    "subprotocols": "x.bearer, hunter2hunter2",
    "headers": "X-Room: blue\nX-Session-Token: hunter2hunter2",
    "script": 'send {"token": "hunter2hunter2"}',
}
"""A credential in each field that can hold one."""
WITHOUT = {"unencrypted", "compress", "client"}


class TestOptions:
    def test_every_field_is_a_choice_or_can_hold_a_credential(self) -> None:
        assert set(FIELDS) == {*CREDENTIAL} | WITHOUT

    @pytest.mark.parametrize("field", CREDENTIAL)
    def test_a_saved_check_refuses_a_credential_and_says_what_to_do(self, field: str) -> None:
        given = {field: CREDENTIAL[field]}
        options = parse_handshake_options(given, url=URL)
        assert "hunter2" in str(options)
        assert "hunter2" not in str(options.masked())
        with pytest.raises(HandshakeOptionsError) as caught:
            parse_handshake_options(given, url=URL, saved=True)
        assert list(caught.value.faults) == [field]
        assert "${secret:NAME}" in caught.value.faults[field]
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            ("path", "/ws?access_token=${secret:API}"),
            ("path", "/hooks/${secret:API}"),
            ("subprotocols", "x.bearer, ${secret:API}"),
            ("subprotocols", "base64url.bearer.authorization.k8s.io.${secret:API}"),
            ("headers", "Authorization: Bearer ${secret:API}"),
            ("headers", "Cookie: sid=${secret:API}; theme=${secret:P}"),
            ("headers", "X-Room: blue"),
            ("script", 'send {"token": "${secret:API}"}'),
            ("script", "send hello"),
        ],
    )
    def test_a_saved_check_takes_a_reference(self, field: str, text: str) -> None:
        options = parse_handshake_options(
            {field: text}, url=URL, saved=True, stored_secrets=("API", "P")
        )
        assert options.inline_secrets == {}
        assert options.masked() == options
        assert HandshakeOptions.from_dict(options.to_dict()) == options

    @pytest.mark.parametrize(
        ("given", "field", "says"),
        [
            ({"path": "/ws?a=${secret:NOPE}"}, "path", "no secret named NOPE"),
            ({"headers": "A: ${secret:API }"}, "headers", "is not a reference"),
            ({"headers": "${secret:API}: b"}, "headers", "is not a reference"),
            ({"origin": "https://${secret:API}"}, "origin", "part of the Origin"),
            ({"script": "expect text ${secret:API}"}, "script", "only send can use one"),
            (
                {"unencrypted": "true", "headers": "A: ${secret:API}"},
                "unencrypted",
                "over wss:// only",
            ),
        ],
    )
    def test_a_reference_that_cannot_be_resolved_is_refused(
        self, given: dict[str, str], field: str, says: str
    ) -> None:
        with pytest.raises(HandshakeOptionsError) as caught:
            parse_handshake_options(given, url=URL, stored_secrets=("API",))
        assert says in caught.value.faults[field]

    def test_each_place_gets_the_value_as_it_needs_it(self) -> None:
        values = {"API": 'a b"/\\&'}
        options = parsed(path="/ws?t=${secret:API}", headers="X-A: <${secret:API}>")
        sent = options.resolved(values)
        assert sent.path == "/ws?t=a%20b%22%2F%5C%26"
        assert sent.headers == (("X-A", '<a b"/\\&>'),)
        steps = resolve_steps(
            parse_script('send {"t":"${secret:API}"}\nsend t=${secret:API}\nping'), values
        )
        assert steps[0] == Send('{"t":"a b\\"/\\\\&"}')
        assert steps[1] == Send('t=a b"/\\&')


@pytest.mark.django_db
class TestChecks:
    @pytest.mark.parametrize("field", CREDENTIAL)
    def test_a_credential_is_sent_once_and_stored_nowhere(
        self, field: str, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = answering(monkeypatch, seen.live())
        with CaptureQueriesContext(connection) as queries:
            check = actions.request_check(
                endpoint,
                by="ana",
                stream="request:1",
                now=NOW,
                options=parsed(**{field: CREDENTIAL[field]}),
            )
            assert check.sealed
            make(check)
        given = edge.given[0]["script"]
        assert "hunter2hunter2" in str(
            (edge.asked[0].url, edge.asked[0].headers, edge.asked[0].subprotocols)
        ) + str(edge.asked[0].origin) + str(given)
        assert "hunter2" not in str([query["sql"] for query in queries.captured_queries])
        row = Check.objects.values().get()
        assert "hunter2" not in str(row)
        assert row["sealed"] == ""
        assert "<masked-" in str(row["options"])

    def test_without_a_credential_nothing_is_sealed(self, endpoint: Endpoint) -> None:
        check = actions.request_check(
            endpoint, by="ana", stream="", now=NOW, options=parsed(headers="X-Room: blue")
        )
        assert check.sealed == ""

    def test_the_same_check_is_told_from_one_with_another_credential(
        self, endpoint: Endpoint
    ) -> None:
        first, other = (parsed(headers=f"X-Api-Key: hunter{n}") for n in (1, 2))
        check = actions.request_check(endpoint, by="ana", stream="", now=NOW, options=first)
        assert check.options == actions._without_credentials(other.to_dict())
        assert actions.asks_for(check, first, now=NOW)
        assert not actions.asks_for(check, other, now=NOW)
        assert not actions.asks_for(check, None, now=NOW)

    def test_a_credential_that_nothing_sends_is_deleted_after_an_hour(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = answering(monkeypatch, seen.live())
        check = actions.request_check(
            endpoint, by="ana", stream="", now=NOW, options=parsed(headers="X-Api-Key: hunter2")
        )
        assert delete_expired_options(NOW + KEPT) == 0
        late = NOW + KEPT + timedelta(seconds=1)
        assert delete_expired_options(late) == 1
        assert delete_expired_options(late) == 0
        assert Check.objects.get().sealed == EXPIRED
        make(check, late)
        assert not edge.asked
        assert (check.ok, check.verdict) == (False, "WSE-SECRET")
        assert "Run the check again" in check.findings[0]["evidence"][0]

    def test_it_is_not_sent_late_even_if_it_was_not_deleted(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = answering(monkeypatch, seen.live())
        options = parsed(headers="X-Api-Key: hunter2")
        check = actions.request_check(endpoint, by="ana", stream="", now=NOW, options=options)
        make(check, NOW + KEPT + timedelta(seconds=1))
        assert (edge.asked, check.verdict) == ([], "WSE-SECRET")

    def test_the_ticker_deletes_what_is_late(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks.make_check, "delay", lambda _: None)
        options = parsed(headers="X-Api-Key: hunter2")
        actions.request_check(endpoint, by="ana", stream="", now=NOW, options=options)
        tasks.tick(NOW + 2 * KEPT)
        assert Check.objects.get().sealed == EXPIRED

    def test_a_saved_check_sends_its_teams_secret(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = answering(monkeypatch, seen.live())
        new_secret()
        saved = actions.save_check(
            endpoint,
            "Room 1",
            parsed(headers="X-Room: ${secret:API}", script="send ${secret:API}"),
            every_minutes=15,
            after_changes=False,
            by="ana",
            stream="request:1",
            now=NOW,
        )
        check = make(actions.request_check(endpoint, by="x", stream="", now=NOW, saved=saved))
        assert edge.asked[0].headers == (("X-Room", "hunter2hunter2"),)
        assert edge.asked[0].secrets == ("hunter2hunter2",)
        assert edge.given[0]["script"] == Script.of_steps((Send("hunter2hunter2"),))
        assert check.secrets == ["API"]
        assert check.options == saved.options
        for model in (Check, SavedCheck, Event, Secret):
            assert "hunter2" not in str(list(model._default_manager.values()))

    def test_the_usual_check_sends_its_teams_secrets(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = answering(monkeypatch, seen.live())
        new_secret()
        new_secret("P", "hunter3/hunter3")
        Endpoint.objects.update(
            spec_data=replace(
                endpoint.spec,
                check_path="/ws/chat?ticket=${secret:P}",
                subprotocols=("bearer", "${secret:API}"),
                check_headers="X-Room: ${secret:API}",
                check_script="send ${secret:P}",
            ).to_dict()
        )
        endpoint.refresh_from_db()
        check = make(actions.request_check(endpoint, by="x", stream="", now=NOW))
        assert check.secrets == ["API", "P"]
        (asked,) = edge.asked
        assert asked.url == "wss://d111.cloudfront.net/ws/chat?ticket=hunter3%2Fhunter3"
        assert asked.subprotocols == ("bearer", "hunter2hunter2")
        assert asked.headers == (("X-Room", "hunter2hunter2"),)
        assert Send("hunter3/hunter3") in cast("Script", edge.given[0]["script"]).steps
        assert {"hunter2hunter2", "hunter3/hunter3"} <= set(asked.secrets)
        # A check with a path and headers of its own does not send what it replaces.
        own = parsed(path="/ws/other", headers="X-Room: blue")
        again = make(actions.request_check(endpoint, by="x", stream="", now=NOW, options=own))
        assert edge.asked[1].url == "wss://d111.cloudfront.net/ws/other"
        assert again.secrets == ["API", "P"]
        plain = parsed(unencrypted="true")
        refused = make(actions.request_check(endpoint, by="x", stream="", now=NOW, options=plain))
        assert (len(edge.asked), refused.verdict) == (2, "WSE-SECRET")
        Secret.objects.filter(name="P").delete()
        gone = make(actions.request_check(endpoint, by="x", stream="", now=NOW))
        assert gone.findings[0]["evidence"] == ["url: The secret P no longer exists."]
        found = references_to("chat")
        assert {name: [one.saved for one in users] for name, users in found.items()} == {
            "API": [None],
            "P": [None],
        }

    def test_what_cloudfront_adds_for_the_origin_is_masked_and_not_sent(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = answering(monkeypatch, seen.live())
        new_secret()
        headers = "X-V: ${secret:API}\nX-W: ${secret:GONE}\nX-T: demo"
        spec = replace(endpoint.spec, origin_headers=headers)
        Endpoint.objects.update(spec_data=spec.to_dict())
        endpoint.refresh_from_db()
        assert make(actions.request_check(endpoint, by="x", stream="", now=NOW)).ok
        (asked,) = edge.asked
        assert asked.secrets == ("hunter2hunter2",)
        assert "hunter2" not in str((asked.headers, asked.url))
        assert Secret.objects.get().last_used_at is None

        monkeypatch.setattr(
            probe_actions,
            "_open_sockets",
            lambda *_: Report(True, "asked", ("heard hunter2hunter2",)),
        )
        probe = probe_actions.request_probe(
            endpoint, ProbeRequest(ProbeKind.PLAIN_GET, path="/ws/chat"), by="ana", now=NOW
        )
        assert probe is not None
        probe_actions.make_probe(str(probe.pk), clock=lambda: NOW)
        assert "heard <masked" in str(Probe.objects.values().get())
        assert "hunter2" not in str(Probe.objects.values().get())

    def test_a_deleted_secret_is_named_and_is_no_failure_of_the_app(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = answering(monkeypatch, seen.live())
        secret = new_secret()
        options = parsed(headers="Authorization: Bearer ${secret:API}")
        check = actions.request_check(endpoint, by="x", stream="", now=NOW, options=options)
        stored.delete_secret(secret, by="Ana", now=NOW)
        make(check)
        assert (edge.asked, check.verdict, check.secrets) == ([], "WSE-SECRET", [])
        assert check.findings[0]["evidence"] == ["url: The secret API no longer exists."]
        assert check.probes == []
        new_secret()
        again = actions.request_check(endpoint, by="x", stream="", now=NOW, options=options)
        assert make(again).ok

    def test_a_bug_of_ours_logs_no_credential(
        self,
        endpoint: Endpoint,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        new_secret()

        def broken(target: ProbeTarget, **_: object) -> Transcript:
            raise RuntimeError(f"cannot send {target.headers}")

        monkeypatch.setattr(actions, "probe_blocking", broken)
        options = parsed(headers="X-Room: ${secret:API}\nX-Api-Key: hunter3hunter3")
        check = make(actions.request_check(endpoint, by="x", stream="", now=NOW, options=options))
        assert check.verdict == "WSE-PROBE"
        assert "cannot send" in str(check.findings)
        assert "cannot send" in caplog.text
        for told in (caplog.text, str(Check.objects.values().get())):
            assert "hunter" not in told

    def test_a_probes_path_is_sealed_too(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new_secret()
        sent: list[ProbeRequest] = []

        def open_sockets(_: Probe, asked: ProbeRequest, *more: object) -> Report:
            sent.append(asked)
            return Report(True, f"asked {asked.path}", ("heard hunter2hunter2",))

        monkeypatch.setattr(probe_actions, "_open_sockets", open_sockets)
        for path, made in (
            ("/ws?token=hunter3hunter3", "/ws?token=hunter3hunter3"),
            ("/ws?room=${secret:API}", "/ws?room=hunter2hunter2"),
        ):
            asked = ProbeRequest(ProbeKind.PLAIN_GET, path=path)
            probe = probe_actions.request_probe(endpoint, asked, by="ana", now=NOW)
            assert probe is not None
            assert probe_actions.probe_under_way(endpoint, asked, now=NOW) == probe
            other = replace(asked, path="/ws?token=another")
            assert probe_actions.probe_under_way(endpoint, other, now=NOW) is None
            probe_actions.make_probe(str(probe.pk), clock=lambda: NOW)
            assert sent[-1].path == made
        assert "hunter3" not in str(list(Probe.objects.values()))
        assert "hunter2" not in str(Probe.objects.filter(path__contains="secret").values().get())
        assert not Probe.objects.exclude(sealed="").exists()


def race_for_a_check(endpoint: Endpoint) -> object:
    options = parsed(headers="Authorization: Bearer hunter2hunter2")
    return actions.request_check(endpoint, by="x", stream="", now=NOW, options=options)


def race_for_a_probe(endpoint: Endpoint) -> object:
    asked = ProbeRequest(ProbeKind.PLAIN_GET, path="/ws?token=hunter2hunter2")
    return probe_actions.request_probe(endpoint, asked, by="x", now=NOW)


def race_for_a_name(_: Endpoint) -> object:
    return stored.create_secret("chat", "API", "hunter2hunter2", by="x", now=NOW)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("race", "model"),
    [(race_for_a_check, Check), (race_for_a_probe, Probe), (race_for_a_name, Secret)],
)
def test_a_lost_race_is_no_error_that_the_database_logs_with_its_statement(
    endpoint: Endpoint, race: Callable[[Endpoint], object], model: Any
) -> None:
    ready = threading.Barrier(8)
    failed: list[object] = []
    sent: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(f"{sql} {params}")
        try:
            return execute(sql, params, many, context)
        except DatabaseError:
            failed.append(sql)
            raise

    def run() -> None:
        try:
            with connection.execute_wrapper(watch):
                ready.wait()
                race(endpoint)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert model.objects.count() == 1
    assert "INSERT" in str(sent)
    assert "hunter2" not in str(sent), "and no statement carries it, whatever becomes of it"


@pytest.fixture(autouse=True)
def keys(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = ["k" * 40]
