"""Which clock cut a silent WebSocket, and how often to send a heartbeat (PURE).

Three sockets are held open side by side: one says nothing, one pings, one sends pongs that nobody
answers. Decides from when each of them ended which clock it was: load balancers count bytes in both
directions, CloudFront only those from the origin (quotas page, WebSocket idle timeout). It must
never hold a socket itself, and never name a clock that the times do not fit.
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
    "silent": "nobody sends anything",
    "client pings": "the client pings and the server answers",
    "client only": "the client sends, the server does not answer",
}

Ended = Literal["open", "cut", "closed", "broken"]
CLOUDFRONT_SECONDS = 600.0
ALB_SECONDS = 60.0
NLB_SECONDS = 350.0
_CUT = frozenset({Reason.ABNORMAL_CLOSE, Reason.RESET, Reason.CLOSED_EARLY})
_BROKEN = frozenset({Reason.FRAME_VIOLATION, Reason.TOO_MUCH_DATA, Reason.TOO_MANY_FRAMES})
_TELLS_LATE: VerdictCode = "WSE-IDLE-NLB"
SAFETY = 2.5
"""A heartbeat this many times as frequent as the clock: two may be lost."""


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    """An idle clock on the way: the verdict it leads to, and its seconds. `one_way`: only bytes of
    the origin count.
    """

    code: VerdictCode
    name: str
    seconds: float
    one_way: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """How one socket ended: after `seconds`, still open when the meter stopped, cut, closed with a
    close frame, or by the meter itself for what the server sent (broken).
    """

    variant: Variant
    seconds: float
    ended: Ended
    close_code: int = 0
    heard: int = 0
    """Frames the server sent by itself meanwhile."""
    goodbye_reset: bool = False
    """Still open to all appearance, but our close frame was answered with a reset."""


@dataclass(frozen=True, slots=True)
class IdleFinding:
    """`code` is None when nothing ended; `heartbeat` is the seconds to send one in, None when none is
    needed.
    """

    code: VerdictCode | None
    text: str
    heartbeat: float | None


def usual_clocks(
    *, alb: float | None = ALB_SECONDS, nlb: float | None = None, pace: float = 1.0
) -> tuple[IdleTimeout, ...]:
    """The clocks on the way, shortest first; None where there is no such hop. `pace`: AWS's seconds
    for one here.
    """
    clocks = [
        IdleTimeout("WSE-IDLE-CLOUDFRONT", "CloudFront", CLOUDFRONT_SECONDS / pace, one_way=True)
    ]
    if alb:
        clocks.append(IdleTimeout("WSE-IDLE-ALB", "the Application Load Balancer", alb / pace))
    if nlb:
        clocks.append(IdleTimeout(_TELLS_LATE, "the Network Load Balancer", nlb / pace))
    return tuple(sorted(clocks, key=lambda clock: clock.seconds))


def steps_for(variant: Variant, seconds: float, every: float) -> tuple[Step, ...]:
    """What one socket does for so many seconds; the talking ones do it every `every` seconds."""
    if variant == "silent":
        return (Hold(seconds),)
    said: Step = SendPing(min(every, 5.0)) if variant == "client pings" else SendPong()
    return (Hold(every), said) * max(1, int(seconds / every))


def reading_of(variant: Variant, seen: Transcript) -> Reading | None:
    """What a transcript of those steps says; None when the socket never opened."""
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
    """The reading of a silent socket that ended after so many seconds; None when it did not end by
    itself.
    """
    reasons = _reasons(seen)
    if reasons & _CUT:
        return Reading("silent", seconds, "cut", 1006)
    if Reason.CLOSED_BY_PEER in reasons and seen.close is not None:
        return Reading("silent", seconds, "closed", seen.close.code)
    return None


def _reasons(seen: Transcript) -> set[Reason]:
    """What went wrong before we said goodbye: a goodbye that nobody answers shows nothing of the
    silence before it.
    """
    return {failure.reason for failure in seen.failures if failure.phase is not Phase.CLOSE}


def identify_timeout(readings: Sequence[Reading], clocks: Sequence[IdleTimeout]) -> IdleFinding:
    """Which clock it was.

    1. A socket that never opened, or that the meter had to end itself, shows nothing.
    2. A socket that a close frame ended was closed by the app. One that was still open was cut all
       the same where a Network Load Balancer's clock had run out and the goodbye met a reset: it
       tells nobody before the next data (ELB guide, Network Load Balancers, connection idle
       timeout).
    3. The silent socket's seconds name the clock that they fit.
    4. If the socket on which only the client sent lived on, the clock counts both directions; if it
       ended as well, only bytes of the origin count, which is CloudFront's way.
    """
    by_variant = {reading.variant: reading for reading in readings}
    silent = by_variant.get("silent")
    if silent is None:
        return IdleFinding(
            "WSE-UNKNOWN", "The silent socket did not open, so nothing was measured.", None
        )
    if silent.ended == "broken":
        text = (
            "The server sent what breaks the protocol or is more than a probe takes, so nothing "
            "was measured."
        )
        return IdleFinding("WSE-UNKNOWN", text, None)
    forgotten = next(
        (clock for clock in clocks if clock.code == _TELLS_LATE and clock.seconds < silent.seconds),
        None,
    )
    if silent.ended == "open" and silent.goodbye_reset and forgotten is not None:
        text = (
            f"It looked open for {silent.seconds:.0f} s, and what was sent then met a reset: "
            f"{forgotten.name} "
        )
        text += (
            f"({forgotten.seconds:g} s) tells nobody that it has forgotten a connection before "
            "the next data."
        )
        return IdleFinding(forgotten.code, text, _heartbeat(forgotten.seconds))
    if silent.ended == "open":
        pings = (
            " The server sends frames by itself, which keep it open." if silent.heard > 1 else ""
        )
        return IdleFinding(
            None, f"After {silent.seconds:.0f} s of silence the socket was still open.{pings}", None
        )
    if silent.ended == "closed":
        text = f"After {silent.seconds:.0f} s of silence the app closed with {silent.close_code}."
        return IdleFinding("WSE-IDLE-APP", text, _heartbeat(silent.seconds))
    one_way = by_variant.get("client only")
    if one_way is not None and one_way.ended == "broken":
        one_way = None
    both_count = (
        None
        if one_way is None
        else one_way.ended == "open" or one_way.seconds > silent.seconds * 1.5
    )
    fitting = [
        clock
        for clock in clocks
        if _fits(silent.seconds, clock) and both_count in (None, not clock.one_way)
    ]
    if not fitting:
        known = ", ".join(f"{clock.name} {clock.seconds:g} s" for clock in clocks)
        text = (
            f"It was cut after {silent.seconds:.1f} s of silence, which fits none of the known "
            f"clocks ({known})."
        )
        return IdleFinding("WSE-1006", text, _heartbeat(silent.seconds))
    clock = fitting[0]
    text = (
        f"It was cut after {silent.seconds:.1f} s of silence: the idle clock of {clock.name} "
        f"({clock.seconds:g} s)."
    )
    if both_count is not None:
        counts = "in both directions" if both_count else "from the origin only"
        text += f" It counts bytes {counts}."
    return IdleFinding(clock.code, text, _heartbeat(clock.seconds))


def _fits(seconds: float, clock: IdleTimeout) -> bool:
    return abs(seconds - clock.seconds) <= max(1.0, clock.seconds * 0.1)


def _heartbeat(seconds: float) -> float:
    """Two beats may be lost, and no more often than needed: 30 seconds suffice for every clock of
    AWS.
    """
    beat = min(seconds / SAFETY, 30.0)
    return round(beat) if beat >= 2 else round(beat, 2)
