"""Which idle timeout cut a silent WebSocket, and how often to send a heartbeat (PURE).

Three sockets are held open side by side: one sends nothing, one pings, one sends pongs that get no
answer. When each of them ended identifies the timeout: load balancers count bytes in both
directions, CloudFront only those from the origin (quotas page, WebSocket idle timeout).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from checks.diagnosis.verdicts import VerdictCode
from checks.protocol.script import Hold, SendPing, SendPong, Step
from checks.protocol.transcript import Phase, Reason, Transcript

Variant = Literal["silent", "client pings", "client only"]
VARIANTS: tuple[Variant, ...] = ("silent", "client pings", "client only")
MEANS = {
    "silent": "neither side sends anything",
    "client pings": "the client pings and the server answers",
    "client only": "the client sends, the server does not answer",
}

Ended = Literal["open", "cut", "closed", "broken"]
CLOUDFRONT_SECONDS = 600.0
ALB_SECONDS = 60.0
NLB_SECONDS = 350.0
_CUT = frozenset({Reason.ABNORMAL_CLOSE, Reason.RESET, Reason.CLOSED_EARLY})
_BROKEN = frozenset(
    {
        Reason.FRAME_VIOLATION,
        Reason.LATE_RESPONSE,
        Reason.TOO_MUCH_DATA,
        Reason.TOO_MANY_FRAMES,
    }
)
_SILENT_CUT: VerdictCode = "WSE-IDLE-NLB"
SAFETY = 2.5
"""How many times as frequent as the timeout a heartbeat is: two may be lost."""


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    """An idle timeout on the path: the verdict it leads to, and its seconds. `one_way`: only bytes
    from the origin count.
    """

    code: VerdictCode
    name: str
    seconds: float
    one_way: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """How one socket ended, after `seconds`: still open when the probe stopped, cut, closed with a
    close frame, or ended by the probe for what the server sent (broken).
    """

    variant: Variant
    seconds: float
    ended: Ended
    close_code: int = 0
    heard: int = 0
    """Frames the server sent by itself meanwhile."""
    close_reset: bool = False
    """It looked open, but our close frame was answered with a reset."""


@dataclass(frozen=True, slots=True)
class TimeoutFinding:
    """`code` is None when nothing ended; `heartbeat` is its interval in seconds, None when none is
    needed.
    """

    code: VerdictCode | None
    text: str
    heartbeat: float | None


def usual_timeouts(
    *, alb: float | None = ALB_SECONDS, nlb: float | None = None, pace: float = 1.0
) -> tuple[IdleTimeout, ...]:
    """The idle timeouts on the path, shortest first; None where there is no such hop. `pace`: AWS's
    seconds for one here.
    """
    timeouts = [
        IdleTimeout("WSE-IDLE-CLOUDFRONT", "CloudFront", CLOUDFRONT_SECONDS / pace, one_way=True)
    ]
    if alb:
        timeouts.append(IdleTimeout("WSE-IDLE-ALB", "the Application Load Balancer", alb / pace))
    if nlb:
        timeouts.append(IdleTimeout(_SILENT_CUT, "the Network Load Balancer", nlb / pace))
    return tuple(sorted(timeouts, key=lambda one: one.seconds))


def steps_for(variant: Variant, seconds: float, every: float) -> tuple[Step, ...]:
    """What one socket does for so many seconds; the talking ones do it every `every` seconds."""
    if variant == "silent":
        return (Hold(seconds),)
    said: Step = SendPing(min(every, 5.0)) if variant == "client pings" else SendPong()
    return (Hold(every), said) * max(1, int(seconds / every))


def reading_of(variant: Variant, seen: Transcript) -> Reading | None:
    """The reading of a transcript of those steps; None when the socket never opened."""
    if not seen.upgraded:
        return None
    opened = seen.steps[0].at_ms if seen.steps else 0.0
    lasted = (seen.steps[-1].at_ms + seen.steps[-1].took_ms - opened) / 1000 if seen.steps else 0.0
    heard = sum(
        1
        for frame in seen.frames
        if frame.direction == "received" and frame.opcode in ("ping", "text", "binary")
    )
    ended = silence_of(lasted, seen)
    if _reasons(seen) & _BROKEN:
        return Reading(variant, lasted, "broken", 0, heard)
    if ended is not None:
        return replace(ended, variant=variant, heard=heard)
    reset = any(
        (failure.phase, failure.reason) == (Phase.CLOSE, Reason.RESET) for failure in seen.failures
    )
    return Reading(variant, lasted, "open", 0, heard, reset)


def silence_of(seconds: float, seen: Transcript) -> Reading | None:
    """The reading of a silent socket that ended after so many seconds; None when it did not end on
    its own.
    """
    reasons = _reasons(seen)
    if reasons & _CUT:
        return Reading("silent", seconds, "cut", 1006)
    if Reason.CLOSED_BY_PEER in reasons and seen.close is not None:
        return Reading("silent", seconds, "closed", seen.close.code)
    return None


def _reasons(seen: Transcript) -> set[Reason]:
    """What went wrong before our close frame: one that is not answered shows nothing about the
    silence before it.
    """
    return {failure.reason for failure in seen.failures if failure.phase is not Phase.CLOSE}


def identify_timeout(
    readings: Sequence[Reading], timeouts: Sequence[IdleTimeout]
) -> TimeoutFinding:
    """Which idle timeout it was.

    1. A socket that never opened, or that the probe had to end itself, shows nothing.
    2. A socket that a close frame ended was closed by the app.
    3. A socket that was still open was cut all the same where a Network Load Balancer's timeout had
       expired and the close frame met a reset: it signals nothing before the next data (ELB guide,
       Network Load Balancers, connection idle timeout).
    4. The seconds of a socket that was cut identify the timeout that they fit.
    5. If the socket on which only the client sent stayed open, the timeout counts both directions;
       if it was cut as well, only bytes from the origin count, as with CloudFront.
    """
    by_variant = {reading.variant: reading for reading in readings}
    silent = by_variant.get("silent")
    if silent is None:
        text = "The silent socket did not open, so nothing was measured."
        return TimeoutFinding("WSE-UNKNOWN", text, None)
    if silent.ended == "broken":
        text = (
            "The server violated the protocol or sent more than a probe accepts, so nothing was "
            "measured."
        )
        return TimeoutFinding("WSE-UNKNOWN", text, None)
    if silent.ended == "closed":
        text = f"After {silent.seconds:.0f} s of silence the app closed with {silent.close_code}."
        return TimeoutFinding("WSE-IDLE-APP", text, _heartbeat(silent.seconds))
    if silent.ended == "open":
        forgotten = next(
            (one for one in timeouts if one.code == _SILENT_CUT and one.seconds < silent.seconds),
            None,
        )
        if silent.close_reset and forgotten is not None:
            text = (
                f"The socket looked open for {silent.seconds:.0f} s, but the data sent then met a "
                f"reset: {forgotten.name} ({forgotten.seconds:g} s) drops a connection without "
                "telling either side until the next data."
            )
            return TimeoutFinding(forgotten.code, text, _heartbeat(forgotten.seconds))
        text = f"After {silent.seconds:.0f} s of silence the socket was still open."
        if silent.heard > 1:
            text += " The server sends frames by itself, which keep it open."
        return TimeoutFinding(None, text, None)
    one_way = by_variant.get("client only")
    both_count: bool | None = None
    if one_way is not None and one_way.ended != "broken":
        both_count = one_way.ended == "open" or one_way.seconds > silent.seconds * 1.5
    fitting = [
        one
        for one in timeouts
        if abs(silent.seconds - one.seconds) <= max(1.0, one.seconds * 0.1)
        and both_count in (None, not one.one_way)
    ]
    if not fitting:
        known = ", ".join(f"{one.name} {one.seconds:g} s" for one in timeouts)
        text = (
            f"The socket was cut after {silent.seconds:.1f} s of silence, which matches none of "
            f"the known idle timeouts ({known})."
        )
        return TimeoutFinding("WSE-1006", text, _heartbeat(silent.seconds))
    found = fitting[0]
    text = (
        f"The socket was cut after {silent.seconds:.1f} s of silence: the idle timeout of "
        f"{found.name} ({found.seconds:g} s)."
    )
    if both_count is not None:
        counts = "in both directions" if both_count else "from the origin only"
        text += f" It counts bytes {counts}."
    return TimeoutFinding(found.code, text, _heartbeat(found.seconds))


def _heartbeat(seconds: float) -> float:
    """Seconds between heartbeats such that two may be lost; 30 are enough for every timeout of
    AWS.
    """
    beat = min(seconds / SAFETY, 30.0)
    return round(beat) if beat >= 2 else round(beat, 2)
