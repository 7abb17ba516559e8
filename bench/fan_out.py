"""How fast one event reaches 1,000 consoles: the portal's hub against a stock Channels group, in
the same run.

`python -m bench.fan_out` starts its own PostgreSQL and Redis (or uses DATABASE_URL and REDIS_URL),
one uvicorn per arm with the product's flags, and one client with raw sockets. Closed loop: publish
an event, wait until all have it, next. The arms take turns; figures are medians of the rounds, and
only the ratios mean anything. The hub's arm pays for what it really does, the event's INSERT and
COMMIT and the poke; the stock arms only for the group_send of the same text. Exit code 1 when the
goal is missed: at least five times the messages per second, at most a fifth of the p99.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import functools
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stack.ports import Ports
from stack.processes import Supervisor, accepts
from stack.services import Postgres, Redis

ROOT = Path(__file__).resolve().parent.parent
GOAL_RATE, GOAL_P99 = 5.0, 1 / 5
EVENT_BYTES = 200
PATIENCE = 60.0
ARMS = ("hub", "stock", "stock-gc")
EVENTS_PER_ROUND = {"hub": 40, "stock": 12, "stock-gc": 12}
WARM_UP = 3

_SEQ = re.compile(rb'\{"type":"event","seq":(\d+)')


class Sockets:
    """What the clients of one arm have in common: who got which event when."""

    def __init__(self) -> None:
        self.open = 0
        self.sent_at = 0.0
        self.waiting_for = 0
        self.missing = 0
        self.delays: list[float] = []
        self.all_here: asyncio.Future[None] | None = None
        self.broken = ""

    def got(self, seq: int, at: float) -> None:
        """One client has one event."""
        if seq == self.waiting_for:
            self.delays.append(at - self.sent_at)
            self.missing -= 1
            if self.missing == 0 and self.all_here and not self.all_here.done():
                self.all_here.set_result(None)

    def lost(self, why: str) -> None:
        """A client's connection ended."""
        self.broken = self.broken or why
        if self.all_here and not self.all_here.done():
            self.all_here.set_exception(ConnectionError(why))


class RawClient(asyncio.Protocol):
    """A WebSocket client that does nothing but note when an event's frame is complete."""

    def __init__(self, sockets: Sockets, handshake: bytes, opened: asyncio.Future[None]) -> None:
        self.sockets = sockets
        self.handshake = handshake
        self.opened = opened
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.handshake)

    def data_received(self, data: bytes) -> None:
        at = time.perf_counter()
        self.buffer += data
        if not self.opened.done():
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.opened.set_exception(ConnectionError(head.decode("latin-1")[:200]))
                return
            self.buffer = rest
            self.opened.set_result(None)
        for payload in self._payloads():
            if match := _SEQ.match(payload):
                self.sockets.got(int(match[1]), at)

    def connection_lost(self, exc: Exception | None) -> None:
        self.sockets.lost(f"a socket was closed: {exc}")

    def _payloads(self) -> Iterator[bytes]:
        """Complete frames; pings are answered, since the server closes who does not."""
        buffer = self.buffer
        while len(buffer) >= 2:
            length, start = buffer[1] & 127, 2
            if length == 126:
                if len(buffer) < 4:
                    break
                length, start = int.from_bytes(buffer[2:4], "big"), 4
            if len(buffer) < start + length:
                break
            opcode, payload, buffer = (
                buffer[0] & 15,
                buffer[start : start + length],
                buffer[start + length :],
            )
            if opcode == 9:
                self.transport.write(bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload)
            elif opcode == 1:
                yield payload
        self.buffer = buffer


@dataclass
class Arm:
    """One server with its clients, and what was measured."""

    name: str
    port: int
    publish: Callable[[int], Awaitable[int]]
    handshake: bytes
    sockets: Sockets = field(default_factory=Sockets)
    rates: list[float] = field(default_factory=list)
    p50s: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    next_seq: int = 3

    async def open(self, count: int) -> float:
        """Open the sockets, fifty at a time. Seconds it took."""
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        for first in range(0, count, 50):
            opened: list[asyncio.Future[None]] = [
                loop.create_future() for _ in range(min(50, count - first))
            ]
            for future in opened:
                await loop.create_connection(
                    functools.partial(RawClient, self.sockets, self.handshake, future),
                    "127.0.0.1",
                    self.port,
                )
            await asyncio.wait_for(asyncio.gather(*opened), PATIENCE)
            self.sockets.open += len(opened)
        return time.perf_counter() - began

    async def round(self, events: int, *, measured: bool = True) -> None:
        """Publish so many events, one after the other."""
        sockets, spent = self.sockets, 0.0
        sockets.delays = []
        for _ in range(events):
            sockets.waiting_for, sockets.missing = self.next_seq, sockets.open
            sockets.all_here = asyncio.get_running_loop().create_future()
            sockets.sent_at = time.perf_counter()
            await self.publish(self.next_seq)
            await asyncio.wait_for(sockets.all_here, PATIENCE)
            spent += time.perf_counter() - sockets.sent_at
            self.next_seq += 1
        if measured:
            delays = sorted(sockets.delays)
            self.rates.append(len(delays) / spent)
            self.p50s.append(delays[len(delays) // 2])
            self.p99s.append(delays[int(len(delays) * 0.99)])


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * given.sockets + 500
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    with ExitStack() as stack:
        environment = stack.enter_context(_services())
        os.environ.update(environment)
        return asyncio.run(_measure(given.sockets, given.rounds, stack))


async def _measure(count: int, rounds: int, stack: ExitStack) -> int:
    stage = await asyncio.get_running_loop().run_in_executor(None, _set_stage)
    arms = []
    for name in ARMS:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        stack.enter_context(_server(name, port))
        publish = _publisher(stage, name)
        handshake = _handshake(port, f"/ws/requests/{stage.request_id}/?after=2", stage.token)
        arms.append(Arm(name, port, publish, handshake))
    for arm in arms:
        async with asyncio.timeout(PATIENCE):
            while not accepts("127.0.0.1", arm.port):
                await asyncio.sleep(0.1)
    results = {}
    for arm in arms:
        took = await arm.open(count)
        results[arm.name] = took
        await arm.round(WARM_UP, measured=False)
    for number in range(rounds):
        for arm in arms[number % len(arms) :] + arms[: number % len(arms)]:
            await arm.round(EVENTS_PER_ROUND[arm.name])
    return _report(arms, count, rounds, results, stage.wire_bytes)


def _report(
    arms: list[Arm], count: int, rounds: int, opened: dict[str, float], wire_bytes: int
) -> int:
    by_name = {arm.name: arm for arm in arms}
    hub, stock = by_name["hub"], by_name["stock"]
    print(
        f"{count} sockets, {EVENT_BYTES}-byte events ({wire_bytes} bytes on the wire with "
        f"their HTML), {rounds} rounds"
    )
    print(
        f"{'arm':<10}{'msg/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'opens/s':>10}"
        f"{'msg/s, x stock':>16}{'p99, x stock':>14}"
    )
    ratios = {}
    for arm in arms:
        rate = statistics.median(
            mine / base for mine, base in zip(arm.rates, stock.rates, strict=True)
        )
        p99 = statistics.median(
            mine / base for mine, base in zip(arm.p99s, stock.p99s, strict=True)
        )
        ratios[arm.name] = rate, p99
        p50_ms, p99_ms = (1000 * statistics.median(times) for times in (arm.p50s, arm.p99s))
        print(
            f"{arm.name:<10}{statistics.median(arm.rates):>10,.0f}{p50_ms:>10.1f}{p99_ms:>10.1f}"
            f"{count / opened[arm.name]:>10,.0f}{rate:>16.2f}{p99:>14.3f}"
        )
    rate, p99 = ratios["hub"]
    met = rate >= GOAL_RATE and p99 <= GOAL_P99
    verdict = "met" if met else "MISSED"
    print(
        f"goal: at least {GOAL_RATE:g} times the messages per second, at most {GOAL_P99:g} "
        f"of the p99: {verdict}"
    )
    return 0 if met and hub.sockets.broken == "" else 1


@dataclass(frozen=True)
class Stage:
    """What the servers and the publishers need to know."""

    request_id: str
    stream: str
    token: str
    template: str
    wire_bytes: int

    def text(self, seq: int) -> str:
        """The hub's message for the event with this number."""
        return self.template.replace('"seq":2,', f'"seq":{seq},', 1)


def _set_stage() -> Stage:
    """A migrated database with one request, its first two events, and a token."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections
    from django.utils import timezone

    from portal.console.events import read_after
    from portal.people.actions import issue_token
    from portal.people.models import ApiToken, Person, Team
    from portal.requests.lifecycle import State
    from portal.requests.models import EndpointRequest

    call_command("migrate", verbosity=0)
    now = timezone.now()
    person = Person.objects.create_user(f"bench-{time.time_ns()}", role=Person.Role.AUDITOR)
    team = Team.objects.create(slug=f"bench-{time.time_ns()}", name="Bench")
    request = EndpointRequest(
        team=team,
        requester=person,
        beneficiary=person,
        last_editor=person,
        answers={"name": "bench"},
        spec_data={},
        state=State.PROVISIONING,
        due_at=now,
        created_at=now,
        updated_at=now,
    )
    request.stream = f"request:{request.pk}"
    request.save()
    clear, _ = issue_token(person, "bench", [ApiToken.Scope.READ], days=1, now=now)
    for _ in range(2):
        _append(request.stream)
    template = read_after(request.stream, 1).lines[0].text
    connections.close_all()
    return Stage(str(request.pk), request.stream, clear, template, len(template.encode()))


def _append(stream: str) -> int:
    """Append an event of EVENT_BYTES bytes, as provisioning does. Its seq."""
    from django.db import transaction
    from django.utils import timezone

    from provisioning import events

    bare = {
        "seq": 100,
        "at": "2026-11-21T09:00:00.000Z",
        "kind": "step.waiting",
        "level": "info",
        "step": "vpc-origin",
    }
    room = EVENT_BYTES - len(json.dumps(bare | {"text": "", "data": {}}, separators=(",", ":")))
    text = ("CloudFront says Deploying. " * 10)[:room]
    with transaction.atomic():
        return events.append(stream, "step.waiting", text, at=timezone.now(), step="vpc-origin").seq


def _publisher(stage: Stage, arm: str) -> Callable[[int], Awaitable[int]]:
    """What publishes an event: the hub's goes through the log, a control's to its group."""
    from channels.layers import get_channel_layer

    async def append(seq: int) -> int:
        written = await asyncio.get_running_loop().run_in_executor(None, _append, stage.stream)
        assert written == seq, (written, seq)
        return written

    async def send_to_group(seq: int) -> int:
        layer = get_channel_layer()
        assert layer is not None
        await layer.group_send(arm, {"type": "event", "text": stage.text(seq)})
        return seq

    return append if arm == "hub" else send_to_group


@contextmanager
def _services() -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL, given or of servers that end with the block."""
    defaults = {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": os.environ.get("SECRET_KEY")
        or "only-for-this-measurement-of-the-fan-out-and-nothing-else",
        "LOG_LEVEL": "WARNING",
    }
    if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ:
        yield defaults
        return
    directory = Path(tempfile.mkdtemp(prefix="edge-portal-bench-"))
    supervisor = Supervisor(directory / "run", directory / "logs", say=print)
    try:
        postgres = Postgres(directory / "postgres", durable=False)
        redis = Redis(directory / "redis", Ports.free().redis, password="only-for-this-measurement")  # noqa: S106
        for service in (postgres, redis):
            service.prepare()
            child = service.child(os.environ)
            supervisor.start(child)
            supervisor.wait_ready(child)
        postgres.ensure_database()
        yield defaults | {"DATABASE_URL": postgres.url(), "REDIS_URL": redis.url}
    finally:
        supervisor.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _server(arm: str, port: int) -> Iterator[None]:
    """uvicorn with the product's flags."""
    command = [
        *(
            sys.executable,
            "-m",
            "uvicorn",
            "bench.fan_out_server:application",
            "--host",
            "127.0.0.1",
        ),
        *(
            "--port",
            str(port),
            "--ws-per-message-deflate",
            "false",
            "--lifespan",
            "off",
            "--no-access-log",
        ),
        *("--timeout-graceful-shutdown", "2", "--log-level", "warning"),
    ]
    environment = os.environ | {"ARM": arm, "PORTAL_URL": f"http://127.0.0.1:{port}"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _handshake(port: int, path: str, token: str) -> bytes:
    key = base64.b64encode(b"0123456789abcdef").decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {token}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


if __name__ == "__main__":
    sys.exit(main())
