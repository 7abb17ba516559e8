"""Which kind of app answered, by what it said (PURE)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from checks.protocol.transcript import Transcript
from provisioning.spec.app_kinds import PLAIN, AnswerPart, AppKind, kinds_of_answer


def recognize_app(seen: Iterable[Transcript], asked: str = PLAIN) -> AppKind | None:
    """The kind of app that one of the transcripts gives away, the first ones first; None if that
    can be the kind that was `asked`.
    """
    for transcript in seen:
        kinds = kinds_of_answer(_said(transcript))
        if kinds:
            return None if asked in (kind.key for kind in kinds) else kinds[0]
    return None


def _said(transcript: Transcript) -> Iterator[tuple[AnswerPart, str]]:
    if transcript.body:
        yield "body", transcript.body
    elif transcript.answer and (transcript.late or not transcript.upgraded):
        # Some servers say it in the status line only.
        yield "body", transcript.answer.reason
    if transcript.response and transcript.upgraded:
        chosen = transcript.response.get("sec-websocket-protocol")
        if chosen:
            yield "subprotocol", chosen
    for frame in transcript.frames:
        if frame.direction == "received" and frame.opcode == "text":
            yield "text", frame.preview
        elif frame.direction == "received" and frame.opcode == "binary":
            yield "binary", frame.preview
    if transcript.close and transcript.close.by == "peer":
        yield "close", f"{transcript.close.code} {transcript.close.reason}".strip()
