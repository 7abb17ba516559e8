"""Origins that mean harm, in one table: what each does, how the probe ends, and the most that it
may cost.

Seconds are those of the limits plus one turn of a busy event loop. Bytes are what the probe took
off the stream: its limit and one read. Memory is the growth at its peak, the origin's own included,
because both run in this process. Each row prints what it really cost: `pytest -rP
tests/checks/test_hostile_origins.py`.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from checks.diagnosis.transcript_rules import diagnose
from checks.probe import prober
from checks.probe.prober import ProbeNetwork
from checks.probe.stream import READ_SIZE, Stream
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.deflate import OFFER
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script, parse_script
from checks.protocol.transcript import Phase, Reason, Transcript
from tests.checks import origins
from tests.checks.origins import (
    ASK,
    HOST,
    ONE_TURN,
    QUICK,
    Authority,
    Behave,
    ask,
    ends_within,
    opens_and_says,
    origin,
    says,
)

MAX_BYTES = QUICK.bytes_in + READ_SIZE
"""The limit can only be looked at after a read."""
MAX_MEMORY = 4 * 1024 * 1024

WRONG_ACCEPT = (
    b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    b"bm8=\r\n\r\n"
)
HUGE_FRAME = b"\x82\x7f" + struct.pack("!Q", 1 << 62)
PIECE = b"\x00\x7e\x10\x00" + b"x" * 4_096
NEVER_ENDING = b"\x01\x00" + PIECE * 100
EMPTY_FOR_EVER = b"\x01\x00" + b"\x00\x00" * 100
LARGE_FRAME = b"\x82\x7e\xff\xff" + b"x" * 65_535


@dataclass(frozen=True)
class Row:
    """One hostile origin; `verdict` is the first that is given, where the row is about it."""

    name: str
    behave: Behave
    phase: Phase
    reason: Reason
    extensions: tuple[str, ...] = ()
    script: Script = ASK
    verdict: str = ""


UPGRADE, FIRST, ECHO = Phase.UPGRADE, Phase.FIRST_FRAME, Phase.ECHO
TABLE = [
    Row("silent after accepting", origins.silent, UPGRADE, Reason.UPGRADE_TIMEOUT),
    Row("a head in drips", origins.drips, UPGRADE, Reason.UPGRADE_TIMEOUT),
    Row(
        "endless header lines",
        origins.endless_headers,
        UPGRADE,
        Reason.HEAD_TOO_LARGE,
        verdict="WSE-HEAD",
    ),
    Row(
        "an endless header line",
        origins.endless_line,
        UPGRADE,
        Reason.HEAD_TOO_LARGE,
        verdict="WSE-HEAD",
    ),
    Row("a reset", origins.resets, UPGRADE, Reason.RESET),
    Row("ends without TLS's goodbye", origins.ends_tcp_alone, UPGRADE, Reason.CLOSED_EARLY),
    Row("hangs up", origins.hangs_up, UPGRADE, Reason.CLOSED_EARLY),
    Row("SSH", says(b"SSH-2.0-OpenSSH_9.9\r\n"), UPGRADE, Reason.NOT_HTTP),
    Row(
        "no header", says(b"HTTP/1.1 101 X\r\nbroken line\r\n\r\n"), UPGRADE, Reason.HEAD_MALFORMED
    ),
    Row(
        "a wrong Accept",
        says(WRONG_ACCEPT),
        UPGRADE,
        Reason.BAD_HANDSHAKE,
        verdict="WSE-101-BADACCEPT",
    ),
    Row("compression unasked", origins.deflates_unasked, UPGRADE, Reason.BAD_HANDSHAKE),
    Row(
        "refuses",
        says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        UPGRADE,
        Reason.UPGRADE_REFUSED,
    ),
    Row("an endless body", origins.endless_body, UPGRADE, Reason.UPGRADE_REFUSED),
    Row("a body in drips", origins.dripping_body, UPGRADE, Reason.UPGRADE_REFUSED),
    Row(
        "a frame header of 4 EiB",
        opens_and_says(HUGE_FRAME),
        FIRST,
        Reason.TOO_MUCH_DATA,
        verdict="WSE-LIMIT",
    ),
    Row(
        "never-ending fragments",
        opens_and_says(NEVER_ENDING),
        FIRST,
        Reason.TOO_MUCH_DATA,
        verdict="WSE-LIMIT",
    ),
    Row(
        "endless empty fragments",
        opens_and_says(EMPTY_FOR_EVER),
        FIRST,
        Reason.TOO_MANY_FRAMES,
        verdict="WSE-LIMIT",
    ),
    # The pings may all arrive while the greeting is awaited, or after it.
    Row(
        "a flood of pings",
        opens_and_says(b"\x89\x00" * 100),
        FIRST,
        Reason.TOO_MANY_FRAMES,
        verdict="WSE-LIMIT",
    ),
    Row(
        "a flood of data",
        opens_and_says(LARGE_FRAME, repeat=50),
        FIRST,
        Reason.TOO_MUCH_DATA,
        verdict="WSE-LIMIT",
    ),
    Row(
        "an endless response after the 101",
        opens_and_says(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 65_000, repeat=50),
        FIRST,
        Reason.LATE_RESPONSE,
    ),
    Row(
        "an endless head after the 101",
        opens_and_says(b"HTTP/1.1 400 Bad Request\r\n" + b"X: y\r\n" * 9_000, repeat=50),
        FIRST,
        Reason.LATE_RESPONSE,
        verdict="WSE-FRAME",
    ),
    Row("a reserved bit", opens_and_says(b"\xc1\x03abc"), FIRST, Reason.FRAME_VIOLATION),
    Row("text that is none", opens_and_says(b"\x81\x02\xff\xfe"), FIRST, Reason.FRAME_VIOLATION),
    Row("closes at once", opens_and_says(b"\x88\x06\x03\xf0nope"), FIRST, Reason.CLOSED_BY_PEER),
    Row("opens and hangs up", origins.opens_and_hangs_up, FIRST, Reason.ABNORMAL_CLOSE),
    Row("listens without a word", origins.never_says_goodbye, ECHO, Reason.NO_ECHO),
    Row(
        "a deflate bomb",
        origins.inflates(40),
        Phase.SCRIPT,
        Reason.TOO_MUCH_DATA,
        extensions=(OFFER,),
        script=Script.of_steps(parse_script("hold 1")),
        verdict="WSE-LIMIT",
    ),
]


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_hostile_origin_costs_no_more_than_the_limits(
    row: Row,
    secure: bool,
    authority: Authority,
    good_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(prober, "Stream", counting(taken))
    grown: list[int] = []

    async def story() -> Transcript:
        async with origin(
            row.behave, tls=good_tls if secure else None, authority=authority
        ) as here:
            target = ProbeTarget(here.url, extensions=row.extensions)
            tracemalloc.start(1)
            try:
                seen = await ask(here, target=target, script=row.script)
                grown.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
            return seen

    seen = asyncio.run(story())
    seconds = (seen.timing.total or 0.0) / 1000
    print(f"{row.name}: {seconds:.2f} s, {sum(taken):,} bytes, {grown[0] / 1024:,.0f} KiB")
    assert seen.failure is not None
    assert seen.failure.reason is row.reason, seen.failures
    assert row.reason is Reason.TOO_MANY_FRAMES or seen.failure.phase is row.phase, seen.failures
    assert not row.verdict or diagnose(seen)[0].code == row.verdict
    assert seconds > 0
    assert sum(taken) <= MAX_BYTES
    assert grown[0] <= MAX_MEMORY
    assert len(seen.body) <= QUICK.body_bytes
    assert sum(frame.size for frame in seen.frames) <= QUICK.bytes_in
    assert sum(frame.direction == "received" for frame in seen.frames) <= QUICK.frames_in


def busy(seconds: float) -> None:
    """Work for so long, without a pause."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def counting(taken: list[int]) -> type[Stream]:
    """A stream that notes how many bytes the probe took."""

    class Counted(Stream):
        def read(self) -> bytes:
            data = super().read()
            taken.append(len(data))
            return data

    return Counted


def test_what_comes_after_the_goodbye_is_neither_read_nor_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(prober, "Stream", counting(taken))

    async def story() -> Transcript:
        async with origin(origins.talks_on_after_its_goodbye) as here:
            return await ask(here, script=Script.handshake_only())

    seen = asyncio.run(story())
    assert seen.live, seen.failures
    assert sum(taken) < MAX_BYTES


@pytest.mark.parametrize("spent", [time.sleep, busy], ids=["asleep", "at work"])
def test_a_probe_that_takes_too_long_would_be_noticed(spent: Callable[[float], None]) -> None:
    with ends_within(0.3 - ONE_TURN):
        spent(0.0)
    with pytest.raises(AssertionError), ends_within(0.3 - ONE_TURN):
        spent(0.4)


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_redirect_to_an_internal_port_is_shown_and_never_followed(
    secure: bool, authority: Authority, good_tls: ssl.SSLContext
) -> None:
    async def story() -> tuple[Transcript, int]:
        async with origin(origins.silent) as trap:
            there = f"http://127.0.0.1:{trap.port}/".encode()
            moved = says(b"HTTP/1.1 301 Moved\r\nLocation: " + there + b"\r\n\r\n")
            async with origin(moved, tls=good_tls if secure else None, authority=authority) as here:
                return await ask(here), trap.begun

    seen, caught = asyncio.run(story())
    assert caught == 0
    assert seen.response is not None
    assert seen.response.status == 301
    assert "do not follow" in next(
        line.note for line in seen.response.headers if line.name == "Location"
    )


def test_a_name_is_resolved_once_even_if_the_certificate_makes_the_probe_reconnect(
    authority: Authority,
) -> None:
    """DNS rebinding: the first answer is allowed, every later one is not."""
    asked: list[str] = []

    async def rebinds(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async def story() -> Transcript:
        stranger = authority.server("other.example")
        async with origin(origins.silent, tls=stranger, authority=authority) as here:
            here.network = rebinding(here.network, here.port)
            return await ask(here)

    def rebinding(network: ProbeNetwork, port: int) -> ProbeNetwork:
        rules = parse_connect_to(f"{HOST}::rebinds.test:{port}")
        return replace(
            network,
            connect_to=rules,
            allowed_networks=parse_networks("127.0.0.1/32"),
            resolve=rebinds,
        )

    seen = asyncio.run(story())
    assert asked == ["rebinds.test"]
    assert seen.failure is not None
    assert seen.failure.reason is Reason.TLS_NAME_MISMATCH
    assert seen.tls is not None
    assert seen.tls.certificate is not None, "the second look reached the same address"
    assert seen.route is not None
    assert seen.route.addresses == ("127.0.0.1",)
