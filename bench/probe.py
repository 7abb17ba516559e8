"""What one handshake check costs, against the least that could ask the same question, and against
what people run.

`python -m bench.probe` starts a WebSocket server over TLS in a process of its own and asks it in
turns, so that whatever else the machine does falls on all: by a hand-written asyncio protocol
(connect, TLS, upgrade, Accept compared, close answered, bounded in time, nothing kept), by the
portal's prober (the same, and a whole transcript), by the bare `websockets` client. All have the
same event loop, the same TLS context, the same address, and close in the same way. A blocking
socket, which can do nothing else meanwhile and keeps nothing, is shown for scale. Then wscat, a
process for each test over ws://, against the prober with the same message. Goals, of medians: a
check takes at most 1.15 times as long as by hand; 50 at once are at least as many a second as of
`websockets`; at least 50 times less CPU than a wscat process. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import resource
import secrets
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop
from websockets.asyncio.client import connect

from checks.probe.prober import ProbeNetwork, probe
from checks.probe.tls import tls_context
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.handshake import accept_for
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script
from lab.apps import rfc6455
from lab.certificates import ensure_certificates

ROOT = Path(__file__).resolve().parent.parent
HOST, LOOPBACK = "d111.cloudfront.net", "127.0.0.1"
GOAL_LATENCY, GOAL_RATE, GOAL_CHEAPER = 1.15, 1.0, 50.0
AT_ONCE = 50
CHECKS_FOR_A_WSCAT = 40
PATIENCE = 10.0
ROUNDS_BETWEEN = 3

Check = Callable[[], Awaitable[None]]
"""One handshake check from connecting to closed; raises when the answer is not the right one."""


def main() -> int:
    """Measure, print, and say by the exit code whether all goals were met."""
    parser = argparse.ArgumentParser(prog="python -m bench.probe", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="turns of each arm, at least 15")
    parser.add_argument(
        "--checks", type=int, default=48, help="checks of one arm in one turn, one after the other"
    )
    parser.add_argument(
        "--crowd", type=int, default=300, help="checks of one arm in one turn, 50 at once"
    )
    parser.add_argument("--wscat", type=int, default=7, help="tests by wscat; 0 leaves it out")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        uvloop.run(_serve(asked.serve))
        return 0
    if asked.rounds < 15:
        parser.error("fewer than 15 rounds say nothing")
    with (
        tempfile.TemporaryDirectory(prefix="probe-bench-") as directory,
        _server(Path(directory)) as ports,
    ):
        print(f"load {os.getloadavg()[0]:.1f}, {asked.rounds} rounds", flush=True)
        arms = Arms(*ports, Path(directory) / "ca.pem")
        met = asyncio.run(_one_by_one(arms, asked.rounds, asked.checks))
        met &= asyncio.run(_at_once(arms, asked.rounds, asked.crowd))
        met &= _against_wscat(arms, asked.wscat)
    return 0 if met else 1


class Arms:
    """The ways to ask the same server whether it speaks WebSocket."""

    def __init__(self, port: int, plain_port: int, authority: Path) -> None:
        self.port, self.plain_port = port, plain_port
        self.target, self.plain_target = (
            ProbeTarget(f"wss://{HOST}/ws"),
            ProbeTarget(f"ws://{HOST}/ws"),
        )
        self.network = ProbeNetwork(
            connect_to=parse_connect_to(
                f"{HOST}:443:{LOOPBACK}:{port},{HOST}:80:{LOOPBACK}:{plain_port}"
            ),
            ca_file=str(authority),
            allowed_networks=parse_networks(f"{LOOPBACK}/32"),
        )
        self._tls = tls_context(str(authority))

    async def by_socket(self) -> None:
        """What no event loop can beat: nothing else runs meanwhile."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        with (
            socket.create_connection((LOOPBACK, self.port), timeout=PATIENCE) as plain,
            self._tls.wrap_socket(plain, server_hostname=HOST) as secured,
        ):
            secured.sendall(_request(key))
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := secured.recv(4096)):
                    raise ConnectionError("the connection ended before the answer")
                head += data
            if not _opens(head, key):
                raise ConnectionError(head.decode("latin-1"))
            secured.sendall(_closing())
            while secured.recv(4096):
                pass

    async def by_hand(self) -> None:
        """The floor: nothing kept, but bounded in time like the others."""
        loop = asyncio.get_running_loop()
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        asked = _ByHand(key, loop.create_future())
        async with asyncio.timeout(PATIENCE):
            await loop.create_connection(
                lambda: asked, LOOPBACK, self.port, ssl=self._tls, server_hostname=HOST
            )
            await asked.ended

    async def by_prober(self) -> None:
        """What the portal does."""
        seen = await probe(self.target, network=self.network, script=Script.handshake_only())
        if not seen.live:
            raise ConnectionError(str(seen.failures))

    async def by_prober_with_message(self) -> None:
        """The same without TLS, with a message that must come back."""
        seen = await probe(
            self.plain_target, network=self.network, script=Script(first_frame_s=0, ping=False)
        )
        if not seen.live:
            raise ConnectionError(str(seen.failures))

    async def by_websockets(self) -> None:
        """The library as its manual shows it, compression off because nobody else here offers
        it.
        """
        url = f"wss://{HOST}/ws"
        async with connect(
            url, host=LOOPBACK, port=self.port, ssl=self._tls, compression=None, proxy=None
        ):
            pass


async def _one_by_one(arms: Arms, rounds: int, checks: int) -> bool:
    """Medians of each turn; the ratio is taken within a turn.

    What an arm leaves to be cleared away must not fall on the next one: the loop has a few rounds
    for it between them, and each follows each other equally often.
    """
    ways: dict[str, Check] = {
        "hand": arms.by_hand,
        "prober": arms.by_prober,
        "websockets": arms.by_websockets,
        "blocking socket": arms.by_socket,
    }
    medians: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for order in itertools.islice(itertools.cycle(itertools.permutations(ways)), checks):
            for name in order:
                began = time.perf_counter()
                await ways[name]()
                taken[name].append(time.perf_counter() - began)
                for _ in range(ROUNDS_BETWEEN):
                    await asyncio.sleep(0)
        if turn:  # the first warms up
            for name in ways:
                medians[name].append(statistics.median(taken[name]))
    for name, seen in medians.items():
        times = _ratio(seen, medians["hand"])
        print(
            f"one by one, {name}: median {statistics.median(seen) * 1e3:.3f} ms, "
            f"{times:.2f} times hand"
        )
    return _met(
        f"a check takes at most {GOAL_LATENCY} times as long as by hand",
        _ratio(medians["prober"], medians["hand"]) <= GOAL_LATENCY,
    )


async def _at_once(arms: Arms, rounds: int, crowd: int) -> bool:
    """Checks a second while 50 are under way."""
    ways: dict[str, Check] = {
        "hand": arms.by_hand,
        "prober": arms.by_prober,
        "websockets": arms.by_websockets,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            left = iter(range(crowd))

            async def work(way: Check = way, left: Iterator[int] = left) -> None:
                for _ in left:
                    await way()

            began = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            if turn:
                rates[name].append(crowd / (time.perf_counter() - began))
    for name, seen in rates.items():
        print(f"{AT_ONCE} at once, {name}: median {statistics.median(seen):,.0f} a second")
    ratio = _ratio(rates["prober"], rates["websockets"])
    print(
        f"prober {ratio:.2f} times the rate of websockets, "
        f"{_ratio(rates['prober'], rates['hand']):.2f} of the best"
    )
    return _met("at least the rate of websockets", ratio >= GOAL_RATE)


def _against_wscat(arms: Arms, tests: int) -> bool:
    """CPU and wall time of a process for each test, and of the prober with the same message, in
    turns. Over ws://, so that what the two bring themselves is compared, and not their TLS
    libraries.
    """
    wscat = _wscat()
    if not tests or wscat is None:
        print(
            "wscat was left out"
            if not tests
            else "skipped: there is no wscat; with node and npm `make test` gets it"
        )
        return True
    command = [wscat, "-c", f"ws://{LOOPBACK}:{arms.plain_port}/ws", "-x", "hello there", "-w", "0"]
    theirs, ours = Cost(), Cost()
    with asyncio.Runner() as runner:
        runner.run(arms.by_prober_with_message())  # warms up
        for _ in range(tests):
            before, began = _cpu(resource.RUSAGE_CHILDREN), time.perf_counter()
            # Its standard input stays open: with none it sends nothing.
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as client:
                assert client.stdout is not None
                if not any("hello there" in line for line in client.stdout):
                    raise SystemExit("wscat's message did not come back")
            theirs.add(_cpu(resource.RUSAGE_CHILDREN) - before, time.perf_counter() - began)
            for _ in range(CHECKS_FOR_A_WSCAT):
                before, began = _cpu(resource.RUSAGE_SELF), time.perf_counter()
                runner.run(arms.by_prober_with_message())
                ours.add(_cpu(resource.RUSAGE_SELF) - before, time.perf_counter() - began)
    print(
        f"wscat: {theirs.cpu * 1e3:.0f} ms of CPU and {theirs.wall * 1e3:.0f} ms each; prober "
        "with a message:"
        f" {ours.cpu * 1e3:.2f} and {ours.wall * 1e3:.2f} ms"
    )
    print(
        f"{theirs.cpu / ours.cpu:.0f} times less CPU, {theirs.wall / ours.wall:.0f} times less time"
    )
    return _met(
        f"at least {GOAL_CHEAPER:.0f} times less CPU", theirs.cpu / ours.cpu >= GOAL_CHEAPER
    )


class Cost:
    """Seconds of CPU and on the clock, test by test."""

    def __init__(self) -> None:
        self._cpu: list[float] = []
        self._wall: list[float] = []

    def add(self, cpu: float, wall: float) -> None:
        """One test more."""
        self._cpu.append(cpu)
        self._wall.append(wall)

    @property
    def cpu(self) -> float:
        """The mean: the system counts CPU in steps that are longer than a check."""
        return statistics.fmean(self._cpu)

    @property
    def wall(self) -> float:
        """The median."""
        return statistics.median(self._wall)


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _wscat() -> str | None:
    """The one on PATH, or the one that the tests installed."""
    if shutil.which("node") is None:
        return None
    installed = sorted((ROOT / ".venv" / "npm").glob("*/node_modules/.bin/wscat"))
    return shutil.which("wscat") or (str(installed[-1]) if installed else None)


def _ratio(these: list[float], those: list[float]) -> float:
    """The median of the ratios turn by turn."""
    return statistics.median(one / other for one, other in zip(these, those, strict=True))


def _met(goal: str, met: bool) -> bool:
    print(f"  {'met' if met else 'MISSED'}: {goal}", flush=True)
    return met


def _request(key: str) -> bytes:
    return (
        f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )


def _opens(head: bytes, key: str) -> bool:
    """Is it a 101 with the right Accept?"""
    accept = f"Sec-WebSocket-Accept: {accept_for(key)}\r\n".encode()
    return head.startswith(b"HTTP/1.1 101 ") and accept in head


def _closing() -> bytes:
    return rfc6455.frame(rfc6455.CLOSE, b"\x03\xe8", mask=secrets.token_bytes(4))


class _ByHand(asyncio.Protocol):
    """The least that is still a check: upgrade, compare Accept, close, wait for the end."""

    def __init__(self, key: str, ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self._key = key
        self._head = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_request(self._key))

    def data_received(self, data: bytes) -> None:
        if self._open:
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        if not _opens(self._head, self._key):
            self._end(ConnectionError(self._head.decode("latin-1")))
            return
        self._open = True
        self._transport.write(_closing())

    def eof_received(self) -> None:
        self._end(None if self._open else ConnectionError("the connection ended before the answer"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, error: Exception | None) -> None:
        if not self.ended.done():
            if error is None:
                self.ended.set_result(None)
            else:
                self.ended.set_exception(error)
            self._transport.abort()


class _Server(asyncio.Protocol):
    """Accepts every handshake, sends each short text back, answers a close and then ends the
    connection.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._open, self._buffer = True, rest
            key = rfc6455.parse_request(head).headers.get("sec-websocket-key", "")
            self._transport.write(rfc6455.switching(rfc6455.accept_for(key)))
        while len(self._buffer) >= 6 and len(self._buffer) >= (
            size := 6 + (self._buffer[1] & 0x7F)
        ):
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            opcode, payload = frame[0] & 0x0F, rfc6455.masked(frame[6:], frame[2:6])
            self._transport.write(rfc6455.frame(opcode, payload))
            if opcode == rfc6455.CLOSE:
                self._transport.close()


async def _serve(directory: Path) -> None:
    certificates = ensure_certificates(directory)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.chain, certificates.key)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(_Server, LOOPBACK, 0, ssl=context, backlog=1024)
        for context in (tls, None)
    ]
    print("ready", *(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


@contextmanager
def _server(directory: Path) -> Iterator[tuple[int, int]]:
    """The server as a process; its ports with TLS and without."""
    command = [sys.executable, "-m", "bench.probe", "--serve", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said.startswith("ready "):
                raise SystemExit("the server did not start")
            with_tls, plain = said.split()[1:]
            yield int(with_tls), int(plain)
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
