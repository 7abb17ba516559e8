"""The live console over real sockets: everything once and in order, whoever dies meanwhile; nobody
else's.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from portal.console import consumer, events, hub
from portal.people.actions import token_digest
from portal.people.models import ApiToken, Membership
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.models import Event, EventStream
from stack.services import Redis
from tests.portal.console_server import PATIENCE, Console, Server, browser_headers, serving
from tests.portal.endpoint_requests import ask, happen, put
from tests.portal.people import Cast, bearer, make_cast
from tests.ports import free_ports

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = django_settings.PORTAL_URL


@pytest.fixture
def people(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def server(transactional_db: None, redis_url: str, settings: Any) -> Iterator[Server]:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": redis_url, "socket_connect_timeout": 2}]},
        }
    }
    with serving() as started:
        yield started


@pytest.fixture
def without_redis(settings: Any) -> Iterator[Server]:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "hosts": [{"address": "redis://127.0.0.1:1/0", "socket_connect_timeout": 1}]
            },
        }
    }
    with serving() as started:
        yield started


def test_it_says_hello_tells_what_was_then_what_comes_and_that_it_is_finished(
    people: Cast, server: Server
) -> None:
    request = ask(people.ana, people.chat)
    happen(request, "Waiting <for> AWS.", times=2)
    with server.console(request, browser_headers(people.ana, ORIGIN)) as console:
        hello = console.until_type("hello")
        assert (hello["stream"], hello["last_seq"]) == (request.stream, 3)
        console.until_seq(3)
        event = console.heard[-1]
        assert event["text"] == "Waiting <for> AWS."
        assert "Waiting &lt;for&gt; AWS." in event["html"]
        happen(request, "Done.", state=State.LIVE)
        finished = console.until_type("finished")
        assert finished["state"] == "live"
        assert console.seqs == [1, 2, 3, 4]
        happen(request, "Tested again.")
        console.until_seq(5)


def test_a_finished_request_says_so_at_once(people: Cast, server: Server) -> None:
    request = put(ask(people.ana, people.chat), State.REJECTED)
    with server.console(request, bearer(people.ana), after=1) as console:
        assert console.until_type("finished")["state"] == "rejected"
        assert console.seqs == []


def test_who_comes_back_gets_what_they_missed_and_nothing_twice(
    people: Cast, server: Server
) -> None:
    request = ask(people.ana, people.chat)
    headers = bearer(people.ana)
    with server.console(request, headers) as console:
        console.until_seq(1)
    happen(request, times=450)
    with server.console(request, headers, after=1) as console:
        console.until_seq(451)
        assert console.seqs == list(range(2, 452))
    with server.console(request, headers, after=10_000) as console:
        console.until_type("hello")
        happen(request)
        console.until_seq(452)
        assert console.seqs == [452], "a cursor from the future begins at the end"


def test_events_that_come_while_many_join_reach_everybody_once_in_order(
    people: Cast, server: Server
) -> None:
    request = ask(people.ana, people.chat)
    headers, heard = bearer(people.ana), []

    def follow() -> None:
        with server.console(request, headers) as console:
            console.until_seq(61)
            heard.append(console.seqs)

    def write() -> None:
        happen(request, times=60)
        connections.close_all()

    writer = threading.Thread(target=write)
    readers = [threading.Thread(target=follow) for _ in range(12)]
    for number, reader in enumerate(readers):
        reader.start()
        if number == 3:
            writer.start()
    for thread in [writer, *readers]:
        thread.join(60)
    assert heard == [list(range(1, 62))] * 12


def test_each_event_is_read_and_rendered_once_for_all(
    people: Cast, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[int] = []
    original = events._event

    def count(event: Event) -> str:
        rendered.append(event.seq)
        return original(event)

    request, headers = ask(people.ana, people.chat), bearer(people.ana)
    with ExitStack() as opened:
        consoles = [opened.enter_context(server.console(request, headers)) for _ in range(8)]
        for console in consoles:
            console.until_seq(1)  # read for itself; the hub brings the rest
        monkeypatch.setattr(events, "_event", count)
        happen(request, times=3)
        for console in consoles:
            console.until_seq(4)
    assert rendered == [2, 3, 4]


def test_a_poke_is_quicker_than_the_sweep(
    people: Cast, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "POLL_SECONDS", 60.0)
    request = ask(people.ana, people.chat)
    with server.console(request, bearer(people.ana)) as console:
        console.until_seq(1)
        heard_by_poke(console, request)


def test_without_redis_the_sweep_finds_every_event(people: Cast, without_redis: Server) -> None:
    request = ask(people.ana, people.chat)
    with without_redis.console(request, bearer(people.ana)) as console:
        console.until_seq(1)
        for seq in (2, 3):
            happen(request)
            console.until_seq(seq)
        assert console.seqs == [1, 2, 3]


def test_a_redis_that_dies_and_comes_back_costs_no_event_and_is_heard_again(
    people: Cast, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = Redis(tmp_path, free_ports().redis, password="only-for-tests")
    redis.prepare()
    layer = {"hosts": [{"address": redis.url, "socket_connect_timeout": 2}]}
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": layer}
    }
    request = ask(people.ana, people.chat)
    with ExitStack() as opened:
        process = started(redis, opened)
        server = opened.enter_context(serving())
        console = opened.enter_context(server.console(request, bearer(people.ana)))
        console.until_seq(1)
        process.kill()
        process.wait()
        for seq in (2, 3):
            happen(request)
            console.until_seq(seq)
        started(redis, opened)
        monkeypatch.setattr(hub, "POLL_SECONDS", 600.0)
        time.sleep(2.5)  # until the last quick sweep is over; a longer one only makes this easier
        seq = heard_by_poke(console, request)
        assert console.seqs == list(range(1, seq + 1))


def heard_by_poke(console: Console, request: EndpointRequest) -> int:
    """Append events until a poke brings one; the hub subscribes when it pleases, and a poke before
    that is lost. Returns its seq.
    """
    for _ in range(60):
        seq = happen(request)
        with suppress(TimeoutError):
            console.until_seq(seq, patience=1)
            return seq
    pytest.fail("no poke was heard")


def started(redis: Redis, opened: ExitStack) -> subprocess.Popen[bytes]:
    """The server, listening; ended with the test."""
    child = redis.child(os.environ)
    process = opened.enter_context(
        subprocess.Popen(child.command, cwd=child.directory, stdout=subprocess.DEVNULL)
    )
    opened.callback(process.kill)
    deadline = time.monotonic() + PATIENCE
    while not child.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_who_does_not_keep_up_is_told_and_reads_again(
    people: Cast, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.Subscriber.__init__, "__defaults__", (5,))
    request = ask(people.ana, people.chat)
    with server.console(request, bearer(people.ana), after=1) as console:
        console.until_type("hello")
        stream = EventStream.objects.get(pk=request.stream)
        Event.objects.bulk_create(
            [
                Event(stream=stream, seq=seq, at=timezone.now(), kind="step.waiting", text="x")
                for seq in range(2, 302)
            ]
        )
        EventStream.objects.filter(pk=stream.pk).update(last_seq=301)
        console.until_seq(301)
        assert console.seqs == list(range(2, 302))
        assert any(said["type"] == "resync" for said in console.heard)


@pytest.mark.parametrize(
    ("origin", "opens"),
    [
        (ORIGIN, True),
        (None, False),
        ("null", False),
        ("https://testserver", False),
        ("http://testserver:8000", False),
        ("http://testserver.evil.example", False),
        ("http://eviltestserver", False),
        ("http://evil.example", False),
        ("", False),
        ("http://", False),
        ("http://[", False),
        ("http://testserver:99999", False),
    ],
)
def test_only_our_own_pages_may_connect_with_a_cookie(
    people: Cast, server: Server, origin: str | None, opens: bool
) -> None:
    request = ask(people.ana, people.chat)
    if opens:
        with server.console(request, browser_headers(people.ana, origin)) as console:
            console.until_type("hello")
    else:
        with (
            pytest.raises(InvalidStatus) as refusal,
            server.console(request, browser_headers(people.ana, origin)),
        ):
            pass
        assert refusal.value.response.status_code == 403


def test_who_may_not_is_told_why(people: Cast, server: Server) -> None:
    request = ask(people.ana, people.chat)

    def closed(headers: dict[str, str], where: Any = request, **more: Any) -> tuple[int, str]:
        with server.console(where, headers, **more) as console:
            code, reason = console.until_closed()
            assert console.heard == []
            assert reason
            return code, reason

    ours = {"Origin": ORIGIN}
    assert closed(ours)[0] == 4401
    assert closed(ours | {"Cookie": "sessionid=nonsense"})[0] == 4401
    assert closed({"Authorization": "Bearer nonsense"})[0] == 4401
    assert closed(bearer(people.ana, ["requests:write"]))[0] == 4403
    foreign = closed(browser_headers(people.tara, ORIGIN))
    assert foreign[0] == 4404
    assert foreign == closed(bearer(people.tara), f"/ws/requests/{uuid.uuid4()}/")
    assert closed(bearer(people.ana), "/ws/requests/1/")[0] == 4404
    assert closed(bearer(people.ana), "/")[0] == 4404
    for after in ("x", "-1", "9" * 30, "%00", "²"):
        assert closed(bearer(people.ana), after=after)[0] == 4400
    for person in (people.ana, people.olga, people.rita):
        with server.console(request, browser_headers(person, ORIGIN)) as console:
            console.until_type("hello")


def test_permission_lost_on_the_way_ends_it(
    people: Cast, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RECHECK_SECONDS", 0.3)
    request = ask(people.ana, people.chat)
    clear = bearer(people.ana)
    with (
        server.console(request, browser_headers(people.ben, ORIGIN)) as leaver,
        server.console(request, clear) as robot,
        server.console(request, browser_headers(people.olga, ORIGIN)) as stays,
    ):
        for console in (leaver, robot, stays):
            console.until_seq(1)
        Membership.objects.filter(person=people.ben).delete()
        digest = token_digest(clear["Authorization"].removeprefix("Bearer "))
        ApiToken.objects.filter(digest=digest).update(revoked_at=timezone.now())
        assert leaver.until_closed()[0] == 4403
        assert robot.until_closed()[0] == 4401
        happen(request)
        stays.until_seq(2)


def test_half_a_day_is_enough(
    people: Cast, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "LONGEST_LIFE_SECONDS", 0.3)
    with server.console(ask(people.ana, people.chat), bearer(people.ana)) as console:
        assert console.until_closed()[0] == 1012


def test_a_client_may_ping_and_nothing_else(people: Cast, server: Server) -> None:
    request, headers = ask(people.ana, people.chat), bearer(people.ana)
    with server.console(request, headers) as console:
        console.connection.send('{"type":"ping"}')
        console.until_type("pong")
        for text in (
            "",
            "x",
            "[]",
            '"ping"',
            '{"type":"websocket.disconnect"}',
            "[" * 4000,
            '{"type":["ping"]}',
        ):
            console.connection.send(text)
            assert console.until_type("error")["code"] == "unknown_message"
    for sent, code in ((b"\x00", 1003), ("x" * 4097, 1009), ("\N{GRINNING FACE}" * 1025, 1009)):
        with server.console(request, headers) as console:
            console.connection.send(sent)
            assert console.until_closed()[0] == code
    with server.console(request, headers) as console:
        for _ in range(21):
            console.connection.send('{"type":"ping"}')
        assert console.until_closed()[0] == 1008


def test_one_hub_serves_all_and_forgets_who_left(people: Cast, server: Server) -> None:
    request, headers = ask(people.ana, people.chat), bearer(people.ana)
    with server.console(request, headers) as first, server.console(request, headers) as second:
        first.until_seq(1)
        second.until_seq(1)
        hubs = [one for one in hub._hubs.values() if one._topics]
        assert len(hubs) == 1
        assert [len(topic.subscribers) for topic in hubs[0]._topics.values()] == [2]
    deadline = time.monotonic() + PATIENCE
    while hubs[0]._topics and time.monotonic() < deadline:
        time.sleep(0.02)
    assert hubs[0]._topics == {}


@pytest.mark.parametrize("sent", [b"\xff", b"ping \xc3", b"\xed\xa0\x80"])
def test_invalid_utf_8_closes_with_1007_and_leaves_no_traceback(
    people: Cast, server: Server, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """RFC 6455, 8.1."""
    request = ask(people.ana, people.chat)
    with server.console(request, browser_headers(people.ana, ORIGIN)) as console:
        console.until_type("hello")
        console.connection.send(sent, text=True)
        assert console.until_closed()[0] == 1007
    assert not [record for record in caplog.records if record.exc_info]
    with server.console(request, browser_headers(people.ana, ORIGIN)) as console:
        console.until_type("hello")
        console.connection.send('{"type": "ping", "text": "\u00e9"}')
        console.until_type("pong")
