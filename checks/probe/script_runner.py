"""What is said and heard after the 101: greeting, echo, ping, the script's steps, the close
(asyncio).

Decides the order of what is said, which of what is heard was waited for, and how the WebSocket
ended. It must never take more than the probe's limits, and never raise for what the other side
does: that is a failure or a `Stop`.
"""

from __future__ import annotations

import functools
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
from checks.protocol.script import (
    NONCE,
    Expectation,
    Gather,
    Hold,
    Script,
    Send,
    SendClose,
    SendPing,
    SendPong,
    Step,
)
from checks.protocol.transcript import CloseSeen, Failure, FrameSeen, Phase, Reason, StepSeen

GLANCE_S = 0.05
"""How often one who waits for others looks whether they are there."""
LINGER_S = 0.25
"""How long the other side may take to end TCP after both have closed."""


class ScriptRunner:
    """One open WebSocket; each method says something and waits for what belongs to it, or raises
    Stop.
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
        """Milliseconds of `first_frame`, `echo`, `ping` and `close`, as far as they came."""
        self.steps: list[StepSeen] = []
        self.failures: list[Failure] = []
        self.close: CloseSeen | None = None
        self._stream, self._script, self._nonce, self._limits, self._clock = (
            stream,
            script,
            nonce,
            limits,
            clock,
        )
        self._talk = ClientConnection(
            max_bytes=limits.bytes_in,
            max_frames=limits.frames_in,
            masking_key=functools.partial(secrets.token_bytes, 4),
            deflate=deflate,
        )
        self._inbox: deque[WebSocketEvent] = deque()
        self._unread: list[str] = []

    @property
    def frames(self) -> tuple[FrameSeen, ...]:
        """All that went either way."""
        return tuple(self._talk.frames)

    async def run(self, already: bytes, farewell: Callable[[], None]) -> None:
        """The whole script. `already` came together with the 101; `farewell` is called when our
        close was answered, while the other side still ends TCP.
        """
        self._receive(already)
        asked = self._script
        if asked.first_frame_s > 0:
            await self._first_frame()
        if asked.message:
            await self._echo()
        if asked.ping:
            await self._ping()
        if asked.steps:
            await self._follow_script()
        if self.close is None:
            await self._say_goodbye(1000, "", self._limits.close_s)
        farewell()
        await self._linger()

    async def _first_frame(self) -> None:
        opened = time.perf_counter()
        until = self._clock.begin(Phase.FIRST_FRAME, self._script.first_frame_s)
        if await self._hear(Phase.FIRST_FRAME, until, lambda _: True) is not None:
            self.timing["first_frame"] = milliseconds(opened)

    async def _echo(self) -> None:
        until = await self._begin(Phase.ECHO, self._script.echo_s)
        said = time.perf_counter()
        message = self._script.message.replace(NONCE, self._nonce)
        self._stream.send(self._talk.send_text(message, self._clock.at(said)))
        if await self._hear(Phase.ECHO, until, self._is_echo) is not None:
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
        self._stream.send(self._talk.send_ping(payload, self._clock.at(said)))
        if await self._hear(Phase.PING, until, lambda heard: heard == Pong(payload)) is not None:
            self.timing["ping"] = milliseconds(said)
        else:
            detail = f"no pong within {self._script.ping_s:g} s"
            self.failures.append(Failure(Phase.PING, Reason.NO_PONG, detail))

    async def _follow_script(self) -> None:
        """Each step in order, until one fails; a connection that ends in the middle fails the step
        it ended.
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
        """Did it go as the step says, and what was heard."""
        now = time.perf_counter()
        match step:
            case Send():
                self._stream.send(
                    self._talk.send_text(step.text.replace(NONCE, self._nonce), self._clock.at(now))
                )
                return True, ""
            case SendPong():
                self._stream.send(self._talk.send_pong(b"", self._clock.at(now)))
                return True, ""
            case SendPing():
                payload = secrets.token_bytes(8)
                self._stream.send(self._talk.send_ping(payload, self._clock.at(now)))
                heard = await self._hear(Phase.SCRIPT, until, lambda heard: heard == Pong(payload))
                return (True, "") if heard else (False, f"no pong within {step.seconds:g} s")
            case Hold():
                await self._hear(Phase.SCRIPT, until, self._lay_aside)
                # It ends early only with the whole check. The clock is not asked once more: a busy
                # machine may have let time pass since `until` was set, and that is no fault of the
                # socket.
                if until >= self._clock.until:
                    return False, self._clock.over
                return True, "the socket stayed open"
            case Gather():
                while not step.arrive() and time.perf_counter() < until:
                    await self._hear(
                        Phase.SCRIPT, min(until, time.perf_counter() + GLANCE_S), self._lay_aside
                    )
                return True, ""
            case SendClose():
                answer = await self._say_goodbye(step.code, step.reason, step.seconds)
                return True, f"answered with {answer.code} {answer.reason}".rstrip()
            case _:
                return await self._expect(step, until)

    async def _expect(self, step: Expectation, until: float) -> tuple[bool, str]:
        """The first message that fits, also of those that earlier steps passed over; the others
        stay for later ones.
        """
        found = next(
            (message for message in self._unread if step.matches(message, self._nonce)), None
        )
        if found is not None:
            self._unread.remove(found)
            return True, _start_of(found)
        heard = await self._hear(
            Phase.SCRIPT,
            until,
            lambda heard: _fits(step, heard, self._nonce) or self._lay_aside(heard),
        )
        if isinstance(heard, TextMessage):
            return True, _start_of(heard.data)
        return False, f"no such message within {step.seconds:g} s"

    def _lay_aside(self, heard: WebSocketEvent) -> bool:
        """Keep a message for a later step; never the one that is waited for."""
        if isinstance(heard, TextMessage):
            self._unread.append(heard.data)
        return False

    async def _say_goodbye(self, code: int, reason: str, seconds: float) -> Close:
        """Close and await the answer."""
        until = await self._begin(Phase.CLOSE, seconds)
        said = time.perf_counter()
        self._stream.send(self._talk.send_close(code, reason, self._clock.at(said)))
        while True:
            heard = await self._next(Phase.CLOSE, until)
            if heard is None:
                raise self._abnormal(Phase.CLOSE, f"no close frame within {seconds:g} s")
            if isinstance(heard, Close):
                break
        self.timing["close"] = milliseconds(said)
        self.close = CloseSeen(heard.code, heard.reason, clean=True, by="us")
        return heard

    async def _linger(self) -> None:
        """Leave the server a moment to end TCP first (RFC 6455 7.1.1); what it says instead is not
        read.
        """
        await self._stream.wait(min(self._clock.until, time.perf_counter() + LINGER_S))

    async def _hear(
        self, phase: Phase, until: float, wanted: Callable[[WebSocketEvent], bool]
    ) -> WebSocketEvent | None:
        """The first thing heard that is wanted, or None at `until`; a close of the other side ends
        the probe.
        """
        while (heard := await self._next(phase, until)) is not None:
            if isinstance(heard, Close):
                self._stream.send(
                    self._talk.send_close(
                        _answerable(heard.code), "", self._clock.at(time.perf_counter())
                    )
                )
                self.close = CloseSeen(heard.code, heard.reason, clean=True, by="peer")
                said = f"{heard.code} {heard.reason}".rstrip()
                raise Stop(phase, Reason.CLOSED_BY_PEER, f"the other side closed with {said}")
            if wanted(heard):
                return heard
        return None

    async def _next(self, phase: Phase, until: float) -> WebSocketEvent | None:
        """The next thing heard, pings answered on the way; None at `until`."""
        while True:
            while self._inbox:
                heard = self._inbox.popleft()
                if isinstance(heard, Violation):
                    raise self._violated(phase, heard)
                if isinstance(heard, Ping) and self._talk.can_send:
                    self._stream.send(
                        self._talk.send_pong(heard.payload, self._clock.at(time.perf_counter()))
                    )
                return heard
            if time.perf_counter() >= until or not await self._stream.wait(until):
                return None
            data = self._stream.read()
            if data:
                self._receive(data)
            elif self._stream.eof:
                if self._stream.was_reset:
                    raise self._abnormal(
                        phase, "the connection was reset without a close frame", Reason.RESET
                    )
                raise self._abnormal(phase, "the connection ended without a close frame")

    def _receive(self, data: bytes) -> None:
        self._inbox.extend(self._talk.receive(data, self._clock.at(self._stream.arrived)))

    def _is_echo(self, heard: WebSocketEvent) -> bool:
        if isinstance(heard, TextMessage):
            return self._nonce in heard.data
        return isinstance(heard, BinaryMessage) and self._nonce.encode() in heard.data

    def _violated(self, phase: Phase, violation: Violation) -> Stop:
        if not self._talk.close_sent:
            self._stream.send(
                self._talk.send_close(violation.close_code, "", self._clock.at(time.perf_counter()))
            )
        self.close = CloseSeen(violation.close_code, violation.detail, clean=False, by="us")
        return Stop(phase, violation.reason, violation.detail)

    def _abnormal(self, phase: Phase, detail: str, reason: Reason = Reason.ABNORMAL_CLOSE) -> Stop:
        self.close = CloseSeen(1006, "", clean=False, by="nobody")
        return Stop(phase, reason, detail)

    async def _begin(self, phase: Phase, seconds: float) -> float:
        """When a phase that says something has to end: a close that has come already ends the probe
        before that.
        """
        until = self._clock.begin(phase, seconds)
        if not self._talk.can_send:
            await self._hear(phase, 0.0, lambda _: False)
        return until


def _fits(step: Expectation, heard: WebSocketEvent, nonce: str) -> bool:
    return isinstance(heard, TextMessage) and step.matches(heard.data, nonce)


def _start_of(message: str) -> str:
    return preview_of("text", message.encode("utf-8", "replace"))


def _answerable(code: int) -> int:
    """The code that answers a close: the same, except for those that only stand for something (RFC
    6455 7.4.1).
    """
    return 1000 if code in (1006, 1015) else code
