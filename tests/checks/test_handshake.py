"""The opening handshake: what is sent, how the answer is read, and which rule of the RFC it keeps
or breaks.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.protocol.deflate import OFFER
from checks.protocol.handshake import (
    HeadError,
    HeadParser,
    RefusedBody,
    RequestError,
    accept_for,
    annotate_headers,
    build_request,
    judge,
)
from checks.protocol.transcript import Reason, ResponseHead
from tests.checks.seen import GOOD, KEY, judged, request_to


def head_of(text: str) -> ResponseHead:
    parser = HeadParser()
    parser.feed(text.encode("latin-1"))
    assert parser.head is not None
    return parser.head


def feed_bytewise(parser: HeadParser, wire: bytes) -> None:
    for byte in wire:
        parser.feed(bytes((byte,)))


def test_the_accept_is_the_example_of_the_rfc() -> None:
    assert accept_for("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_request_is_what_a_browser_sends_line_by_line() -> None:
    request = build_request(
        judged("wss://d111.cloudfront.net/ws?room=1"),
        key_bytes=KEY,
        subprotocols=("chat", "json"),
        origin="https://d111.cloudfront.net",
        extra_headers=(("Authorization", "Bearer abc"), ("X-Room", " blue ")),
    )
    assert request.to_bytes().decode().split("\r\n") == [
        "GET /ws?room=1 HTTP/1.1",
        "Host: d111.cloudfront.net",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: chat, json",
        "Origin: https://d111.cloudfront.net",
        "Authorization: Bearer abc",
        "X-Room: blue",
        "",
        "",
    ]
    assert all(line.note for line in request.headers[:8])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Room", "blue\r\nHost: evil"),
        ("X-Room", "blue\nHost: evil"),
        ("X-Room", "blue\x00"),
        ("X-Room", "blue\x7f"),
        ("X-Room", "blau – rot"),
        ("X-Room", "a" * 20_000),
        ("X Room", "blue"),
        ("X-Room:", "blue"),
        ("X-Room\r\nHost", "evil"),
        ("", "blue"),
        ("Räume", "blue"),
        ("Host", "evil.example"),
        ("hOsT", "evil.example"),
        ("Upgrade", "h2c"),
        ("Sec-WebSocket-Key", "x"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
    ],
)
def test_a_header_that_would_change_the_request_is_refused(name: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        build_request(judged(), key_bytes=KEY, extra_headers=((name, value),))
    assert str(caught.value)


@pytest.mark.parametrize("names", [("chat", "chat"), ("a b",), ("",), ("a,b",), ("a\r\nb",)])
def test_a_subprotocol_must_be_a_token_and_unique(names: tuple[str, ...]) -> None:
    with pytest.raises(RequestError):
        build_request(judged(), key_bytes=KEY, subprotocols=names)


def test_an_origin_with_a_line_break_is_refused_and_without_one_sent() -> None:
    with pytest.raises(RequestError):
        build_request(judged(), key_bytes=KEY, origin="https://a\r\nX: y")
    assert (
        b"\r\nOrigin: https://a\r\n"
        in build_request(judged(), key_bytes=KEY, origin="https://a").to_bytes()
    )


def test_sixteen_bytes_of_key_and_at_most_fifty_extra_headers() -> None:
    with pytest.raises(RequestError):
        build_request(judged(), key_bytes=b"short")
    fifty = tuple((f"X-{number}", "1") for number in range(50))
    assert len(build_request(judged(), key_bytes=KEY, extra_headers=fifty).headers) == 55
    with pytest.raises(RequestError):
        build_request(judged(), key_bytes=KEY, extra_headers=(*fifty, ("X-51", "1")))


@given(st.text(max_size=20), st.text(max_size=40))
def test_whatever_header_is_given_one_line_or_none_is_added(name: str, value: str) -> None:
    plain = request_to().to_bytes()
    try:
        request = build_request(judged(), key_bytes=KEY, extra_headers=((name, value),))
    except RequestError:
        return
    assert request.to_bytes().count(b"\n") == plain.count(b"\n") + 1
    assert request.to_bytes().count(b"\r") == plain.count(b"\r") + 1


@given(st.integers(min_value=1, max_value=200))
def test_a_head_reads_the_same_however_it_is_cut(size: int) -> None:
    wire = (GOOD + "Via: 1.1 edge\r\n\r\n").encode() + b"\x81\x05hello"
    parser = HeadParser()
    for start in range(0, len(wire), size):
        parser.feed(wire[start : start + size])
    assert parser.head is not None
    assert parser.head.status == 101
    assert parser.head.get("VIA") == "1.1 edge"
    assert [line.raw for line in parser.head.headers][-1] == "Via: 1.1 edge"
    assert parser.rest == b"\x81\x05hello"


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"HTTP/2 101 OK\r\n\r\n", Reason.NOT_HTTP),
        (b"SSH-2.0-OpenSSH\r\n", Reason.NOT_HTTP),
        (b"\x15\x03\x01\x00\x02", Reason.NOT_HTTP),
        (b"\r\n", Reason.NOT_HTTP),
        (b"HTTP/1.1 abc\r\n\r\n", Reason.HEAD_MALFORMED),
        (b"HTTP/1.1 1010 X\r\n\r\n", Reason.HEAD_MALFORMED),
        (b"HTTP/1.1 101 X\x00\r\n\r\n", Reason.HEAD_MALFORMED),
        (b"HTTP/1.1 101 X\r\nno colon\r\n\r\n", Reason.HEAD_MALFORMED),
        (b"HTTP/1.1 101 X\r\nName : value\r\n\r\n", Reason.HEAD_MALFORMED),
        (b"HTTP/1.1 101 X\r\n folded\r\n\r\n", Reason.HEAD_MALFORMED),
        (b"HTTP/1.1 101 X\r\nA: b\x00c\r\n\r\n", Reason.HEAD_MALFORMED),
        (b"HTTP/1.1 101 X\r\n" + b"A: b\r\n" * 201, Reason.HEAD_TOO_LARGE),
        (b"HTTP/1.1 101 X\r\nA: " + b"b" * 70_000, Reason.HEAD_TOO_LARGE),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 6, Reason.HEAD_TOO_LARGE),
    ],
)
def test_what_is_no_head_is_named(wire: bytes, reason: Reason) -> None:
    with pytest.raises(HeadError) as caught:
        HeadParser().feed(wire)
    assert caught.value.reason is reason
    with pytest.raises(HeadError) as caught:
        feed_bytewise(HeadParser(), wire)
    assert caught.value.reason is reason


def test_exactly_the_lines_that_are_allowed_are_read_also_in_drips() -> None:
    interim, final = (
        b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n",
        b"HTTP/1.1 101 X\r\n" + b"A: b\n" * 197 + b"\n",
    )
    parser = HeadParser()
    feed_bytewise(parser, interim + final + b"rest")
    assert parser.head is not None
    assert (len(parser.head.headers), parser.head.interim, parser.rest) == (197, (103,), b"rest")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_head_or_the_beginning_of_one_or_a_named_error(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 101 Switching\r\n", b"HTTP/1.1 101 Switching\r\n\r\n"):
        outcomes: list[tuple[object, bytes]] = []
        for feed in (HeadParser.feed, feed_bytewise):
            parser = HeadParser()
            try:
                feed(parser, prefix + data)
                outcomes.append((parser.head, parser.rest))
            except HeadError as error:
                outcomes.append((error.reason, b""))
        whole, in_drips = outcomes
        assert whole == in_drips
        if prefix.endswith(b"\r\n\r\n"):
            assert whole[1] == data


def test_interim_answers_are_passed_over() -> None:
    head = head_of(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GOOD + "\r\n"
    )
    assert (head.status, head.interim) == (101, (100, 103))
    assert head.get("link") == ""


def test_a_good_answer_keeps_every_rule_and_says_so_beside_its_lines() -> None:
    head = head_of(GOOD + "\r\n")
    findings = judge(request_to(), head)
    assert all(finding.ok for finding in findings)
    notes = {line.name: line.note for line in annotate_headers(head, findings).headers}
    assert notes["Sec-WebSocket-Accept"].startswith("Accept matches the key sent")
    assert notes["Upgrade"]
    assert notes["Connection"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("HTTP/1.1", "HTTP/1.0"), "version"),
        (("Upgrade: websocket\r\n", ""), "upgrade"),
        (("Upgrade: websocket", "Upgrade: h2c"), "upgrade"),
        (("Connection: Upgrade\r\n", ""), "connection"),
        (("Connection: Upgrade", "Connection: keep-alive"), "connection"),
        (("s3pPLM", "S3pPLM"), "accept"),
        (("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", ""), "accept"),
        (("\r\nSec-", "\r\nSec-WebSocket-Accept: a\r\nSec-"), "accept"),
        (("\r\nSec-", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-"), "extensions"),
        (("\r\nSec-", "\r\nSec-WebSocket-Extensions: \r\nSec-"), "extensions"),
        (("\r\nSec-", "\r\nSec-WebSocket-Protocol: chat\r\nSec-"), "subprotocol"),
        # Only spaces and tabs may surround a value (RFC 9110 5.6.3); Python's strip() takes more
        # for white.
        (("Upgrade: websocket", "Upgrade: websocket\xa0"), "upgrade"),
        (("Connection: Upgrade", "Connection: \x85Upgrade"), "connection"),
        (("xOo=", "xOo=\xa0"), "accept"),
    ],
)
def test_each_broken_rule_is_the_only_finding(change: tuple[str, str], rule: str) -> None:
    findings = judge(request_to(), head_of(GOOD.replace(*change) + "\r\n"))
    assert [finding.rule for finding in findings if not finding.ok] == [rule]


@pytest.mark.parametrize(
    "change",
    [
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
        ("Accept: s3p", "Accept:   s3p"),
        ("Upgrade: websocket", "Upgrade: \t websocket \t"),
        ("Connection: Upgrade", "Connection: keep-alive \t,\t Upgrade"),
        ("101 Switching Protocols", "101"),
    ],
)
def test_what_the_rfc_allows_is_no_finding(change: tuple[str, str]) -> None:
    assert all(
        finding.ok for finding in judge(request_to(), head_of(GOOD.replace(*change) + "\r\n"))
    )


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=12", True),
        ("permessage-deflate; nonsense=1", False),
        ("permessage-deflate; client_max_window_bits", False),
        ("permessage-deflate, permessage-deflate", False),
        ("permessage-deflate, x-other", False),
        ("permessage-deflate\t", True),
        ("permessage-deflate\xa0", False),
    ],
)
def test_compression_is_switched_on_by_terms_that_its_rfc_allows(answer: str, ok: bool) -> None:
    request = build_request(
        judged("wss://d111.cloudfront.net/ws"), key_bytes=KEY, extensions=(OFFER,)
    )
    findings = judge(request, head_of(GOOD + f"Sec-WebSocket-Extensions: {answer}\r\n\r\n"))
    assert [finding.ok for finding in findings if finding.rule == "extensions"] == [ok]


def test_a_subprotocol_must_be_one_of_those_asked() -> None:
    request = request_to(subprotocols=("chat", "json"))
    for chosen, ok in (
        ("json", True),
        ("json\t", True),
        ("json\xa0", False),
        ("xml", False),
        ("chat, json", False),
    ):
        findings = judge(request, head_of(GOOD + f"Sec-WebSocket-Protocol: {chosen}\r\n\r\n"))
        assert [finding.ok for finding in findings if finding.rule == "subprotocol"] == [ok]
    twice = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: json\r\n\r\n"
    assert not all(finding.ok for finding in judge(request, head_of(GOOD + twice)))


def test_only_a_101_opens() -> None:
    findings = judge(request_to(), head_of("HTTP/1.1 200 OK\r\n\r\n"))
    assert [(finding.rule, finding.ok) for finding in findings] == [("status", False)]


@pytest.mark.parametrize(
    ("head", "chunks", "complete", "text", "truncated"),
    [
        ("Content-Length: 5", [b"hel", b"lo"], True, "hello", False),
        ("Content-Length: 0", [b""], True, "", False),
        ("Content-Length: 50", [b"hel"], False, "hel", True),
        ("X: y", [b"hel", b"lo"], False, "hello", False),
        ("Transfer-Encoding: chunked", [b"5\r\nhel", b"lo\r\n0\r\n\r\n"], True, "hello", False),
        ("Transfer-Encoding: chunked", [b"5;x=y\r\nhel"], False, "hel", False),
        ("Transfer-Encoding: chunked", [b"zz\r\nhello"], True, "", False),
        ("Content-Length: 500000000", [b"x" * 5000], True, "x" * 4096, True),
        ("X: y", [b"x" * 3000, b"x" * 3000, b"x" * 9_000_000], True, "x" * 4096, True),
        ("X: y", [b"\xff\x00<script>"], False, "��<script>", False),
    ],
)
def test_of_a_refusals_body_only_the_start_is_kept(
    head: str, chunks: list[bytes], complete: bool, text: str, truncated: bool
) -> None:
    body = RefusedBody(head_of(f"HTTP/1.1 502 Bad Gateway\r\n{head}\r\n\r\n"))
    for chunk in chunks:
        body.feed(chunk)
    assert (body.complete, body.text, body.truncated) == (complete, text, truncated)
