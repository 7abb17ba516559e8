"""Handshakes as people want them: read, refused field by field, saved, made again, told when the
reason changes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from checks import actions
from checks.models import Check, SavedCheck
from checks.protocol.deflate import OFFER
from checks.protocol.handshake_options import (
    HandshakeOptions,
    HandshakeOptionsError,
    ProbeTarget,
    parse_handshake_options,
)
from provisioning.models import Endpoint, Event
from tests.checks import seen
from tests.checks.test_check_actions import NOW, REFUSED_504, answering, make

pytestmark = pytest.mark.django_db
URL = "wss://d111.cloudfront.net/ws/chat"
FULL = {
    "path": "/ws/room?id=1",
    "origin": "https://app.example.com",
    "subprotocols": "chat.v1, chat.v2",
    "headers": "X-Team: chat\nAuthorization: Bearer s3cret",
    "compress": "on",
    "script": "send hello\nexpect text hello within 2",
}


def test_everything_that_can_be_wanted_becomes_a_handshake_at_the_endpoints_own_host() -> None:
    options = parse_handshake_options(FULL, url=URL)
    target = options.target(
        URL, ProbeTarget(URL, subprotocols=("usual",), origin="https://d111.cloudfront.net")
    )
    assert target == ProbeTarget(
        "wss://d111.cloudfront.net/ws/room?id=1",
        headers=(("X-Team", "chat"), ("Authorization", "Bearer s3cret")),
        subprotocols=("chat.v1", "chat.v2"),
        extensions=(OFFER,),
        origin="https://app.example.com",
    )
    assert HandshakeOptions.from_dict(options.to_dict()) == options
    assert len(options.steps) == 2


def test_nothing_in_particular_is_the_endpoints_usual_handshake() -> None:
    usual = ProbeTarget(URL, subprotocols=("usual",), origin="https://d111.cloudfront.net")
    options = parse_handshake_options({}, url=URL)
    assert options.usual
    assert options.target(URL, usual) == usual
    assert parse_handshake_options({"origin": "none"}, url=URL).target(URL, usual).origin is None


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"path": "ws"}, "path", "start with a slash"),
        ({"path": "//evil.example.com/ws"}, "path", ""),
        ({"path": "/ws\r\nX: y"}, "path", ""),
        ({"path": "/a b"}, "path", ""),
        ({"origin": "app.example.com"}, "origin", "Write https:// and a host"),
        ({"origin": "https://a\x00"}, "origin", ""),
        ({"subprotocols": "a b,a"}, "subprotocols", "must not repeat"),
        ({"subprotocols": "ch@t"}, "subprotocols", "is not a token"),
        ({"headers": "no colon"}, "headers", "Line 1 is not a header"),
        ({"headers": "Host: evil.example.com"}, "headers", "is set by the handshake itself"),
        ({"headers": "X-A: \x01"}, "headers", "control character"),
        ({"headers": "X: y\n" * 21}, "headers", "At most 20"),
        ({"script": "shout"}, "script", "Line 1: begins with 'shout'"),
        ({"script": "send " + "x" * 20_000}, "script", "at most 16 KiB"),
    ],
)
def test_what_cannot_be_wanted_is_refused_at_its_field(
    given: dict[str, str], field: str, says: str
) -> None:
    if given.get("path", "").startswith("//"):
        options = parse_handshake_options(given, url=URL)
        assert options.target(URL, ProbeTarget(URL)).url.startswith(
            "wss://d111.cloudfront.net//evil"
        )
        return
    with pytest.raises(HandshakeOptionsError) as caught:
        parse_handshake_options(given, url=URL)
    assert list(caught.value.faults) == [field]
    assert says in caught.value.faults[field]


def test_a_secret_may_be_used_once_and_is_never_saved(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HandshakeOptionsError, match="Authorization looks like a credential"):
        parse_handshake_options(FULL, url=URL, saved=True)
    edge = answering(monkeypatch, seen.live())
    check = actions.request_check(
        endpoint, by="ana", stream="", now=NOW, options=parse_handshake_options(FULL, url=URL)
    )
    make(check)
    assert ("Authorization", "Bearer s3cret") in edge.asked[0].headers
    row = str(Check.objects.values().get())
    assert "s3cret" not in row
    assert "Bearer <masked-6-characters>" in row


def save(endpoint: Endpoint, **changes: Any) -> SavedCheck:
    given: dict[str, Any] = {
        "every_minutes": 15,
        "after_changes": False,
        "by": "ana",
        "stream": "request:1",
        "now": NOW,
    } | changes
    return actions.save_check(
        endpoint, "Room 1", parse_handshake_options({"path": "/ws/room"}, url=URL), **given
    )


def test_a_saved_check_is_asked_for_when_its_turn_comes(endpoint: Endpoint) -> None:
    Endpoint.objects.update(state=Endpoint.State.DEPLOYED)
    saved = save(endpoint)
    assert actions.request_due_checks(NOW) == 0
    assert actions.request_due_checks(NOW + timedelta(minutes=15)) == 1
    check = Check.objects.get()
    assert (check.saved, check.options["path"], check.requested_by) == (
        saved,
        "/ws/room",
        "the schedule",
    )
    assert actions.request_due_checks(NOW + timedelta(minutes=16)) == 0


def test_a_turn_waits_for_a_check_that_is_under_way_and_is_then_made_once(
    endpoint: Endpoint,
) -> None:
    Endpoint.objects.update(state=Endpoint.State.DEPLOYED)
    save(endpoint)
    actions.request_check(endpoint, by="ana", stream="", now=NOW)
    assert actions.request_due_checks(NOW + timedelta(minutes=20)) == 0
    Check.objects.update(finished_at=NOW)
    assert actions.request_due_checks(NOW + timedelta(minutes=60)) == 1
    assert Check.objects.count() == 2


def test_a_turn_outlives_whatever_ends_the_ticker_or_comes_between(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    Endpoint.objects.update(state=Endpoint.State.DEPLOYED)
    saved = save(endpoint, every_minutes=0, after_changes=True)
    actions.request_checks_after_change(endpoint, NOW)
    ask = actions.request_check

    def killed(*_: Any, **__: Any) -> Check:
        raise KeyboardInterrupt

    def after_somebody_else(*asked: Any, **how: Any) -> Check:
        ask(endpoint, by="ana", stream="", now=NOW)
        return ask(*asked, **how)

    with monkeypatch.context() as dying:
        dying.setattr(actions, "request_check", killed)
        with pytest.raises(KeyboardInterrupt):
            actions.request_due_checks(NOW)
    with monkeypatch.context() as busy:
        busy.setattr(actions, "request_check", after_somebody_else)
        assert actions.request_due_checks(NOW) == 0
    assert actions.request_due_checks(NOW) == 1
    assert Check.objects.get(finished_at=None).saved == saved
    saved.refresh_from_db()
    assert saved.next_due_at is None


def test_what_is_not_deployed_skips_its_turn_and_what_is_removed_has_none(
    endpoint: Endpoint,
) -> None:
    saved, later = save(endpoint), NOW + timedelta(days=1)
    assert actions.request_due_checks(later) == 0
    saved.refresh_from_db()
    assert saved.next_due_at == later + timedelta(minutes=15)
    Endpoint.objects.update(state=Endpoint.State.ABSENT)
    assert actions.request_due_checks(later + timedelta(days=1)) == 0
    saved.refresh_from_db()
    assert saved.next_due_at is None


def test_a_check_after_changes_is_due_at_once_and_then_never_by_itself(endpoint: Endpoint) -> None:
    Endpoint.objects.update(state=Endpoint.State.DEPLOYED)
    save(endpoint, every_minutes=0, after_changes=True)
    actions.request_checks_after_change(endpoint, NOW)
    assert actions.request_due_checks(NOW) == 1
    Check.objects.update(finished_at=NOW)
    assert actions.request_due_checks(NOW + timedelta(days=9)) == 0


def test_people_are_told_when_the_reason_changes_and_not_every_time(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    Endpoint.objects.update(state=Endpoint.State.DEPLOYED)
    saved = actions.schedule_usual_check(endpoint, stream="request:1", now=NOW)
    assert saved is not None
    told = []
    for turn, answer in enumerate(
        (seen.live(), seen.live(), REFUSED_504, REFUSED_504, seen.live())
    ):
        answering(monkeypatch, answer)
        at = NOW + timedelta(minutes=turn)
        make(
            actions.request_check(
                endpoint, by="the schedule", stream="request:1", now=at, saved=saved
            ),
            at,
        )
        told.append(Event.objects.count())
    assert told == [1, 1, 2, 2, 3]
    assert [event.data["verdict"] for event in Event.objects.order_by("seq")] == [
        "WSE-LIVE",
        "WSE-504-SG",
        "WSE-LIVE",
    ]


def test_a_particular_check_says_nothing_of_the_endpoint(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, REFUSED_504)
    make(
        actions.request_check(
            endpoint,
            by="ana",
            stream="request:1",
            now=NOW,
            options=HandshakeOptions(path="/elsewhere"),
        )
    )
    assert Event.objects.get().kind == "check.custom_finished"
    make(
        actions.request_check(
            endpoint, by="ana", stream="request:1", now=NOW, options=HandshakeOptions()
        )
    )
    latest = Event.objects.latest("seq")
    assert latest.kind == "check.finished"


def test_no_schedule_is_made_where_none_is_wanted(endpoint: Endpoint, settings: Any) -> None:
    settings.CHECK_EVERY_MINUTES = 0
    assert actions.schedule_usual_check(endpoint, stream="", now=NOW) is None
