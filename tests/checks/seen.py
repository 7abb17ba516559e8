"""Transcripts as a probe would have made them, for tests of what is concluded from them."""

from __future__ import annotations

from dataclasses import replace

from checks.protocol.handshake import HeadParser, annotate_headers, build_request, judge
from checks.protocol.transcript import (
    Failure,
    FrameSeen,
    HandshakeRequest,
    Phase,
    Reason,
    Timing,
    Transcript,
)
from checks.protocol.urls import AllowedUrl, judge_url

KEY = b"the sample nonce"
"""The 16 bytes of RFC 6455 1.3."""
URL = "wss://d111.cloudfront.net/ws"


def judged(url: str = URL) -> AllowedUrl:
    """A URL that the guard lets pass."""
    verdict = judge_url(url)
    assert isinstance(verdict, AllowedUrl), verdict
    return verdict


def request_to(
    url: str = URL, *, origin: str | None = None, subprotocols: tuple[str, ...] = ()
) -> HandshakeRequest:
    """The upgrade request for a URL, with the RFC's own key."""
    return build_request(judged(url), key_bytes=KEY, origin=origin, subprotocols=subprotocols)


GOOD = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def answered(
    head: str, *, request: HandshakeRequest | None = None, url: str = URL, body: str = ""
) -> Transcript:
    """The transcript after this answer; `head` without its empty line."""
    request = request or request_to(url)
    parser = HeadParser()
    parser.feed(head.encode("latin-1") + b"\r\n")
    assert parser.head is not None
    findings = judge(request, parser.head)
    failures: tuple[Failure, ...] = ()
    if parser.head.status != 101:
        failures = (Failure(Phase.UPGRADE, Reason.UPGRADE_REFUSED, str(parser.head.status)),)
    elif broken := next((finding for finding in findings if not finding.ok), None):
        failures = (Failure(Phase.UPGRADE, Reason.BAD_HANDSHAKE, broken.text),)
    return Transcript(
        url=url,
        started_at="2026-11-21T09:00:00.000Z",
        request=request,
        response=annotate_headers(parser.head, findings),
        findings=findings,
        body=body,
        timing=Timing(tcp=1.0, tls=2.0, first_byte=3.0, upgrade=3.0, total=6.0),
        failures=failures,
    )


def live() -> Transcript:
    """A good handshake and a conversation without failures."""
    frames = (
        FrameSeen("received", "text", 7, 4.0, "welcome"),
        FrameSeen("sent", "text", 5, 5.0, "hello"),
    )
    return replace(
        answered(GOOD + "Server: app\r\nX-Amz-Cf-Id: abc\r\n"), frames=frames, asked_echo=True
    )


def failed(phase: Phase, reason: Reason, detail: str = "as it happened") -> Transcript:
    """A probe that ended before any answer."""
    return Transcript(url=URL, failures=(Failure(phase, reason, detail),))
