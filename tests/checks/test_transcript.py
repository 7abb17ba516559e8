"""A transcript is stored as JSON and read back; secrets are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.protocol.handshake import build_request
from checks.protocol.transcript import (
    CloseSeen,
    Failure,
    FrameSeen,
    Phase,
    Reason,
    Transcript,
)
from provisioning.redaction.masking import KnownSecrets
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
    assert stored.count("<masked-6-characters>") == 6
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


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"


def texts_of(cls: type) -> Iterator[tuple[type, str]]:
    """Every field of a transcript that is a text, at any depth."""
    for name, hint in get_type_hints(cls).items():
        inner = [one for one in get_args(hint) or (hint,) if one is not Ellipsis]
        for one in inner:
            if one is str and get_origin(hint) is not Literal:
                yield cls, name
            elif is_dataclass(one):
                yield from texts_of(cast("type", one))


def full_of(cls: type, text: str) -> Any:
    """An instance whose every text is `text`."""
    values: dict[str, Any] = {}
    for spec in fields(cls):
        hint = get_type_hints(cls)[spec.name]
        args = [one for one in get_args(hint) if one not in (Ellipsis, NoneType)]
        if get_origin(hint) is Literal:
            values[spec.name] = args[0]
        elif get_origin(hint) is tuple:
            many = full_of(cast("type", args[0]), text) if is_dataclass(args[0]) else text
            values[spec.name] = (many,) if args[0] is not int else ()
        elif is_dataclass(one := args[0] if args else hint):
            values[spec.name] = full_of(cast("type", one), text)
        elif one is str:
            values[spec.name] = text
        elif issubclass(one, Enum):
            values[spec.name] = next(iter(one))
        else:
            values[spec.name] = one()
    return cls(**values)


@pytest.mark.parametrize("form", [JWT, f"Bearer {JWT}", f"/ws?x={JWT}", f"wss://a/{JWT}?b"])
def test_no_field_of_a_transcript_keeps_a_credential(form: str) -> None:
    transcript = full_of(Transcript, form)
    places = {(cls.__name__, name) for cls, name in texts_of(Transcript)}
    assert ("FrameSeen", "preview") in places
    assert ("Certificate", "names") in places
    assert str(transcript).count(JWT) >= len(places)
    shown = transcript.masked()
    assert JWT not in str(shown)
    assert shown.masked() == shown
    assert Transcript.from_dict(shown.to_dict()) == shown


def test_no_field_of_a_transcript_keeps_a_known_secret() -> None:
    transcript = full_of(Transcript, "you sent hunter2 to us")
    assert transcript.masked() == transcript
    shown = transcript.masked(KnownSecrets(["hunter2"]))
    assert "hunter2" not in str(shown)
    assert shown.url == "you sent <masked-7-characters> to us"


def test_what_was_sent_is_masked_where_the_app_says_it_again() -> None:
    request = build_request(
        judged(), key_bytes=KEY, extra_headers=(("X-Api-Key", "hunter2"), ("X-Room", "blue"))
    )
    seen = replace(
        answered(GOOD + "X-Echo: hunter2\r\n", request=request),
        body="bad key hunter2 for blue",
        frames=(
            FrameSeen("received", "text", 12, 1.0, "your key: hun", final=False),
            FrameSeen("sent", "pong", 0, 1.5),
            FrameSeen("received", "continuation", 9, 2.0, "ter2 in room blue"),
            FrameSeen("received", "close", 12, 3.0, "1008 hunter2"),
        ),
        close=CloseSeen(1008, "hunter2", clean=True, by="peer"),
        failures=(Failure(Phase.SCRIPT, Reason.CLOSED_BY_PEER, "closed with 1008 hunter2"),),
    ).masked()
    assert "hunter2" not in str(seen)
    assert "blue" in seen.body
    assert [frame.preview for frame in seen.frames] == [
        "your key: <masked-3-characters>",
        "",
        "<masked-4-characters> in room blue",
        "1008 <masked-7-characters>",
    ]


def test_a_credential_of_the_app_is_masked_across_the_fragments_of_its_message() -> None:
    parts = ('{"token":"abcdef', "ghijklmnop", 'qrst1","room":"blue"}')
    seen = replace(
        live(),
        frames=tuple(
            FrameSeen("received", "text" if not at else "continuation", 9, 1.0, part, final=at == 2)
            for at, part in enumerate(parts)
        ),
    ).masked()
    assert [frame.preview for frame in seen.frames] == [
        '{"token":"<masked-6-characters>',
        "<masked-10-characters>",
        '<masked-5-characters>","room":"blue"}',
    ]
