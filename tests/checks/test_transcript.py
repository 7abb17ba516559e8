"""A transcript is stored as JSON and read back; secrets are not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.protocol.handshake import build_request
from checks.protocol.transcript import MASK, Failure, Phase, Reason, Transcript
from tests.checks.seen import GOOD, KEY, answered, judged, live


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.from_type(Transcript))
def test_any_transcript_survives_json(transcript: Transcript) -> None:
    stored = json.dumps(transcript.to_dict())
    assert json.dumps(Transcript.from_dict(json.loads(stored)).to_dict()) == stored


def test_what_a_probe_saw_is_read_back_equal() -> None:
    assert Transcript.from_dict(json.loads(json.dumps(live().to_dict()))) == live()


def test_secrets_are_shown_as_sent_but_never_stored() -> None:
    request = build_request(
        judged(),
        key_bytes=KEY,
        extra_headers=(
            ("Authorization", "Bearer s3cret"),
            ("Cookie", "id=s3cret"),
            ("X-Room", "blue"),
        ),
    )
    transcript = answered(GOOD + "Set-Cookie: id=s3cret\r\nServer: app\r\n", request=request)
    assert b"s3cret" in request.to_bytes()
    stored = json.dumps(transcript.to_dict(), ensure_ascii=False)
    assert "s3cret" not in stored
    assert stored.count(MASK) == 6
    assert "blue" in stored
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in stored


def test_text_that_postgresql_cannot_store_is_replaced() -> None:
    transcript = replace(
        live(), url="wss://a\x00b\ud800", failures=(Failure(Phase.CLOSE, Reason.RESET, "\x00"),)
    )
    stored = json.dumps(transcript.to_dict(), ensure_ascii=False)
    assert "\\u0000" not in stored
    assert stored.encode("utf-8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "schema 2"),
        ({"schema": None}, "schema None"),
        ({"surprise": 1}, "unknown surprise"),
        ({"url": 5}, "expected str"),
        ({"body_truncated": "yes"}, "expected bool"),
        ({"frames": {}}, "expected a list"),
        ({"timing": []}, "expected an object"),
        ({"timing": {"tcp": True}}, "expected float"),
        ({"frames": [{"direction": "up", "opcode": "text", "size": 1, "at_ms": 1}]}, "none of"),
        ({"frames": [{"direction": "sent"}]}, "missing"),
        ({"failures": [{"phase": "upgrade", "reason": "bored", "detail": ""}]}, "bored"),
    ],
)
def test_what_is_no_transcript_is_refused_with_the_place(
    change: dict[str, object], says: str
) -> None:
    stored = {**live().to_dict(), **change}
    with pytest.raises(ValueError, match=says):
        Transcript.from_dict(stored)


def test_live_means_the_handshake_and_everything_asked_for() -> None:
    assert live().upgraded
    assert live().live
    silent = replace(live(), failures=(Failure(Phase.ECHO, Reason.NO_ECHO),))
    assert silent.upgraded
    assert not silent.live
    refused = answered("HTTP/1.1 403 Forbidden\r\nX-Amz-Cf-Id: abc==\r\n")
    assert not refused.upgraded
    assert refused.edge_request_id == "abc=="
    assert not Transcript(url="wss://a").live
