"""Reports in plain words: what a meter, several routes, a negotiation and a header journey are
called.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks.diagnosis.idle_timeout import Reading, usual_timeouts
from checks.output.reports import (
    Broadcast,
    Report,
    broadcast_report,
    idle_report,
    journey_report,
    negotiation_report,
    plain_get_report,
    reconnect_report,
    routes_report,
)
from checks.preflight.behavior_match import BehaviorMatch, ForwardedPart
from checks.protocol.transcript import Phase, Reason, Transcript
from tests.checks.seen import answered, failed, live, request_to

IDLE_TIMEOUTS = usual_timeouts(alb=60)
BAD_GATEWAY = answered("HTTP/1.1 502 Bad Gateway\r\nServer: CloudFront\r\n")
FORBIDDEN = answered("HTTP/1.1 403 Forbidden\r\nServer: app\r\n")


def plain(status_line: str) -> Transcript:
    """A plain GET that was answered with this."""
    seen = answered(f"HTTP/1.1 {status_line}\r\nServer: app\r\n")
    assert seen.request is not None
    return replace(seen, request=replace(seen.request, upgrade=False), failures=(), findings=())


def served(**passes: bool | None) -> BehaviorMatch:
    """A distribution that passes on everything but what is said here (underscores for dashes)."""
    names = (
        "Host",
        "Origin",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
    )
    passages = tuple(
        ForwardedPart(name, passes.get(name.lower().replace("-", "_"), True), "the policy says so")
        for name in names
    )
    return BehaviorMatch(
        True, "Deployed", True, "/ws/*", True, "alb.example.com", "vo_1", "https-only", passages
    )


@pytest.mark.parametrize(
    ("readings", "ok", "says"),
    [
        ([Reading("silent", 60.2, "cut", 1006)], False, "every 24 s, from the server"),
        (
            [Reading("silent", 90, "open")],
            True,
            "The idle timeout of CloudFront is longer than this test: 600 s.",
        ),
        ([Reading("silent", 12, "closed", 4000)], False, "every 5 s"),
    ],
)
def test_the_idle_meter_names_the_heartbeat(readings: list[Reading], ok: bool, says: str) -> None:
    told = idle_report(readings, IDLE_TIMEOUTS)
    assert told.ok is ok
    assert any(says in line for line in told.lines), told


def test_what_never_opened_was_not_measured() -> None:
    told = idle_report([], IDLE_TIMEOUTS, (failed(Phase.TCP, Reason.CONNECT_REFUSED),))
    assert (told.ok, told.code) == (False, "WSE-TCP-REFUSED")
    assert "nothing was measured" in told.headline


@pytest.mark.parametrize(
    ("crowd", "says"),
    [
        (Broadcast(3, 3, 3, (), (live(),) * 3), "All 3 clients heard each other."),
        (
            Broadcast(3, 3, 2, ("client 1 did not hear client 2",), (live(),) * 3),
            "2 of 3 clients heard all others.",
        ),
        (
            Broadcast(
                2, 2, 0, ("client 1 did not hear client 2", "client 2 did not hear client 1")
            ),
            "No client heard",
        ),
        (
            Broadcast(2, 1, 0, ("client 1 did not hear client 2",), (live(), BAD_GATEWAY)),
            "1 of 2 clients connected.",
        ),
    ],
)
def test_a_crowd_says_who_is_missing(crowd: Broadcast, says: str) -> None:
    told = broadcast_report(crowd)
    assert says in told.headline
    assert told.ok is crowd.ok
    assert all(line in told.lines for line in crowd.missing)


def test_reconnects_say_how_many_and_why_not() -> None:
    assert reconnect_report([live()] * 3).ok
    told = reconnect_report([live(), BAD_GATEWAY, live()])
    assert (told.ok, told.headline.split(".")[0]) == (False, "1 of 3 reconnects failed")
    assert str(told.code).startswith("WSE-502")
    assert [cells[0].state for _, cells in told.rows] == ["good", "bad", "good"]
    assert "Some of the same handshakes opened" in told.lines[-1]


@pytest.mark.parametrize(
    ("handshake", "get", "says"),
    [
        (
            live(),
            plain("426 Upgrade Required"),
            "The WebSocket opens; a plain GET of the same address is answered",
        ),
        (BAD_GATEWAY, plain("200 OK"), "A plain GET is answered with 200, the upgrade is not"),
        (BAD_GATEWAY, plain("502 Bad Gateway"), "not only the upgrade is refused"),
        (
            failed(Phase.TCP, Reason.CONNECT_TIMEOUT),
            failed(Phase.TCP, Reason.CONNECT_TIMEOUT),
            "in front of the app",
        ),
        (
            FORBIDDEN,
            failed(Phase.UPGRADE, Reason.UPGRADE_TIMEOUT),
            "answered with 403, a plain GET gets no response",
        ),
    ],
)
def test_a_plain_get_tells_whether_only_the_upgrade_fails(
    handshake: Transcript, get: Transcript, says: str
) -> None:
    told = plain_get_report(handshake, get)
    assert says in told.headline
    assert told.ok is handshake.live
    assert not told.ok or all(cell.state != "bad" for _, cells in told.rows for cell in cells)


def test_a_plain_get_that_engine_io_always_refuses_is_told() -> None:
    get = plain("400 Bad Request")
    assert get.request is not None
    line = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"
    of_engine_io = replace(get, request=replace(get.request, request_line=line))
    assert "transport=polling" in plain_get_report(live(), of_engine_io).lines[-1]
    assert not any("polling" in told for told in plain_get_report(live(), get).lines)


def test_the_first_way_that_fails_is_named() -> None:
    told = routes_report([("edge", BAD_GATEWAY), ("direct", live())])
    assert told.headline.startswith("First failure: edge, Upgraded (101)")
    assert "The cause is what differs between direct and the other routes." in told.lines
    assert routes_report([("edge", live()), ("direct", live())]).ok


def test_a_subprotocol_nobody_agreed_on_is_not_called_good() -> None:
    asked = live()
    assert asked.request is not None
    ignored = replace(asked, request=replace(asked.request, subprotocols=("chat.v1",)))
    told = negotiation_report([("nothing", live()), ("subprotocols", ignored)])
    assert (told.ok, told.code) == (False, "WSE-101-NOSUBPROTOCOL")
    assert dict(told.rows)["Subprotocol agreed"][1].state == "bad"
    assert negotiation_report([("nothing", live())]).ok


class TestTheJourney:
    """sent → policy → app."""

    seen = answered(
        "HTTP/1.1 200 OK\r\n",
        request=request_to(subprotocols=("chat.v1",), origin="https://a.example"),
    )

    def test_simulated_from_the_policy(self) -> None:
        told = journey_report(self.seen, served(), None)
        assert (told.ok, told.headline) == (
            True,
            "The policy forwards every header that a WebSocket needs.",
        )
        assert any("Simulated from the policy" in line for line in told.lines)
        dropped = journey_report(self.seen, served(sec_websocket_key=False, origin=False), None)
        assert (dropped.ok, dropped.code) == (False, "WSE-400-NOKEY")
        assert dropped.headline == "Lost on the way: Sec-WebSocket-Key."
        assert dict(dropped.rows)["Origin"][1].text == "dropped: the policy says so"

    def test_measured_at_the_app(self) -> None:
        assert self.seen.request is not None
        sent = [(line.name, line.value) for line in self.seen.request.headers]
        arrived = [("Host", "other"), *sent[1:], ("X-Amz-Cf-Id", "abc"), ("Cookie", "s3cret")]
        told = journey_report(self.seen, None, arrived)
        assert told.ok
        rows = dict(told.rows)
        assert rows["Host"][2].text == "changed: other"
        assert rows["X-Amz-Cf-Id"][1].text == "added"
        assert "s3cret" not in str(told.to_dict())
        without = [(name, value) for name, value in sent if name != "Sec-WebSocket-Protocol"]
        dropped = served(sec_websocket_protocol=False)
        assert journey_report(self.seen, dropped, without).code == "WSE-101-POLICY"
        # What the policy passes on was lost behind CloudFront.
        assert journey_report(self.seen, served(), without).code == "WSE-101-NOSUBPROTOCOL"
        keyless = [(name, value) for name, value in sent if name != "Sec-WebSocket-Key"]
        assert journey_report(self.seen, served(), keyless).code == "WSE-426-VERSION"
        assert journey_report(self.seen, None, keyless).code == "WSE-400-NOKEY"

    def test_what_nobody_told_is_not_called_good(self) -> None:
        assert not journey_report(self.seen, None, None).ok
        assert "did not report" in journey_report(self.seen, served(), None, asked=True).headline
        assert journey_report(self.seen, replace(served(), own=False), None).code == "WSE-PATH"
        assert not journey_report(self.seen, served(host=None), None).ok


def test_a_report_is_stored_and_read_again() -> None:
    told = journey_report(TestTheJourney.seen, served(), [("X", "\x00")])
    read = Report.from_dict(told.to_dict())
    assert read.rows[-1][1][2].text == "�"
    assert replace(read, rows=()) == replace(told, rows=())
    with pytest.raises(ValueError, match="not a report"):
        Report.from_dict({"schema": 99})
