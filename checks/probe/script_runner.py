"""What is sent and awaited after the 101: greeting, echo, ping, the script's steps, the close
(asyncio).

What the other side does is never raised: it becomes a failure, or a `Stop` that ends the probe.
"""

from __future__ import annotations

import contextlib
import functools
import math
import secrets
import time
from collections import deque
from collections.abc import Callable

from checks.probe.limits import Clock, Limits, Stop, milliseconds
from checks.probe.stream import Stream
from checks.protocol.connection import (
    BinaryMessage,
    ClientConnection,
    Close,
    Ping,
    Pong,
    TextMessage,
    WebSocketEvent,
    preview_of,
)
from checks.protocol.deflate import BoundedDeflate
from checks.protocol.frames import Violation
from checks.protocol.handshake import HeadError, HeadParser, RefusedBody
from checks.protocol.script import (
    NONCE,
    BytesExpected,
    Expectation,
    ExpectBinary,
    Gather,
    Hold,
    Script,
    Send,
    SendBinary,
    SendClose,
    SendPing,
    SendPong,
    Step,
)
from checks.protocol.transcript import (
    CloseSeen,
    Failure,
    FrameSeen,
    Phase,
    Reason,
    ResponseHead,
    StepSeen,
)

GLANCE_S = 0.05
"""How often a client of a crowd looks whether the others have joined."""
LINGER_S = 0.25
"""How long the server may take to end TCP after both close frames."""


class ScriptRunner:
    """Runs a script on one open WebSocket. Each method sends something and awaits its answer, or
    raises Stop.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        script: Script,
        nonce: str,
        limits: Limits,
        clock: Clock,
        deflate: BoundedDeflate | None,
    ) -> None:
        self.timing: dict[str, float] = {}
        """Milliseconds of `first_frame`, `echo`, `ping` and `close`, as far as the script got."""
        self.steps: list[StepSeen] = []
        self.failures: list[Failure] = []
        self.close: CloseSeen | None = None
        self.late: ResponseHead | None = None
        self.body: RefusedBody | None = None
        """The HTTP response that came after the 101, and its body."""
        self._stream, self._script, self._nonce, self._limits, self._clock = (
            stream,
            script,
            nonce,
            limits,
            clock,
        )
        self._connection = ClientConnection(
            max_bytes=limits.bytes_in,
            max_frames=limits.frames_in,
            masking_key=functools.partial(secrets.token_bytes, 4),
            deflate=deflate,
        )
        self._heartbeat = script.heartbeat
        every = self._heartbeat.every if self._heartbeat else 0.0
        self._beat_at = time.perf_counter() + every if every else math.inf
        self._inbox: deque[WebSocketEvent] = deque()
        self._unread: list[TextMessage | BinaryMessage] = []

    @property
    def frames(self) -> tuple[FrameSeen, ...]:
        """All frames, sent and received."""
        return tuple(self._connection.frames)

    async def run(self, already: bytes, farewell: Callable[[], None]) -> None:
        """The whole script. `already` arrived with the 101; `farewell` is called once our close is
        answered, while the server still ends TCP.
        """
        self._receive(already)
        asked = self._script
        if asked.first_frame_s > 0:
            opened = time.perf_counter()
            until = self._clock.begin(Phase.FIRST_FRAME, asked.first_frame_s)
            if await self._wait_for(Phase.FIRST_FRAME, until, lambda _: True) is not None:
                self.timing["first_frame"] = milliseconds(opened)
        if asked.message:
            await self._echo()
        if asked.ping:
            await self._ping()
        if asked.steps:
            await self._follow_script()
        if self.close is None:
            await self._send_close(1000, "", self._limits.close_s)
        farewell()
        # The server ends TCP first (RFC 6455 7.1.1); what it sends instead is not read.
        await self._stream.wait(min(self._clock.until, time.perf_counter() + LINGER_S))

    async def _echo(self) -> None:
        until = await self._begin(Phase.ECHO, self._script.echo_s)
        said = time.perf_counter()
        message = self._script.message.replace(NONCE, self._nonce)

        def is_echo(event: WebSocketEvent) -> bool:
            if isinstance(event, TextMessage) and self._nonce in event.data:
                return True
            if isinstance(event, BinaryMessage) and self._nonce.encode() in event.data:
                return True
            return self._keep_unread(event)

        self._stream.send(self._connection.send_text(message, self._clock.at(said)))
        if await self._wait_for(Phase.ECHO, until, is_echo) is not None:
            self.timing["echo"] = milliseconds(said)
        else:
            detail = (
                f"nothing that contains {self._nonce} came back within {self._script.echo_s:g} s"
            )
            self.failures.append(Failure(Phase.ECHO, Reason.NO_ECHO, detail))

    async def _ping(self) -> None:
        until = await self._begin(Phase.PING, self._script.ping_s)
        said = time.perf_counter()
        payload = self._nonce.encode()
        self._stream.send(self._connection.send_ping(payload, self._clock.at(said)))
        if await self._is_answered(Phase.PING, payload, until):
            self.timing["ping"] = milliseconds(said)
        else:
            detail = f"no pong within {self._script.ping_s:g} s"
            self.failures.append(Failure(Phase.PING, Reason.NO_PONG, detail))

    async def _is_answered(self, phase: Phase, payload: bytes, until: float) -> bool:
        """Whether the ping's pong came. A server that greets may do so before it: such messages are
        kept for later steps.
        """
        pong = Pong(payload)
        wanted = await self._wait_for(
            phase, until, lambda event: event == pong or self._keep_unread(event)
        )
        return wanted is not None

    async def _follow_script(self) -> None:
        """Each step in order, until one fails. A connection that ends fails the step it
        interrupts.
        """
        for step in self._script.steps:
            until = await self._begin(Phase.SCRIPT, step.seconds)
            began = time.perf_counter()
            detail, ok = "", False
            try:
                ok, detail = await self._perform(step, until)
            except Stop as stop:
                detail = stop.failure.detail
                raise
            finally:
                self.steps.append(
                    StepSeen(str(step), ok, self._clock.at(began), milliseconds(began), detail)
                )
            if not ok:
                self.failures.append(Failure(Phase.SCRIPT, Reason.UNEXPECTED, f"{step}: {detail}"))
                return

    async def _perform(self, step: Step, until: float) -> tuple[bool, str]:
        """Whether the step succeeded, and what was received."""
        now = time.perf_counter()
        match step:
            case Send():
                text = step.filled(self._nonce)
                self._stream.send(self._connection.send_text(text, self._clock.at(now)))
                return True, ""
            case SendBinary():
                self._stream.send(self._connection.send_binary(step.data, self._clock.at(now)))
                return True, ""
            case SendPong():
                self._stream.send(self._connection.send_pong(b"", self._clock.at(now)))
                return True, ""
            case SendPing():
                payload = secrets.token_bytes(8)
                self._stream.send(self._connection.send_ping(payload, self._clock.at(now)))
                if await self._is_answered(Phase.SCRIPT, payload, until):
                    return True, ""
                return False, f"no pong within {step.seconds:g} s"
            case Hold():
                await self._wait_for(Phase.SCRIPT, until, self._keep_unread)
                # It ends early only with the whole check. The clock is not read again: on a busy
                # machine time may have passed since `until` was set: no fault of the socket.
                if until >= self._clock.until:
                    return False, self._clock.over
                return True, "the socket stayed open"
            case Gather():
                while not step.arrive() and time.perf_counter() < until:
                    await self._wait_for(
                        Phase.SCRIPT, min(until, time.perf_counter() + GLANCE_S), self._keep_unread
                    )
                return True, ""
            case SendClose():
                answer = await self._send_close(step.code, step.reason, step.seconds)
                return True, f"answered with {answer.code} {answer.reason}".rstrip()
            case _:
                return await self._expect(step, until)

    async def _expect(self, step: Expectation, until: float) -> tuple[bool, str]:
        """The first message that matches, including those that earlier steps passed over; the
        others are kept for later steps.
        """
        expected = BytesExpected(step.data if isinstance(step, ExpectBinary) else b"")

        def is_expected(event: WebSocketEvent) -> bool:
            if isinstance(step, ExpectBinary):
                return isinstance(event, BinaryMessage) and expected.complete_with(event.data)
            return isinstance(event, TextMessage) and step.matches(event.data, self._nonce)

        found = next(filter(is_expected, self._unread), None)
        if found is not None:
            self._unread.remove(found)
            return True, _preview(found)
        event = await self._wait_for(
            Phase.SCRIPT, until, lambda event: is_expected(event) or self._keep_unread(event)
        )
        if isinstance(event, TextMessage | BinaryMessage):
            return True, _preview(event)
        return False, f"no such message within {step.seconds:g} s"

    def _keep_unread(self, event: WebSocketEvent) -> bool:
        """Keep a message for a later step; it is never the awaited one."""
        if isinstance(event, TextMessage | BinaryMessage):
            self._unread.append(event)
        return False

    async def _send_close(self, code: int, reason: str, seconds: float) -> Close:
        """Send a close frame and await the answer."""
        until = await self._begin(Phase.CLOSE, seconds)
        said = time.perf_counter()
        self._stream.send(self._connection.send_close(code, reason, self._clock.at(said)))
        while True:
            event = await self._next_event(Phase.CLOSE, until)
            if event is None:
                raise self._abnormal(Phase.CLOSE, f"no close frame within {seconds:g} s")
            if isinstance(event, Close):
                break
        self.timing["close"] = milliseconds(said)
        self.close = CloseSeen(event.code, event.reason, clean=True, by="us")
        return event

    async def _wait_for(
        self, phase: Phase, until: float, wanted: Callable[[WebSocketEvent], bool]
    ) -> WebSocketEvent | None:
        """The first event that is `wanted`, or None at `until`. A close by the peer ends the
        probe.
        """
        while (event := await self._next_event(phase, until)) is not None:
            if isinstance(event, Close):
                # 1006 and 1015 only stand for something: they are never sent (RFC 6455 7.4.1).
                code = 1000 if event.code in (1006, 1015) else event.code
                now = self._clock.at(time.perf_counter())
                self._stream.send(self._connection.send_close(code, "", now))
                self.close = CloseSeen(event.code, event.reason, clean=True, by="peer")
                said = f"{event.code} {event.reason}".rstrip()
                raise Stop(phase, Reason.CLOSED_BY_PEER, f"the other side closed with {said}")
            if wanted(event):
                return event
        return None

    async def _next_event(self, phase: Phase, until: float) -> WebSocketEvent | None:
        """The next event, or None at `until`. A ping and a heartbeat are answered first."""
        while True:
            while self._inbox:
                event = self._inbox.popleft()
                if isinstance(event, Violation):
                    if not self._connection.close_sent:
                        now = self._clock.at(time.perf_counter())
                        self._stream.send(self._connection.send_close(event.close_code, "", now))
                    self.close = CloseSeen(event.close_code, event.detail, clean=False, by="us")
                    if event.reason is Reason.LATE_RESPONSE:
                        await self._read_late_response()
                    raise Stop(phase, event.reason, event.detail)
                if isinstance(event, Ping) and self._connection.can_send:
                    self._stream.send(
                        self._connection.send_pong(
                            event.payload, self._clock.at(time.perf_counter())
                        )
                    )
                beat, answers = self._heartbeat, self._heartbeat and self._heartbeat.answers
                text = event.data if isinstance(event, TextMessage) else None
                if beat and answers and text is not None and answers.search(text):
                    self._beat(beat.message)
                never = self._script.never
                if never and text is not None and never.search(text) and not self.failures:
                    detail = f"{text!r} arrived unasked: no server of this kind sends it"
                    self.failures.append(Failure(Phase.SCRIPT, Reason.UNEXPECTED, detail))
                return event
            if time.perf_counter() >= until:
                return None
            if not await self._stream.wait(min(until, self._beat_at)):
                if self._heartbeat is None or time.perf_counter() < self._beat_at:
                    return None
                self._beat_at += self._heartbeat.every
                self._beat(self._heartbeat.message)
                continue
            data = self._stream.read()
            if data:
                self._receive(data)
            elif self._stream.eof:
                if self._stream.was_reset:
                    raise self._abnormal(
                        phase, "the connection was reset without a close frame", Reason.RESET
                    )
                raise self._abnormal(phase, "the connection ended without a close frame")

    def _beat(self, message: Send | SendBinary) -> None:
        if not self._connection.can_send:
            return
        now = self._clock.at(time.perf_counter())
        if isinstance(message, SendBinary):
            self._stream.send(self._connection.send_binary(message.data, now))
        else:
            self._stream.send(self._connection.send_text(message.filled(self._nonce), now))

    async def _read_late_response(self) -> None:
        """Read the HTTP response after the 101, as far as it comes."""
        until = min(self._clock.until, time.perf_counter() + self._limits.body_s)
        parser = HeadParser(max_bytes=self._limits.head_bytes, max_lines=self._limits.head_lines)
        data = self._connection.unread
        with contextlib.suppress(HeadError):
            parser.feed(data)
            while parser.head is None and data and await self._stream.wait(until):
                parser.feed(data := self._stream.read())
        if parser.head is not None:
            self.late = parser.head
            self.body = RefusedBody(parser.head, limit=self._limits.body_bytes)
            await self._stream.read_body(self.body, parser.rest, until)

    def _receive(self, data: bytes) -> None:
        self._inbox.extend(self._connection.receive(data, self._clock.at(self._stream.arrived)))

    def _abnormal(self, phase: Phase, detail: str, reason: Reason = Reason.ABNORMAL_CLOSE) -> Stop:
        self.close = CloseSeen(1006, "", clean=False, by="nobody")
        return Stop(phase, reason, detail)

    async def _begin(self, phase: Phase, seconds: float) -> float:
        """The deadline of a phase that sends something. If the peer has closed, the probe ends
        here.
        """
        until = self._clock.begin(phase, seconds)
        if not self._connection.can_send:
            await self._wait_for(phase, 0.0, lambda _: False)
        return until


def _preview(message: TextMessage | BinaryMessage) -> str:
    if isinstance(message, BinaryMessage):
        return preview_of("binary", message.data)
    return preview_of("text", message.data.encode("utf-8", "replace"))
