"""Who refused a handshake, recognized by its own words: the table is signatures.toml (PURE, DATA).

A row says what frameworks, servers and proxies answer, what that means, and which documentation or
code says so. The first row that fits a transcript is its `Signature`. Words count only where the
app may have written them: CloudFront, load balancers and buckets sign what they write.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

from checks.diagnosis.authors import Author, author_of
from checks.diagnosis.verdicts import HIGH, Certainty, VerdictCode
from checks.protocol.transcript import ResponseHead, Transcript

BODY_SEARCHED = 4_000
"""Characters of a body in which patterns are searched; a refusal says why at its beginning."""
WORDS_SHOWN = 300
"""Characters of the other side's words that evidence quotes."""
MESSAGES_READ = 3
"""Messages before a close that may say why."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One row of signatures.toml, whose first lines describe the fields; `headers` has names in
    lower case.
    """

    by: str
    code: VerdictCode
    certainty: Certainty
    means: str
    fix: str
    source: str
    also: tuple[VerdictCode, ...] = ()
    author: Author = "app"
    status: frozenset[int] = frozenset()
    headers: tuple[tuple[str, re.Pattern[str]], ...] = ()
    body: re.Pattern[str] | None = None
    reason: re.Pattern[str] | None = None
    close: frozenset[int] = frozenset()
    said: re.Pattern[str] | None = None
    offered: bool | None = None
    asked: re.Pattern[str] | None = None
    heard: re.Pattern[str] | None = None
    told: re.Pattern[str] | None = None

    def to_dict(self) -> dict[str, str]:
        """For storage and the API."""
        return {"by": self.by, "means": self.means, "fix": self.fix, "source": self.source}

    def fits(self, seen: Transcript, author: Author) -> bool:
        """Whether every condition of the row holds; `author` wrote the response."""
        head = seen.answer
        if head is None:
            return False
        offers = seen.request is not None and bool(seen.request.subprotocols)
        if self.offered is not None and self.offered != offers:
            return False
        if self.heard is not None:
            return seen.upgraded and not seen.live and bool(self.heard.search(_bytes_heard(seen)))
        if self.told is not None:
            return self._fits_message(seen, self.told)
        if not self.status:
            return self._fits_close(seen)
        return (
            head.status in self.status
            and self.author == author
            and all(pattern.search(head.get(name)) for name, pattern in self.headers)
            and (self.body is None or bool(self.body.search(seen.body[:BODY_SEARCHED])))
            and (self.reason is None or bool(self.reason.search(head.reason)))
            and (self.asked is None or bool(self.asked.search(seen.url)))
        )

    def _fits_message(self, seen: Transcript, told: re.Pattern[str]) -> bool:
        return (
            seen.upgraded
            and not seen.live
            and any(told.search(text) for text in _texts(seen))
            and (self.asked is None or bool(self.asked.search(seen.url)))
        )

    def _fits_close(self, seen: Transcript) -> bool:
        if not closed_by_app(seen) or seen.close is None:
            return False
        words = (seen.close.reason, *last_messages(seen))
        return (
            (not self.close or seen.close.code in self.close)
            and (self.said is None or any(self.said.search(text) for text in words))
            and (self.asked is None or bool(self.asked.search(seen.url)))
        )


def closed_by_app(seen: Transcript) -> bool:
    """A WebSocket that opened, and that the other side then closed with a close frame."""
    return seen.upgraded and not seen.live and seen.close is not None and seen.close.by == "peer"


def _bytes_heard(seen: Transcript) -> str:
    """The binary messages in hexadecimal, as one: a packet need not be one message."""
    return " ".join(
        frame.preview
        for frame in seen.frames
        if frame.direction == "received" and frame.opcode == "binary"
    )


def last_messages(seen: Transcript) -> tuple[str, ...]:
    """What the other side sent before it closed: the last text messages, newest first."""
    return tuple(reversed(_texts(seen)[-MESSAGES_READ:]))


def _texts(seen: Transcript) -> list[str]:
    """The text messages of the other side."""
    return [
        frame.preview
        for frame in seen.frames
        if frame.direction == "received" and frame.opcode == "text" and frame.preview
    ]


def _load(text: str) -> tuple[Signature, ...]:
    """Raises ValueError for a row that is not complete, TypeError for a field that is unknown."""
    codes = get_args(VerdictCode)
    loaded = []
    for row in tomllib.loads(text)["signature"]:
        fields: dict[str, Any] = dict(row)
        if unknown := {fields["code"], *fields.get("also", ())} - set(codes):
            raise ValueError(f"{fields['by']}: no verdict {sorted(unknown)}")
        if not fields["source"].startswith("https://"):
            raise ValueError(f"{fields['by']}: the source is no address")
        if not {"status", "close", "said", "heard", "told"} & fields.keys():
            raise ValueError(f"{fields['by']}: neither a status nor a close")
        fields["certainty"] = Certainty(fields["certainty"])
        fields["also"] = tuple(fields.get("also", ()))
        fields["status"] = frozenset(fields.get("status", ()))
        fields["close"] = frozenset(fields.get("close", ()))
        fields["headers"] = tuple(
            (name, re.compile(pattern or r"^\s*$"))
            for name, pattern in fields.get("headers", {}).items()
        )
        for name in ("body", "reason", "said", "asked", "heard", "told"):
            if name in fields:
                fields[name] = re.compile(fields[name])
        loaded.append(Signature(**fields))
    return tuple(loaded)


SIGNATURES = _load(Path(__file__).with_name("signatures.toml").read_text(encoding="utf-8"))
"""Every signature, in the order in which they are tried."""


@lru_cache(maxsize=64)
def recognize(seen: Transcript) -> Signature | None:
    """The first signature that fits a handshake that failed; None where none does.

    Where CloudFront surely wrote the answer, no words in it are the app's.
    """
    head = seen.answer
    if head is None or seen.live or head.get("x-amzn-waf-action"):
        return None
    author, signed = author_of(head, seen.body)
    if author == "edge":
        if signed is HIGH:
            return None
        # CloudFront signs for an app that sends no Server header.
        author = "app"
    return next((one for one in SIGNATURES if one.fits(seen, author)), None)


# --- the other side's own words

_TAGS = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.DOTALL | re.I)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.I)
_ENTITIES: Mapping[str, str] = {
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": '"',
    "&#39;": "'",
    "&#x27;": "'",
    "&nbsp;": " ",
}


def quoted(text: str, most: int = WORDS_SHOWN) -> str:
    """Foreign text for a line of evidence: one line, bounded, in quotation marks; characters that
    move a cursor or hide others as escapes.
    """
    line = " ".join(text.split())
    cut = f"{line[:most].rstrip()}…" if len(line) > most else line
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "replace").decode("ascii")
        for char in cut
    )
    return f"“{shown}”"


def legible(body: str) -> str:
    """The words of a body: of an HTML page the text that a reader sees, or its title; any other
    body as it is.
    """
    start = body[:BODY_SEARCHED]
    if not re.search(r"<(!doctype html|html|head|body|title|h1)\b", start, re.I):
        return start
    text = _TAGS.sub(" ", start)
    if not text.strip() and (title := _TITLE.search(start)):
        text = title[1]
    for entity, char in _ENTITIES.items():
        text = text.replace(entity, char)
    return text


_SPEAKERS: Mapping[Author, str] = {
    "edge": "CloudFront",
    "function": "an edge function",
    "balancer": "the load balancer",
    "apigateway": "API Gateway",
    "bucket": "S3",
    "app": "the app or a proxy in front of it",
}


def words_of(seen: Transcript) -> tuple[str, ...]:
    """What the other side said when it refused or closed, quoted, with who said it. Empty where it
    said nothing, was not reached, or accepted.
    """
    head = seen.answer
    if head is None or seen.live:
        return ()
    shown, known = seen.masked(), recognize(seen)
    if seen.upgraded and seen.late is None:
        if not closed_by_app(seen) or shown.close is None:
            return ()
        by = known.by if known else "the app"
        why = f": {quoted(shown.close.reason)}" if shown.close.reason else " and no reason"
        messages = tuple(f"{by} sent before: {quoted(one)}" for one in last_messages(shown)[:1])
        return (_sentence(f"{by} closed with {shown.close.code}{why}"), *map(_sentence, messages))
    said = _said(shown)
    if not said or head.status == 101:
        return ()
    by = known.by if known else _speaker(head, seen.body)
    return (_sentence(f"{by} says: {quoted(said)}"),)


def silence_of_answer(seen: Transcript) -> tuple[str, ...]:
    """That a refusal came without a word, and from whom; empty for any other."""
    head = seen.answer
    if head is None or head.status == 101 or seen.live or _said(seen):
        return ()
    return (_sentence(f"{_speaker(head, seen.body)} says nothing: the body is empty"),)


def _said(seen: Transcript) -> str:
    """The words of a body, or of a reason phrase that says more than the status."""
    body = legible(seen.body)
    if body.strip() or seen.answer is None:
        return body
    reason = seen.answer.reason.strip()
    return "" if reason.lower() in _USUAL_REASONS else reason


def meaning_of(seen: Transcript) -> tuple[str, ...]:
    """What the words mean, and which documentation or code says so; empty for unknown ones."""
    known = recognize(seen)
    return (_sentence(f"{known.by}: {known.means} ({known.source})"),) if known else ()


_USUAL_REASONS = frozenset({"", *(status.phrase.lower() for status in HTTPStatus)}) | {
    "gateway time-out",
    "payload too large",
    "request entity too large",
    "request-uri too long",
    "uri too long",
}
"""Reason phrases that only repeat the status (RFC 9110 15)."""


def _speaker(head: ResponseHead, body: str) -> str:
    author, signed = author_of(head, body)
    if author == "edge" and signed is not HIGH:
        return "CloudFront, or an app that sends no Server header,"
    if author == "app" and (server := head.get("server")):
        return f"{_SPEAKERS[author]} (server: {server[:60]})"
    return _SPEAKERS[author]


def _sentence(text: str) -> str:
    """Begins with a capital letter, unless with a name: nginx writes its own in lower case."""
    return text[:1].upper() + text[1:] if text.startswith(("a ", "an ", "the ")) else text
