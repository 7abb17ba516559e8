"""Further probes: asked for one at a time, made under a lease, over real sockets; log rows weigh a
check again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from checks import probe_actions, tasks
from checks.aws_view import AwsView
from checks.diagnosis.access_log import LogRowError, parse_log_rows
from checks.diagnosis.probe_kinds import ProbeKind
from checks.models import Check, Probe
from checks.output.reports import Report, arrived_headers
from checks.probe import interruptible
from checks.probe.interruptible import Interruptible
from checks.probe.kinds import ProbeContext, make_report
from checks.probe.limits import Limits
from checks.probe.probe_request import (
    BOUNDS,
    ProbeRequest,
    Route,
    RoutesError,
    longest,
    parse_routes,
    usual_silence,
)
from checks.probe.prober import ProbeNetwork
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.handshake_options import HandshakeOptions, ProbeTarget
from provisioning.facts.forwarding import Forwarding
from provisioning.models import Endpoint
from provisioning.redaction.masking import mask_of
from tests.checks.origins import HOST
from tests.checks.seen import answered, live
from tests.checks.test_ranking import SOCKET_HEADERS, passing

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
QUICK = Limits(total_s=3.0, close_s=0.3)


@pytest.fixture(scope="module")
def around() -> Iterator[ProbeContext]:
    """The way to a chat: what one says the others hear; /headers tells what arrived; it knows
    chat.v1.
    """
    room: set[ServerConnection] = set()
    loop = asyncio.new_event_loop()

    async def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path.endswith("/headers"):
            await connection.send(
                json.dumps({"headers": list(connection.request.headers.raw_items())})
            )
        await connection.send("welcome")
        room.add(connection)
        async for message in connection:
            for other in tuple(room):
                with contextlib.suppress(ConnectionClosed):
                    await other.send(message)
        room.discard(connection)

    async def start() -> Server:
        return await serve(talk, "127.0.0.1", 0, subprotocols=["chat.v1"])  # type: ignore[list-item]

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(5)
    port = int(next(iter(server.sockets)).getsockname()[1])
    network = ProbeNetwork(
        connect_to=parse_connect_to(
            f"{HOST}::127.0.0.1:{port},direct.example.com::127.0.0.1:{port}"
        ),
        allowed_networks=parse_networks("127.0.0.1/32"),
    )
    yield ProbeContext(
        network, QUICK, routes=(Route("direct", "ws://{name}.example.com{path}"),), name="direct"
    )
    asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


USUAL = ProbeTarget(f"ws://{HOST}/ws", subprotocols=("chat.v1",), origin="https://app.example.com")


@pytest.mark.parametrize(
    ("asked", "headline"),
    [
        (
            ProbeRequest(ProbeKind.PLAIN_GET),
            "The WebSocket opens; a plain GET of the same address is answered with 426.",
        ),
        (ProbeRequest(ProbeKind.ROUTES, path="/ws/2"), "Every route works."),
        (ProbeRequest(ProbeKind.NEGOTIATION), "Every offer opens"),
        (ProbeRequest(ProbeKind.RECONNECT, 2), "2 of 2 reconnects succeeded."),
        (ProbeRequest(ProbeKind.BROADCAST, 3), "All 3 clients heard each other."),
        (ProbeRequest(ProbeKind.IDLE, 2), "After 2 s of silence the socket was still open."),
        (
            ProbeRequest(ProbeKind.JOURNEY, path="/ws/headers"),
            "All required headers reach the app.",
        ),
    ],
    ids=lambda given: given.kind if isinstance(given, ProbeRequest) else "",
)
def test_each_kind_tells_what_it_saw(
    around: ProbeContext, asked: ProbeRequest, headline: str
) -> None:
    told = asyncio.run(make_report(asked, USUAL, around))
    assert told.ok, told
    assert told.headline.startswith(headline)
    if asked.kind is ProbeKind.ROUTES:
        assert told.columns == (
            "through the edge",
            "without Origin",
            "with compression",
            "path /ws/2",
            "direct",
        )
    if asked.kind is ProbeKind.JOURNEY:
        rows = dict(told.rows)
        assert rows["Sec-WebSocket-Protocol"][2].text == "as sent"
    if asked.kind is ProbeKind.NEGOTIATION:
        agreed = dict(told.rows)["Subprotocol agreed"]
        assert [cell.text for cell in agreed] == ["", "chat.v1", "", "chat.v1"]
        assert told.lines == (
            "The app requires a subprotocol: it refuses without one (nothing, compression).",
        )


def test_headers_are_read_from_pairs_and_from_an_object() -> None:
    assert arrived_headers('{"headers": [["Host", "a"], "odd"]}') == (("Host", "a"),)
    assert arrived_headers('{"headers": {"Host": "a"}}') == (("Host", "a"),)
    for other in ("welcome", "[1]", '{"headers": 3}', '{"headers": []}', "[" * 100_000):
        assert arrived_headers(other) is None


def test_ways_are_named_by_the_operator_or_refused() -> None:
    assert parse_routes(["direct=wss://{name}.internal{path}"]) == (
        Route("direct", "wss://{name}.internal{path}"),
    )
    for wrong in (["direct"], ["=wss://x"], ["direct=https://x"], ["a=wss://x"] * 5):
        with pytest.raises(RoutesError):
            parse_routes(wrong)


def test_every_kind_is_bounded() -> None:
    assert all(
        longest(ProbeRequest(kind, BOUNDS.get(kind, (0, 0))[1]), 15.0) <= 150 for kind in ProbeKind
    )
    assert (usual_silence(1), usual_silence(6)) == (75, 13)


class TestARow:
    """One at a time, made once, never left waiting."""

    pytestmark = pytest.mark.django_db

    @pytest.fixture
    def report(self, monkeypatch: pytest.MonkeyPatch) -> list[ProbeRequest]:
        """The network is away: what would be asked of it is noted."""
        made: list[ProbeRequest] = []

        async def note(asked: ProbeRequest, *_: object) -> Report:
            made.append(asked)
            return Report(True, "well")

        monkeypatch.setattr(probe_actions, "make_report", note)
        monkeypatch.setattr(probe_actions, "fetch_aws_view", lambda *_: AwsView())
        return made

    def test_is_asked_for_once_and_made_once(
        self, endpoint: Endpoint, report: list[ProbeRequest]
    ) -> None:
        asked = ProbeRequest(ProbeKind.CROWD, 3)
        probe = probe_actions.request_probe(endpoint, asked, by="ana", now=NOW)
        assert probe is not None
        assert (
            probe_actions.request_probe(
                endpoint, ProbeRequest(ProbeKind.IDLE, 9), by="ben", now=NOW
            )
            is None
        )
        Probe.objects.update(lease_until=NOW + timedelta(seconds=9))
        probe_actions.make_probe(str(probe.pk), clock=lambda: NOW)
        assert report == [], "another worker makes it"
        later = NOW + timedelta(seconds=10)
        probe_actions.make_probe(str(probe.pk), clock=lambda: later)
        probe.refresh_from_db()
        assert probe.report is not None
        assert (probe.ok, probe.report["headline"], report) == (True, "well", [asked])
        assert probe.finished_at == later
        probe_actions.make_probe(str(probe.pk), clock=lambda: later)
        assert len(report) == 1
        assert (
            probe_actions.request_probe(
                endpoint, ProbeRequest(ProbeKind.IDLE, 9), by="ben", now=NOW
            )
            is not None
        )

    def test_a_worker_that_shuts_down_leaves_it_to_another(
        self, endpoint: Endpoint, report: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        probe = probe_actions.request_probe(
            endpoint, ProbeRequest(ProbeKind.IDLE, 9), by="ana", now=NOW
        )
        assert probe is not None
        with monkeypatch.context() as shutting_down:
            shutting_down.setattr(interruptible, "probes", Interruptible())
            interruptible.probes.interrupt()
            probe_actions.make_probe(str(probe.pk), clock=lambda: NOW)
        assert report == []
        assert Probe.objects.due(NOW).get() == probe
        probe_actions.make_probe(str(probe.pk), clock=lambda: NOW)
        assert Probe.objects.get().ok

    def test_some_threads_are_left_for_checks(
        self, endpoint: Endpoint, report: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = threading.BoundedSemaphore(1)
        monkeypatch.setattr(tasks, "_room_for_probes", room)
        probe = probe_actions.request_probe(
            endpoint, ProbeRequest(ProbeKind.ROUTES), by="ana", now=NOW
        )
        assert probe is not None
        with room:
            tasks.make_probe(str(probe.pk))
        assert report == [], "it stays due, and is sent again"
        tasks.make_probe(str(probe.pk))
        assert len(report) == 1
        assert room.acquire(blocking=False)

    def test_the_ticker_tells_workers_of_it_until_it_is_taken(
        self, endpoint: Endpoint, report: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []
        monkeypatch.setattr(tasks.make_probe, "delay", told.append)
        probe = probe_actions.request_probe(
            endpoint, ProbeRequest(ProbeKind.ROUTES), by="ana", now=NOW
        )
        for seconds in (0, 1, 6):
            tasks.tick(NOW + timedelta(seconds=seconds))
        assert told == [str(getattr(probe, "pk", ""))] * 2, (
            "a word that was lost is said again after a while"
        )
        tasks.make_probe(told[0])
        tasks.tick(NOW + timedelta(seconds=20))
        assert len(told) == 2
        assert report == [ProbeRequest(ProbeKind.ROUTES)]

    @pytest.mark.parametrize("where", ["make_report", "fetch_aws_view"])
    def test_a_fault_of_ours_ends_it_and_says_so(
        self,
        endpoint: Endpoint,
        report: list[ProbeRequest],
        monkeypatch: pytest.MonkeyPatch,
        where: str,
    ) -> None:
        def faulty(*_: object) -> Report:
            raise KeyError("a bug")

        monkeypatch.setattr(probe_actions, where, faulty)
        probe = probe_actions.request_probe(
            endpoint, ProbeRequest(ProbeKind.IDLE, 9), by="ana", now=NOW
        )
        assert probe is not None
        probe_actions.make_probe(str(probe.pk), clock=lambda: NOW)
        made = Probe.objects.get()
        assert made.report is not None
        assert (made.ok, made.report["code"]) == (False, "WSE-PROBE")


def failed_check(endpoint: Endpoint, **others: Any) -> Check:
    refused = answered("HTTP/1.1 502 Bad Gateway\r\nServer: CloudFront\r\nX-Amz-Cf-Id: abc\r\n")
    values = {
        "ok": False,
        "verdict": "WSE-502-ORIGIN",
        "transcript_data": refused.to_dict(),
        "next_probe": "log rows",
    }
    return Check.objects.create(
        endpoint=endpoint,
        requested_at=NOW,
        due_at=NOW,
        retry_until=NOW,
        finished_at=NOW,
        **(values | others),
    )


@pytest.mark.django_db
def test_log_rows_weigh_a_check_again(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_actions, "fetch_aws_view", lambda *_: AwsView())
    tried = [
        {
            "kind": ProbeKind.PLAIN_GET,
            "transcript": answered("HTTP/1.1 502 Bad\r\nServer: CloudFront\r\n").to_dict(),
        }
    ]
    check = failed_check(endpoint, probes=tried)
    row = {
        "x-edge-request-id": "abc",
        "sc-status": "502",
        "cs-uri-stem": "/ws",
        "x-edge-detailed-result-type": "OriginDnsError",
    }
    rows = parse_log_rows(json.dumps(row))
    probe = probe_actions.request_probe(
        endpoint, ProbeRequest(ProbeKind.LOG_ROWS), by="ana", now=NOW, check=check, rows=rows
    )

    def killed(_: Report) -> dict[str, Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(Report, "to_dict", killed)
        with pytest.raises(KeyboardInterrupt):
            probe_actions.make_probe(str(getattr(probe, "pk", "")), clock=lambda: NOW)
    Probe.objects.update(lease_until=None)
    probe_actions.make_probe(str(getattr(probe, "pk", "")), clock=lambda: NOW)
    check.refresh_from_db()
    made = Probe.objects.get()
    assert made.report is not None
    assert made.report["headline"].startswith("The verdict is: ")
    assert (check.verdict, check.findings[0]["certainty"], check.ok) == (
        "WSE-502-DNS",
        "high",
        False,
    )
    assert "detail OriginDnsError" in str(check.findings[0]["evidence"])


@pytest.mark.django_db
def test_the_row_of_another_clients_handshake_counts_where_it_ended_alike(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_actions, "fetch_aws_view", lambda *_: AwsView())
    check = failed_check(endpoint)

    def row(**changes: str) -> str:
        return json.dumps(
            {
                "x-edge-request-id": "somebody-elses",
                "sc-status": "502",
                "cs-uri-stem": "/ws",
                "x-edge-detailed-result-type": "OriginDnsError",
                **changes,
            }
        )

    rows = probe_actions.read_log_rows(check, row())
    probe = probe_actions.request_probe(
        endpoint, ProbeRequest(ProbeKind.LOG_ROWS), by="ana", now=NOW, check=check, rows=rows
    )
    probe_actions.make_probe(str(getattr(probe, "pk", "")), clock=lambda: NOW)
    check.refresh_from_db()
    told = {one["code"]: one for one in check.findings}["WSE-502-DNS"]
    assert told["certainty"] == "medium"
    assert any("another client's handshake" in line for line in told["evidence"])
    for other in (row(**{"sc-status": "403"}), row(**{"cs-uri-stem": "/other"})):
        with pytest.raises(LogRowError, match="cs-uri-stem /ws and sc-status 502"):
            probe_actions.read_log_rows(check, other)


@pytest.mark.django_db
def test_a_cookie_that_the_policy_drops_is_still_named_when_log_rows_are_pasted(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []

    def look(_: object, __: object, headers: tuple[tuple[str, str], ...]) -> AwsView:
        sent[:] = headers
        return AwsView(behavior=passing(Forwarding(SOCKET_HEADERS), headers=headers))

    monkeypatch.setattr(probe_actions, "fetch_aws_view", look)
    wanted = HandshakeOptions(headers=(("Cookie", "session=s3cret; theme=dark"),))
    refused = answered("HTTP/1.1 401 Unauthorized\r\nServer: uvicorn\r\nX-Amz-Cf-Id: abc\r\n")
    kept = wanted.masked().to_dict()
    check = failed_check(
        endpoint, options=kept, verdict="WSE-NOT-FORWARDED", transcript_data=refused.to_dict()
    )
    rows = parse_log_rows(
        '{"x-edge-request-id": "abc", "sc-status": "401", "x-edge-detailed-result-type": "Error"}'
    )
    probe = probe_actions.request_probe(
        endpoint, ProbeRequest(ProbeKind.LOG_ROWS), by="ana", now=NOW, check=check, rows=rows
    )
    probe_actions.make_probe(str(getattr(probe, "pk", "")), clock=lambda: NOW)
    check.refresh_from_db()
    assert sent == [("Cookie", "session=<masked-6-characters>; theme=<masked-4-characters>")]
    assert check.verdict == "WSE-NOT-FORWARDED"
    assert "the cookie session is not forwarded" in check.findings[0]["evidence"][0]
    assert "s3cret" not in str(check.options)


MASK = mask_of("s3cret")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("session=s3cret", f"session={MASK}"),
        (
            "theme=s3cret; session=s3cret==; empty=",
            f"theme={MASK}; session=<masked-8-characters>; {mask_of('empty')}=",
        ),
        # Where nothing follows the equals sign, what stands before may be a value without a name.
        ("s3cret==", f"{MASK}="),
        ("s3cret", MASK),
        ("s3cret; session=s3cret;", f"{MASK}; session={MASK}"),
        ('prefs={"a":"s3cret"}; session=s3cret', f"prefs=<masked-14-characters>; session={MASK}"),
        # A semicolon within quotes ends no cookie.
        ('session="s3cret; s3cret=1"', "<masked-26-characters>"),
        (" ; ", ""),
    ],
)
def test_of_a_cookie_the_names_are_kept_and_no_value(value: str, kept: str) -> None:
    wanted = HandshakeOptions(
        headers=(("cookie", value), ("Authorization", "Bearer s3cret"), ("X-Room", "blue"))
    )
    masked = wanted.masked()
    assert masked.headers == (
        ("cookie", kept),
        ("Authorization", f"Bearer {MASK}"),
        ("X-Room", "blue"),
    )
    assert HandshakeOptions.from_dict(masked.to_dict()) == masked == masked.masked()


@pytest.mark.django_db
def test_the_row_of_a_refused_post_is_told_beside_a_handshake_that_opened(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_actions, "fetch_aws_view", lambda *_: AwsView())
    check = failed_check(
        endpoint, ok=True, verdict="WSE-LIVE", transcript_data=live().to_dict(), next_probe=""
    )
    row = (
        '{"cs-method":"POST","x-edge-request-id":"other",'
        '"x-edge-detailed-result-type":"InvalidRequestMethod"}'
    )
    asked = ProbeRequest(ProbeKind.LOG_ROWS)
    probe = probe_actions.request_probe(
        endpoint, asked, by="ana", now=NOW, check=check, rows=parse_log_rows(row)
    )
    probe_actions.make_probe(str(getattr(probe, "pk", "")), clock=lambda: NOW)
    check.refresh_from_db()
    report = Probe.objects.get().report
    assert report is not None
    assert (check.ok, [found["code"] for found in check.findings]) == (
        True,
        ["WSE-LIVE", "WSE-403-METHOD"],
    )
    assert report["headline"] == "The verdict stays: The endpoint is live"
    assert "Also: The behavior does not allow the method" in report["lines"]
