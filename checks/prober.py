"""One network attempt at a WebSocket handshake, from the name to the close, as a transcript (asyncio).

Decides only the order of things and when to give up: judge the URL, resolve once, judge every address, connect to a
judged one (never to a name), TLS with ALPN http/1.1 only, upgrade, script, close. SNI, certificate name and Host are
the URL's even when a connect-to rule leads elsewhere. It must never follow a redirect, use a proxy of the environment,
take more than its limits, or raise for what the network does: that is recorded as a phase and a reason. How many
probes run at once is the caller's business.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
import secrets
import socket
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from checks.address_guard import (
    ALLOWED_PORTS,
    AllowedAddress,
    AllowedUrl,
    IPNetwork,
    Ports,
    Refused,
    judge_addresses,
    judge_url,
)
from checks.connect_to import ConnectRule, Destination, pick
from checks.conversation import (
    Binary,
    CloseHeard,
    Conversation,
    Heard,
    PingHeard,
    PongHeard,
    Text,
    preview_of,
)
from checks.deflate import BoundedDeflate, agreed
from checks.frames import Violation
from checks.handshake import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
    HeadError,
    HeadParser,
    RefusedBody,
    RequestError,
    build_plain_get,
    build_request,
    explain,
    judge,
)
from checks.script import NONCE, Expectation, Gather, Hold, Send, SendClose, SendPing, SendPong, Step
from checks.target import ProbeTarget
from checks.tls import distrusting_context, tls_context, tls_facts, verify_reason
from checks.transcript import (
    Attempt,
    CloseSeen,
    Failure,
    Finding,
    HandshakeRequest,
    Phase,
    Reason,
    ResponseHead,
    Route,
    StepSeen,
    Timing,
    TlsFacts,
    Transcript,
)
from checks.wire import Wire

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses; raises OSError when there are none."""

GLANCE_S = 0.05
"""How often one who waits for others looks whether they are there."""
MAX_ADDRESSES = 4
"""How many of a name's addresses are tried."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most one probe may cost. Seconds, bytes and counts; what is over is refused, not trimmed."""

    total_s: float = 15.0
    dns_s: float = 5.0
    connect_s: float = 5.0
    tls_s: float = 5.0
    body_s: float = 1.0
    close_s: float = 2.0
    head_bytes: int = MAX_HEAD_BYTES
    head_lines: int = MAX_HEAD_LINES
    body_bytes: int = MAX_BODY_BYTES
    bytes_in: int = 64 * 1024
    frames_in: int = 64


@dataclass(frozen=True, slots=True)
class Script:
    """What to say once the WebSocket is open; `message` may contain {nonce} and must then come back with it.

    `first_frame_s` is how long a greeting is waited for, 0 not at all; an empty `message` asks for no echo. `steps`
    come after that; the first one that fails ends them.
    """

    first_frame_s: float = 2.0
    message: str = "edge check {nonce}"
    echo_s: float = 5.0
    ping: bool = True
    ping_s: float = 5.0
    steps: tuple[Step, ...] = ()

    @classmethod
    def handshake_only(cls) -> Script:
        """Upgrade, then close."""
        return cls.of_steps(())

    @classmethod
    def of_steps(cls, steps: tuple[Step, ...]) -> Script:
        """Upgrade, then these steps and nothing else."""
        return cls(first_frame_s=0, message="", ping=False, steps=steps)


_resolving = ThreadPoolExecutor(max_workers=16, thread_name_prefix="probe-dns")


async def resolve_with_getaddrinfo(host: str, port: int) -> Sequence[str]:
    """The system's resolver, in threads of our own: a lookup that hangs must not hold up the end of an event loop."""
    lookup = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    answers = await asyncio.get_running_loop().run_in_executor(_resolving, lookup)
    return [str(answer[4][0]) for answer in answers]


@dataclass(frozen=True, slots=True)
class ProbeNetwork:
    """How this installation reaches the network: everything here comes from settings, nothing from users."""

    connect_to: tuple[ConnectRule, ...] = ()
    ca_file: str | None = None
    allowed_networks: tuple[IPNetwork, ...] = ()
    allowed_ports: Ports = ALLOWED_PORTS
    allow_ip_literals: bool = False
    resolve: Resolver = resolve_with_getaddrinfo


async def probe(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    script: Script | None = None,
    limits: Limits | None = None,
) -> Transcript:
    """Attempt one handshake and the script; the transcript tells how far it got and why not further."""
    return await _Probe(target, network, script or Script(), limits or Limits()).run()


def probe_blocking(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    script: Script | None = None,
    limits: Limits | None = None,
) -> Transcript:
    """`probe` for callers without an event loop (a view, a Celery task)."""
    return asyncio.run(probe(target, network=network, script=script, limits=limits))


class _Stop(Exception):
    """Ends the probe with the failure that decides."""

    def __init__(self, phase: Phase, reason: Reason, detail: str = "") -> None:
        super().__init__(phase, reason, detail)
        self.failure = Failure(phase, reason, detail)


class _Probe:
    """One run; each method is a phase, and raises _Stop where the run ends."""

    def __init__(self, target: ProbeTarget, network: ProbeNetwork, script: Script, limits: Limits) -> None:
        self._target, self._network, self._script, self._limits = target, network, script, limits
        self._began = time.perf_counter()
        self._until = self._began + limits.total_s
        self._nonce = secrets.token_hex(8)
        self._failures: list[Failure] = []
        self._url: AllowedUrl | None = None
        self._destination: Destination | None = None
        self._answers: Sequence[str] = ()
        self._attempts: list[Attempt] = []
        self._connected = ""
        self._tls: TlsFacts | None = None
        self._request: HandshakeRequest | None = None
        self._response: ResponseHead | None = None
        self._noted = False
        self._findings: tuple[Finding, ...] = ()
        self._body = ""
        self._body_truncated = False
        self._timing: dict[str, float] = {}
        self._wire = Wire(limits.bytes_in)
        self._talk = self._conversation()
        self._inbox: deque[Heard] = deque()
        self._steps: list[StepSeen] = []
        self._unread: list[str] = []
        self._close: CloseSeen | None = None

    async def run(self) -> Transcript:
        """All phases in order; whatever ends them, the transcript so far."""
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            await self._phases()
        except _Stop as stop:
            self._failures.append(stop.failure)
        finally:
            self._wire.abort()
        self._add_notes()
        return Transcript(
            url=self._target.url,
            started_at=started_at,
            route=self._route(),
            tls=self._tls,
            request=self._request,
            response=self._response,
            findings=self._findings,
            body=self._body,
            body_truncated=self._body_truncated,
            frames=tuple(self._talk.frames),
            steps=tuple(self._steps),
            close=self._close,
            timing=Timing(**self._timing, total=self._since(self._began)),
            failures=tuple(self._failures),
            nonce=self._nonce,
            asked_echo=bool(self._script.message),
        )

    async def _phases(self) -> None:
        url = self._judge_url()
        request = self._request = self._build(url)
        context = self._trust() if url.secure else None
        destination = self._destination = pick(self._network.connect_to, url.host, url.port)
        addresses = await self._resolve(destination)
        sock, address = await self._connect(destination, addresses)
        if context is None:
            self._wire.open_plain(sock, request.to_bytes())
        else:
            await self._open_tls(sock, context, request, url.host, (address, destination.port))
        await self._upgrade(request)
        if not request.upgrade:
            return
        asked = self._script
        if asked.first_frame_s > 0:
            await self._first_frame()
        if asked.message:
            await self._echo()
        if asked.ping:
            await self._ping()
        if asked.steps:
            await self._follow_script()
        if self._close is None:
            await self._say_goodbye(1000, "", self._limits.close_s)

    def _judge_url(self) -> AllowedUrl:
        url = judge_url(
            self._target.url,
            schemes=("ws", "wss"),
            ports=self._network.allowed_ports,
            allow_ip_literals=self._network.allow_ip_literals,
        )
        if isinstance(url, Refused):
            raise _Stop(Phase.URL, Reason.BAD_URL, url.reason)
        self._url = url
        return url

    def _build(self, url: AllowedUrl) -> HandshakeRequest:
        asked = self._target
        try:
            if not asked.upgrade:
                return build_plain_get(url, origin=asked.origin, extra_headers=asked.headers)
            return build_request(
                url,
                key_bytes=secrets.token_bytes(16),
                subprotocols=asked.subprotocols,
                extensions=asked.extensions,
                origin=asked.origin,
                extra_headers=asked.headers,
            )
        except RequestError as error:
            raise _Stop(Phase.URL, Reason.BAD_REQUEST, str(error)) from error

    def _trust(self) -> ssl.SSLContext:
        try:
            return tls_context(self._network.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise _Stop(Phase.TLS, Reason.PROBE_ERROR, f"PROBE_CA_FILE cannot be used: {error}") from error

    async def _resolve(self, destination: Destination) -> tuple[AllowedAddress, ...]:
        answers: Sequence[str]
        if _is_address(destination.host):
            answers = (destination.host,)
        else:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._left(self._limits.dns_s)):
                    answers = await self._network.resolve(destination.host, destination.port)
            except TimeoutError as error:
                detail = f"no answer within {self._limits.dns_s:g} s for {destination.host}"
                raise _Stop(Phase.DNS, Reason.DNS_TIMEOUT, detail) from error
            except (OSError, UnicodeError) as error:
                detail = f"{destination.host}: {getattr(error, 'strerror', None) or error}"
                raise _Stop(Phase.DNS, Reason.DNS_FAILURE, detail) from error
            self._timing["dns"] = self._since(began)
        judged = judge_addresses(answers, self._network.allowed_networks)
        self._answers = answers
        if isinstance(judged, Refused):
            raise _Stop(Phase.GUARD, Reason.ADDRESS_REFUSED, f"{destination.host}: {judged.reason}")
        return judged

    def _route(self) -> Route | None:
        """How far the way to the other side is known."""
        url, destination = self._url, self._destination
        if url is None or destination is None:
            return None
        return Route(
            url.host,
            url.port,
            destination.host,
            destination.port,
            destination.rule,
            tuple(dict.fromkeys(self._answers)),
            self._connected,
            tuple(self._attempts),
        )

    async def _connect(
        self, destination: Destination, addresses: Sequence[AllowedAddress]
    ) -> tuple[socket.socket, str]:
        """Try the judged addresses in the resolver's order; the time for connecting is shared out evenly."""
        until = time.perf_counter() + self._left(self._limits.connect_s)
        tried = addresses[:MAX_ADDRESSES]
        stop = _Stop(Phase.TCP, Reason.CONNECT_TIMEOUT, "no time was left to connect")
        for index, allowed in enumerate(tried):
            began = time.perf_counter()
            share = (until - began) / (len(tried) - index)
            try:
                sock = await _connected(allowed.address, destination.port, share)
            except TimeoutError:
                detail = f"{allowed.address} port {destination.port}: no answer within {share:.1f} s"
                stop = _Stop(Phase.TCP, Reason.CONNECT_TIMEOUT, detail)
            except ConnectionRefusedError:
                detail = f"{allowed.address} port {destination.port}: nothing listens there"
                stop = _Stop(Phase.TCP, Reason.CONNECT_REFUSED, detail)
            except OSError as error:
                detail = f"{allowed.address} port {destination.port}: {error.strerror or error}"
                stop = _Stop(Phase.TCP, Reason.CONNECT_UNREACHABLE, detail)
            else:
                self._timing["tcp"] = self._since(began)
                self._attempts.append(Attempt(allowed.address, "connected", self._timing["tcp"]))
                self._connected = allowed.address
                return sock, allowed.address
            self._attempts.append(Attempt(allowed.address, stop.failure.reason.value, self._since(began)))
        raise stop

    async def _open_tls(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        request: HandshakeRequest,
        host: str,
        address: tuple[str, int],
    ) -> None:
        """TLS over the connection; the request goes out as soon as that stands."""
        began = time.perf_counter()
        self._tls = TlsFacts(host)
        seconds = self._left(self._limits.tls_s)
        try:
            secured = await self._wire.open_tls(
                sock, request.to_bytes(), context=context, server_name=host, deadline=began + seconds
            )
        except TimeoutError as error:
            detail = f"the TLS handshake did not finish within {seconds:.1f} s"
            raise _Stop(Phase.TLS, Reason.TLS_TIMEOUT, detail) from error
        except ssl.SSLCertVerificationError as error:
            self._tls = await self._look_without_trust(address, host)
            raise _Stop(Phase.TLS, verify_reason(error), error.verify_message) from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise _Stop(Phase.TLS, Reason.CLOSED_EARLY, "the connection ended during the TLS handshake") from error
        except ssl.SSLError as error:
            raise _Stop(Phase.TLS, Reason.TLS_PROTOCOL, error.reason or str(error)) from error
        except OSError as error:
            # A socket that was reset before its TLS began is no longer connected to anybody.
            raise _Stop(Phase.TLS, Reason.RESET, "the connection was reset during the TLS handshake") from error
        self._timing["tls"] = round((self._wire.made - began) * 1000, 3)
        self._tls = tls_facts(secured, host, trusted=True)

    async def _look_without_trust(self, address: tuple[str, int], host: str) -> TlsFacts:
        """Show the certificate that was not trusted: one more TLS handshake to the same address, nothing sent in it."""
        wire = Wire(0)
        deadline = time.perf_counter() + self._left(self._limits.tls_s)
        try:
            sock = await _connected(address[0], address[1], deadline - time.perf_counter())
            secured = await wire.open_tls(sock, b"", context=distrusting_context(), server_name=host, deadline=deadline)
            return tls_facts(secured, host, trusted=False)
        except OSError:
            return TlsFacts(host)
        finally:
            wire.abort()

    async def _upgrade(self, request: HandshakeRequest) -> None:
        wire = self._wire
        sent = wire.made
        parser = HeadParser(max_bytes=self._limits.head_bytes, max_lines=self._limits.head_lines)
        try:
            while parser.head is None:
                if not await wire.wait(self._until):
                    seen = "part of an answer" if parser.started else "no byte of an answer"
                    detail = f"{seen} within {time.perf_counter() - sent:.1f} s"
                    raise _Stop(Phase.UPGRADE, Reason.UPGRADE_TIMEOUT, detail)
                if data := wire.take():
                    parser.feed(data)
                elif wire.eof:
                    raise self._ended(Phase.UPGRADE, "before the answer was complete")
                # An endless drip always has bytes waiting, so the clock is looked at here too.
                if parser.head is None and time.perf_counter() >= self._until:
                    raise _Stop(Phase.UPGRADE, Reason.UPGRADE_TIMEOUT, "the answer did not end in time")
        except HeadError as error:
            raise _Stop(Phase.UPGRADE, error.reason, error.detail) from error
        finally:
            if wire.first_arrived:
                self._timing["first_byte"] = round((wire.first_arrived - sent) * 1000, 3)
        self._timing["upgrade"] = round((wire.arrived - sent) * 1000, 3)
        self._findings = findings = judge(request, parser.head) if request.upgrade else ()
        self._response = parser.head
        if not request.upgrade:
            await self._refused_body(parser.head, parser.rest)
            return
        if parser.head.status != 101:
            await self._refused_body(parser.head, parser.rest)
            detail = f"{parser.head.status} {parser.head.reason}".rstrip()
            raise _Stop(Phase.UPGRADE, Reason.UPGRADE_REFUSED, detail)
        for finding in findings:
            if not finding.ok:
                raise _Stop(Phase.UPGRADE, Reason.BAD_HANDSHAKE, f"{finding.rule}: {finding.text}")
        self._agree(parser.head)
        self._inbox.extend(self._talk.receive(parser.rest, self._at(wire.arrived)))

    def _add_notes(self) -> None:
        """Explain the answer's lines; best while the other side has something to do."""
        if self._response is not None and not self._noted:
            self._noted = True
            self._response = explain(self._response, self._findings)

    def _conversation(self, deflate: BoundedDeflate | None = None) -> Conversation:
        return Conversation(
            max_bytes=self._limits.bytes_in,
            max_frames=self._limits.frames_in,
            masking_key=functools.partial(secrets.token_bytes, 4),
            deflate=deflate,
        )

    def _agree(self, head: ResponseHead) -> None:
        """Read frames with the extension that the answer switched on."""
        limits = self._limits
        try:
            deflate = agreed(head.get("sec-websocket-extensions"), limits.bytes_in)
        except ValueError as error:
            raise _Stop(Phase.UPGRADE, Reason.BAD_HANDSHAKE, f"extensions: {error}") from error
        if deflate is not None:
            self._talk = self._conversation(deflate)

    async def _refused_body(self, head: ResponseHead, rest: bytes) -> None:
        body = RefusedBody(head, limit=self._limits.body_bytes)
        body.feed(rest)
        until = min(self._until, time.perf_counter() + self._limits.body_s)
        while not body.complete and time.perf_counter() < until and await self._wire.wait(until):
            data = self._wire.take()
            if not data:
                break
            body.feed(data)
        self._body, self._body_truncated = body.text, body.truncated

    async def _first_frame(self) -> None:
        opened = time.perf_counter()
        until = self._begin(Phase.FIRST_FRAME, self._script.first_frame_s)
        heard = await self._hear(Phase.FIRST_FRAME, until, lambda _: True)
        if heard is not None:
            self._timing["first_frame"] = self._since(opened)

    async def _echo(self) -> None:
        until = await self._begin_saying(Phase.ECHO, self._script.echo_s)
        said = time.perf_counter()
        message = self._script.message.replace("{nonce}", self._nonce)
        self._wire.send(self._talk.send_text(message, self._at(said)))
        if await self._hear(Phase.ECHO, until, self._is_echo) is not None:
            self._timing["echo"] = self._since(said)
        else:
            detail = f"nothing that contains {self._nonce} came back within {self._script.echo_s:g} s"
            self._failures.append(Failure(Phase.ECHO, Reason.NO_ECHO, detail))

    async def _ping(self) -> None:
        until = await self._begin_saying(Phase.PING, self._script.ping_s)
        said = time.perf_counter()
        payload = self._nonce.encode()
        self._wire.send(self._talk.send_ping(payload, self._at(said)))
        if await self._hear(Phase.PING, until, lambda heard: heard == PongHeard(payload)) is not None:
            self._timing["ping"] = self._since(said)
        else:
            detail = f"no pong within {self._script.ping_s:g} s"
            self._failures.append(Failure(Phase.PING, Reason.NO_PONG, detail))

    async def _follow_script(self) -> None:
        """Each step in order, until one fails; a connection that ends in the middle fails the step it ended."""
        for step in self._script.steps:
            until = await self._begin_saying(Phase.SCRIPT, step.seconds)
            began = time.perf_counter()
            detail, ok = "", False
            try:
                ok, detail = await self._perform(step, until)
            except _Stop as stop:
                detail = stop.failure.detail
                raise
            finally:
                self._steps.append(StepSeen(str(step), ok, self._at(began), self._since(began), detail))
            if not ok:
                self._failures.append(Failure(Phase.SCRIPT, Reason.UNEXPECTED, f"{step}: {detail}"))
                return

    async def _perform(self, step: Step, until: float) -> tuple[bool, str]:
        """Did it go as the step says, and what was heard."""
        now = time.perf_counter()
        match step:
            case Send():
                self._wire.send(self._talk.send_text(step.text.replace(NONCE, self._nonce), self._at(now)))
                return True, ""
            case SendPong():
                self._wire.send(self._talk.send_pong(b"", self._at(now)))
                return True, ""
            case SendPing():
                payload = secrets.token_bytes(8)
                self._wire.send(self._talk.send_ping(payload, self._at(now)))
                heard = await self._hear(Phase.SCRIPT, until, lambda heard: heard == PongHeard(payload))
                return (True, "") if heard else (False, f"no pong within {step.seconds:g} s")
            case Hold():
                await self._hear(Phase.SCRIPT, until, self._lay_aside)
                if time.perf_counter() < now + step.seconds:
                    return False, f"the {self._limits.total_s:g} s for the whole check were over"
                return True, "the socket stayed open"
            case Gather():
                while not step.arrive() and time.perf_counter() < until:
                    await self._hear(Phase.SCRIPT, min(until, time.perf_counter() + GLANCE_S), self._lay_aside)
                return True, ""
            case SendClose():
                await self._say_goodbye(step.code, step.reason, step.seconds)
                answer = self._close
                return True, f"answered with {answer.code} {answer.reason}".rstrip() if answer else ""
            case _:
                return await self._expect(step, until)

    async def _expect(self, step: Expectation, until: float) -> tuple[bool, str]:
        """The first message that fits, also of those that earlier steps passed over; the others stay for later ones."""
        found = next((message for message in self._unread if step.fits(message, self._nonce)), None)
        if found is not None:
            self._unread.remove(found)
            return True, _start_of(found)
        heard = await self._hear(
            Phase.SCRIPT, until, lambda heard: _fits(step, heard, self._nonce) or self._lay_aside(heard)
        )
        return (
            (True, _start_of(heard.data))
            if isinstance(heard, Text)
            else (
                False,
                f"no such message within {step.seconds:g} s",
            )
        )

    def _lay_aside(self, heard: Heard) -> bool:
        """Keep a message for a later step; never the one that is waited for."""
        if isinstance(heard, Text):
            self._unread.append(heard.data)
        return False

    async def _say_goodbye(self, code: int, reason: str, seconds: float) -> None:
        """Close and await the answer; then leave the server a moment to end TCP first (RFC 6455 7.1.1)."""
        await self._begin_saying(Phase.CLOSE, seconds)
        said = time.perf_counter()
        until = min(said + seconds, self._until)
        self._wire.send(self._talk.send_close(code, reason, self._at(said)))
        while True:
            heard = await self._next(Phase.CLOSE, until)
            if heard is None:
                detail = f"no close frame within {seconds:g} s"
                raise self._abnormal(Phase.CLOSE, detail)
            if isinstance(heard, CloseHeard):
                break
        self._timing["close"] = self._since(said)
        self._close = CloseSeen(heard.code, heard.reason, clean=True, by="us")
        self._add_notes()
        until = min(until, time.perf_counter() + 0.25)
        while not self._wire.eof and await self._wire.wait(until):
            self._wire.take()

    async def _hear(self, phase: Phase, until: float, wanted: Callable[[Heard], bool]) -> Heard | None:
        """The first thing heard that is wanted, or None at `until`; a close of the other side ends the probe."""
        while (heard := await self._next(phase, until)) is not None:
            if isinstance(heard, CloseHeard):
                self._wire.send(self._talk.send_close(_answerable(heard.code), "", self._at(time.perf_counter())))
                self._close = CloseSeen(heard.code, heard.reason, clean=True, by="peer")
                said = f"{heard.code} {heard.reason}".rstrip()
                raise _Stop(phase, Reason.CLOSED_BY_PEER, f"the other side closed with {said}")
            if wanted(heard):
                return heard
        return None

    async def _next(self, phase: Phase, until: float) -> Heard | None:
        """The next thing heard, pings answered on the way; None at `until`."""
        while True:
            while self._inbox:
                heard = self._inbox.popleft()
                if isinstance(heard, Violation):
                    raise self._violated(phase, heard)
                if isinstance(heard, PingHeard) and self._talk.can_send:
                    self._wire.send(self._talk.send_pong(heard.payload, self._at(time.perf_counter())))
                return heard
            if time.perf_counter() >= until or not await self._wire.wait(until):
                return None
            data = self._wire.take()
            if data:
                self._inbox.extend(self._talk.receive(data, self._at(self._wire.arrived)))
            elif self._wire.eof:
                stop = self._ended(phase, "without a close frame")
                self._close = CloseSeen(1006, "", clean=False, by="nobody")
                if stop.failure.reason is Reason.RESET:
                    raise stop
                raise self._abnormal(phase, stop.failure.detail)

    def _is_echo(self, heard: Heard) -> bool:
        if isinstance(heard, Text):
            return self._nonce in heard.data
        return isinstance(heard, Binary) and self._nonce.encode() in heard.data

    def _violated(self, phase: Phase, violation: Violation) -> _Stop:
        if not self._talk.close_sent:
            self._wire.send(self._talk.send_close(violation.close_code, "", self._at(time.perf_counter())))
        self._close = CloseSeen(violation.close_code, violation.detail, clean=False, by="us")
        return _Stop(phase, violation.reason, violation.detail)

    def _abnormal(self, phase: Phase, detail: str) -> _Stop:
        self._close = CloseSeen(1006, "", clean=False, by="nobody")
        return _Stop(phase, Reason.ABNORMAL_CLOSE, detail)

    def _ended(self, phase: Phase, when: str) -> _Stop:
        """The stream ended: with a reset or in order."""
        if isinstance(self._wire.error, ConnectionResetError | BrokenPipeError):
            return _Stop(phase, Reason.RESET, f"the connection was reset {when}")
        return _Stop(phase, Reason.CLOSED_EARLY, f"the connection ended {when}")

    def _begin(self, phase: Phase, seconds: float) -> float:
        """When a phase that begins now has to end."""
        now = time.perf_counter()
        if now >= self._until:
            raise _Stop(phase, Reason.TOTAL_TIMEOUT, f"the {self._limits.total_s:g} s for the whole check were over")
        return min(now + seconds, self._until)

    async def _begin_saying(self, phase: Phase, seconds: float) -> float:
        """As `_begin`, for a phase that sends: a close that has come already ends the probe before anything is said."""
        until = self._begin(phase, seconds)
        if not self._talk.can_send:
            await self._hear(phase, 0.0, lambda _: False)
        return until

    def _left(self, seconds: float) -> float:
        return max(0.0, min(seconds, self._until - time.perf_counter()))

    def _at(self, moment: float) -> float:
        return round((moment - self._began) * 1000, 3)

    @staticmethod
    def _since(moment: float) -> float:
        return round((time.perf_counter() - moment) * 1000, 3)


async def _connected(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to one address; no name is looked up on the way."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.connect((address, port))
        except BlockingIOError:
            async with asyncio.timeout(max(0.0, seconds)):
                await _writable(sock)
            if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error)) from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _writable(sock: socket.socket) -> None:
    """Until a connection under way stands or has failed."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(sock)


@functools.lru_cache(maxsize=256)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _fits(step: Expectation, heard: Heard, nonce: str) -> bool:
    return isinstance(heard, Text) and step.fits(heard.data, nonce)


def _start_of(message: str) -> str:
    return preview_of("text", message.encode("utf-8", "replace"))


def _answerable(code: int) -> int:
    """The code that answers a close: the same, except for those that only stand for something (RFC 6455 7.4.1)."""
    return 1000 if code in (1006, 1015) else code
