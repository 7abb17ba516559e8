"""Connect-to rules: where an edge host really is, as a setting."""

from __future__ import annotations

import pytest

from checks.protocol.connect_to import ConnectToError, Destination, parse_connect_to, pick

LAB = parse_connect_to(
    "*.cloudfront.net:443:127.0.0.1:8002, *.cloudfront.net:80:127.0.0.1:8003,chat.example::[::1]:"
)


@pytest.mark.parametrize(
    ("host", "port", "to"),
    [
        ("d111.cloudfront.net", 443, ("127.0.0.1", 8002)),
        ("D111.CloudFront.net", 443, ("127.0.0.1", 8002)),
        ("d111.cloudfront.net", 80, ("127.0.0.1", 8003)),
        ("a.b.cloudfront.net", 443, ("127.0.0.1", 8002)),
        ("d111.cloudfront.net", 8443, ("d111.cloudfront.net", 8443)),
        ("cloudfront.net", 443, ("cloudfront.net", 443)),
        ("evilcloudfront.net", 443, ("evilcloudfront.net", 443)),
        ("d111.cloudfront.net.evil.example", 443, ("d111.cloudfront.net.evil.example", 443)),
        ("chat.example", 9000, ("::1", 9000)),
        ("other.example", 443, ("other.example", 443)),
    ],
)
def test_the_first_rule_that_matches_wins(host: str, port: int, to: tuple[str, int]) -> None:
    destination = pick(LAB, host, port)
    assert (destination.host, destination.port) == to


def test_a_destination_tells_which_rule_led_there() -> None:
    assert pick(LAB, "d111.cloudfront.net", 443).rule == "*.cloudfront.net:443:127.0.0.1:8002"
    assert pick(LAB, "chat.example", 1).rule == "chat.example::[::1]:"
    assert pick(LAB, "other.example", 443) == Destination("other.example", 443)


def test_a_rule_for_every_host() -> None:
    for everything in ("*:443:127.0.0.1:1", ":443:127.0.0.1:1"):
        assert pick(parse_connect_to(everything), "any.example", 443).host == "127.0.0.1"


def test_no_rules_is_no_rule() -> None:
    assert parse_connect_to("") == parse_connect_to(" , ") == ()


@pytest.mark.parametrize(
    "rule",
    [
        "a.example",
        "a.example:443:127.0.0.1",
        "a:443:b:443:c",
        "a:x:b:1",
        "a:1:b:99999",
        "a*b:1:c:1",
        "*b:1:c:1",
        "a:1:::1:8",
    ],
)
def test_a_rule_that_cannot_be_read_is_named(rule: str) -> None:
    with pytest.raises(ConnectToError) as caught:
        parse_connect_to(f"ok.example:443:127.0.0.1:1,{rule}")
    assert repr(rule) in str(caught.value)
    assert "PROBE_CONNECT_TO" in str(caught.value)
