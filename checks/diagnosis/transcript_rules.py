"""From one transcript to ranked verdicts with evidence (PURE).

Total: any transcript gives at least one verdict. Never certain of a cause that one handshake cannot
tell from another: CloudFront hides from its viewer why an origin failed. Where nothing tells, the
first verdict says so. The other side's own words are the first evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from checks.diagnosis.signatures import (
    Signature,
    meaning_of,
    recognize,
    silence_of_answer,
    words_of,
)
from checks.diagnosis.status_rules import Found, Refusal, explain_status
from checks.diagnosis.verdicts import (
    HIGH,
    LOW,
    MEDIUM,
    VERDICTS,
    Certainty,
    Verdict,
    VerdictCode,
)
from checks.preflight.results import Fix
from checks.protocol.transcript import Failure, Phase, Reason, ResponseHead, Transcript, storable

UNKNOWN_LINES = 6
"""Lines of evidence that a summary names where the cause is not known."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A verdict for this transcript: `evidence` are the observed lines, most telling first; `here`
    is the fix in this very account, None where that is not known; `signature` says who answered in
    words that are known, and what those mean.
    """

    verdict: Verdict
    certainty: Certainty
    evidence: tuple[str, ...]
    here: Fix | None = None
    signature: Signature | None = None

    @property
    def code(self) -> VerdictCode:
        """The verdict's stable code."""
        return self.verdict.code

    @property
    def fix(self) -> str:
        """What to change, in the words for this account or for who answered, if known."""
        if self.here is not None and self.here.console:
            return self.here.advice
        return self.signature.fix if self.signature is not None else self.verdict.advice

    @property
    def summary(self) -> str:
        """The verdict in one paragraph, with its certainty and what supports it: for events,
        tickets and readers of the log.
        """
        title, plain = self.verdict.title.rstrip("."), self.verdict.plain
        if self.code == "WSE-LIVE":
            return f"{title}. {plain}"
        if self.code == "WSE-UNKNOWN":
            return ". ".join((title, *self.evidence[:UNKNOWN_LINES])) + "."
        words = self.evidence[0] if self.evidence else ""
        if self.signature is not None:
            words = words.removesuffix(f" ({self.signature.source})")
        words = words and f" {words}" + ("" if words.endswith((".", ".”", "!”", "?”")) else ".")
        return f"{title} ({self.certainty} certainty).{words} {plain}"

    def to_dict(self) -> dict[str, Any]:
        """For storage and the API: the code and what is particular to this transcript; texts come
        from `VERDICTS`.
        """
        return {
            "code": self.code,
            "certainty": self.certainty,
            "evidence": [storable(line) for line in self.evidence],
            "here": asdict(self.here) if self.here else None,
            "signature": self.signature.to_dict() if self.signature else None,
        }


def diagnose(transcript: Transcript, *, origin_tls: bool | None = None) -> tuple[Diagnosis, ...]:
    """The verdicts, most certain first and never empty; `origin_tls` says if the edge uses TLS to
    its origin.

    1. A live endpoint is reported as live; what is odd about it follows.
    2. Otherwise the failure that decides is explained: by its reason, by the broken rule of a 101,
       or by the status and its author.
    3. Later failures are explained after it.
    4. Where nothing tells one cause from another, the first verdict is that it is not known.
    """
    head = transcript.response
    found: list[Diagnosis] = []
    if transcript.live:
        found.append(_diagnosis("WSE-LIVE", HIGH, *_live_evidence(transcript)))
    for failure in transcript.failures:
        found += sorted(
            _by_failure(transcript, failure, origin_tls),
            key=lambda diagnosis: diagnosis.certainty,
            reverse=True,
        )
    if not transcript.live and not transcript.failures and head is not None:
        found += _by_status(transcript, head, origin_tls)
    asked = transcript.request.subprotocols if transcript.request else ()
    if transcript.upgraded and asked and head and not head.get("sec-websocket-protocol"):
        told = f"offered {', '.join(asked)}; the response names none"
        found.append(_diagnosis("WSE-101-NOSUBPROTOCOL", MEDIUM, told))
    no_pong = [diagnosis for diagnosis in found if diagnosis.code == "WSE-NOPONG"]
    if no_pong:
        # A server that answers no ping answers nothing: what else is missing follows from that.
        found = no_pong + [
            replace(diagnosis, certainty=LOW)
            for diagnosis in found
            if diagnosis.code != "WSE-NOPONG"
        ]
    unique = {diagnosis.code: diagnosis for diagnosis in reversed(found)}
    ranked = tuple(diagnosis for diagnosis in found if unique.get(diagnosis.code) is diagnosis)
    if ranked:
        return say_unknown(ranked, transcript)
    said = head.status_line if head else "no response was recorded"
    return (_diagnosis("WSE-UNKNOWN", LOW, f"address: {transcript.url}", said),)


def say_unknown(
    ranked: tuple[Diagnosis, ...], seen: Transcript, *excluded: str
) -> tuple[Diagnosis, ...]:
    """The same verdicts, behind one that says that the cause is not known, where the likeliest is
    of low certainty: a guess is no headline. `excluded` are lines that say what is not the cause.
    """
    if seen.live or not ranked or ranked[0].certainty is not LOW:
        return ranked
    others = tuple(one for one in ranked if one.code != "WSE-UNKNOWN")
    head = seen.response
    known = (
        *words_of(seen),
        *silence_of_answer(seen),
        *(_head_evidence(head) if head else ()),
    )
    if head is not None and not seen.upgraded:
        known = (*known, Refusal.of(seen, head).written_by)
    if not known:
        known = others[0].evidence if others else ()
    return (_diagnosis("WSE-UNKNOWN", LOW, *known, *excluded), *others)


_BY_REASON: dict[Reason, Found] = {
    Reason.BAD_URL: (("WSE-URL", HIGH),),
    Reason.BAD_REQUEST: (("WSE-URL", HIGH),),
    Reason.PROBE_ERROR: (("WSE-PROBE", HIGH),),
    Reason.CREDENTIAL_UNAVAILABLE: (("WSE-SECRET", HIGH),),
    Reason.ADDRESS_REFUSED: (("WSE-GUARD", HIGH),),
    Reason.DNS_FAILURE: (("WSE-DNS", HIGH),),
    Reason.DNS_TIMEOUT: (("WSE-DNS", MEDIUM),),
    Reason.CONNECT_REFUSED: (("WSE-TCP-REFUSED", HIGH),),
    Reason.CONNECT_TIMEOUT: (("WSE-TCP-TIMEOUT", HIGH),),
    Reason.CONNECT_UNREACHABLE: (("WSE-TCP-TIMEOUT", MEDIUM),),
    Reason.TLS_NAME_MISMATCH: (("WSE-TLS-NAME", HIGH),),
    Reason.TLS_EXPIRED: (("WSE-TLS-EXPIRED", HIGH),),
    Reason.TLS_NOT_YET_VALID: (("WSE-TLS-EXPIRED", HIGH),),
    Reason.TLS_SELF_SIGNED: (("WSE-TLS-SELFSIGNED", HIGH),),
    Reason.TLS_UNKNOWN_CA: (("WSE-TLS-CA", HIGH),),
    Reason.TLS_UNTRUSTED: (("WSE-TLS-CA", MEDIUM),),
    Reason.TLS_PROTOCOL: (("WSE-TLS-PROTOCOL", MEDIUM),),
    Reason.TLS_TIMEOUT: (("WSE-TLS-PROTOCOL", MEDIUM), ("WSE-TCP-TIMEOUT", LOW)),
    Reason.UPGRADE_TIMEOUT: (("WSE-TIMEOUT", HIGH), ("WSE-504-SG", LOW)),
    Reason.RESET: (("WSE-RESET", MEDIUM),),
    Reason.CLOSED_EARLY: (("WSE-RESET", MEDIUM),),
    Reason.NOT_HTTP: (("WSE-NOT-HTTP", HIGH),),
    Reason.HEAD_MALFORMED: (("WSE-HEAD", HIGH),),
    Reason.HEAD_TOO_LARGE: (("WSE-HEAD", HIGH),),
    Reason.NO_ECHO: (("WSE-NOECHO", HIGH),),
    Reason.NO_PONG: (("WSE-NOPONG", HIGH),),
    Reason.UNEXPECTED: (("WSE-SCRIPT", HIGH),),
    Reason.FRAME_VIOLATION: (("WSE-FRAME", HIGH),),
    Reason.LATE_RESPONSE: (("WSE-FRAME", HIGH),),
    Reason.TOO_MUCH_DATA: (("WSE-LIMIT", HIGH),),
    Reason.TOO_MANY_FRAMES: (("WSE-LIMIT", HIGH),),
    Reason.CLOSED_BY_PEER: (("WSE-CLOSED", HIGH),),
    Reason.ABNORMAL_CLOSE: (("WSE-1006", HIGH),),
    Reason.TOTAL_TIMEOUT: (("WSE-TIMEOUT", MEDIUM),),
}
"""What a reason means by itself, whatever the phase."""

_BY_BROKEN_RULE: dict[str, VerdictCode] = {
    "version": "WSE-101-NOUPGRADE",
    "upgrade": "WSE-101-NOUPGRADE",
    "connection": "WSE-101-NOUPGRADE",
    "accept": "WSE-101-BADACCEPT",
    "extensions": "WSE-101-EXTENSION",
    "subprotocol": "WSE-101-SUBPROTOCOL",
}


_SAID_WHY = frozenset({Reason.CLOSED_BY_PEER, Reason.ABNORMAL_CLOSE, Reason.UNEXPECTED})
"""Ends of an open WebSocket before which the other side may have said why."""


def _by_failure(seen: Transcript, failure: Failure, origin_tls: bool | None) -> list[Diagnosis]:
    if failure.reason is Reason.UPGRADE_REFUSED and seen.response is not None:
        return _by_status(seen, seen.response, origin_tls)
    if failure.reason is Reason.LATE_RESPONSE and seen.late is not None:
        return [
            replace(one, evidence=(*one.evidence, "the app had said 101 before"))
            for one in _by_status(seen, seen.late, origin_tls)
        ]
    if failure.reason is Reason.BAD_HANDSHAKE:
        head = _head_evidence(seen.response) if seen.response else ()
        return [
            _diagnosis(_BY_BROKEN_RULE[finding.rule], HIGH, finding.text, *head)
            for finding in seen.findings
            if not finding.ok and finding.rule in _BY_BROKEN_RULE
        ]
    found = _BY_REASON.get(failure.reason, (("WSE-UNKNOWN", LOW),))
    known = recognize(seen) if failure.reason in _SAID_WHY else None
    if known is not None:
        found = (*_by_signature(known), *((code, LOW) for code, _ in found))
    if failure.reason in (Reason.RESET, Reason.CLOSED_EARLY):
        # A connection that is cut means something else in each phase.
        if seen.upgraded:
            found = (("WSE-1006", HIGH),)
        elif failure.phase is Phase.TLS:
            found = (("WSE-TLS-PROTOCOL", MEDIUM), ("WSE-RESET", LOW))
    evidence = [*words_of(seen), *(meaning_of(seen) if known else ())]
    evidence.append(f"{failure.phase.value}: {failure.detail or failure.reason.value}")
    if failure.phase is Phase.TLS and seen.tls and (shown := seen.tls.certificate):
        evidence += (
            f"certificate for {', '.join(shown.names) or shown.subject}",
            f"issued by {shown.issuer}",
            f"valid from {shown.not_before} to {shown.not_after}",
        )
    if seen.upgraded:
        frames = sum(frame.direction == "received" for frame in seen.frames)
        evidence.append(f"the handshake worked; {frames} frames followed")
        if seen.close:
            evidence.append(f"close code {seen.close.code} {seen.close.reason}".rstrip())
        evidence += _lasted(seen)
    return _signed(found, evidence, known)


def _lasted(seen: Transcript) -> Iterator[str]:
    """How long the other side kept the connection open before it closed it, in seconds."""
    opened = seen.timing.connect
    closed = next(
        (
            frame.at_ms
            for frame in seen.frames
            if (frame.direction, frame.opcode) == ("received", "close")
        ),
        None,
    )
    if seen.close and seen.close.by == "peer" and opened is not None and closed is not None:
        yield f"it closed {max(0.0, closed - opened) / 1000:.2g} s after the handshake"


def _by_signature(known: Signature) -> Found:
    return ((known.code, known.certainty), *((code, LOW) for code in known.also))


def _signed(found: Found, evidence: Sequence[str], known: Signature | None) -> list[Diagnosis]:
    """The signature belongs to the verdict that it names; what it cannot tell from that comes after
    it, without the evidence again.
    """
    shown = []
    for code, certainty in found:
        one = _diagnosis(code, certainty, *evidence)
        if known is not None and code == known.code:
            one = replace(one, signature=known)
        elif known is not None and code in known.also:
            one = replace(one, evidence=(f"{known.by} gives the same response for this",))
        shown.append(one)
    return shown


def _by_status(seen: Transcript, head: ResponseHead, origin_tls: bool | None) -> list[Diagnosis]:
    """Refused with a status; nothing for a 101."""
    case = Refusal.of(seen, head, origin_tls)
    known = recognize(seen)
    words = (*words_of(seen), *meaning_of(seen), *silence_of_answer(seen))
    evidence = (*words, *_head_evidence(head))
    if known is not None:
        return _signed(_by_signature(known), evidence, known)
    return _signed(explain_status(case), (*evidence, case.written_by), None)


def _diagnosis(code: VerdictCode, certainty: Certainty, *evidence: str) -> Diagnosis:
    return Diagnosis(VERDICTS[code], certainty, tuple(line for line in evidence if line))


_TELLING = (
    "server",
    "x-cache",
    "location",
    "content-type",
    "x-amzn-errortype",
    "x-amz-apigw-id",
    "x-amz-cf-id",
    "via",
)


def _head_evidence(head: ResponseHead) -> tuple[str, ...]:
    values = ((name, head.get(name)) for name in _TELLING)
    return (head.status_line, *(f"{name}: {value}" for name, value in values if value))


MESSAGES = frozenset({"text", "binary"})


def _live_evidence(seen: Transcript) -> tuple[str, ...]:
    times = seen.timing
    return (
        seen.response.status_line if seen.response else "",
        next((finding.text for finding in seen.findings if finding.rule == "accept"), ""),
        f"101 after {times.upgrade:.0f} ms" if times.upgrade is not None else "",
        f"the test message came back after {times.echo:.0f} ms" if times.echo is not None else "",
        f"a ping was answered after {times.ping:.0f} ms" if times.ping is not None else "",
        *(f"{step.text}: {step.detail or 'done'}" for step in seen.steps),
        ""
        if any(frame.direction == "sent" and frame.opcode in MESSAGES for frame in seen.frames)
        else "no message was sent, so this does not show that the app answers one",
        f"x-amz-cf-id: {seen.edge_request_id}" if seen.edge_request_id else "",
    )
