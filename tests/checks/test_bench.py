"""A handshake with everything a person may add, and a script after it, against real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

from checks.diagnosis.transcript_rules import diagnose
from checks.probe import limits, script_runner
from checks.probe.limits import Limits
from checks.probe.prober import probe
from checks.probe.script_runner import ScriptRunner
from checks.probe.stream import Stream
from checks.protocol.deflate import OFFER, negotiate
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script, parse_script
from checks.protocol.transcript import Phase, Reason, Transcript
from tests.checks.origins import HOST, network_to

QUICK = Limits(total_s=5.0, close_s=1.0)
DEFLATED = (OFFER,)


async def chat(connection: ServerConnection) -> None:
    await connection.send(json.dumps({"type": "welcome", "clientCount": 1}))
    async for message in connection:
        await connection.send(json.dumps({"type": "echo", "message": message}))


def follow(
    script: str,
    *,
    handler: Callable[[ServerConnection], Awaitable[None]] = chat,
    limits: Limits = QUICK,
    **asked: object,
) -> Transcript:
    """Follow a script on a server of the websockets library."""

    async def story() -> Transcript:
        async with serve(
            handler, "127.0.0.1", 0, compression="deflate" if asked else None
        ) as server:
            port = server.sockets[0].getsockname()[1]
            target = replace(ProbeTarget(f"ws://{HOST}/ws"), **asked)  # type: ignore[arg-type]
            steps = Script.of_steps(parse_script(script))
            return await probe(target, network=network_to(port), script=steps, limits=limits)

    return asyncio.run(story())


def test_a_script_is_followed_step_by_step_and_each_step_is_timed() -> None:
    seen = follow(
        """
        expect json $.type == "welcome" within 2
        send hello {nonce}
        expect json $.message == "hello {nonce}" within 2
        ping within 2
        hold 0.2
        close 1000 done
        """
    )
    assert seen.live, seen.failures
    assert [step.ok for step in seen.steps] == [True] * 6
    assert seen.steps[0].detail.startswith('{"type": "welcome"')
    assert seen.steps[4].took_ms >= 200
    assert seen.timing.total is not None
    assert sum(step.took_ms for step in seen.steps) <= seen.timing.total, "each on its own"
    assert seen.close is not None
    assert (seen.close.code, seen.close.by) == (1000, "us")
    assert Transcript.from_dict(seen.to_dict()) == seen.masked()
    assert diagnose(seen)[0].code == "WSE-LIVE"


def test_a_message_that_comes_while_holding_is_there_for_a_later_step() -> None:
    seen = follow('send a\nhold 0.2\nexpect json $.type == "echo" within 1')
    assert seen.live, seen.failures


def test_the_first_step_that_fails_ends_the_script_and_is_named() -> None:
    seen = follow("expect text goodbye within 0.2\nsend never")
    assert not seen.live
    assert [step.ok for step in seen.steps] == [False]
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.SCRIPT, Reason.UNEXPECTED)
    first = diagnose(seen)[0]
    assert first.code == "WSE-SCRIPT"
    assert "expect text goodbye" in first.evidence[0]


def test_a_socket_that_is_cut_while_holding_says_so() -> None:
    async def leaves(connection: ServerConnection) -> None:
        connection.transport.abort()

    seen = follow("hold 2", handler=leaves)
    assert [step.ok for step in seen.steps] == [False]
    assert diagnose(seen)[0].code == "WSE-1006"


class Busy:
    """A machine on which 10 ms pass before each look at the clock, and a stream on which nothing
    comes.
    """

    def __init__(self) -> None:
        self.now, self.arrived, self.eof = 0.0, 0.0, False

    def perf_counter(self) -> float:
        self.now += 0.01
        return self.now

    async def wait(self, deadline: float) -> bool:
        self.now = max(self.now, deadline)
        return False

    def send(self, data: bytes) -> None: ...


@pytest.mark.parametrize(
    ("total_s", "ok", "detail"),
    [
        (10.0, True, "the socket stayed open"),
        (1.5, False, "the whole check took longer than 1.5 s"),
    ],
)
def test_a_hold_that_went_well_is_called_so_also_where_the_machine_is_busy(
    total_s: float, ok: bool, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Busy()
    for module in (limits, script_runner):
        monkeypatch.setattr(module, "time", busy)
    talk = ScriptRunner(
        cast("Stream", busy),
        script=Script.of_steps(parse_script("hold 2")),
        nonce="n1",
        limits=Limits(),
        clock=limits.Clock(total_s),
        deflate=None,
    )
    with pytest.raises(limits.Stop):
        asyncio.run(talk.run(b"", lambda: None))
    assert [(step.ok, step.detail) for step in talk.steps] == [(ok, detail)]


def test_compression_that_was_asked_for_is_spoken_both_ways() -> None:
    seen = follow("send {nonce} {nonce}\nexpect text {nonce} {nonce}", extensions=DEFLATED)
    assert seen.live, seen.failures
    assert seen.response is not None
    assert seen.response.get("sec-websocket-extensions").startswith("permessage-deflate")
    assert {frame.compressed for frame in seen.frames if frame.opcode == "text"} == {True}


def test_compression_is_not_spoken_when_nobody_asked() -> None:
    seen = follow("send {nonce}\nexpect text {nonce}")
    assert seen.live
    assert not any(frame.compressed for frame in seen.frames)


@pytest.mark.parametrize(
    "answer",
    [
        "permessage-deflate; nonsense",
        "permessage-deflate; server_max_window_bits=99",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=+10",
        "permessage-deflate; server_max_window_bits=1\xb2",
        'permessage-deflate; server_max_window_bits="10',
        'permessage-deflate; server_max_window_bits=10"',
        'permessage-deflate; server_max_window_bits=""10""',
        "permessage-deflate; server_max_window_bits=10=10",
        "permessage-deflate; server_max_window_bits=10\xa0",
        "permessage-deflate;",
        "permessage-deflate, permessage-deflate",
    ],
)
def test_parameters_that_the_rfc_does_not_allow_are_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="permessage-deflate"):
        negotiate(answer, 1000)


@pytest.mark.parametrize(
    "answer",
    [
        "permessage-deflate",
        'permessage-deflate; server_max_window_bits="10"; client_no_context_takeover',
        "Permessage-Deflate ;\tserver_max_window_bits = 8; client_max_window_bits=15",
    ],
)
def test_parameters_that_it_allows_are_taken(answer: str) -> None:
    assert negotiate(answer, 1000) is not None
    assert negotiate("", 1000) is None
