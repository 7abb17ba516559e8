"""Which clock cut a silent socket, whether a crowd hears itself, whether a client can come back."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from checks.diagnosis.idle_timeout import Reading, identify_timeout, reading_of, usual_timeouts
from checks.diagnosis.verdicts import VerdictCode
from checks.output.reports import broadcast_report, crowd_report, idle_report
from checks.probe.multi_socket import (
    Silence,
    gather_broadcast,
    gather_crowd,
    measure_idle,
    reconnect,
)
from checks.probe.probe_request import JOINS_WITHIN
from checks.probe.prober import ProbeNetwork
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.transcript import CloseSeen, Failure, Phase, Reason, StepSeen
from tests.checks.origins import HOST, network_to
from tests.checks.seen import live

IDLE_TIMEOUTS = usual_timeouts(alb=60, nlb=350)


def silent(seconds: float, ended: str = "cut", heard: int = 0) -> Reading:
    return Reading("silent", seconds, ended, 1006 if ended == "cut" else 4000, heard)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("readings", "code", "says", "heartbeat"),
    [
        ([silent(60.4)], "WSE-IDLE-ALB", "Application Load Balancer (60 s)", 24),
        ([silent(350.2)], "WSE-IDLE-NLB", "Network Load Balancer (350 s)", 30),
        ([silent(601)], "WSE-IDLE-CLOUDFRONT", "CloudFront (600 s)", 30),
        (
            [silent(601), Reading("client only", 602, "cut")],
            "WSE-IDLE-CLOUDFRONT",
            "from the origin only",
            30,
        ),
        (
            [silent(60), Reading("client only", 700, "open")],
            "WSE-IDLE-ALB",
            "in both directions",
            24,
        ),
        (
            [silent(601), Reading("client only", 700, "open")],
            "WSE-1006",
            "none of the known idle timeouts",
            30,
        ),
        ([silent(45)], "WSE-1006", "none of the known idle timeouts", 18),
        ([silent(30, "closed")], "WSE-IDLE-APP", "the app closed with 4000", 12),
        ([silent(700, "open")], None, "still open", None),
        ([silent(700, "open", heard=30)], None, "The server sends frames by itself", None),
        ([silent(0, "broken")], "WSE-UNKNOWN", "nothing was measured", None),
        ([silent(60), Reading("client only", 1, "broken")], "WSE-IDLE-ALB", "60 s", 24),
        ([], "WSE-UNKNOWN", "nothing was measured", None),
    ],
)
def test_the_seconds_name_the_clock(
    readings: list[Reading], code: VerdictCode | None, says: str, heartbeat: float | None
) -> None:
    found = identify_timeout(readings, IDLE_TIMEOUTS)
    assert (found.code, found.heartbeat) == (code, heartbeat)
    assert says in found.text


@pytest.mark.parametrize(
    ("reason", "ended", "ok"),
    [
        (Reason.FRAME_VIOLATION, "broken", False),
        (Reason.TOO_MUCH_DATA, "broken", False),
        (Reason.TOO_MANY_FRAMES, "broken", False),
        (Reason.CLOSED_BY_PEER, "closed", False),
        (Reason.RESET, "cut", False),
        (None, "open", True),
    ],
)
def test_a_socket_that_the_probe_had_to_end_did_not_stay_open(
    reason: Reason | None, ended: str, ok: bool
) -> None:
    failures = (Failure(Phase.SCRIPT, reason),) if reason else ()
    seen = replace(live(), failures=failures, close=CloseSeen(4000, "", clean=True, by="peer"))
    reading = reading_of("silent", seen)
    assert reading is not None
    assert reading.ended == ended
    report = idle_report([reading], IDLE_TIMEOUTS, [seen])
    assert (report.ok, report.code != "WSE-UNKNOWN") == (ok, True)


@pytest.mark.parametrize(
    "reason", [Reason.ABNORMAL_CLOSE, Reason.RESET, Reason.CLOSED_BY_PEER, Reason.FRAME_VIOLATION]
)
def test_a_socket_that_ends_badly_only_after_our_close_was_open_all_the_time(
    reason: Reason,
) -> None:
    held = StepSeen("hold 90", True, 5.0, 90_000.0, "the socket stayed open")
    for phase, ok in ((Phase.CLOSE, True), (Phase.SCRIPT, False)):
        seen = replace(
            live(),
            steps=(held,),
            failures=(Failure(phase, reason),),
            close=CloseSeen(1006, "", False, "nobody"),
        )
        reading = reading_of("silent", seen)
        assert reading is not None
        report = idle_report([reading], IDLE_TIMEOUTS, [seen])
        assert (reading.ended == "open", report.ok) == (ok, ok), report


@pytest.mark.parametrize(
    ("nlb", "reason", "code"),
    [
        (
            60,
            Reason.RESET,
            "WSE-IDLE-NLB",
        ),  # it has forgotten the connection, and says so to the next data only
        (
            60,
            Reason.ABNORMAL_CLOSE,
            None,
        ),  # nobody answered the goodbye: no word of the silence before it
        (120, Reason.RESET, None),  # its clock had not run out
        (None, Reason.RESET, None),
    ],
)
def test_a_network_load_balancer_that_has_forgotten_the_socket_resets_the_goodbye(
    nlb: float | None, reason: Reason, code: VerdictCode | None
) -> None:
    held = StepSeen("hold 90", True, 5.0, 90_000.0, "the socket stayed open")
    seen = replace(live(), steps=(held,), failures=(Failure(Phase.CLOSE, reason),))
    reading = reading_of("silent", seen)
    assert reading is not None
    assert identify_timeout((reading,), usual_timeouts(alb=None, nlb=nlb)).code == code


def against(handler: Any, story: Any, **options: Any) -> Any:
    """Run a story against a server of the websockets library."""

    async def whole() -> Any:
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            port = server.sockets[0].getsockname()[1]
            return await story(ProbeTarget(f"ws://{HOST}/ws"), network_to(port))

    return asyncio.run(whole())


def test_a_silent_socket_is_timed_beside_two_that_talk() -> None:
    """The server drops whoever says nothing for a while, pongs included: as a load balancer
    counts.
    """

    async def impatient(connection: ServerConnection) -> None:
        transport = connection.transport
        seen = transport.get_protocol().data_received  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        last = loop.time()

        def heard(data: bytes) -> None:
            nonlocal last
            last = loop.time()
            seen(data)

        transport.get_protocol().data_received = heard  # type: ignore[attr-defined]
        while loop.time() < last + 0.6:
            await asyncio.sleep(0.02)
        transport.abort()

    async def story(target: ProbeTarget, network: ProbeNetwork) -> Silence:
        return await measure_idle(target, network=network, seconds=1.8, every=0.2)

    readings = against(impatient, story, ping_interval=None).readings
    assert [(reading.variant, reading.ended) for reading in readings] == [
        ("silent", "cut"),
        ("client pings", "open"),
        ("client only", "open"),
    ]
    found = identify_timeout(readings, usual_timeouts(alb=60, pace=100))
    assert found.code == "WSE-IDLE-ALB", (found, readings)


class Room:
    """Passes on what anybody says, except to those who do not listen."""

    def __init__(self, deaf: int = 0) -> None:
        self.members: list[ServerConnection] = []
        self.deaf = deaf

    async def __call__(self, connection: ServerConnection) -> None:
        self.members.append(connection)
        async for message in connection:
            for member in self.members[self.deaf :]:
                if member is not connection:
                    with contextlib.suppress(ConnectionClosed):  # who has heard all may leave
                        await member.send(message)


async def crowd_of_three(target: ProbeTarget, network: ProbeNetwork) -> Any:
    return await gather_broadcast(target, network=network, clients=3, join_s=0.3, within_s=0.5)


def test_a_crowd_hears_itself() -> None:
    crowd = against(Room(), crowd_of_three)
    assert (crowd.ok, crowd.opened, crowd.heard_all, crowd.missing) == (True, 3, 3, ())


def test_a_crowd_of_twelve_takes_nobody_for_another_whose_number_begins_alike() -> None:
    async def story(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await gather_broadcast(target, network=network, clients=12)

    crowd = against(Room(), story)
    assert (crowd.ok, crowd.heard_all, crowd.missing) == (True, 12, ())


def test_who_is_refused_keeps_nobody_of_a_crowd_waiting() -> None:
    asked: list[object] = []

    def full(connection: ServerConnection, request: object) -> Any:
        asked.append(request)
        return connection.respond(503, "full") if len(asked) == 3 else None

    async def story(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await gather_broadcast(target, network=network, clients=3, within_s=0.3)

    crowd = against(Room(), story, process_request=full)
    assert (crowd.ok, crowd.opened) == (False, 2)
    assert all(
        (transcript.timing.total or 0) < JOINS_WITHIN * 1000 / 2 for transcript in crowd.seen
    )


def test_nobody_of_a_crowd_speaks_before_the_last_is_in() -> None:
    asked: list[object] = []

    async def slow_to_the_third(_: ServerConnection, request: object) -> None:
        asked.append(request)
        await asyncio.sleep(1.2 if len(asked) == 3 else 0)

    async def story(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await gather_broadcast(target, network=network, clients=3)

    crowd = against(Room(), story, process_request=slow_to_the_third)
    assert (crowd.ok, crowd.missing) == (True, ()), [seen.failures for seen in crowd.seen]


def test_a_crowd_in_which_one_is_not_reached_says_who() -> None:
    crowd = against(Room(deaf=1), crowd_of_three)
    assert (crowd.ok, crowd.opened, crowd.heard_all) == (False, 3, 2)
    deaf = {line.partition(" did not hear ")[0] for line in crowd.missing}
    assert (len(deaf), len(crowd.missing)) == (1, 2), (
        "who does not listen hears neither of the others"
    )


async def echoes(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize("clients", [2, 3, 4])
def test_a_crowd_of_which_nobody_hears_another_says_so_whatever_its_size(clients: int) -> None:
    async def patient(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await gather_broadcast(target, network=network, clients=clients)

    async def hasty(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await gather_broadcast(target, network=network, clients=clients, within_s=0.3)

    alone = against(echoes, hasty)
    assert (alone.opened, alone.heard_all) == (clients, 0)
    numbers = range(1, clients + 1)
    assert alone.missing == tuple(
        f"client {mine} did not hear client {other}"
        for mine in numbers
        for other in numbers
        if other != mine
    )
    assert broadcast_report(alone).headline == "No client heard any other."
    together = against(Room(), patient)
    assert (together.ok, together.missing) == (True, ())


def test_a_crowd_of_four_in_two_processes_misses_those_of_the_other_and_no_more() -> None:
    rooms: list[ServerConnection] = []

    async def halves(connection: ServerConnection) -> None:
        rooms.append(connection)
        mine = rooms.index(connection) % 2
        async for message in connection:
            for other in rooms[mine::2]:
                with contextlib.suppress(ConnectionClosed):
                    await other.send(message)

    async def story(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await gather_broadcast(target, network=network, clients=4, within_s=1.5)

    crowd = against(halves, story)
    assert (crowd.opened, crowd.heard_all, len(crowd.missing)) == (4, 0, 8)
    assert "connected to different processes" in broadcast_report(crowd).lines[-1]


def test_a_crowd_hears_itself_if_lines_share_a_message_and_no_close_is_answered() -> None:
    said: list[str] = []
    members: list[ServerConnection] = []

    async def minutes(connection: ServerConnection) -> None:
        members.append(connection)
        said.append(str(await connection.recv()))
        if len(said) == 3:
            for member in members:
                await member.send("\n".join(said))
                transport = member.transport
                transport.get_protocol().data_received = lambda _, end=transport: end.abort()  # type: ignore[attr-defined]
        await connection.wait_closed()

    crowd = against(minutes, crowd_of_three)
    assert (crowd.ok, crowd.missing) == (True, ()), [seen.failures for seen in crowd.seen]
    assert {seen.failures[0].phase for seen in crowd.seen} == {Phase.CLOSE}


def test_a_client_comes_back_as_often_as_it_is_sent() -> None:
    async def waits(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def story(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await reconnect(target, network=network, times=4)

    seen = against(waits, story)
    assert [transcript.live for transcript in seen] == [True] * 4


@pytest.mark.parametrize(("room", "said"), [(2, "All 2 clients"), (1, "1 of 2 clients")])
def test_a_silent_crowd_says_who_did_not_stay(room: int, said: str) -> None:
    inside: list[ServerConnection] = []
    heard: list[Any] = []

    async def with_room(connection: ServerConnection) -> None:
        if len(inside) == room:
            await connection.close(1013, "full")
            return
        inside.append(connection)
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                heard.append(message)

    async def story(target: ProbeTarget, network: ProbeNetwork) -> Any:
        return await gather_crowd(target, network=network, clients=2, together_s=0.2)

    report = crowd_report(against(with_room, story))
    assert report.headline.startswith(said)
    assert report.ok is (room == 2)
    assert heard == [], "a crowd sends nothing"
