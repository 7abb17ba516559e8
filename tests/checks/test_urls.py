"""The guard in front of every probe: what may be contacted, and why the rest may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.protocol.urls import AllowedUrl, RefusedUrl, judge_url


@pytest.mark.parametrize(
    ("url", "host", "port", "resource", "authority"),
    [
        ("wss://d111.cloudfront.net/ws", "d111.cloudfront.net", 443, "/ws", "d111.cloudfront.net"),
        ("wss://d111.cloudfront.net", "d111.cloudfront.net", 443, "/", "d111.cloudfront.net"),
        ("wss://d111.cloudfront.net:443/", "d111.cloudfront.net", 443, "/", "d111.cloudfront.net"),
        (
            "ws://Chat.Example.COM/ws?room=1",
            "chat.example.com",
            80,
            "/ws?room=1",
            "chat.example.com",
        ),
        ("wss://chat.example.com?room=1", "chat.example.com", 443, "/?room=1", "chat.example.com"),
        ("WSS://chat.example.com:80/", "chat.example.com", 80, "/", "chat.example.com:80"),
        (
            "https://hooks.example.com/a%20b",
            "hooks.example.com",
            443,
            "/a%20b",
            "hooks.example.com",
        ),
        (
            "wss://xn--mnchen-3ya.example/ws",
            "xn--mnchen-3ya.example",
            443,
            "/ws",
            "xn--mnchen-3ya.example",
        ),
    ],
)
def test_an_ordinary_url_is_taken_apart(
    url: str, host: str, port: int, resource: str, authority: str
) -> None:
    judged = judge_url(url)
    assert isinstance(judged, AllowedUrl), judged
    assert (judged.host, judged.port, judged.resource, judged.authority) == (
        host,
        port,
        resource,
        authority,
    )


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("wss://127.1/ws", "ip_literal"),
        ("wss://2130706433/ws", "ip_literal"),
        ("wss://0x7f.1/ws", "ip_literal"),
        ("wss://0x7f000001/", "ip_literal"),
        ("wss://0177.0.0.1/ws", "ip_literal"),
        ("wss://0/ws", "ip_literal"),
        ("wss://127.0.0.1/ws", "ip_literal"),
        ("wss://8.8.8.8/ws", "ip_literal"),
        ("wss://[::1]/ws", "ip_literal"),
        ("wss://[::ffff:127.0.0.1]/ws", "ip_literal"),
        ("wss://host.1/ws", "ip_literal"),
        ("wss://①②⑦.⓪.⓪.①/ws", "bad_character"),
        ("wss://127。0。0。1/ws", "bad_character"),
        ("wss://１２７.0.0.1/ws", "bad_character"),
        ("wss://good.example\\@127.0.0.1/ws", "bad_character"),
        ("wss://good.example/\r\nX-Evil: 1", "bad_character"),
        ("wss://good.example/ws\n", "bad_character"),
        ("wss://good.example/\tws", "bad_character"),
        ("wss://good.example/a b", "bad_character"),
        ("wss://good.example/\x00", "bad_character"),
        ("wss://good.example@127.0.0.1/ws", "userinfo"),
        ("wss://me:secret@good.example/ws", "userinfo"),
        ("ftp://good.example/ws", "bad_scheme"),
        ("file:///etc/passwd", "bad_scheme"),
        ("good.example/ws", "bad_scheme"),
        ("//good.example/ws", "bad_scheme"),
        ("", "bad_scheme"),
        ("wss:good.example", "bad_scheme"),
        ("wss://good.example/ws#top", "fragment"),
        ("wss://good.example:22/", "port_not_allowed"),
        ("wss://good.example:6379/", "port_not_allowed"),
        ("wss://good.example:0/", "bad_port"),
        ("wss://good.example:65536/", "bad_port"),
        ("wss://good.example:4 43/", "bad_character"),
        ("wss://good.example:+443/", "bad_port"),
        ("wss://good.example:/", "bad_port"),
        ("wss:///ws", "bad_host"),
        ("wss://good..example/", "bad_host"),
        ("wss://good.example./", "bad_host"),
        ("wss://-good.example/", "bad_host"),
        ("wss://good_host.example/", "bad_host"),
        ("wss://[good.example]/", "bad_host"),
        ("wss://" + "a" * 64 + ".example/", "bad_host"),
        ("wss://good.example/" + "a" * 9000, "url_too_long"),
    ],
)
def test_what_is_not_plainly_a_url_is_refused(url: str, code: str) -> None:
    judged = judge_url(url)
    assert isinstance(judged, RefusedUrl), judged
    assert judged.code == code
    assert judged.reason


def test_the_port_list_and_the_schemes_are_the_callers() -> None:
    url = "wss://d111.edge.localhost:8002/ws"
    assert isinstance(judge_url(url), RefusedUrl)
    assert isinstance(judge_url(url, ports=(443, 8002)), AllowedUrl)
    assert isinstance(judge_url("https://hooks.example/", schemes=("ws", "wss")), RefusedUrl)
    assert isinstance(judge_url("https://hooks.example/", schemes=("https",)), AllowedUrl)


def test_an_address_as_host_needs_permission() -> None:
    assert isinstance(judge_url("wss://[::1]:443/ws"), RefusedUrl)
    judged = judge_url("wss://[::1]/ws", allow_ip_literals=True)
    assert isinstance(judged, AllowedUrl)
    assert (judged.host, judged.authority, str(judged)) == ("::1", "[::1]", "wss://[::1]/ws")
    # Even then not in a notation that other parsers read differently.
    assert isinstance(judge_url("wss://127.1/ws", allow_ip_literals=True), RefusedUrl)


@given(st.text(max_size=60))
def test_no_text_after_the_scheme_ever_gives_a_host_that_needs_interpretation(text: str) -> None:
    judged = judge_url("wss://" + text)
    if isinstance(judged, AllowedUrl):
        assert judged.host.isascii()
        assert judged.host == judged.host.lower()
        assert set(judged.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert not judged.host.split(".")[-1].isdecimal()
        assert not any(character in judged.resource for character in "\r\n\t \\#")
        again = judge_url(str(judged))
        assert again == judged
