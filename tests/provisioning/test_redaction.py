"""What carries a credential, by place, name and shape; and that masks leave what diagnoses need."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.redaction.carriers import (
    PUBLIC_HEADERS,
    SECRET_HEADERS,
    SECRET_KEYS,
    SECRET_PARAMETERS,
    SUBPROTOCOL_PREFIXES,
    SUBPROTOCOL_WORDS,
    has_secret_shape,
    is_secret_header,
    is_secret_key,
    is_secret_parameter,
)
from provisioning.redaction.masking import (
    KnownSecrets,
    mask_data,
    mask_header,
    mask_of,
    mask_query,
    mask_subprotocols,
    mask_text,
    mask_url,
)
from provisioning.redaction.references import (
    UnknownSecretError,
    malformed_reference,
    references,
    resolve,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"


@pytest.mark.parametrize(
    "name",
    [
        *sorted(SECRET_HEADERS),
        "X-Session-Token",
        "Api-Key",
        "apikey",
        "X-Api-Key",
        "X-Auth-Token",
        "X-Auth",
        "X-CSRF-Token",
        "CF-Access-Anything",
        "X-Hasura-Admin-Secret",
        "X-Functions-Key",
        "X-Vault-Token",
        "X-Webhook-Signature",
        "X-Acme-Ticket",
        "X_Session_Token",
        "Private-Token",
    ],
)
def test_a_header_of_this_name_is_secret(name: str) -> None:
    assert is_secret_header(name)
    assert "hunter2" not in mask_header(name, "hunter2")


@pytest.mark.parametrize(
    "name",
    [
        *sorted(PUBLIC_HEADERS),
        "X-Room",
        "X-Tenant",
        "X-Forwarded-For",
        "X-Monkey",
        "X-Author",
        "CloudFront-Viewer-Country",
        "Origin",
    ],
)
def test_a_header_of_this_name_is_not(name: str) -> None:
    assert not is_secret_header(name)
    assert mask_header(name, "hunter2") == "hunter2"


@pytest.mark.parametrize(
    "name",
    [
        *sorted(SECRET_PARAMETERS | SECRET_KEYS),
        *("access_token", "accessToken", "id_token", "jwt", "X-Amz-Signature", "api_key"),
        *("AUTH_TICKET", "client_secret", "connection_token"),
    ],
)
def test_a_parameter_of_this_name_is_secret(name: str) -> None:
    assert is_secret_parameter(name)
    assert mask_url(f"/ws?room=1&{name}=hunter2") == f"/ws?room=1&{name}=<masked-7-characters>"


@pytest.mark.parametrize("name", ["room", "EIO", "transport", "vsn", "monkey", "X-Amz-Date", "t"])
def test_a_parameter_of_this_name_is_not(name: str) -> None:
    assert not is_secret_parameter(name)
    assert (
        mask_url(f"wss://h.example/ws?{name}=websocket") == f"wss://h.example/ws?{name}=websocket"
    )


@pytest.mark.parametrize(
    ("names", "secret"),
    [
        ("token authToken passcode sid password api_key session", True),
        ("code key state ticket cookies next_token message", False),
    ],
)
def test_a_key_of_a_message_is_secret_by_name(names: str, secret: bool) -> None:
    for name in names.split():
        text = json.dumps({name: "hunter2"})
        assert is_secret_key(name) is secret, name
        assert (mask_text(text) != text) is secret, name


@pytest.mark.parametrize(
    "value",
    [
        JWT,
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_0123456789abcdefghijABCDEFGHIJ",
        "xoxb-123456789012-abcdef",
        "glpat-0123456789abcdefghij",
        "sk_live_0123456789abcdef",
        "pwe_0123456789",
        "aB3dE6gH9jK2mN5pQ8sT1vW4",
        "9f86d081884c7d659a2feaa0c55ad015",
        "k3j9x8w7v6u5t4s3r2q1p0o9",
        "K3J9X8W7V6U5T4S3R2Q1P0O9",
    ],
)
def test_a_value_of_this_shape_is_masked_wherever_a_person_gives_it(value: str) -> None:
    assert has_secret_shape(value)
    for masked in (
        mask_header("X-Anything", value),
        mask_url(f"wss://h.example/ws/{value}/chat"),
        mask_url(f"/ws?room={value}"),
        mask_url(f"/ws?{value}"),
        *mask_subprotocols([value]),
    ):
        assert value not in masked


@pytest.mark.parametrize(
    "value",
    [
        "websocket",
        "0b3c2c64-5a47-4f0e-9f0e-3f3c0f6c7f11",
        "graphql-transport-ws",
        "v1.kernel.websocket.jupyter.org",
        "https://app.example.com",
        "0a1b2c3d4e5f6071",
        "ThisIsALongNameInCamelCase",
        "averylongnameofaservice2026",
        "1234567890123456789012345",
        "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/int-chat/50dc6c49",
    ],
)
def test_ids_and_names_are_no_secrets(value: str) -> None:
    assert not has_secret_shape(value)
    assert mask_header("X-Anything", value) == value
    assert mask_text(value, guess=True) == value


@pytest.mark.parametrize(
    ("header", "value", "masked"),
    [
        ("Authorization", "Bearer abc", "Bearer <masked-3-characters>"),
        ("Authorization", "abc", "<masked-3-characters>"),
        ("Authorization", "Bearer ${secret:API}", "Bearer ${secret:API}"),
        ("X-Api-Key", "${secret:API}", "${secret:API}"),
        ("X-Api-Key", "x${secret:API}", "<masked-14-characters>"),
        ("Cookie", "a=1; s=abc", "a=<masked-1-characters>; s=<masked-3-characters>"),
        ("Cookie", 'a="1; b=2', "<masked-9-characters>"),
        ("Set-Cookie", "sid=abc; Path=/; HttpOnly", "sid=<masked-3-characters>; Path=/; HttpOnly"),
        ("Sec-WebSocket-Protocol", f"x.bearer, {JWT}", f"x.bearer, {mask_of(JWT)}"),
        ("Sec-WebSocket-Protocol", "graphql-ws", "graphql-ws"),
        (
            "Referer",
            "https://u:p@h.example/a?code=1",
            "https://<masked-3-characters>@h.example/a?code=<masked-1-characters>",
        ),
        ("X-Amz-Cf-Id", "k8b-AG7yWQ0v9x1hZ3vJ2uQmE5rT==", "k8b-AG7yWQ0v9x1hZ3vJ2uQmE5rT=="),
        ("User-Agent", f"app/1.0 ({JWT})", f"app/1.0 ({mask_of(JWT)})"),
        ("X-Request-Id", "ghp_0123456789abcdefghijABCDEFGHIJ", "<masked-34-characters>"),
        ("X-Client", "web; proof=aB3dE6gH9jK2mN5pQ8sT1vW4", "web; proof=<masked-24-characters>"),
        ("X-Trace", "a=1, 9f86d081884c7d659a2feaa0c55ad015", "a=1, <masked-32-characters>"),
        ("X-Client", "web; build=2026.11; region=eu", "web; build=2026.11; region=eu"),
    ],
)
def test_a_masked_header_keeps_what_is_needed_to_diagnose(
    header: str, value: str, masked: str
) -> None:
    assert mask_header(header, value) == masked
    assert mask_header(header, masked) == masked


@pytest.mark.parametrize("prefix", SUBPROTOCOL_PREFIXES)
def test_a_subprotocol_with_this_prefix_carries_a_credential(prefix: str) -> None:
    masked = mask_subprotocols([f"{prefix}aHVudGVyMg", "chat"])
    assert masked == (f"{prefix}<masked-10-characters>", "chat")


@pytest.mark.parametrize("word", sorted(SUBPROTOCOL_WORDS))
def test_the_subprotocol_after_this_word_is_a_credential(word: str) -> None:
    assert mask_subprotocols(["chat", word, "hunter2", "v2"]) == (
        "chat",
        word,
        "<masked-7-characters>",
        "v2",
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"connection_init","payload":{"Authorization":"Bearer hunter2"}}',
        '{"connectionParams":{"authToken":"hunter2"}}',
        'a["{\\"token\\":\\"hunter2\\"}"]',
        '42["login",{"password":"hunter2 with spaces"}]',
        "CONNECT\nlogin:guest\npasscode:hunter2\n\n",
        "GET /ws?access_token=hunter2 HTTP/1.1",
        "could not open wss://ana:hunter2@h.example/ws",
        "Cookie: theme=dark; sid=hunter2",
        "jwt=hunter2",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        f"close 1008 {JWT}hunter2",
        "Basic aHVudGVyMjpodW50ZXIy hunter1".replace("hunter1", "password: hunter2"),
    ],
)
def test_credentials_in_texts_are_masked(text: str) -> None:
    masked = mask_text(text)
    assert "hunter2" not in masked
    assert mask_text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        '{"code":0,"message":"Transport unknown"}',
        "missing token: required",
        "Bearer token expired",
        "code=4401 reason=unauthorized",
        "The ticket: RITM777",
        "x-edge-request-id is Hq7ZzZxVqB1yJ3yAG0Zl2m7pH0nWQk5l8o2gH6R1hS9tqUoYt1m2bQ==.",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "expect json $.token == 1",
        "edge check 0a1b2c3d4e5f6071",
        "send ${secret:API}",
        'send {"token":"${secret:API}"}',
        "Authorization: Bearer ${secret:API}",
    ],
)
def test_words_about_credentials_are_kept(text: str) -> None:
    assert mask_text(text) == text


def test_data_is_masked_under_secret_keys_at_any_depth() -> None:
    data = {"token": {"a": "hunter2", "b": ["hunter2", 7]}, "list": [{"password": 1}], "n": 1}
    assert mask_data(data) == {
        "token": {
            "a": "<masked-7-characters>",
            "b": ["<masked-7-characters>", "<masked-1-characters>"],
        },
        "list": [{"password": "<masked-1-characters>"}],
        "n": 1,
    }


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing(text: str) -> None:
    for mask in (mask_text, mask_url, mask_query):
        assert mask(mask(text)) == mask(text)


SECRET = "pa ss+wörd/&<x>\"'%41"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        html.escape(SECRET),
        SECRET.encode().hex(),
        SECRET.encode().hex(" "),
        SECRET[:9],
        SECRET[-9:],
    ],
)
def test_a_known_secret_is_masked_in_every_form(form: str) -> None:
    masked = KnownSecrets([SECRET]).mask(f"you sent {form} here")
    assert masked == f"you sent <masked-{len(form)}-characters> here"


@given(before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_a_known_secret_is_masked_within_base64(before: bytes, after: bytes) -> None:
    coded = base64.b64encode(before + JWT.encode() + after).decode()
    masked = KnownSecrets([JWT]).mask(coded)
    kept = masked.partition("<masked-")[0], masked.rpartition("-characters>")[2]
    # At each end, the characters that hold bits of a neighbor may stay.
    assert len(kept[0]) <= len(before) * 4 / 3 + 2
    assert len(kept[1]) <= len(after) * 4 / 3 + 6


@pytest.mark.parametrize("size", [1, 2, 5, 11, 40])
def test_a_known_secret_is_masked_across_frames(size: int) -> None:
    text = f"hello {JWT} bye"
    frames = [text[at : at + size] for at in range(0, len(text), size)]
    masked = KnownSecrets([JWT]).mask_all(frames)
    assert len(masked) == len(frames)
    kept = "".join(part for frame in masked for part in frame.split("<masked-")[:1])
    assert not any(JWT[at : at + 4] in kept for at in range(len(JWT) - 3))
    assert kept.startswith("hello ")


def test_a_short_value_is_not_hunted_for() -> None:
    assert KnownSecrets(["chat"]).mask("a chat app") == "a chat app"
    assert KnownSecrets(["chat99"]).mask("a chat99 app") == "a <masked-6-characters> app"


def test_what_was_masked_is_reported_for_echoes() -> None:
    found: list[str] = []
    mask_header("Authorization", "Bearer hunter2", found)
    mask_url("wss://ana:pw123456@h.example/ws?token=a%20b", found)
    mask_subprotocols(["bearer", "xyzxyz"], found)
    assert found == ["hunter2", "ana:pw123456", "a%20b", "a b", "xyzxyz"]


def test_references_are_found_and_replaced() -> None:
    text = "Bearer ${secret:API_TOKEN}-${secret:b2}"
    assert references(text) == {"API_TOKEN", "b2"}
    assert resolve(text, {"API_TOKEN": "x y", "b2": "$"}, quote) == "Bearer x%20y-%24"
    with pytest.raises(UnknownSecretError, match=r"The secret b2 no longer exists\."):
        resolve(text, {"API_TOKEN": "x"})


def test_a_value_that_looks_like_a_reference_is_not_resolved_again() -> None:
    assert resolve("${secret:a}", {"a": "${secret:b}", "b": "no"}) == "${secret:b}"


@pytest.mark.parametrize("text", ["${secret:}", "${secret:a b}", "${Secret:a}", "${ secret:a}"])
def test_what_is_meant_as_a_reference_is_named(text: str) -> None:
    assert malformed_reference(f"x {text} y") == text
    assert malformed_reference("${secret:right} ${name}") == ""
